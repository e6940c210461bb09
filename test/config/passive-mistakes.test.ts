// Each mistake an operator can make about ejection and circuit breakers, one a row, and what the defaults are.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ALONE_YAML, changed, expectConfig, expectEach } from "./pair-yaml.ts";

const BACKENDS = "[192.168.1.21:8080]";
const TWO = "[a:1, a:2]";
const THREE = "[a:1, a:2, a:3]";

function pool(change: string) {
  const [config] = expectConfig(changed(ALONE_YAML, [BACKENDS, change])).pools;
  assert.ok(config !== undefined);
  return config;
}

test("both are off unless the file has them; with an empty map they have their defaults", () => {
  const { outliers, circuitBreaker } = pool(TWO);
  assert.deepEqual([outliers, circuitBreaker], [null, null]);
  const off = pool(`${TWO}, outliers: off, circuitBreaker: off`);
  assert.deepEqual([off.outliers, off.circuitBreaker], [null, null]);
  const on = pool(`${TWO}, outliers: {}, circuitBreaker: {}`);
  assert.deepEqual(on.outliers, {
    consecutive5xx: 5,
    consecutiveFailures: 5,
    baseEjectionMs: 30_000,
    maxEjectionMs: 300_000,
    maxEjectionPercent: 50,
  });
  assert.deepEqual(on.circuitBreaker, {
    failureRate: 50,
    minimumRequests: 20,
    windowMs: 10_000,
    openMs: 5_000,
    trials: 3,
  });
});

test("one kind of row can be off", () => {
  assert.equal(pool(`${TWO}, outliers: { consecutive5xx: off }`).outliers?.consecutive5xx, null);
});

describe("outliers", () => {
  expectEach(ALONE_YAML, [
    [
      BACKENDS,
      `${TWO}, outliers: on`,
      '4:42  pools.web.outliers: "on" is not known here. Write {}, which is with the defaults.',
    ],
    [
      BACKENDS,
      `${TWO}, outliers: true`,
      "4:42  pools.web.outliers: true is true or false. Write off, or a map such as { consecutive5xx: 5 }.",
    ],
    [
      BACKENDS,
      `${TWO}, outliers: { consecutive5xx: 0 }`,
      "4:60  pools.web.outliers.consecutive5xx: 0 is not possible here. Use 1 to 1000, or off.",
    ],
    [
      BACKENDS,
      `${TWO}, outliers: { consecutive5xxErrors: 3 }`,
      '4:44  pools.web.outliers.consecutive5xxErrors: Unknown key. Did you mean "consecutive5xx"?',
    ],
    [
      BACKENDS,
      `${TWO}, outliers: { max_fails: 3 }`,
      '4:44  pools.web.outliers.max_fails: Unknown key. Did you mean "consecutiveFailures"?',
    ],
    [
      BACKENDS,
      `${TWO}, outliers: { interval: 10s }`,
      "4:44  pools.web.outliers.interval: Unknown key. Rows of failures are judged at once, not at an interval.",
    ],
    [
      BACKENDS,
      `${TWO}, outliers: { consecutive5xx: off, consecutiveFailures: off }`,
      "4:32  pools.web.outliers: Nothing would ever eject a backend. Give consecutive5xx or consecutiveFailures a number, or write outliers: off.",
    ],
    [
      BACKENDS,
      `${TWO}, outliers: { baseEjection: 10m }`,
      "4:58  pools.web.outliers.baseEjection: The longest ejection (5m) is shorter than the first one (10m). Use a maxEjection of at least 10m.",
    ],
    [
      BACKENDS,
      `${TWO}, outliers: { maxEjection: 10s }`,
      "4:57  pools.web.outliers.maxEjection: The longest ejection (10s) is shorter than the first one (30s). Use a maxEjection of at least 30s.",
    ],
  ]);
});

describe("ejection that could never happen", () => {
  expectEach(ALONE_YAML, [
    [
      BACKENDS,
      "[a:1], outliers: {}",
      "4:27  pools.web.outliers: The last backend is never ejected, and there is only one. Add another, or write outliers: off.",
    ],
    [
      BACKENDS,
      "[a:1, { address: a:2, weight: 0 }], outliers: {}",
      "4:56  pools.web.outliers: The last backend is never ejected, and there is only one. Add another, or write outliers: off.",
    ],
    [
      BACKENDS,
      `${THREE}, outliers: { maxEjectionPercent: 33 }`,
      "4:69  pools.web.outliers.maxEjectionPercent: 33 % of 3 backends is less than one, so none could be ejected. Use at least 34.",
    ],
    [
      BACKENDS,
      `${THREE}, panicThreshold: 67, outliers: {}`,
      "4:53  pools.web.panicThreshold: With 2 of 3 backends left the pool would panic, so none could be ejected. Use at most 66, or write outliers: off.",
    ],
  ]);
});

describe("circuit breakers", () => {
  expectEach(ALONE_YAML, [
    [
      BACKENDS,
      `${TWO}, circuitBreaker: { failureRate: 0 }`,
      "4:63  pools.web.circuitBreaker.failureRate: 0 is not a percentage. Use 1 to 100.",
    ],
    [
      BACKENDS,
      `${TWO}, circuitBreaker: { waitDurationInOpenState: 5s }`,
      '4:50  pools.web.circuitBreaker.waitDurationInOpenState: Unknown key. Did you mean "open"?',
    ],
    [
      BACKENDS,
      `${TWO}, circuitBreaker: { maxConnections: 5 }`,
      "4:50  pools.web.circuitBreaker.maxConnections: Unknown key. Envoy's circuit breakers are limits: see maxConnections of a backend.",
    ],
  ]);
});
