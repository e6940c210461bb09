import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatStatusLine, statusKey, type NodeSummary } from "../../src/control/status-line.ts";
import type { BackendStatus, PeerStatus } from "../../src/protocol/status.ts";

const SINCE = "2026-11-21T12:01:07.000Z";
const NOW = Date.parse("2026-11-21T12:30:00.000Z");

// Times are those of the machine's zone.
process.env["TZ"] = "UTC";

const PEER: PeerStatus = {
  node: "pi-b",
  role: "standby",
  connected: true,
  lastHeardMs: 80.4,
  configMatches: true,
  newerFile: null,
  problem: null,
  paths: [],
};

const BACKEND: BackendStatus = {
  name: "one",
  address: "192.168.1.21:8080",
  state: "up",
  reason: null,
  weight: 1,
  order: null,
  weightPercent: 100,
  degraded: null,
  lastCheck: null,
  agent: null,
  ejection: null,
  breaker: null,
  activeConnections: 0,
  requests: 0,
  failures: 0,
};

function pool(...states: BackendStatus["state"][]): NodeSummary["pools"][number] {
  return {
    name: "web",
    queued: 0,
    overflows: 0,
    retries: 0,
    reconnects: 0,
    retriesRefused: 0,
    panic: null,
    backends: states.map((state) => ({ ...BACKEND, state })),
  };
}

const ACTIVE: NodeSummary = {
  role: "active",
  since: SINCE,
  reason: null,
  peer: PEER,
  virtualAddresses: [{ address: "192.168.1.50", interface: "eth0", held: true }],
  listeners: [{ name: "web", bind: "vip:80", open: true, problem: null }],
  pools: [pool("up", "up", "up")],
};

const STANDBY: NodeSummary = {
  ...ACTIVE,
  role: "standby",
  virtualAddresses: [{ address: "192.168.1.50", interface: "eth0", held: false }],
  peer: { ...PEER, role: "active" },
};

const CASES: readonly (readonly [what: string, summary: NodeSummary, line: string])[] = [
  [
    "an active",
    ACTIVE,
    "active since 12:01:07, holds 192.168.1.50; peer pi-b standby, heard 80 ms ago; backends 3/3 up",
  ],
  ["a standby", STANDBY, "standby since 12:01:07; peer pi-b active, heard 80 ms ago; backends 3/3 up"],
  [
    "several addresses",
    {
      ...ACTIVE,
      virtualAddresses: [
        { address: "192.168.1.50", interface: "eth0", held: true },
        { address: "192.168.1.51", interface: "eth0", held: false },
        { address: "fd00::50", interface: "eth0", held: true },
      ],
    },
    "active since 12:01:07, holds 192.168.1.50, fd00::50; peer pi-b standby, heard 80 ms ago; backends 3/3 up",
  ],
  [
    "a node in fault says why",
    { ...STANDBY, role: "fault", reason: "interface: no carrier on eth0" },
    "fault since 12:01:07 (interface: no carrier on eth0); peer pi-b active, heard 80 ms ago; backends 3/3 up",
  ],
  [
    "a peer that is not in touch, and why",
    {
      ...ACTIVE,
      peer: { ...PEER, connected: false, role: "unknown", lastHeardMs: 65_400, problem: "does not answer" },
    },
    "active since 12:01:07, holds 192.168.1.50; peer pi-b not connected, heard 65 s ago (does not answer); backends 3/3 up",
  ],
  [
    "a peer of long ago",
    { ...ACTIVE, peer: { ...PEER, connected: false, lastHeardMs: 3_600_000 } },
    "active since 12:01:07, holds 192.168.1.50; peer pi-b not connected, heard 60 min ago; backends 3/3 up",
  ],
  [
    "a peer that was never heard",
    { ...ACTIVE, peer: { ...PEER, connected: false, role: "unknown", lastHeardMs: null } },
    "active since 12:01:07, holds 192.168.1.50; peer pi-b not connected, never heard; backends 3/3 up",
  ],
  [
    "configurations that differ",
    { ...STANDBY, peer: { ...PEER, role: "active", configMatches: false } },
    "standby since 12:01:07; peer pi-b active, heard 80 ms ago; the configuration of pi-b differs; backends 3/3 up",
  ],
  [
    "a listener that is closed though it should not be",
    { ...ACTIVE, listeners: [{ name: "web", bind: "vip:80", open: false, problem: "port 80 is in use" }] },
    "active since 12:01:07, holds 192.168.1.50; peer pi-b standby, heard 80 ms ago; listener web: port 80 is in use; backends 3/3 up",
  ],
  [
    "backends of all pools together; suspect ones still get requests, others do not",
    { ...STANDBY, pools: [pool("up", "down", "suspect"), pool("drain", "maintenance", "up")] },
    "standby since 12:01:07; peer pi-b active, heard 80 ms ago; backends 3/6 up",
  ],
  [
    "a node alone",
    { ...ACTIVE, peer: null, virtualAddresses: [], reason: "balances alone", pools: [pool()] },
    "active since 12:01:07 (balances alone); no backends",
  ],
];

describe("the line for systemctl status", () => {
  for (const [what, summary, line] of CASES) {
    test(what, () => {
      assert.equal(formatStatusLine(summary, { nowMs: NOW }), line);
    });
  }

  test("a role of another day has its date", () => {
    const line = formatStatusLine(ACTIVE, { nowMs: NOW + 2 * 86_400_000 });
    assert.match(line, /^active since 2026-11-21 12:01:07, holds/);
  });

  test("that time passes is no change, and everything else is", () => {
    const later = { ...ACTIVE, peer: { ...PEER, lastHeardMs: 190 } };
    assert.equal(statusKey(later), statusKey(ACTIVE));
    assert.equal(
      new Set(CASES.map(([, summary]) => statusKey(summary))).size,
      CASES.length - 1,
      "of two only the age differs",
    );
  });
});
