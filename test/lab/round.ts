// One round of a fault: a pair at rest is hurt, looked on until the address has one holder again, repaired,
// and at rest again. What the client saw from the first moment to the last, and who held the address, is
// the round; what it must be is the caller's business.

import type { OpenLoopReport } from "../../src/cli/open-loop-client.ts";
import { waitUntil } from "../support/wait-until.ts";
import type { Fault } from "./faults.ts";
import type { Lab, Node } from "./lab.ts";
import { describeReport, type Meter, ms } from "./meter.ts";

/** When to give up; what a round may take is for its judge. */
const WAIT_MS = 10_000;

export interface Round {
  /** Wall clock, as the logs have it. */
  readonly at: string;
  readonly hurt: Node;
  /** The node that serves after the fault. */
  readonly server: Node;
  /** From the fault until the pair is at rest after the repair. */
  readonly report: OpenLoopReport;
  /** From the repair on. */
  readonly afterRepair: OpenLoopReport;
  /** From the fault until the server alone held the address; 0 when it did all the time. */
  readonly oneHolderMs: number;
  /** How long both nodes held the address. */
  readonly overlapMs: number;
  /** Who began to hold the address, in order. */
  readonly claims: readonly string[];
  /** The client's neighbour table led the address to the server, before the repair. */
  readonly reached: boolean;
}

/** Resolves when the pair is at rest; rejects when the server does not become active, or the pair does not rest again. */
export async function runRound(lab: Lab, meter: Meter, fault: Fault): Promise<Round> {
  const { active, standby } = await lab.settle();
  const server = fault.servedBy === "the standby" ? standby : active;
  await meter.mark("fault");
  const at = new Date().toISOString();
  const atMs = await fault.strike(lab, active);
  await lab.waitForRole(server, "active", { withinMs: WAIT_MS });
  await waitUntil(() => lab.watch.soleHolderSince(server) !== null, {
    what: `${server} alone to hold the address`,
    withinMs: WAIT_MS,
  });
  const oneHolderMs = Math.max(0, (lab.watch.soleHolderSince(server) ?? Infinity) - atMs);
  // The outage is over, and none of its requests is on its way any more.
  await waitUntil(async () => (await meter.outageSince("fault")).outages.every(({ ended }) => ended), {
    what: `${server} to answer`,
    withinMs: WAIT_MS,
  });
  const reached = await lab.clientReaches(server);
  await meter.mark("repair");
  await fault.heal?.(lab, active);
  await lab.settle();
  return {
    at,
    hurt: active,
    server,
    report: await meter.outageSince("fault"),
    afterRepair: await meter.outageSince("repair"),
    oneHolderMs,
    overlapMs: lab.watch.overlapMs(atMs),
    claims: lab.watch.claimsSince(atMs).map(({ node }) => node),
    reached,
  };
}

/** One line with the figures. */
export function describeRound({ at, hurt, report, oneHolderMs, overlapMs }: Round): string {
  return (
    `${hurt} hurt at ${at}: ${describeReport(report)}; ` +
    `one holder after ${ms(oneHolderMs)}, two for ${ms(overlapMs)}`
  );
}

/** Half of the values are at most this; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}
