// `vipair probe URL`: what a person runs on a laptop while pulling the plug. It asks a service for as long as
// it is left running, shows how the service does, and at Ctrl-C says how long it was away. Runs wherever
// Node does, and needs no vipair on the machine.

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { formatAddress } from "../../config/config.ts";
import { OpenLoopClient, type OpenLoopReport } from "../open-loop-client.ts";
import { describeMoment, describeOutage, describeReport, summarize } from "../probe-report.ts";
import type { ProbeTarget } from "../probe-target.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";

/** On a screen the live line is rewritten this often; elsewhere a line follows each second. */
const REDRAW_MS = 250;
const SECOND_MS = 1_000;
/** Outages closer than this are one, as in the lab. */
const MERGE_MS = 50;
const SECOND = "second";

export interface ProbeOptions {
  readonly target: ProbeTarget;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** undefined: until Ctrl-C. */
  readonly forMs: number | undefined;
  /** Accept any certificate. */
  readonly insecure: boolean;
  /** One JSON object at the end and nothing before it. */
  readonly json: boolean;
}

/** Ends in 0 when no request failed, in 1 when some did or the name cannot be resolved. */
export async function probe(options: ProbeOptions, terminal: Terminal): Promise<number> {
  const { target, intervalMs, timeoutMs, forMs, insecure, json } = options;
  const address = await resolveHost(target.host);
  if (address === null) {
    terminal.complain(`vipair: ${target.host} cannot be resolved: no such name, or no name server answers`);
    return EXIT.failed;
  }
  const client = new OpenLoopClient({
    host: address,
    port: target.port,
    path: target.path,
    hostField: target.hostField,
    tls: target.isTls ? { serverName: target.serverName, verify: !insecure } : null,
    intervalMs,
    timeoutMs,
    mergeMs: MERGE_MS,
  });
  const stop = new StopRequest(forMs, terminal);
  const startedAtMs = Date.now();
  client.start();
  const display = json ? null : new Display({ client, terminal, startedAtMs });
  display?.open(
    `asking ${target.url} at ${formatAddress(address, target.port)}: a new connection each ${String(intervalMs)} ms, ` +
      `which fails after ${String(timeoutMs)} ms; ${forMs === undefined ? "Ctrl-C ends and reports" : `for ${String(forMs / SECOND_MS)} s`}`,
  );
  await stop.requested;
  const report = await client.stop();
  display?.close();
  stop.close();
  const end = { report, startedAtMs, isTls: target.isTls, insecure };
  terminal.print(
    json
      ? JSON.stringify(
          { url: target.url, address, port: target.port, intervalMs, timeoutMs, ...summarize(end) },
          null,
          2,
        )
      : describeReport(end),
  );
  return report.failed === 0 ? EXIT.ok : EXIT.failed;
}

/** Names are resolved once, so that the figures are those of one address. null: it cannot be done. */
async function resolveHost(host: string): Promise<string | null> {
  if (isIP(host) !== 0) return host;
  try {
    return (await lookup(host)).address;
  } catch {
    return null;
  }
}

/** What ends a probe: Ctrl-C, a signal, the time that was asked for, or a reader that has closed the pipe. */
class StopRequest {
  readonly requested: Promise<void>;
  readonly #stop: () => void;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(forMs: number | undefined, terminal: Terminal) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.requested = promise;
    this.#stop = resolve;
    for (const signal of SIGNALS) process.once(signal, this.#stop);
    if (terminal.closed?.aborted === true) resolve();
    terminal.closed?.addEventListener("abort", this.#stop, { once: true });
    if (forMs !== undefined) this.#timer = setTimeout(resolve, forMs);
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const signal of SIGNALS) process.off(signal, this.#stop);
  }
}

/** A second one ends the process at once: each is listened to once. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * What is seen while it runs: a line for each outage when it is over, and below them on a screen a live line
 * rewritten in place, elsewhere a line each second.
 */
class Display {
  readonly #client: OpenLoopClient;
  readonly #terminal: Terminal;
  readonly #startedAtMs: number;
  #timer: NodeJS.Timeout | undefined;
  /** Outages told of. */
  #told = 0;
  #secondEndsMs = performance.now() + SECOND_MS;
  #second: OpenLoopReport | null = null;

  constructor(options: {
    readonly client: OpenLoopClient;
    readonly terminal: Terminal;
    readonly startedAtMs: number;
  }) {
    this.#client = options.client;
    this.#terminal = options.terminal;
    this.#startedAtMs = options.startedAtMs;
  }

  open(introduction: string): void {
    this.#terminal.print(introduction);
    this.#client.mark(SECOND);
    const everyMs = this.#terminal.screen === undefined ? SECOND_MS : REDRAW_MS;
    this.#timer = setInterval(() => {
      this.#show();
    }, everyMs);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#terminal.screen?.write(ERASE_LINE);
  }

  #show(): void {
    const { screen } = this.#terminal;
    const whole = this.#client.report();
    if (screen !== undefined) screen.write(ERASE_LINE);
    this.#tellOutages(whole);
    const now = performance.now();
    if (screen === undefined || now >= this.#secondEndsMs) {
      this.#second = this.#client.outageSince(SECOND);
      this.#client.mark(SECOND);
      this.#secondEndsMs = now + SECOND_MS;
    }
    const line = describeMoment({ whole, second: this.#second ?? whole, nowMs: Date.now() });
    if (screen === undefined) this.#terminal.print(line);
    // A line that wraps could not be rewritten.
    else screen.write(line.slice(0, screen.columns() - 1));
  }

  #tellOutages({ outages, earlierOutages, durationMs }: OpenLoopReport): void {
    for (const [index, outage] of outages.entries()) {
      const number = earlierOutages + index + 1;
      if (number <= this.#told) continue;
      // Another failure this soon would belong to it.
      if (!outage.ended || durationMs - (outage.startMs + outage.lengthMs) < MERGE_MS) return;
      this.#terminal.print(describeOutage(outage, { number, startedAtMs: this.#startedAtMs }));
      this.#told = number;
    }
  }
}

const ERASE_LINE = "\r\x1b[K";
