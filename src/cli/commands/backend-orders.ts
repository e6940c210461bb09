// `vipair drain`, `maintenance`, `ready` and `weight` POOL/BACKEND: orders for one backend, which hold on both nodes
// and across restarts. `--wait` stays until its last connection has gone.

import { setTimeout as sleep } from "node:timers/promises";
import { formatDuration } from "../../config/quantity.ts";
import { readWeightOrder } from "../../config/weight-order.ts";
import { ADMIN_PATHS } from "../../protocol/admin.ts";
import type {
  BackendName,
  BackendOrder,
  BackendOrderResult,
  ConnectionsResult,
} from "../../protocol/admin.ts";
import { askAdmin } from "../admin-client.ts";
import { EXIT } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";
import { unreplicated } from "./maintenance.ts";
import { complainOf } from "./role.ts";

const TIMEOUT_MS = 10_000;

/** Between two looks at the connections that are left. */
const LOOK_MS = 300;

/** Nothing is left here and the other node has not said anything for so long: it will not. */
const SILENCE_MS = 10_000;

/** A worker may have counted the first time before it heard of the order. */
const EMPTY_LOOKS = 2;

export type OrderedState = "drain" | "maintenance" | "ready";

/** false: do not wait; Infinity: as long as it takes. */
export type Wait = number | false;

interface Command {
  readonly runtimeDir: string;
  /** POOL/BACKEND. */
  readonly target: string;
}

/** Ends in the exit code; 2 when the backend is not written as POOL/BACKEND, 1 when connections are left after the wait. */
export async function orderState(
  { runtimeDir, target, state, waitMs }: Command & { readonly state: OrderedState; readonly waitMs: Wait },
  terminal: Terminal,
): Promise<number> {
  const name = readTarget(target, terminal);
  if (name === undefined) return EXIT.usage;
  const result = await order({ runtimeDir, order: { ...name, state } }, terminal);
  if (typeof result === "number") return result;
  terminal.print(`${target} ${describeState(state)}${unreplicated(result.replicated)}`);
  warnOf(result, terminal);
  return waitMs === false ? EXIT.ok : untilGone({ runtimeDir, name, waitMs }, terminal);
}

export async function orderWeight(
  { runtimeDir, target, weight }: Command & { readonly weight: string },
  terminal: Terminal,
): Promise<number> {
  const name = readTarget(target, terminal);
  if (name === undefined) return EXIT.usage;
  const read = readWeightOrder(weight);
  if (read.kind === "invalid") {
    terminal.complain(`vipair: ${read.problem}`);
    return EXIT.usage;
  }
  const result = await order({ runtimeDir, order: { ...name, weight } }, terminal);
  if (typeof result === "number") return result;
  const configured = read.value.kind === "reset" ? ", as configured" : "";
  const what = `has weight ${String(result.weight)}${configured}`;
  terminal.print(`${target} ${what}${unreplicated(result.replicated)}`);
  warnOf(result, terminal);
  return EXIT.ok;
}

function describeState(state: OrderedState): string {
  switch (state) {
    case "drain":
      return "gets no new requests";
    case "maintenance":
      return "is in maintenance: no requests, no health checks";
    case "ready":
      return "gets requests again";
  }
}

function warnOf({ warning }: BackendOrderResult, terminal: Terminal): void {
  if (warning !== null) terminal.complain(`vipair: warning: ${warning}`);
}

function readTarget(target: string, terminal: Terminal): BackendName | undefined {
  const slash = target.indexOf("/");
  if (slash >= 1 && slash < target.length - 1) {
    return { pool: target.slice(0, slash), backend: target.slice(slash + 1) };
  }
  terminal.complain(`vipair: "${target}" is no backend. Write POOL/BACKEND, such as web/192.168.1.21:8080`);
  return undefined;
}

/** The result, or the exit code after a complaint. */
async function order(
  { runtimeDir, order: body }: { readonly runtimeDir: string; readonly order: BackendOrder },
  terminal: Terminal,
): Promise<BackendOrderResult | number> {
  const path = ADMIN_PATHS.backend;
  const answer = await askAdmin({ runtimeDir, method: "POST", path, body, timeoutMs: TIMEOUT_MS });
  if (answer.kind !== "done") return complainOf(answer, terminal);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
  return answer.body as BackendOrderResult;
}

/** Shows what is left on which node each time that it changes. */
async function untilGone(
  {
    runtimeDir,
    name,
    waitMs,
  }: { readonly runtimeDir: string; readonly name: BackendName; readonly waitMs: number },
  terminal: Terminal,
): Promise<number> {
  const target = `${name.pool}/${name.backend}`;
  const startedAt = performance.now();
  let heardAt = startedAt;
  let emptyLooks = 0;
  let shown = "";
  for (;;) {
    const path = ADMIN_PATHS.connections;
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    const answer = await askAdmin({ runtimeDir, method: "POST", path, body: name, timeoutMs: TIMEOUT_MS });
    if (answer.kind !== "done") return complainOf(answer, terminal);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a vipair of the same user wrote it
    const result = answer.body as ConnectionsResult;
    const { connections, peer, ordered } = result;
    if (ordered === null) {
      terminal.complain(`vipair: ${target} is ready again: somebody has ordered it`);
      return EXIT.failed;
    }
    const now = performance.now();
    const isPeerHeard = peer === null || peer.connections !== null;
    if (isPeerHeard) heardAt = now;
    emptyLooks = connections === 0 && (peer?.connections ?? 0) === 0 ? emptyLooks + 1 : 0;
    const left = describeLeft(result);
    if (emptyLooks >= EMPTY_LOOKS && isPeerHeard) {
      terminal.print(`${target} is drained: its last connection has gone`);
      return EXIT.ok;
    }
    if (emptyLooks >= EMPTY_LOOKS && now - heardAt >= SILENCE_MS) {
      terminal.complain(`vipair: ${target}: ${left}`);
      return EXIT.failed;
    }
    if (now - startedAt >= waitMs) {
      terminal.complain(`vipair: ${target} is not drained after ${formatDuration(waitMs)}: ${left}`);
      return EXIT.failed;
    }
    if (left !== shown && emptyLooks === 0) terminal.print(`${target}: ${left}`);
    shown = left;
    // oxlint-disable-next-line no-await-in-loop -- until it has gone, or the wait is over
    await sleep(Math.min(LOOK_MS, startedAt + waitMs - now));
  }
}

/** `2 connections on pi-a, 1 on pi-b` */
function describeLeft({ node, connections, peer }: ConnectionsResult): string {
  const here = `${String(connections)} connection${connections === 1 ? "" : "s"} on ${node}`;
  if (peer === null) return here;
  const there =
    peer.connections === null
      ? `${peer.node} does not say how many it has: ${peer.problem ?? "no answer"}`
      : `${String(peer.connections)} on ${peer.node}`;
  return `${here}, ${there}`;
}
