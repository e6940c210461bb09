// Backends with a limit of connections, which answer when a test says so: what the tests of the queue and of the retries
// that wait in it share.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { BackendConfig, PoolConfig } from "../../src/config/config.ts";
import type { QueueConfig } from "../../src/config/resilience-config.ts";
import type { PoolCounters } from "../../src/protocol/worker.ts";
import {
  OK,
  RawBackend,
  type RawPeer,
  type TestWorker,
  eventually,
  get,
  openClient,
  serve,
} from "./harness.ts";

export const QUEUE: QueueConfig = { length: 10, timeoutMs: 5000 };
export const STICKY: NonNullable<PoolConfig["sticky"]> = {
  cookie: "vipair",
  ttlMs: null,
  path: "/",
  secure: "auto",
  httpOnly: true,
  sameSite: "lax",
  fallback: "another",
};

/** Takes requests and answers each when the test says so. */
export class Holding extends RawBackend {
  /** The paths of the requests that it has got, in their order. */
  readonly paths: string[] = [];
  private readonly held: RawPeer[] = [];

  constructor() {
    super((peer) => {
      let read = 0;
      peer.socket.on("data", () => {
        const asked = [...peer.text.matchAll(/^GET (\S+) /gmu)].slice(read);
        read += asked.length;
        for (const [, path = ""] of asked) {
          this.paths.push(path);
          this.held.push(peer);
        }
      });
    });
  }

  async has(...paths: readonly string[]): Promise<void> {
    await eventually(
      () => `${paths.join(" ")} (got ${this.paths.join(" ")})`,
      () => this.paths.length >= paths.length,
    );
    assert.deepEqual(this.paths, paths);
  }

  /** Answers the oldest one. */
  answer(): void {
    const peer = this.held.shift();
    assert.ok(peer !== undefined, "nothing is held");
    peer.send(OK);
  }
}

export interface Limited {
  readonly worker: TestWorker;
  readonly port: number;
  readonly backends: readonly Holding[];
  /** Sends a request on a new connection. */
  readonly ask: (path: string, ...lines: readonly string[]) => Promise<RawPeer>;
  /** As `ask`, and waits until it is in the queue. */
  readonly queue: (path: string, ...lines: readonly string[]) => Promise<RawPeer>;
  readonly counters: () => Promise<PoolCounters>;
}

/** As many backends as limits; Infinity: none. */
export async function limited(
  t: TestContext,
  limits: readonly number[],
  settings: Partial<PoolConfig> = {},
  backends: readonly Holding[] = limits.map(() => new Holding()),
): Promise<Limited> {
  await startAll(t, backends);
  const { worker, port } = await serve(t, {
    settings: { queue: QUEUE, backends: configs(backends, limits), ...settings },
  });
  const ask: Limited["ask"] = async (path, ...lines) => {
    const client = await openClient(t, port);
    client.send(get(path, ...lines));
    return client;
  };
  const counters: Limited["counters"] = async () => {
    const found = (await worker.counters()).pools["web"];
    assert.ok(found !== undefined);
    return found;
  };
  const queue: Limited["queue"] = async (path, ...lines) => {
    const before = (await counters()).queued;
    const client = await ask(path, ...lines);
    await eventually(`${path} waits`, async () => (await counters()).queued > before);
    return client;
  };
  return { worker, port, backends, ask, queue, counters };
}

/** Their ports are needed before there is a worker. */
export async function startAll(t: TestContext, backends: readonly RawBackend[]): Promise<void> {
  t.after(() => {
    for (const backend of backends) backend.close();
  });
  for (const backend of backends) await backend.start();
}

export function configs(
  backends: readonly RawBackend[],
  limits: readonly number[],
): readonly BackendConfig[] {
  return backends.map(({ port }, i) => {
    const limit = limits[i] ?? Infinity;
    return {
      name: `b${String(i + 1)}`,
      host: "127.0.0.1",
      port,
      weight: 1,
      isBackup: false,
      ...(limit === Infinity ? {} : { maxConnections: limit }),
    };
  });
}

/** A cookie that binds its client to the backend that answers next. */
export async function cookieOf({ ask }: Limited, backend: Holding): Promise<string> {
  const client = await ask("/cookie");
  await eventually("it is asked", () => backend.paths.includes("/cookie"));
  backend.answer();
  const text = await client.receives("ok");
  client.close();
  backend.paths.length = 0;
  return `Cookie: ${/Set-Cookie: ([^;]+);/u.exec(text)?.[1] ?? "none"}`;
}
