// What one proxied GET costs: CPU time of a vipair worker per request, next to a plain reverse proxy of
// node:http with a keep-alive agent, in alternating rounds on the same machine, so that its noise hits
// both alike. Needs `wrk` (Debian package).
//
//   node scripts/bench/http.ts [--rounds 5] [--seconds 3] [--connections 64] [--bytes 2]

import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, type IncomingMessage, createServer as createHttpServer, request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { parseArgs, promisify } from "node:util";
import type { ToWorker, WorkerConfig } from "../../src/protocol/worker.ts";

const SELF = new URL(import.meta.url);
const WORKER = new URL("../../src/proxy/worker.ts", import.meta.url);
/** USER_HZ, in which /proc counts CPU time; 100 on every Linux that Node runs on. */
const TICK_US = 10_000;

interface Round {
  readonly requestsPerSecond: number;
  readonly cpuUsPerRequest: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "3" },
      connections: { type: "string", default: "64" },
      bytes: { type: "string", default: "2" },
    },
  });
  const children: ChildProcess[] = [];
  try {
    const backends = [start(["backend", values.bytes]), start(["backend", values.bytes])];
    children.push(...backends);
    const ports = await Promise.all(backends.map(portOf));
    const plain = start(["plain", ...ports.map(String)]);
    children.push(plain);
    const worker = fork(WORKER, [], { execPath: process.execPath, serialization: "advanced" });
    children.push(worker);
    const proxies = [
      {
        name: "vipair",
        pid: worker.pid ?? 0,
        port: await listenFor(worker, ports),
        rounds: new Array<Round>(),
      },
      { name: "node:http", pid: plain.pid ?? 0, port: await portOf(plain), rounds: new Array<Round>() },
    ];
    const load = { seconds: Number(values.seconds), connections: values.connections };
    for (const { port, pid } of proxies) await measure({ port, pid, ...load, seconds: 1 });
    for (let round = 0; round < Number(values.rounds); round += 1) {
      for (const proxy of proxies) proxy.rounds.push(await measure({ ...proxy, ...load }));
    }
    const costs = proxies.map(({ rounds }) => median(rounds.map((round) => round.cpuUsPerRequest)));
    for (const [i, { name, rounds }] of proxies.entries()) {
      const rate = median(rounds.map((round) => round.requestsPerSecond));
      const spread = rounds.map((round) => round.cpuUsPerRequest.toFixed(1)).join(" ");
      console.log(
        `${name.padEnd(10)} ${rate.toFixed(0).padStart(7)} requests/s  ${(costs[i] ?? 0).toFixed(1).padStart(6)} µs CPU per request  (${spread})`,
      );
    }
    console.log(`ratio      ${((costs[0] ?? 0) / (costs[1] ?? 1)).toFixed(2)}`);
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}

function start(args: readonly string[]): ChildProcess {
  return fork(SELF, args, { execPath: process.execPath });
}

async function portOf(child: ChildProcess): Promise<number> {
  const [port] = (await once(child, "message")) as [number];
  return port;
}

/** Hands a listening socket and a two-backend pool to the worker, as the control process does. */
async function listenFor(worker: ChildProcess, ports: readonly number[]): Promise<number> {
  const config: WorkerConfig = {
    node: "bench",
    logLevel: "warn",
    workers: 1,
    listeners: [
      {
        name: "web",
        bind: { kind: "address", host: "127.0.0.1", port: 0 },
        protocol: "http",
        routes: [{ match: {}, pool: "web" }],
        timeouts: { headMs: 10_000, idleMs: 60_000 },
        limits: {
          headBytes: 16_384,
          requestLineBytes: 8192,
          fields: 100,
          bodyBytes: null,
          connections: null,
          connectionsPerAddress: null,
          requestsPerConnection: null,
        },
        trustedProxies: [],
        underscoreHeaders: "drop",
        trace: "refuse",
      },
    ],
    pools: [
      {
        name: "web",
        balance: "round-robin",
        backends: ports.map((port) => ({ name: String(port), host: "127.0.0.1", port, weight: 1 })),
        health: { kind: "none" },
        timeouts: { connectMs: 2000, responseMs: 30_000, bodyMs: 30_000, tunnelIdleMs: 60_000 },
      },
    ],
  };
  worker.send({ kind: "configure", config, health: {} } satisfies ToWorker);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  worker.send({ kind: "listen", listener: "web", socketId: "bench" } satisfies ToWorker, server);
  for await (const [message] of onMessages(worker)) {
    if (message.kind === "listening") break;
  }
  server.close();
  return port;
}

async function* onMessages(worker: ChildProcess): AsyncGenerator<[{ kind: string }]> {
  for (;;) yield (await once(worker, "message")) as [{ kind: string }];
}

async function measure(options: {
  readonly port: number;
  readonly pid: number;
  readonly seconds: number;
  readonly connections: string;
}): Promise<Round> {
  const before = cpuUs(options.pid);
  const { stdout } = await promisify(execFile)("wrk", [
    "-t1",
    `-c${options.connections}`,
    `-d${String(options.seconds)}s`,
    `http://127.0.0.1:${String(options.port)}/`,
  ]);
  const used = cpuUs(options.pid) - before;
  if (/Non-2xx|Socket errors/u.test(stdout)) console.error(stdout);
  const requests = Number(/(\d+) requests in/u.exec(stdout)?.[1]);
  const rate = Number(/Requests\/sec:\s+([\d.]+)/u.exec(stdout)?.[1]);
  return { requestsPerSecond: rate, cpuUsPerRequest: used / requests };
}

/** User and system time of all threads of a process: proc(5), fields 14 and 15. */
function cpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** A backend that costs as little as it can, so that the proxy is what is busy. */
function runBackend(bytes: number): void {
  const answer = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${String(bytes)}\r\n\r\n${"x".repeat(bytes)}`;
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", () => socket.write(answer));
  });
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
}

/** The comparison: what a Node developer writes in ten lines. */
function runPlainProxy(ports: readonly number[]): void {
  const agent = new Agent({ keepAlive: true });
  let turn = 0;
  const server = createHttpServer((incoming, outgoing) => {
    turn = (turn + 1) % ports.length;
    const { method, url: path, headers } = incoming;
    const onward = request(
      { agent, host: "127.0.0.1", port: ports[turn], method, path, headers },
      (answer: IncomingMessage) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
}

const [role, ...rest] = process.argv.slice(2);
if (role === "backend") runBackend(Number(rest[0]));
else if (role === "plain") runPlainProxy(rest.map(Number));
else await main();
