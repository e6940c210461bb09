// Defects that the simulator has found, each kept as the scenario that showed it, in data: a seed would be
// another story as soon as chance.ts asks for one number more. The weather's dice may still fall differently one
// day, so each story is played with many of them (`npm run sim -- --seed N --shrink` prints such data).

import type { Scenario } from "./scenario.ts";

export interface Regression {
  readonly found: string;
  /** What makes it another scenario than CALM; `seed` is the one that found it. */
  readonly scenario: Partial<Scenario>;
}

export const REGRESSIONS: readonly Regression[] = [
  {
    found: "a peer that was active unheard had the clients' packets until the next minute",
    scenario: {
      seed: 2104,
      leaseMs: 4000,
      preempt: true,
      preemptDelayMs: 1000,
      stopGraceMs: 0,
      arbiter: false,
      priorities: [[254, 1]],
      startsAt: [342.8, 6834.9],
      network: { latencyFromMs: 0.2, latencyToMs: 2, loss: 0.2, delayed: 0, duplicated: 0 },
      hooks: { slow: 0.2, failing: 0, hanging: 0 },
      events: [
        { time: 724.5, fault: { kind: "freeze", on: "active", forMs: 45.3, withChildren: true } },
        { time: 728.9, fault: { kind: "freeze", on: 1, forMs: 7353.9, withChildren: false } },
        { time: 773, fault: { kind: "address removed", on: 0, forMs: 0, seen: false } },
        { time: 787.9, fault: { kind: "silent port", on: "active", forMs: 7958.3 } },
        { time: 4266.6, fault: { kind: "freeze", on: 0, forMs: 39.5, withChildren: true } },
        { time: 7021.5, fault: { kind: "freeze", on: 1, forMs: 26.2, withChildren: false } },
      ],
      healedAt: 8746.2,
    },
  },
  {
    found: "a thawed standby claimed because its peer had hung up on it",
    scenario: {
      seed: 5319,
      intervalMs: 20,
      leaseMs: 1000,
      claim: "safe",
      preemptDelayMs: 1000,
      arbiter: false,
      priorities: [[100, 150]],
      startsAt: [198.7, 351.3],
      network: { latencyFromMs: 0.2, latencyToMs: 5, loss: 0, delayed: 0, duplicated: 0 },
      loop: { late: 0.01, stalled: 0 },
      hooks: { slow: 0.02, failing: 0, hanging: 0 },
      events: [
        { time: 2189.8, fault: { kind: "freeze", on: "active", forMs: 6099.4, withChildren: true } },
        { time: 2428.6, fault: { kind: "wrong secret", on: "active", forMs: 7.8 } },
        { time: 4078.4, fault: { kind: "partition", on: 0, forMs: 1166.7 } },
        { time: 5384.3, fault: { kind: "freeze", on: "standby", forMs: 6281.5, withChildren: true } },
      ],
      healedAt: 11665.7,
    },
  },
  {
    found: "a node that was frozen while it listened claimed on old words",
    scenario: {
      seed: 35321,
      leaseMs: 3000,
      claim: "safe",
      stopGraceMs: 1000,
      arbiter: false,
      priorities: [[100, 150]],
      startsAt: [53.4, 326.3],
      network: { latencyFromMs: 0.2, latencyToMs: 5, loss: 0, delayed: 0, duplicated: 0 },
      loop: { late: 0.01, stalled: 0.001 },
      hooks: { slow: 0.2, failing: 0, hanging: 0.05 },
      events: [
        { time: 4071.8, fault: { kind: "freeze", on: "standby", forMs: 3385.6, withChildren: false } },
        { time: 8543.8, fault: { kind: "crash", on: 0, forMs: 4813.7 } },
      ],
      healedAt: 13357.5,
    },
  },
  {
    found: "the lower node claimed in the moment in which the higher one had listened enough",
    scenario: {
      seed: 2725,
      intervalMs: 50,
      leaseMs: 1000,
      claim: "safe",
      preemptDelayMs: 3000,
      stopGraceMs: 0,
      arbiter: false,
      priorities: [[100, 100]],
      startsAt: [64.9, 454.8],
      network: { latencyFromMs: 0.2, latencyToMs: 5, loss: 0, delayed: 0, duplicated: 0 },
      loop: { late: 0.1, stalled: 0.001 },
      hooks: { slow: 0.02, failing: 0.1, hanging: 0.05 },
      events: [
        { time: 1765, fault: { kind: "silent port", on: "active", forMs: 3492.4 } },
        { time: 6428.1, fault: { kind: "freeze", on: "standby", forMs: 4605.9, withChildren: false } },
        { time: 11500.8, fault: { kind: "freeze", on: "active", forMs: 200.4, withChildren: false } },
        { time: 12148.9, fault: { kind: "one-way cut", on: 1, forMs: 25.9 } },
      ],
      healedAt: 12174.8,
    },
  },
  {
    found: "a thawed active said that it held nothing before its release was done",
    scenario: {
      seed: 8582,
      intervalMs: 20,
      leaseMs: 1000,
      claim: "safe",
      preempt: true,
      preemptDelayMs: 1000,
      stopGraceMs: 2000,
      arbiter: false,
      startsAt: [247.1, 477.4],
      network: { latencyFromMs: 0.2, latencyToMs: 5, loss: 0, delayed: 0, duplicated: 0 },
      hooks: { slow: 0.02, failing: 0.1, hanging: 0.05 },
      events: [
        { time: 2857.6, fault: { kind: "partition", on: 0, forMs: 3595.7 } },
        { time: 6651.1, fault: { kind: "freeze", on: 1, forMs: 7734.3, withChildren: false } },
        { time: 14530.1, fault: { kind: "crash", on: 0, forMs: 48.1 } },
        { time: 15907.2, fault: { kind: "freeze", on: "active", forMs: 824.1, withChildren: false } },
        { time: 18395.3, fault: { kind: "one-way cut", on: 0, forMs: 5430.1 } },
      ],
      healedAt: 23825.3,
    },
  },
  {
    found: "a renewal under way had set the lease later than the core knew",
    scenario: {
      seed: 11747,
      intervalMs: 500,
      leaseMs: 4000,
      claim: "safe",
      stopGraceMs: 2000,
      arbiter: false,
      startsAt: [415.5, 333.3],
      network: { latencyFromMs: 0.2, latencyToMs: 5, loss: 0, delayed: 0, duplicated: 0 },
      hooks: { slow: 0, failing: 0.02, hanging: 0.01 },
      events: [
        { time: 5590.9, fault: { kind: "switchover", on: 1, forMs: 0, force: false } },
        { time: 8685.9, fault: { kind: "freeze", on: "active", forMs: 2167.2, withChildren: false } },
        { time: 13357.2, fault: { kind: "crash", on: "active", forMs: 2735.9 } },
        { time: 20955.9, fault: { kind: "partition", on: "active", forMs: 7817.4 } },
        { time: 37292.4, fault: { kind: "silent port", on: 0, forMs: 1622.3 } },
      ],
      healedAt: 38914.7,
    },
  },
  {
    found: "words that waited through a freeze proved that a dead peer had no lease",
    scenario: {
      seed: 4963,
      leaseMs: 3000,
      claim: "safe",
      preempt: true,
      preemptDelayMs: 2000,
      arbiter: false,
      startsAt: [372.7, 211.3],
      network: { latencyFromMs: 0.2, latencyToMs: 5, loss: 0, delayed: 0, duplicated: 0 },
      hooks: { slow: 0.02, failing: 0.1, hanging: 0 },
      events: [
        { time: 3591.4, fault: { kind: "freeze", on: 0, forMs: 7092.6, withChildren: true } },
        { time: 7528, fault: { kind: "freeze", on: "standby", forMs: 10.3, withChildren: false } },
        { time: 8581.4, fault: { kind: "crash", on: 1, forMs: 3436.8 } },
      ],
      healedAt: 12018.2,
    },
  },
  {
    found: "a careful node that met its silent peer again claimed at once, and so did the peer",
    scenario: {
      seed: 1678,
      intervalMs: 50,
      leaseMs: 5000,
      claim: "safe",
      startsAt: [254.2, 257.7],
      network: { latencyFromMs: 0.2, latencyToMs: 5, loss: 0.01, delayed: 0, duplicated: 0 },
      hooks: { slow: 0.2, failing: 0, hanging: 0 },
      events: [
        { time: 6675, fault: { on: "active", forMs: 1009.6, kind: "silent port" } },
        { time: 10085.4, fault: { on: "active", forMs: 876.4, kind: "silent port" } },
        { time: 11614.8, fault: { on: "active", forMs: 623.1, kind: "silent port" } },
      ],
      healedAt: 12300,
    },
  },
  {
    found: "an active on whose lease a careful successor counted renewed it when the successor had hung up",
    scenario: {
      seed: 4038,
      claim: "safe",
      startsAt: [487.5, 272.4],
      network: { latencyFromMs: 0.2, latencyToMs: 0.5, loss: 0, delayed: 0.2, duplicated: 0 },
      events: [{ time: 714.7, fault: { on: "active", forMs: 4486.3, kind: "one-way cut" } }],
      healedAt: 5300,
    },
  },
  {
    found: "old words that TCP delivered after a silence ended the listening of a node that was cut off",
    scenario: {
      seed: 829,
      intervalMs: 500,
      leaseMs: 1000,
      claim: "safe",
      priorities: [
        [150, 100],
        [100, 150],
      ],
      events: [
        { time: 4426.1, fault: { on: "active", forMs: 1636.5, kind: "freeze", withChildren: false } },
        { time: 4930.2, fault: { on: "active", forMs: 2898.8, kind: "silent port" } },
      ],
      healedAt: 7900,
    },
  },
  {
    found: "an active that had stood still renewed the lease before it read that its successor counted on it",
    scenario: {
      seed: 116119,
      leaseMs: 3000,
      claim: "safe",
      events: [
        { time: 2487.3, fault: { on: "active", forMs: 2139.9, kind: "freeze", withChildren: false } },
        { time: 2670.2, fault: { on: "active", forMs: 3896.9, kind: "one-way cut" } },
      ],
      healedAt: 6567.1,
    },
  },
  {
    found: "a node that began again said that it held nothing while the kernel still had the old lease",
    scenario: {
      seed: 148185,
      leaseMs: 1000,
      claim: "safe",
      priorities: [[100, 150]],
      startsAt: [92.93238027021289, 334.8049594787881],
      hooks: { slow: 0.02, failing: 0.02, hanging: 0.05 },
      events: [
        {
          time: 1324.916020501405,
          fault: { on: "active", forMs: 113.98622719570994, kind: "standby", force: false },
        },
        { time: 2353.91935845837, fault: { on: "active", forMs: 12.591327691916376, kind: "crash" } },
      ],
      healedAt: 15523.963816545438,
    },
  },
  {
    found: "an active that was cut off stayed for three seconds because its peer had refused its secret",
    scenario: {
      seed: 531569,
      leaseMs: 1000,
      events: [
        { time: 2678.4, fault: { on: "active", forMs: 7655.6, kind: "wrong secret" } },
        { time: 3747.6, fault: { on: "active", forMs: 4421.5, kind: "silent port" } },
      ],
      healedAt: 10334,
    },
  },
  {
    found: "and so it did on a network that lost packets",
    scenario: {
      seed: 788311,
      intervalMs: 100,
      leaseMs: 1000,
      priorities: [[100, 100]],
      startsAt: [345.2762345550582, 33.144130604341626],
      network: { latencyFromMs: 0.2, latencyToMs: 2, loss: 0.05, delayed: 0, duplicated: 0 },
      events: [
        { time: 2078.088764101267, fault: { on: 0, forMs: 39.196625258773565, kind: "fault", soft: false } },
        {
          time: 4400.919018220156,
          fault: { on: "active", forMs: 1593.0277123115957, kind: "fault", soft: true },
        },
        { time: 6764.88760226639, fault: { on: 1, forMs: 6409.482856513932, kind: "wrong secret" } },
        { time: 11435.754895641003, fault: { on: 1, forMs: 2610.9408885240555, kind: "silent port" } },
      ],
      healedAt: 14046.695784165058,
    },
  },
  {
    found: "and because the peer's process had died a moment before",
    scenario: {
      seed: 775225,
      intervalMs: 50,
      leaseMs: 1000,
      startsAt: [45.1, 18.1],
      events: [
        { time: 1148.3, fault: { on: 1, forMs: 1971.1, kind: "switchover", force: false } },
        { time: 5011.3, fault: { on: "active", forMs: 473.1, kind: "stop" } },
        { time: 5703, fault: { on: 0, forMs: 2969.9, kind: "silent port" } },
      ],
      healedAt: 8672.8,
    },
  },
  {
    found: "a lease that a careful successor waited for was set anew when somebody removed the address",
    scenario: {
      seed: 592713,
      leaseMs: 5000,
      claim: "safe",
      events: [
        { time: 5710, fault: { on: "active", forMs: 7720.2, kind: "one-way cut" } },
        { time: 8448.3, fault: { on: 0, forMs: 9395.1, kind: "address removed", seen: true } },
      ],
      healedAt: 17843.4,
    },
  },
  {
    found: "a claim by force with claim: safe waited for the lease anew with each word of the peer",
    scenario: {
      seed: 661377,
      claim: "safe",
      arbiter: false,
      startsAt: [278.6, 461.3],
      network: { latencyFromMs: 0.2, latencyToMs: 5, loss: 0.2, delayed: 0, duplicated: 0 },
      events: [
        { time: 129, fault: { on: 1, forMs: 393.2, kind: "standby", force: false } },
        { time: 1261.7, fault: { on: 0, forMs: 175.1, kind: "switchover", force: true } },
      ],
      healedAt: 1436.9,
    },
  },
  {
    found:
      "two careful nodes that came back from maintenance unheard both believed the other to be in maintenance",
    scenario: {
      seed: 1116711,
      intervalMs: 1000,
      claim: "safe",
      events: [
        { time: 1604.4, fault: { on: 1, forMs: 1274.3, kind: "standby", force: true } },
        { time: 1630.3, fault: { on: 0, forMs: 43, kind: "standby", force: false } },
        { time: 1674.8, fault: { on: "active", forMs: 2115.5, kind: "silent port" } },
      ],
      healedAt: 3790.3,
    },
  },
  {
    found: "a node that started took a stall of its only connection for a silent active",
    scenario: {
      seed: 658406,
      isSteady: true,
      startsAt: [328.6, 2312.3],
      network: { latencyFromMs: 0.2, latencyToMs: 0.5, loss: 0.05, delayed: 0.2, duplicated: 0 },
      hooks: { slow: 0.02, failing: 0, hanging: 0 },
      healedAt: 32312.3,
    },
  },
  {
    found: "a renewal that waited for a slow announcement came too late for a lease of one second",
    scenario: {
      seed: 809000,
      isSteady: true,
      leaseMs: 1000,
      hooks: { slow: 0.2, failing: 0, hanging: 0 },
      healedAt: 30331.7,
    },
  },
  {
    found: "an active whose peer was dead found itself cut off when a few packets got lost",
    scenario: {
      seed: 133145,
      isSteady: true,
      startsAt: [68, 6133.7],
      network: { latencyFromMs: 0.2, latencyToMs: 2, loss: 0.05, delayed: 0, duplicated: 0 },
      healedAt: 36133.7,
    },
  },
  {
    found: "and so it did at an early hour of its life",
    scenario: {
      seed: 156581,
      isSteady: true,
      priorities: [[254, 1]],
      startsAt: [1.2, 7506.3],
      network: { latencyFromMs: 0.2, latencyToMs: 2, loss: 0.05, delayed: 0.02, duplicated: 0 },
      healedAt: 37506.3,
    },
  },
  {
    found:
      "an active did not know that the peer had claimed unheard before it was restarted, and told the network nothing",
    scenario: {
      seed: 201178,
      intervalMs: 1000,
      priorities: [[100, 100]],
      hooks: { slow: 0.02, failing: 0.02, hanging: 0.01 },
      events: [
        {
          time: 6982.4,
          fault: { kind: "other times", on: "standby", forMs: 17261.3, intervalMs: 200, leaseMs: 1000 },
        },
        { time: 7494.2, fault: { on: "active", forMs: 311, kind: "standby", force: false } },
        { time: 21524, fault: { on: "standby", forMs: 2120.6, kind: "partition" } },
      ],
      healedAt: 24243.7,
    },
  },
];
