// A node in one line, as `systemctl status` shows it:
//
//   active since 12:01:07, holds 192.168.1.50; peer pi-b standby, heard 80 ms ago; backends 3/3 up
//
// `vipair status` (src/cli) says more, and at its own length.

import type { BackendStatus, PeerStatus, Status } from "../protocol/status.ts";

/** What of a node the line is made of. */
export type NodeSummary = Pick<
  Status,
  "role" | "since" | "reason" | "peer" | "virtualAddresses" | "listeners" | "pools"
>;

/** Backends that answer requests now, well or not so well. */
const IN_USE: ReadonlySet<BackendStatus["state"]> = new Set(["up", "suspect"]);

const DAY_MS = 86_400_000;

/**
 * `nowMs`: the wall clock, in milliseconds since 1970. Times are those of the machine's time zone; one of another day has its date.
 */
export function formatStatusLine(summary: NodeSummary, { nowMs }: { readonly nowMs: number }): string {
  return [describeRole(summary, nowMs), ...describeChanging(summary, formatHeard)].join("; ");
}

/** The same without what passes by itself: two summaries of which this differs are worth telling apart at once. */
export function statusKey(summary: NodeSummary): string {
  return [describeRole(summary, Date.parse(summary.since)), ...describeChanging(summary, () => null)].join(
    "; ",
  );
}

function describeChanging(
  { peer, listeners, pools }: NodeSummary,
  describeAge: (peer: PeerStatus) => string | null,
): readonly string[] {
  return [
    ...(peer === null ? [] : [describePeer(peer, describeAge)]),
    ...(peer?.configMatches === false ? [`the configuration of ${peer.node} differs`] : []),
    ...listeners.flatMap(({ name, problem }) => (problem === null ? [] : [`listener ${name}: ${problem}`])),
    describeBackends(pools.flatMap(({ backends }) => backends)),
  ];
}

function describeRole({ role, since, reason, virtualAddresses }: NodeSummary, nowMs: number): string {
  const held = virtualAddresses.filter((address) => address.held).map(({ address }) => address);
  return [
    `${role} since ${formatTime(Date.parse(since), nowMs)}`,
    held.length > 0 && `, holds ${held.join(", ")}`,
    reason !== null && ` (${reason})`,
  ]
    .filter((part) => part !== false)
    .join("");
}

function describePeer(peer: PeerStatus, describeAge: (peer: PeerStatus) => string | null): string {
  const state = peer.connected ? peer.role : "not connected";
  const words = [`peer ${peer.node} ${state}`, describeAge(peer)].filter((part) => part !== null).join(", ");
  return peer.problem === null ? words : `${words} (${peer.problem})`;
}

function formatHeard({ lastHeardMs }: PeerStatus): string {
  if (lastHeardMs === null) return "never heard";
  if (lastHeardMs < 1000) return `heard ${String(Math.round(lastHeardMs))} ms ago`;
  const seconds = Math.floor(lastHeardMs / 1000);
  return `heard ${seconds < 600 ? `${String(seconds)} s` : `${String(Math.floor(seconds / 60))} min`} ago`;
}

function describeBackends(backends: readonly BackendStatus[]): string {
  if (backends.length === 0) return "no backends";
  const inUse = backends.filter(({ state }) => IN_USE.has(state));
  return `backends ${String(inUse.length)}/${String(backends.length)} up`;
}

/** `12:01:07`, or `2026-11-21 12:01:07` when that was more than a day ago. */
function formatTime(ms: number, nowMs: number): string {
  const date = new Date(ms);
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
  if (Math.abs(nowMs - ms) < DAY_MS) return time;
  return `${String(date.getFullYear())}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())} ${time}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
