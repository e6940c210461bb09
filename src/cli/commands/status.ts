// `vipair status`: what one node knows, for people; `--json` gives programs the Status as it is.

import type { AgentStatus, ArbiterStatus, BackendStatus, BreakerStatus } from "../../protocol/status.ts";
import type { EjectionStatus, GroupStatus, PoolStatus } from "../../protocol/status.ts";
import type { LastCheck, NewerFile, PeerStatus, Status } from "../../protocol/status.ts";
import type { Terminal } from "../terminal.ts";
import { withStatus } from "./role.ts";

export async function printStatus(
  { runtimeDir, json }: { readonly runtimeDir: string; readonly json: boolean },
  terminal: Terminal,
): Promise<number> {
  return withStatus(runtimeDir, terminal, (status) => {
    terminal.print(json ? JSON.stringify(status, null, 2) : formatStatus(status, { nowMs: Date.now() }));
  });
}

/**
 * The status as aligned text, one subject per line. `nowMs` is the wall clock, in milliseconds since 1970.
 *
 *   node       pi-a  priority 150
 *   role       active  since 2 min 5 s  epoch 7
 *   addresses  192.168.1.50 on eth0  held
 *   peer       pi-b  standby  heard 80 ms ago
 */
function formatStatus(status: Status, { nowMs }: { readonly nowMs: number }): string {
  const rows: (readonly [label: string, lines: readonly string[]])[] = [
    ["node", [words(status.node, formatPriority(status))]],
    ["role", [formatRole(status, nowMs)]],
    ["reason", status.reason === null ? [] : [status.reason]],
    ["maintenance", status.maintenance],
    ["groups", status.groups.length > 1 ? align(status.groups.map(formatGroup)) : []],
    [
      "addresses",
      align(
        status.virtualAddresses.map(({ address, interface: name, held }) => [
          `${address} on ${name}`,
          held ? "held" : "not held",
        ]),
      ),
    ],
    ["peer", status.peer === null ? [formatAbsence(status)] : formatPeer(status.peer)],
    ["arbiter", status.arbiter === null ? [] : [formatArbiter(status.arbiter)]],
    [
      "checks",
      align(
        status.checks.map(({ name, failing, detail }) => [
          name,
          failing === null ? "not run yet" : failing ? "failing" : "good",
          detail,
        ]),
      ),
    ],
    [
      "workers",
      align(
        status.workers.map(({ pid, uptimeMs, connections }) => [
          `pid ${String(pid)}`,
          `up ${formatDuration(uptimeMs)}`,
          plural(connections, "connection"),
        ]),
      ),
    ],
    [
      "listeners",
      align(
        status.listeners.map(({ name, bind, open, problem }) => [
          name,
          bind,
          words(open ? "open" : "closed", problem !== null && `(${problem})`),
        ]),
      ),
    ],
    ...status.pools.map(
      (pool) =>
        [
          `pool ${pool.name}`,
          [
            ...(pool.panic === null ? [] : [`in panic: ${pool.panic}`]),
            ...align(pool.backends.map(formatBackend)),
            ...formatTroubles(pool),
          ],
        ] as const,
    ),
    ["requests", [String(status.requests)]],
    ...(status.refusedConnections === 0
      ? []
      : [["refused", [plural(status.refusedConnections, "connection")]] as const]),
    ["mirrored", formatMirrors(status.mirrors)],
    [
      "vipair",
      [words(status.version, `up ${formatDuration(status.uptimeMs)}`, `config ${status.configHash}`)],
    ],
  ];
  const width = Math.max(...rows.map(([label, lines]) => (lines.length === 0 ? 0 : label.length))) + 2;
  return rows
    .flatMap(([label, lines]) =>
      lines.map((line, index) => `${(index === 0 ? label : "").padEnd(width)}${line}`.trimEnd()),
    )
    .join("\n");
}

/** Nothing when no route has a mirror that was asked for. */
function formatMirrors({ sent, dropped }: Status["mirrors"]): readonly string[] {
  if (sent + dropped === 0) return [];
  return [words(plural(sent, "request"), dropped > 0 && `${String(dropped)} dropped`)];
}

function formatRole({ role, since, epoch }: Status, nowMs: number): string {
  const forMs = Math.max(0, nowMs - Date.parse(since));
  return words(role, `for ${formatDuration(forMs)}`, `epoch ${String(epoch)}`);
}

function formatPriority({ priority, groups }: Status): string | false {
  if (priority === null) return false;
  const [only] = groups;
  const lowered = groups.length === 1 && only?.effectivePriority !== priority;
  return `priority ${String(priority)}${lowered ? ` (now ${String(only?.effectivePriority)})` : ""}`;
}

function formatGroup({
  name,
  role,
  epoch,
  effectivePriority,
  peerRole,
  virtualAddresses,
}: GroupStatus): string[] {
  return [
    name,
    role,
    `priority ${String(effectivePriority)}`,
    `epoch ${String(epoch)}`,
    `peer ${peerRole}`,
    virtualAddresses.map(({ address }) => address).join(" "),
  ];
}

function formatArbiter({ address, lastAnswerMs, problem }: ArbiterStatus): string {
  const answered = lastAnswerMs === null ? "never answered" : `answered ${formatDuration(lastAnswerMs)} ago`;
  return words(address ?? "none", address !== null && answered, problem !== null && `(${problem})`);
}

