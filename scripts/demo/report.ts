// How the demo speaks: the same sentences for the person at the keys and for the script's report.

import { NODES, VIRTUAL_ADDRESS } from "./layout.ts";
import type { DemoNode } from "./node.ts";
import { type Account, REQUEST_EVERY_MS, type Stage } from "./stage.ts";

/** Said wherever a freeze is offered, because a real network would behave differently. */
export const FREEZE_REMARK =
  "on loopback the hook ends the frozen node's workers; on a network the claim moves the address away from them";

/** What runs where, one line per subject. */
export function describeStage({ layout, folder }: Stage): string[] {
  const vip = `${VIRTUAL_ADDRESS}:${String(layout.listenPort)}`;
  const nodes = NODES.map(({ name, address }) => `${name} ${address}`).join("   ");
  const backends = layout.backends.map(({ name, host, port }) => `${name} ${host}:${String(port)}`);
  return [
    `virtual address   http://${vip}/   (try it: curl http://${vip}/)`,
    `nodes             ${nodes}   peer link on port ${String(layout.peerPort)}`,
    `backends          ${backends.join("   ")}`,
    `request loop      a new connection with one GET each ${String(REQUEST_EVERY_MS)} ms`,
    `files             ${folder}   (configuration, logs; removed at the end)`,
    ...layout.remarks.map((remark) => `note              ${remark}`),
  ];
}

/** "pi-a   active    priority 150   backends 3/3 up    198 requests/s" */
export function describeNode(node: DemoNode): string {
  const { status } = node;
  const backends = status?.pools.flatMap((pool) => pool.backends) ?? [];
  const up = backends.filter(({ state }) => state === "up").length;
  const rate = String(Math.round(node.requestsPerSecond));
  const role = node.condition === "running" ? (status?.role ?? "starting") : node.condition;
  return [
    node.name,
    role.padEnd(8),
    `priority ${String(node.priority)}`,
    status === undefined ? "backends  - up " : `backends ${String(up)}/${String(backends.length)} up`,
    `${(status === undefined ? "-" : rate).padStart(4)} requests/s`,
    status?.reason ?? "",
  ]
    .join("   ")
    .trimEnd();
}

/** "outage 87 ms (17 of 231 requests failed), limit 300 ms; active: pi-b" */
export function describeOutcome(account: Account): string {
  const { outageMs, outageMsMax, heldUpMs, failed, requests, active } = account;
  const outage =
    failed === 0
      ? `no outage (0 of ${String(requests)} requests failed)`
      : `outage ${String(outageMs)} ms (${String(failed)} of ${String(requests)} requests failed)`;
  const limit = outageMsMax === null ? "" : `, limit ${String(outageMsMax)} ms`;
  const heldUp =
    outageMsMax !== null && outageMs > outageMsMax
      ? ` (this machine itself was held up for ${String(heldUpMs)} ms)`
      : "";
  return `${outage}${limit}${heldUp}; active: ${active ?? "none"}`;
}

/** Subjects that say something to a person; the others are in the log file. */
const LOG_FIELDS = [
  "reason",
  "problem",
  "backend",
  "peer",
  "to",
  "epoch",
  "claimMs",
  "tookMs",
  "sinceRenewalMs",
  "worker",
  "signal",
];

export interface Event {
  /** ISO 8601, UTC; empty for a line that has no time. */
  readonly time: string;
  /** "pi-b  claiming   reason: the peer's process is dead" */
  readonly text: string;
}

/** One line of a node's log for people; null when it is not for people. */
export function readEvent(node: string, line: string): Event | null {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    // Not of pino: something that the runtime itself complains of.
    return line.trim() === "" ? null : { time: "", text: `${node}  ${line}` };
  }
  if (typeof entry !== "object" || entry === null) return null;
  const { msg, level, time, ...fields } = entry as Partial<Record<string, unknown>>;
  if (typeof msg !== "string" || level === "debug") return null;
  const facts = LOG_FIELDS.filter((field) => fields[field] !== undefined && fields[field] !== "").map(
    (field) => `${field}: ${String(fields[field])}`,
  );
  const text = `${node}  ${[msg, facts.join(", ")].filter((part) => part !== "").join("   ")}`;
  return { time: typeof time === "string" ? time : "", text };
}
