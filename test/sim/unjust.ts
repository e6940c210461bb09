// Where the simulator blamed a node for what it could not know, or could not have done by then: the invariant was
// wrong and not the election. Kept like the defects, as data, so that a rule that is made sharper one day does not
// blame the same again.

import type { Regression } from "./regressions.ts";

export const UNJUST: readonly Regression[] = [
  {
    found: "an order for maintenance was on its way to the disk when the active froze",
    scenario: {
      seed: 318287,
      intervalMs: 50,
      events: [
        { time: 7671.7, fault: { on: "active", forMs: 2199.2, kind: "drain" } },
        { time: 26971.2, fault: { on: 1, forMs: 3260.4, kind: "standby", force: false } },
        { time: 26982.4, fault: { on: 0, forMs: 1051.4, kind: "freeze", withChildren: false } },
      ],
      healedAt: 30231.6,
    },
  },
  {
    found: "and when it lost its power",
    scenario: {
      seed: 402295,
      events: [
        { time: 4225.5, fault: { on: "standby", forMs: 3332.9, kind: "standby", force: false } },
        { time: 4231.7, fault: { on: 0, forMs: 5128.8, kind: "power off" } },
      ],
      healedAt: 9360.5,
    },
  },
  {
    found: "and when it crashed",
    scenario: {
      seed: 826695,
      events: [
        { time: 17065.8, fault: { on: 1, forMs: 1909.9, kind: "standby", force: true } },
        { time: 17075.8, fault: { on: "active", forMs: 1173.4, kind: "crash" } },
      ],
      healedAt: 18975.7,
    },
  },
  {
    found: "one that stood still refused no secret, and was estranged until the memory of that ended",
    scenario: {
      seed: 371009,
      events: [
        { time: 1931.2, fault: { on: "active", forMs: 2686.8, kind: "switchover", force: false } },
        { time: 12271.8, fault: { on: 0, forMs: 4343.9, kind: "freeze", withChildren: false } },
        { time: 12320.3, fault: { on: "active", forMs: 5657.2, kind: "wrong secret" } },
      ],
      healedAt: 17977.5,
    },
  },
  {
    found: "and so it was at a short interval",
    scenario: {
      seed: 397951,
      intervalMs: 50,
      events: [
        { time: 1077, fault: { on: "standby", forMs: 4578.7, kind: "wrong secret" } },
        { time: 3881.2, fault: { on: "active", forMs: 2981.8, kind: "freeze", withChildren: false } },
      ],
      healedAt: 6863,
    },
  },
  {
    found: "and at the shortest",
    scenario: {
      seed: 562473,
      intervalMs: 20,
      events: [
        { time: 3370.4, fault: { on: "active", forMs: 2981.3, kind: "freeze", withChildren: true } },
        { time: 6522.4, fault: { on: "active", forMs: 1598.5, kind: "wrong secret" } },
        { time: 6557.9, fault: { on: 0, forMs: 2321.3, kind: "freeze", withChildren: true } },
      ],
      healedAt: 8879.2,
    },
  },
  {
    found: "and when it had lost its power",
    scenario: {
      seed: 636407,
      intervalMs: 20,
      events: [
        { time: 1921.9, fault: { on: 0, forMs: 1692.8, kind: "wrong secret" } },
        { time: 2492.9, fault: { on: 1, forMs: 42.7, kind: "power off" } },
        { time: 2639.3, fault: { on: "active", forMs: 2043.9, kind: "freeze", withChildren: false } },
      ],
      healedAt: 4683.1,
    },
  },
  {
    found: "and when its peer lost its power",
    scenario: {
      seed: 770103,
      intervalMs: 50,
      priorities: [[100, 100]],
      startsAt: [225.3, 474],
      events: [
        { time: 1149.3, fault: { on: "active", forMs: 3687.5, kind: "wrong secret" } },
        { time: 2092, fault: { on: "active", forMs: 2250.4, kind: "power off" } },
      ],
      healedAt: 4836.9,
    },
  },
  {
    found:
      "an old word, which arrived once more, had told the claimer nothing of a holder that it could not hear",
    scenario: {
      seed: 555569,
      claim: "safe",
      startsAt: [340.8, 20.6],
      network: { latencyFromMs: 0.2, latencyToMs: 5, loss: 0.05, delayed: 0, duplicated: 0 },
      events: [{ time: 2507.3, fault: { on: 1, forMs: 4971.1, kind: "one-way cut" } }],
      healedAt: 7478.5,
    },
  },
  {
    found: "with claim: safe, too, an operator's force keeps the lease of a node that nobody hears",
    scenario: {
      seed: 1059586,
      leaseMs: 1000,
      claim: "safe",
      loop: { late: 0.1, stalled: 0.001 },
      hooks: { slow: 0.2, failing: 0, hanging: 0.01 },
      events: [
        { time: 697, fault: { on: "standby", forMs: 6881.9, kind: "silent port" } },
        { time: 4808.8, fault: { on: 1, forMs: 444.8, kind: "switchover", force: true } },
      ],
      healedAt: 7578.9,
    },
  },
  {
    found: "an address that somebody removed amid two excused leases was brought back",
    scenario: {
      seed: 1106982,
      intervalMs: 100,
      leaseMs: 1000,
      claim: "safe",
      priorities: [[254, 1]],
      startsAt: [272.5, 387.7],
      hooks: { slow: 0.02, failing: 0.1, hanging: 0.01 },
      events: [
        { time: 3614.6, fault: { on: 1, forMs: 1876.9, kind: "partition" } },
        { time: 6092.7, fault: { on: "active", forMs: 7, kind: "address removed", seen: true } },
      ],
      healedAt: 6099.7,
    },
  },
  {
    found: "a holder crashed just after a cut, before it had met the node that waited for its lease",
    scenario: {
      seed: 16000,
      leaseMs: 1000,
      claim: "safe",
      arbiter: false,
      priorities: [[100, 150]],
      startsAt: [395, 201.3],
      network: { latencyFromMs: 0.2, latencyToMs: 2, loss: 0, delayed: 0, duplicated: 0.1 },
      events: [
        { time: 2579.8, fault: { on: 0, forMs: 864.7, kind: "freeze", withChildren: true } },
        { time: 5729.9, fault: { on: 1, forMs: 1698.4, kind: "partition" } },
        { time: 7489.6, fault: { on: 1, forMs: 901.6, kind: "crash" } },
      ],
      healedAt: 8391.2,
    },
  },
  {
    found: "two actives with different secrets hear each other refuse them, so that neither needs an arbiter",
    scenario: {
      seed: 1178713,
      intervalMs: 100,
      leaseMs: 1000,
      events: [
        { time: 710.5, fault: { on: "active", forMs: 6222, kind: "wrong secret" } },
        { time: 908.6, fault: { on: 0, forMs: 2319.7, kind: "one-way cut" } },
        { time: 3663.9, fault: { on: "active", forMs: 1948.5, kind: "arbiter dies" } },
      ],
      healedAt: 6932.5,
    },
  },
  {
    found: "a node was told once more, by a peer that had not forgotten it, that nothing was drained",
    scenario: {
      seed: 191278,
      leaseMs: 5000,
      startsAt: [159.1, 230.2],
      network: { latencyFromMs: 0.2, latencyToMs: 5, loss: 0.2, delayed: 0.02, duplicated: 0.1 },
      loop: { late: 0.01, stalled: 0.01 },
      hooks: { slow: 0.2, failing: 0, hanging: 0 },
      events: [
        { time: 13983.2, fault: { on: 0, forMs: 1413.8, kind: "drain" } },
        { time: 14399.2, fault: { on: 0, forMs: 5034, kind: "standby", force: true } },
        { time: 15951.7, fault: { on: 0, forMs: 3556.4, kind: "backend leaves" } },
        { time: 15987.9, fault: { on: 1, forMs: 5963.4, kind: "backend leaves" } },
      ],
      healedAt: 21951.3,
    },
  },
  {
    found:
      "one that was counted on before it held anything was cut off when it claimed, and so was the other",
    scenario: {
      seed: 292681,
      intervalMs: 500,
      claim: "safe",
      priorities: [[100, 150]],
      events: [
        {
          time: 4993.2,
          fault: { kind: "other times", on: 1, forMs: 1728.2, intervalMs: 100, leaseMs: 5000 },
        },
        { time: 7751.6, fault: { on: "standby", forMs: 7685.2, kind: "one-way cut" } },
      ],
      healedAt: 15436.8,
    },
  },
  {
    found: "a node that was restarted with an interval of 20 ms listened for less than a lost SYN takes",
    scenario: {
      seed: 716197,
      isSteady: true,
      startsAt: [128.7, 304.3],
      network: { latencyFromMs: 0.2, latencyToMs: 0.5, loss: 0.05, delayed: 0, duplicated: 0 },
      hooks: { slow: 0.2, failing: 0, hanging: 0 },
      events: [
        {
          time: 19075.4,
          fault: { kind: "other times", on: "standby", forMs: 11229, intervalMs: 20, leaseMs: 5000 },
        },
      ],
      healedAt: 30304.3,
    },
  },
];