/** By the files that both have read last, and what to do about them. */
function formatDrift(peer: string, newerFile: NewerFile): string {
  const differs = "its configuration differs from this node's";
  switch (newerFile) {
    case "neither":
      return `${differs}, and the files are the same: reload or restart the node that runs with an older one`;
    case "self":
      return `${differs}: this node's file is newer, \`vipair config diff\` shows in what and \`vipair config push\` copies it`;
    case "peer":
      return `${differs}: the file of ${peer} is newer, \`vipair config diff\` shows in what and \`vipair config push\` there copies it`;
    case "both":
      return `${differs}: both files were changed, \`vipair config diff\` shows in what; merge them and \`vipair config push\``;
    case null:
      return `${differs}: \`vipair config diff\` shows in what, and \`vipair config push\` on the node with the newer file copies it`;
  }
}

function formatAbsence({ priority }: Status): string {
  return priority === null ? "none: this node has no standby" : "none yet";
}

function formatPeer(peer: PeerStatus): string[] {
  const { node, role, connected, lastHeardMs, configMatches, newerFile, problem, paths } = peer;
  const heard = lastHeardMs === null ? "never heard" : `heard ${formatDuration(lastHeardMs)} ago`;
  const lines = [words(node, role, connected ? "connected" : "not connected", heard)];
  if (configMatches === false) lines.push(formatDrift(node, newerFile));
  if (problem !== null) lines.push(problem);
  if (paths.length < 2) return lines;
  for (const { self, peer: other, connected: works, problem: why } of paths) {
    const state = works ? "connected" : "not connected";
    lines.push(words(`path ${self} to ${other}`, state, why !== null && `(${why})`));
  }
  return lines;
}

/** What is worth a line only if it was there. */
function formatTroubles({ queued, overflows, retries, retriesRefused, reconnects }: PoolStatus): string[] {
  const line = words(
    queued > 0 && `${String(queued)} waiting`,
    overflows > 0 && plural(overflows, "overflow"),
    retries > 0 && (retries === 1 ? "1 retry" : `${String(retries)} retries`),
    retriesRefused > 0 && `${String(retriesRefused)} refused by the budget`,
    reconnects > 0 && plural(reconnects, "reconnect"),
  );
  return line === "" ? [] : [line];
}

function formatBackend(backend: BackendStatus): string[] {
  const { name, address, reason, weight, order, weightPercent, degraded, activeConnections } = backend;
  const isWeightOrdered = order !== null && order.weight !== null;
  return [
    name === address ? name : `${name} ${address}`,
    formatState(backend),
    words(
      `weight ${String(weight)}`,
      isWeightOrdered && `now ${String(order.weight)} (ordered on ${order.node})`,
      weightPercent !== 100 && `at ${String(weightPercent)} %`,
    ),
    `${String(activeConnections)} active`,
    plural(backend.requests, "request"),
    plural(backend.failures, "failure"),
    words(
      reason !== null && `(${reason})`,
      backend.ejection !== null && formatEjection(backend.ejection),
      backend.breaker !== null && formatBreaker(backend.breaker),
      degraded !== null && `(degraded: ${degraded})`,
      backend.lastCheck !== null && formatCheck(backend.lastCheck),
      backend.agent !== null && formatAgent(backend.agent),
    ),
  ];
}

/** What becomes of its connections says more than that nobody comes. */
function formatState({ state, activeConnections }: BackendStatus): string {
  const left = plural(activeConnections, "connection");
  if (state === "drain") return activeConnections === 0 ? "drained" : `draining (${left})`;
  return state === "maintenance" && activeConnections > 0 ? `${state} (${left})` : state;
}

/** Its reason is that of the state, unless something else keeps the backend out as well. */
function formatEjection({ count, remainingMs }: EjectionStatus): string {
  return `ejection ${String(count)}, ${formatDuration(remainingMs)} left`;
}

function formatBreaker({ openWorkers, halfOpenWorkers, reason, trialsInMs }: BreakerStatus): string {
  const where = [
    openWorkers > 0 && `open in ${plural(openWorkers, "worker")}`,
    halfOpenWorkers > 0 && `half-open in ${plural(halfOpenWorkers, "worker")}`,
  ].filter((part) => part !== false);
  const trials = trialsInMs === null ? "" : `, trials in ${formatDuration(trialsInMs)}`;
  return `breaker ${where.join(", ")} (${reason})${trials}`;
}

/** What the last check found, not what follows from it: that is the state. */
function formatCheck({ agoMs, durationMs, good, code, doubt }: LastCheck): string {
  const found = code === null ? (good ? "good" : "bad") : String(code);
  const when = `${formatDuration(agoMs)} ago`;
  return words(`check ${found} in ${formatDuration(durationMs)}, ${when}`, doubt !== null && `(${doubt})`);
}

function formatAgent({ said, problem }: AgentStatus): string {
  return words(said === null ? "agent silent" : `agent "${said}"`, problem !== null && `(${problem})`);
}

/** `80 ms`, `12 s`, `2 min 5 s`, `3 h 20 min`, `4 d 2 h`: two units at most. */
function formatDuration(ms: number): string {
  if (ms < 1_000) return `${String(Math.round(ms))} ms`;
  const seconds = Math.floor(ms / 1_000);
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3_600),
    Math.floor(seconds / 60),
  ];
  if (days > 0) return `${String(days)} d ${String(hours % 24)} h`;
  if (hours > 0) return `${String(hours)} h ${String(minutes % 60)} min`;
  if (minutes > 0) return `${String(minutes)} min ${String(seconds % 60)} s`;
  return `${String(seconds)} s`;
}

function plural(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function words(...parts: readonly (string | false)[]): string {
  return parts.filter((part) => part !== false).join("  ");
}

/** Rows of cells as lines whose columns stand under each other. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
