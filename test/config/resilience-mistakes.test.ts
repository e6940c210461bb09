// Each mistake an operator can make about retries, limits and queues, one a row.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PoolConfig } from "../../src/config/config.ts";
import { ALONE_YAML, changed, expectConfig, expectEach } from "./pair-yaml.ts";

const BACKENDS = "[192.168.1.21:8080]";
const END = "8080] }";
const LIMITED = "backends: [{ address: a:1, maxConnections: 10 }]";

function poolOf(more: string, backends = BACKENDS): PoolConfig {
  const { pools } = expectConfig(changed(ALONE_YAML, [END, `8080]${more} }`], [BACKENDS, backends]));
  const [pool] = pools;
  assert.ok(pool !== undefined);
  return pool;
}

describe("retries", () => {
  expectEach(ALONE_YAML, [
    [
      END,
      "8080], retry: { attempts: 0 } }",
      "4:60  pools.web.retry.attempts: 0 is not possible here. Use 1 to 10.",
    ],
    [
      END,
      "8080], retry: { on: [5xx] } }",
      '4:55  pools.web.retry.on[0]: "5xx" is not known here. Name the statuses, such as [502, 503, 504].',
    ],
    [
      END,
      "8080], retry: { on: [resett] } }",
      '4:55  pools.web.retry.on[0]: "resett" is not known here. Did you mean reset? Use connect, reset or timeout.',
    ],
    [
      END,
      "8080], retry: { on: [200] } }",
      "4:55  pools.web.retry.on[0]: 200 is not a status of an answer that could be better. Use 400 to 599.",
    ],
    [
      END,
      "8080], retry: { on: [reset, 503, reset] } }",
      "4:67  pools.web.retry.on[2]: reset is pools.web.retry.on[0] already. Remove one.",
    ],
    [
      END,
      "8080], retry: { attempts: 1, on: [reset] } }",
      "4:60  pools.web.retry.attempts: With 1 attempt nothing is sent again. Use 2 or more, or on: [connect].",
    ],
    [
      END,
      "8080], retry: { attempts: 3, on: [connect] } }",
      "4:60  pools.web.retry.attempts: Without reset, timeout or a status in on, nothing is sent again: each backend is tried once. Leave attempts out, or add to on.",
    ],
    [
      END,
      "8080], retry: { perTry: 1s } }",
      "4:58  pools.web.retry.perTry: It ends a try, and nothing is tried again then. Add timeout to on, or use total.",
    ],
    [
      END,
      "8080], retry: { on: [timeout], perTry: 10s, total: 5s } }",
      "4:73  pools.web.retry.perTry: The perTry (10s) is longer than the total (5s) of retry. Lower it, or raise total.",
    ],
    [
      END,
      "8080], retry: { budget: { percent: 0, floor: 0 } } }",
      "4:50  pools.web.retry.budget: It allows nothing. Raise one of the two, or use on: [connect].",
    ],
    [
      END,
      "8080], retry: { bodyBytes: 1GiB } }",
      '4:61  pools.web.retry.bodyBytes: "1GiB" is too large. Use 0B to 16MiB.',
    ],
    [
      END,
      "8080], retry: { retries: 3 } }",
      "4:50  pools.web.retry.retries: Unknown key. Known here: attempts, on, perTry, total, bodyBytes, budget.",
    ],
  ]);

  test("a pool that says nothing of them connects to each backend, and sends what is safe three times", () => {
    assert.deepEqual(poolOf("").retry, {
      attempts: 3,
      on: { connect: true, reset: true, timeout: false, statuses: [] },
      perTryMs: Infinity,
      totalMs: Infinity,
      bodyBytes: 65_536,
      budget: { percent: 20, floor: 3 },
    });
  });

  test("words and statuses stand in one list", () => {
    const { on } = poolOf(", retry: { on: [timeout, 503, 429] }").retry;
    assert.deepEqual(on, { connect: false, reset: false, timeout: true, statuses: [503, 429] });
  });
});

describe("limits and queues", () => {
  expectEach(ALONE_YAML, [
    [
      BACKENDS,
      "[{ address: a:1, maxConnections: 0 }]",
      "4:53  pools.web.backends[0].maxConnections: 0 is not possible here. Use 1 to 1000000, or unlimited.",
    ],
    [
      END,
      "8080], queue: { length: 5 } }",
      "4:41  pools.web.queue: Nobody would wait in it, as no backend has maxConnections. Give them some, or remove the queue.",
    ],
    [
      `backends: ${BACKENDS}`,
      "backends: [{ address: a:1, maxConnections: unlimited }], queue: { length: 5 }",
      "4:67  pools.web.queue: Nobody would wait in it, as no backend has maxConnections. Give them some, or remove the queue.",
    ],
    [
      `backends: ${BACKENDS}`,
      `${LIMITED}, queue: { timeout: 10s }, retry: { total: 5s }`,
      "4:78  pools.web.queue.timeout: The timeout of the queue (10s) is longer than the total (5s) of retry. Lower it, or raise total.",
    ],
    [
      `pools:\n  web: { backends: ${BACKENDS}`,
      "workers: 4\npools:\n  web: { backends: [{ address: a:1, maxConnections: 3 }]",
      "5:53  pools.web.backends[0].maxConnections: Each of the 4 workers takes at least 1. Use 4 or more, or fewer workers.",
    ],
  ]);

  test("a pool without limits has no queue, one with a limit has one though the file says nothing of it", () => {
    assert.equal(poolOf("").queue, null);
    const { queue, backends } = poolOf("", "[{ address: a:1, maxConnections: 10 }, a:2]");
    assert.deepEqual(queue, { length: 1024, timeoutMs: 5000 });
    assert.deepEqual(
      backends.map(({ maxConnections }) => maxConnections),
      [10, undefined],
    );
  });

  test("a queue says how many wait and for how long", () => {
    const more = ", queue: { length: 0, timeout: 200ms }";
    assert.deepEqual(poolOf(more, "[{ address: a:1, maxConnections: 10 }, 192.168.1.21:8080]").queue, {
      length: 0,
      timeoutMs: 200,
    });
  });
});
