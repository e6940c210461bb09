// The open-loop client on a machine of the lab: a child process in that machine's namespace, asked over IPC.
// A process of its own, so that nothing the test does can make the meter late.

import assert from "node:assert/strict";
import { once } from "node:events";
import type { ChildProcess } from "node:child_process";
import { OpenLoopClient, type OpenLoopOptions, type OpenLoopReport } from "../../src/cli/open-loop-client.ts";
import { waitUntil } from "../support/wait-until.ts";
import type { Machine, Network } from "./network.ts";

type Order =
  | { readonly kind: "start"; readonly options: OpenLoopOptions }
  | { readonly kind: "mark"; readonly label: string }
  | { readonly kind: "report"; readonly label: string }
  | { readonly kind: "stop" };

const ANSWER_WITHIN_MS = 5_000;
const COMPLETE_WITHIN_MS = 4_000;

/** Starts asking at once; every call resolves when the child has done it. One call at a time. */
export class Meter {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(network: Network, machine: Machine, options: OpenLoopOptions): Promise<Meter> {
    const child = network.spawn(machine, [process.execPath, import.meta.filename], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const meter = new Meter(child);
    await meter.#ask({ kind: "start", options });
    return meter;
  }

  async mark(label: string): Promise<void> {
    await this.#ask({ kind: "mark", label });
  }

  /** Complete up to now: waits for the answers, or the timeouts, of all attempts that are on their way. */
  async outageSince(label: string): Promise<OpenLoopReport> {
    return (await this.#ask({ kind: "report", label })) as OpenLoopReport;
  }

  /** Starts no further request, lets those in flight end; reports the whole run. Reports since marks stay to be had. */
  async stop(): Promise<OpenLoopReport> {
    return (await this.#ask({ kind: "stop" })) as OpenLoopReport;
  }

  /** Ends the child, also without stop(). */
  close(): void {
    this.#child.disconnect();
  }

  async #ask(order: Order): Promise<unknown> {
    const answer = once(this.#child, "message", { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    this.#child.send(order);
    const [message] = (await answer) as [unknown];
    return message;
  }
}

/** One line with the figures; says how far to trust them when the meter itself could not run. */
export function describeReport(report: OpenLoopReport): string {
  const { total, failed, outages, longestOutageMs, latencyMs, missed, stalledMs } = report;
  const latency = latencyMs === null ? "" : `, latency p50 ${ms(latencyMs.p50)} p99 ${ms(latencyMs.p99)}`;
  const stalls = stalledMs > 0 ? `; the meter was held up ${ms(stalledMs)} and missed ${String(missed)}` : "";
  return `outage ${ms(longestOutageMs)} (${String(outages.length)}), ${String(failed)} of ${String(total)} failed${latency}${stalls}`;
}

/** The limit is the promise; a time that the meter itself was held up is no outage of the pair. */
export function assertOutageAtMost(limitMs: number, report: OpenLoopReport): void {
  assert.ok(
    report.longestOutageMs <= limitMs + report.stalledMs,
    `limit ${ms(limitMs)}: ${describeReport(report)}`,
  );
}

export function assertNoneFailed(report: OpenLoopReport): void {
  assert.equal(report.failed, 0, `${describeReport(report)}: ${JSON.stringify(report.outcomes)}`);
}

export function ms(value: number): string {
  return `${String(Math.round(value))} ms`;
}

/** The child's side: answers each order with a report, or with the order itself. */
function serve(): void {
  let client: OpenLoopClient | undefined;
  let isStopped = false;
  const markedMs = new Map<string, number>();
  /** The latest attempt in a report is the latest that was begun: nothing older is still on its way. */
  const completeReport = async (meter: OpenLoopClient, label: string): Promise<OpenLoopReport> => {
    const spanMs = performance.now() - (markedMs.get(label) ?? NaN);
    return waitUntil(
      () => {
        const report = meter.outageSince(label);
        return report.durationMs >= spanMs ? report : undefined;
      },
      { what: "answers to all requests", withinMs: COMPLETE_WITHIN_MS, everyMs: 5 },
    );
  };
  const obey = async (order: Order): Promise<unknown> => {
    if (order.kind === "start") {
      client = new OpenLoopClient(order.options);
      client.start();
      return order;
    }
    if (client === undefined) throw new Error(`"${order.kind}" before "start"`);
    if (order.kind === "stop") {
      isStopped = true;
      return client.stop();
    }
    if (order.kind === "report") {
      return isStopped ? client.outageSince(order.label) : completeReport(client, order.label);
    }
    client.mark(order.label);
    markedMs.set(order.label, performance.now());
    return order;
  };
  process.on("message", (order: Order) => {
    void obey(order).then((answer) => process.send?.(answer));
  });
  // The test has gone: nobody wants to know any more.
  process.on("disconnect", () => process.exit(0));
}

if (import.meta.main) serve();
