// A Status with something in every field, for tests of what serves and shows it.

import type { Status } from "../../src/protocol/status.ts";

export function sampleStatus(changes: Partial<Status> = {}): Status {
  return {
    node: "pi-a",
    role: "active",
    reason: null,
    epoch: 7,
    since: "2026-01-02T03:04:05.000Z",
    priority: 150,
    peer: {
      node: "pi-b",
      role: "standby",
      connected: true,
      lastHeardMs: 80,
      configMatches: true,
      problem: null,
      paths: [
        { self: "192.168.1.11", peer: "192.168.1.12", connected: true, lastHeardMs: 80, problem: null },
      ],
    },
    virtualAddresses: [{ address: "192.168.1.50", interface: "eth0", held: true }],
    groups: [
      {
        name: "default",
        role: "active",
        reason: null,
        epoch: 7,
        since: "2026-01-02T03:04:05.000Z",
        priority: 150,
        effectivePriority: 150,
        impairments: [],
        damped: false,
        peerRole: "standby",
        virtualAddresses: [{ address: "192.168.1.50", interface: "eth0", held: true }],
      },
    ],
    maintenance: [],
    arbiter: { address: "192.168.1.1", method: "arp", lastAnswerMs: 120, problem: null },
    checks: [{ name: "uplink", failing: false, detail: "" }],
    listeners: [
      { name: "web", bind: "vip:80", open: true, problem: null },
      {
        name: "plain",
        bind: "0.0.0.0:8080",
        open: false,
        problem: "port 8080 on 0.0.0.0 is in use by another process",
      },
    ],
    workers: [
      { pid: 4711, uptimeMs: 125_000, connections: 12 },
      { pid: 47_110, uptimeMs: 900, connections: 1 },
    ],
    pools: [
      {
        name: "web",
        backends: [
          {
            name: "192.168.1.21:8080",
            address: "192.168.1.21:8080",
            state: "up",
            reason: null,
            weight: 1,
            order: null,
            weightPercent: 50,
            degraded: "disk_usage is 91",
            lastCheck: { agoMs: 400, durationMs: 3.2, good: true, code: 200, doubt: null },
            agent: null,
            activeConnections: 3,
            requests: 1234,
            failures: 0,
          },
          {
            name: "big",
            address: "192.168.1.22:8080",
            state: "down",
            reason: "connect refused",
            weight: 3,
            order: null,
            weightPercent: 100,
            degraded: null,
            lastCheck: { agoMs: 1400, durationMs: 0.4, good: false, code: null, doubt: null },
            agent: { said: "up 100%", agoMs: 70_000, problem: "connect refused" },
            activeConnections: 0,
            requests: 99,
            failures: 1,
          },
        ],
      },
    ],
    requests: 1333,
    refusedConnections: 0,
    mirrors: { sent: 0, dropped: 0 },
    version: "0.1.0",
    configHash: "0123456789ab",
    uptimeMs: 125_400,
    ...changes,
  };
}
