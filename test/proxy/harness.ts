// What the integration tests share: a real worker process, listening sockets handed to it over IPC,
// and raw sockets at both ends of it.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { type AddressInfo, type Server, type Socket, connect, createServer } from "node:net";
import type { AccessLogConfig, ListenerConfig, ListenerLimits, PoolConfig } from "../../src/config/config.ts";
import type { FromWorker, HealthTable, ToWorker, WorkerConfig } from "../../src/protocol/worker.ts";
import type { Census, FromCensus, Holdings } from "./census.ts";
import { forkWorker, giveBack, takeSharedProcess } from "./shared-process.ts";

const WORKER = new URL("../../src/proxy/worker.ts", import.meta.url);
const WAIT_MS = 10_000;

/** Waits for a condition that nothing announces. */
export async function eventually(
  what: string | (() => string),
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!(await holds())) {
    assert.ok(performance.now() < end, `not in time: ${typeof what === "string" ? what : what()}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

/** Rejects when the promise takes too long. */
export async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`not in time: ${what}`));
    }, WAIT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export class TestWorker {
  readonly process: ChildProcess;
  readonly messages: FromWorker[] = [];
  private readonly socketIds = new Set<string>();
  private readonly censuses: Census[] = [];
  private readonly holdingsSeen: Holdings[] = [];
  /** What it wrote to stdout and stderr. */
  output = "";
  private readonly exit = Promise.withResolvers<number | null>();
  private readonly isShared: boolean;
  /** Before, it is the last words of an engine whose test is over. */
  private isReady = false;
  /** Shared, and fit for the next test. */
  private isEmpty = false;

  private readonly take = (message: FromWorker | FromCensus): void => {
    if (message.kind === "ready") this.isReady = true;
    if (!this.isReady) return;
    if (message.kind === "census") this.censuses.push(message.census);
    else if (message.kind === "holdings") this.holdingsSeen.push(message.holdings);
    else this.messages.push(message);
  };

  private readonly read = (bytes: Buffer): void => {
    this.output += bytes.toString();
  };

  /** Without a process to share it has its own: the real entry of a worker. */
  constructor({ env, shared = null }: { env?: Record<string, string>; shared?: ChildProcess | null } = {}) {
    this.isShared = shared !== null;
    this.process = shared ?? forkWorker(WORKER, env);
    this.process.on("message", this.take);
    for (const stream of [this.process.stdout, this.process.stderr]) stream?.on("data", this.read);
    this.process.on("exit", this.exit.resolve);
    if (this.isShared) this.process.send({ kind: "next" });
  }

  get exited(): Promise<number | null> {
    return this.exit.promise;
  }

  /** The first message of a kind that satisfies the test; waits for it. */
  async message<Kind extends FromWorker["kind"]>(
    kind: Kind,
    accept: (message: Extract<FromWorker, { kind: Kind }>) => boolean = () => true,
  ): Promise<Extract<FromWorker, { kind: Kind }>> {
    const find = (): Extract<FromWorker, { kind: Kind }> | undefined =>
      this.messages.find(
        (message): message is Extract<FromWorker, { kind: Kind }> =>
          message.kind === kind && accept(message as Extract<FromWorker, { kind: Kind }>),
      );
    await eventually(`message ${kind}`, () => find() !== undefined);
    return find()!;
  }

  send(message: ToWorker, handle?: Server | Socket): void {
    this.process.send(message, handle);
  }

  configure(config: WorkerConfig, health: HealthTable = {}): void {
    this.send({ kind: "configure", config, health });
  }

  /** Binds a socket, hands it over, closes our copy. Returns the port. */
  async listen(options: { listener?: string; socketId?: string; host?: string } = {}): Promise<number> {
    const { listener = "web", socketId = "s1", host = "127.0.0.1" } = options;
    const server = createServer();
    server.listen(0, host);
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    this.socketIds.add(socketId);
    this.send({ kind: "listen", listener, socketId }, server);
    await this.message("listening", (message) => message.socketId === socketId);
    server.close();
    return port;
  }

  /** A fresh report. */
  async counters(): Promise<Extract<FromWorker, { kind: "report" }>["counters"]> {
    const seen = this.messages.length;
    this.send({ kind: "report" });
    const find = (): FromWorker | undefined =>
      this.messages.slice(seen).find((message) => message.kind === "report");
    await eventually("report", () => find() !== undefined);
    const report = find();
    assert.ok(report?.kind === "report");
    return report.counters;
  }

  /** What the process holds now, by Node's own account. */
  async census(): Promise<Census> {
    const seen = this.censuses.length;
    this.process.send({ kind: "census" });
    await eventually("census", () => this.censuses.length > seen);
    return this.censuses[seen]!;
  }

  /** The part of the census that costs nothing. */
  async holdings(): Promise<Holdings> {
    const seen = this.holdingsSeen.length;
    this.process.send({ kind: "holdings" });
    await eventually("holdings", () => this.holdingsSeen.length > seen);
    return this.holdingsSeen[seen]!;
  }

  /** Fails unless everything that clients and backends left behind goes by itself, and nothing stays. */
  async leavesNothing(): Promise<void> {
    if (!this.process.connected) {
      // Drained or killed by the test; a worker that failed by itself exits with 1.
      assert.notEqual(await this.exited, 1, `the worker failed: ${this.output}`);
      return;
    }
    let left = "";
    await eventually(
      () => `a worker without exchanges: ${left}`,
      async () => {
        const { connections, backends } = await this.counters();
        const active = Object.values(backends).flatMap((byName) => Object.values(byName));
        left = JSON.stringify({ connections, backends });
        return connections === 0 && active.every(({ activeConnections }) => activeConnections === 0);
      },
    );
    // Idle connections to backends stay for a while, by intention: without a pool there are none.
    this.configure(workerConfig([]));
    for (const socketId of this.socketIds) this.send({ kind: "close", socketId, graceMs: 0 });
    // A census takes a tenth of a second of a processor: first the cheap half, until it is time for one.
    await eventually(
      () => `an empty worker: ${left}`,
      async () => {
        const holdings = await this.holdings();
        left = JSON.stringify(holdings);
        return isNothing(holdings);
      },
    );
    if (this.isShared) {
      // Of the objects the end of the file takes a census.
      this.isEmpty = true;
      return;
    }
    await eventually(
      () => `a worker that has forgotten everybody: ${left}`,
      async () => {
        const { sockets, servers, timers, objects, unsentBytes } = await this.census();
        left = JSON.stringify({ sockets, servers, timers, objects, unsentBytes });
        return isNothing({ sockets, servers, timers, unsentBytes }) && !hasAny(objects);
      },
    );
  }

  async stop(): Promise<void> {
    if (this.isEmpty) {
      this.process.off("message", this.take);
      for (const stream of [this.process.stdout, this.process.stderr]) stream?.off("data", this.read);
      this.process.off("exit", this.exit.resolve);
      giveBack(this.process);
      return;
    }
    if (this.process.exitCode === null && this.process.connected) this.process.disconnect();
    await inTime("the worker's exit", this.exited);
  }
}

/** The one timer is that of the reports. */
function isNothing({ sockets, servers, timers, unsentBytes }: Holdings): boolean {
  return sockets + servers + unsentBytes === 0 && timers === 1;
}

function hasAny(counts: Readonly<Record<string, number>>): boolean {
  return Object.values(counts).some((count) => count > 0);
}

export interface PoolOptions {
  readonly name?: string;
  /** Ports on 127.0.0.1, named b1, b2, …; or host and port. */
  readonly ports?: readonly number[];
  readonly backends?: PoolConfig["backends"];
  readonly timeouts?: Partial<PoolConfig["timeouts"]>;
  /** In place of the defaults. */
  readonly settings?: Partial<PoolConfig>;
}

export function pool({
  name = "web",
  ports = [],
  backends,
  timeouts = {},
  settings = {},
}: PoolOptions): PoolConfig {
  return {
    name,
    balance: { kind: "round-robin" },
    sticky: null,
    slowStartMs: 0,
    panicThreshold: 0,
    backends:
      backends ??
      ports.map((port, i) => ({
        name: `b${String(i + 1)}`,
        host: "127.0.0.1",
        port,
        weight: 1,
        isBackup: false,
      })),
    health: { kind: "none" },
    retry: ONCE,
    queue: null,
    outliers: null,
    circuitBreaker: null,
    timeouts: { connectMs: 2000, responseMs: 5000, bodyMs: 5000, tunnelIdleMs: 60_000, ...timeouts },
    ...settings,
  };
}

/** The defaults of the configuration. */
export const RETRY: PoolConfig["retry"] = {
  attempts: 3,
  on: { connect: true, reset: true, timeout: false, statuses: [] },
  perTryMs: Infinity,
  totalMs: Infinity,
  bodyBytes: 65_536,
  budget: { percent: 20, floor: 3 },
};

/** Nothing that a backend has got is sent again, so that each failure shows. */
const ONCE: PoolConfig["retry"] = {
  ...RETRY,
  on: { connect: true, reset: false, timeout: false, statuses: [] },
};

/** The defaults of the configuration. */
export const LIMITS: ListenerLimits = {
  headBytes: 16_384,
  requestLineBytes: 8192,
  fields: 100,
  bodyBytes: null,
  connections: null,
  connectionsPerAddress: null,
  requestsPerConnection: null,
};

/** As on both nodes of a pair. */
const STICKY_KEY = new Uint8Array(32).fill(7);

export function workerConfig(
  pools: readonly PoolConfig[],
  listener: Partial<ListenerConfig> = {},
  accessLog: AccessLogConfig | null = null,
): WorkerConfig {
  return {
    node: "test",
    logLevel: "warn",
    accessLog,
    workers: 1,
    stickyKey: STICKY_KEY,
    errorPages: new Map(),
    pools,
    listeners: [
      {
        name: "web",
        bind: { kind: "address", host: "127.0.0.1", port: 0 },
        protocol: "http",
        routes: [
          {
            name: "routes[0]",
            match: {},
            action: { kind: "pool", pool: pools[0]?.name ?? "none" },
            rewrite: null,
            mirror: null,
          },
        ],
        timeouts: { headMs: 5000, idleMs: 10_000 },
        limits: LIMITS,
        trustedProxies: [],
        underscoreHeaders: "drop",
        trace: "refuse",
        errorPages: {},
        ...listener,
      },
    ],
  };
}

/** A worker that serves the pools on one listener, in a process of its own if none is given. */
export async function startWorker(
  pools: readonly PoolConfig[],
  listener: Partial<ListenerConfig> = {},
  {
    accessLog = null,
    shared = null,
  }: { readonly accessLog?: AccessLogConfig | null; readonly shared?: ChildProcess | null } = {},
): Promise<{ readonly worker: TestWorker; readonly port: number }> {
  const worker = new TestWorker({ shared });
  worker.configure(workerConfig(pools, listener, accessLog));
  const port = await worker.listen();
  return { worker, port };
}

/** A socket that remembers everything it read. */
export class RawPeer {
  /** Those that were not closed yet. */
  static readonly open = new Set<RawPeer>();
  readonly socket: Socket;
  private chunks: Buffer[] = [];
  hasEnded = false;
  hasClosed = false;
  error: Error | null = null;

  constructor(socket: Socket) {
    this.socket = socket;
    RawPeer.open.add(this);
    socket.on("data", (bytes) => {
      this.chunks.push(bytes);
    });
    socket.on("end", () => {
      this.hasEnded = true;
    });
    socket.on("error", (error) => {
      this.error = error;
    });
    socket.on("close", () => {
      this.hasClosed = true;
      RawPeer.open.delete(this);
    });
  }

  /** All of it; joined when somebody looks, since most who flood a worker do not. */
  get received(): Buffer {
    const [only = Buffer.alloc(0), ...more] = this.chunks;
    const all = more.length === 0 ? only : Buffer.concat(this.chunks);
    this.chunks = [all];
    return all;
  }

  get text(): string {
    return this.received.toString("latin1");
  }

  send(data: string | Buffer): void {
    this.socket.write(data, "latin1");
  }

  /** Waits until the text received contains `part`; returns all of it. */
  async receives(part: string): Promise<string> {
    await eventually(
      () => `${JSON.stringify(part)} (got ${JSON.stringify(this.text.slice(0, 300))})`,
      () => this.text.includes(part) || this.hasClosed,
    );
    assert.ok(
      this.text.includes(part),
      `closed before ${JSON.stringify(part)}: ${JSON.stringify(this.text)}`,
    );
    return this.text;
  }

  /** Waits until the other side has ended or closed; returns everything it sent. */
  async endsOrCloses(): Promise<string> {
    await eventually("the end of the connection", () => this.hasEnded || this.hasClosed);
    return this.text;
  }

  forget(): void {
    this.chunks = [];
  }

  close(): void {
    this.socket.destroy();
  }
}

/** `from`: the client's own address. */
export async function connectRaw(port: number, host = "127.0.0.1", from?: string): Promise<RawPeer> {
  const local = from === undefined ? {} : { localAddress: from };
  const socket = connect({ port, host, ...local, allowHalfOpen: true, noDelay: true });
  await inTime("connect", once(socket, "connect"));
  return new RawPeer(socket);
}

/** Sends bytes on a new connection and returns what came until the worker ended it. */
export async function askOnce(port: number, request: string): Promise<string> {
  const client = await connectRaw(port);
  client.send(request);
  const answer = await client.endsOrCloses();
  client.close();
  return answer;
}

/** A backend of raw sockets: records every byte, answers what the test says. */
export class RawBackend {
  readonly peers: RawPeer[] = [];
  port = 0;
  private readonly server: Server;

  /** `onPeer` is called for each connection. */
  constructor(onPeer: (peer: RawPeer) => void = () => undefined) {
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const peer = new RawPeer(socket);
      this.peers.push(peer);
      onPeer(peer);
    });
  }

  async start(): Promise<this> {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  /** The connection number `index`; waits for it. */
  async peer(index = 0): Promise<RawPeer> {
    await eventually(`backend connection ${String(index)}`, () => this.peers.length > index);
    return this.peers[index]!;
  }

  /** Connections that are open stay so. */
  stopListening(): void {
    this.server.close();
  }

  /** Who has lost its connection finds nobody when it comes back at once. */
  close(): void {
    this.server.close();
    for (const peer of this.peers) peer.close();
  }
}

/** A backend that answers each request head with fixed bytes; bodies are not read. */
export function answering(response: string): RawBackend {
  return new RawBackend((peer) => {
    /** The end of what came before, in which the end of a head may begin. */
    let carried = "";
    peer.socket.on("data", (bytes: Buffer) => {
      const parts = (carried + bytes.toString("latin1")).split("\r\n\r\n");
      carried = parts.at(-1)?.slice(-3) ?? "";
      if (parts.length > 1) peer.send(response.repeat(parts.length - 1));
    });
  });
}

/** `GET path` with what HTTP/1.1 asks for, and more field lines. */
export function get(path: string, ...lines: readonly string[]): string {
  return [`GET ${path} HTTP/1.1`, "Host: example.lan", ...lines, "", ""].join("\r\n");
}

export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/**
 * A worker that serves one pool on one listener until the test ends: of raw backends, which it starts and
 * stops, or of ports. It must have let go of everything then.
 */
export async function serve(
  t: TestContext,
  options: {
    readonly backends?: readonly RawBackend[];
    readonly ports?: readonly number[];
    readonly timeouts?: Partial<PoolConfig["timeouts"]>;
    readonly listener?: Partial<ListenerConfig>;
    readonly settings?: Partial<PoolConfig>;
    readonly accessLog?: AccessLogConfig;
    /** Its process is the subject of the test: it is the real one, and nobody else's. */
    readonly isAlone?: boolean;
  },
): Promise<{ readonly worker: TestWorker; readonly port: number }> {
  const { backends = [], timeouts = {}, listener = {}, settings = {}, isAlone = false } = options;
  for (const backend of backends) await backend.start();
  const ports = options.ports ?? backends.map((backend) => backend.port);
  const started = await startWorker([pool({ ports, timeouts, settings })], listener, {
    accessLog: options.accessLog ?? null,
    shared: isAlone ? null : takeSharedProcess(),
  });
  t.after(async () => {
    for (const peer of RawPeer.open) peer.close();
    for (const backend of backends) backend.close();
    try {
      await started.worker.leavesNothing();
    } finally {
      await started.worker.stop();
    }
  });
  return started;
}

/** A raw client connection that the test's end closes. */
export async function openClient(
  t: TestContext,
  port: number,
  { host = "127.0.0.1", from }: { readonly host?: string; readonly from?: string } = {},
): Promise<RawPeer> {
  const peer = await connectRaw(port, host, from);
  t.after(() => {
    peer.close();
  });
  return peer;
}

/** A port on 127.0.0.1 on which nobody listens: connects are refused. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const DEAF = `
const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  require("node:fs").writeSync(1, String(server.address().port) + "\\n");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});`;

/** A port on which somebody listens but never accepts, and whose queue is full: SYNs are dropped. */
export async function deafPort(t: TestContext): Promise<number> {
  const child = spawn(process.execPath, ["-e", DEAF], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const [line] = (await inTime("the deaf server", once(child.stdout, "data"))) as [Buffer];
  const port = Number(line.toString());
  for (;;) {
    const filler = connect(port, "127.0.0.1");
    filler.on("error", () => filler.destroy());
    t.after(() => filler.destroy());
    const late = new Promise<"full">((resolve) => {
      setTimeout(resolve, 200, "full");
    });
    const connected = once(filler, "connect").then(() => "connected");
    if ((await Promise.race([connected, late])) === "full") {
      // The end of the test destroys it, and nobody waits for it any more.
      connected.catch(() => undefined);
      return port;
    }
  }
}
