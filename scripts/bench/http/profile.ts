// Where a worker of vipair spends its time in a case, from V8's sampling profiler. It is asked through the inspector,
// which a Node process opens on SIGUSR1, so that the worker is started as always.

import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";

const INSPECTOR = "http://127.0.0.1:9229/json/list";
const OPEN_MS_MAX = 3000;
const SAMPLE_US = 500;
const FUNCTIONS_SHOWN = 20;

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
}

/** Of the Chrome DevTools protocol, domain Profiler. */
interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: CallFrame;
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** In µs, the time before each sample. */
  readonly timeDeltas: readonly number[];
}

/** Profiles the process while `work` goes on, saves the profile for Chrome's DevTools, and gives a summary in Markdown. */
export async function profile(pid: number, file: string, work: () => Promise<unknown>): Promise<string> {
  const inspector = await openInspector(pid);
  await inspector.call("Profiler.enable", {});
  await inspector.call("Profiler.setSamplingInterval", { interval: SAMPLE_US });
  await inspector.call("Profiler.start", {});
  const before = timesOf(pid);
  await work();
  const after = timesOf(pid);
  const { profile: taken } = (await inspector.call("Profiler.stop", {})) as { readonly profile: Profile };
  inspector.close();
  writeFileSync(file, JSON.stringify(taken));
  const kernel = (after.kernel - before.kernel) / (after.kernel + after.user - before.kernel - before.user);
  return `The kernel's share: ${(100 * kernel).toFixed(0)} %\n\n${summarize(taken)}`;
}

/** proc_pid_stat(5): the time on a core in the process itself and in the kernel for it, in ticks of 10 ms. */
function timesOf(pid: number): { readonly user: number; readonly kernel: number } {
  const fields =
    readFileSync(`/proc/${String(pid)}/stat`, "latin1")
      .split(") ")
      .at(-1)
      ?.split(" ") ?? [];
  return { user: Number(fields[11]), kernel: Number(fields[12]) };
}

interface Inspector {
  call(method: string, params: object): Promise<unknown>;
  close(): void;
}

async function openInspector(pid: number): Promise<Inspector> {
  process.kill(pid, "SIGUSR1");
  const socket = new WebSocket(await inspectorUrl());
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const waiting = new Map<number, (result: unknown) => void>();
  socket.on("message", (data: Buffer) => {
    const { id, result } = JSON.parse(data.toString()) as { readonly id: number; readonly result: unknown };
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  let calls = 0;
  return {
    call: (method, params) => {
      calls += 1;
      const id = calls;
      socket.send(JSON.stringify({ id, method, params }));
      return new Promise((resolve) => waiting.set(id, resolve));
    },
    close: () => socket.close(),
  };
}

async function inspectorUrl(): Promise<string> {
  for (let waitedMs = 0; waitedMs < OPEN_MS_MAX; waitedMs += 50) {
    await sleep(50);
    try {
      const response = await fetch(INSPECTOR);
      const [target] = (await response.json()) as { readonly webSocketDebuggerUrl: string }[];
      if (target !== undefined) return target.webSocketDebuggerUrl;
    } catch {
      // Not open yet.
    }
  }
  throw new Error(`the worker opened no inspector at ${INSPECTOR}`);
}

/** Shares of the time that the process was busy, by phase of a request, by part and by function. */
function summarize({ nodes, samples, timeDeltas }: Profile): string {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const stacks = stacksOf(nodes);
  const phases = new Map<string, number>();
  const parts = new Map<string, number>();
  const functions = new Map<string, number>();
  let busyUs = 0;
  for (const [i, id] of samples.entries()) {
    const { functionName, url } = frames.get(id) ?? { functionName: "", url: "" };
    if (functionName === "(idle)" || functionName === "(root)") continue;
    const us = timeDeltas[i] ?? 0;
    busyUs += us;
    add(phases, phaseOf(stacks.get(id) ?? []), us);
    add(parts, partOf(functionName, url), us);
    const place = url === "" ? "native" : url.replace(/^.*\/src\//u, "src/");
    add(functions, `\`${functionName === "" ? "(anonymous)" : functionName}\` ${place}`, us);
  }
  const list = (shares: ReadonlyMap<string, number>, count: number): string =>
    [...shares]
      .toSorted(([, a], [, b]) => b - a)
      .slice(0, count)
      .map(([name, us]) => `| ${((100 * us) / busyUs).toFixed(1)} | ${name} |`)
      .join("\n");
  return `${renderHead("phase")}\n${list(phases, Infinity)}\n\n${renderHead("part")}\n${list(parts, Infinity)}\n\n${renderHead("function, itself")}\n${list(functions, FUNCTIONS_SHOWN)}\n`;
}

function renderHead(what: string): string {
  return `| % | ${what} |\n| ---: | --- |`;
}

/** By node: its call frames, the innermost first. */
function stacksOf(nodes: Profile["nodes"]): ReadonlyMap<number, readonly CallFrame[]> {
  const stacks = new Map<number, readonly CallFrame[]>();
  // A node stands before its children.
  for (const { id, callFrame, children = [] } of nodes) {
    const stack = [callFrame, ...(stacks.get(id) ?? [])];
    stacks.set(id, stack);
    for (const child of children) stacks.set(child, stack);
  }
  return stacks;
}

function phaseOf(stack: readonly CallFrame[]): string {
  const isIn = (file: string, ...names: string[]): boolean =>
    stack.some(({ functionName, url }) => url.endsWith(file) && names.includes(functionName));
  if (stack[0]?.functionName === "(program)") return "event loop: poll, accept, read";
  if (stack[0]?.functionName === "(garbage collector)") return "garbage collection";
  if (isIn("/proxy/listening-socket.ts", "take") || isIn("/proxy/accepted-socket.ts", "own")) {
    return "accept: socket, address, place";
  }
  if (isIn("/proxy/client-connection.ts", "endStream") || isIn(":internal/streams/destroy", "destroy"))
    return "close";
  const isWrite = isIn("/proxy/stream.ts", "writeParts");
  if (isIn("/proxy/backend-connection.ts", "receiveBytes")) {
    return isWrite ? "response: write" : "response: check, render, account";
  }
  if (isIn("/proxy/client-connection.ts", "receiveBytes")) {
    return isWrite ? "request: write" : "request: check, route, choose, render";
  }
  return "all else: Node's way to us, ticks, timers";
}

function partOf(functionName: string, url: string): string {
  const folder = /\/src\/([^/]+)\//u.exec(url)?.[1];
  if (folder !== undefined) return `vipair: src/${folder}`;
  if (url.startsWith("node:")) return "Node: streams, sockets, timers in JavaScript";
  if (/^(write|shutdown)/u.test(functionName)) return "write: the kernel's send, and Node's way to it";
  if (functionName === "(garbage collector)") return "garbage collection";
  if (functionName === "(program)")
    return "event loop: the kernel's poll, read, accept and close, and Node's way to them";
  return "other native functions of Node and V8";
}

function add(sums: Map<string, number>, key: string, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value);
}
