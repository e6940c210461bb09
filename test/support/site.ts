// The place where the nodes of one test live: a directory of its own with configuration, secret and hook, a
// network of its own within 127.40.0.0/16, and everything that was started in it, which ends with the test.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { startBackend, type Backend } from "./backend.ts";
import { expectNothingForgotten } from "./forgotten.ts";
import { type HookCall, hookCalls, longestOverlapMs } from "./hook-calls.ts";
import { VipairProcess, type VipairOptions } from "./vipair-process.ts";

export const SECRET = "integration-tests-know-this-secret";
export const PORT = 8080;
export const PEER_PORT = 7946;

/** As root where only root can put anything, because vipair refuses hooks and secrets that others could write. */
const PARENT_FOLDER = process.getuid?.() === 0 ? "/run" : tmpdir();
const HOOK = join(import.meta.dirname, "hook.sh");
/** Held for as long as this process lives, so that no other test process uses the same network. */
const LOCK_PORT = 40_000;
/** A pair takes seconds to come to rest, and needs the processor for it. */
const REST_EVERY_MS = 100;
const NETWORKS_MAX = 250;
const HOSTS_MAX = 250;

let network: { readonly prefix: string; readonly lock: Server; lastHost: number } | undefined;

/** An address that nobody else uses: every 127.x address is local on Linux. */
async function newAddress(): Promise<string> {
  network ??= await takeNetwork();
  network.lastHost += 1;
  if (network.lastHost > HOSTS_MAX) throw new Error("no address is left for this test file");
  return `${network.prefix}.${String(network.lastHost)}`;
}

async function takeNetwork(): Promise<{ prefix: string; lock: Server; lastHost: number }> {
  for (let third = 0; third < NETWORKS_MAX; third += 1) {
    const prefix = `127.40.${String(third)}`;
    const lock = createServer();
    lock.unref();
    lock.listen({ host: `${prefix}.254`, port: LOCK_PORT, exclusive: true });
    const taken = await Promise.race([
      once(lock, "listening").then(() => true),
      new Promise<boolean>((resolve) => {
        lock.once("error", () => {
          resolve(false);
        });
      }),
    ]);
    if (taken) return { prefix, lock, lastHost: 0 };
  }
  throw new Error("no network is left in 127.40.0.0/16");
}

/** How hot or full the machine of the tests is is none of their stories, and each look at it starts a process. */
const NO_VITALS = Object.fromEntries(
  ["temperature", "memory", "disk", "underVoltage"].map((vital) => [vital, { weight: 0 }]),
);

export interface PairOptions {
  /** Keys of `pair` that differ from the site's. */
  readonly pair?: Readonly<Record<string, unknown>>;
  /** Top-level keys that differ from the site's. */
  readonly top?: Readonly<Record<string, unknown>>;
}

export const NODES = ["a", "b"] as const;
export type NodeName = (typeof NODES)[number];

/** `address` is HOST:PORT. */
export type SiteBackend = Backend & { readonly address: string };

export class Site {
  readonly folder = mkdtempSync(join(PARENT_FOLDER, "vipair-test-"));
  readonly #closing: (() => unknown)[] = [];

  /** Closed when the test has ended, however it ends. */
  static open(t: TestContext): Site {
    const site = new Site();
    t.after(() => site.#close());
    return site;
  }

  async address(): Promise<string> {
    return newAddress();
  }

  /** Writes a configuration: text, or an object, which is written as JSON, as YAML contains it. */
  config(content: string | object, name = "vipair.yaml"): string {
    const path = join(this.folder, name);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content, null, 2));
    return path;
  }

  /** A file in the site's directory; only its owner may read it. */
  file(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  /** A directory in the site's directory. */
  directory(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  async backend(name: string, { port = 0 } = {}): Promise<SiteBackend> {
    const host = await this.address();
    const backend = await startBackend({ name, host, port });
    let isOpen = true;
    const close = async () => {
      if (!isOpen) return;
      isOpen = false;
      await backend.close();
    };
    this.#closing.push(close);
    return { ...backend, close, address: `${host}:${String(backend.port)}` };
  }

  /** Its workers must have closed by then what their clients and backends have closed. */
  start(options: VipairOptions): VipairProcess {
    const vipair = new VipairProcess(options);
    this.#closing.push(async () => {
      try {
        if (vipair.isRunning) await expectNothingForgotten(vipair.workers());
      } finally {
        await vipair.kill();
      }
    });
    return vipair;
  }

  /** Does this when the test has ended, before the nodes that were started earlier are killed. */
  atEnd(action: () => unknown): void {
    this.#closing.push(action);
  }

  /** A pair that is not started yet; `a` is preferred. One worker each, and no grace that a test would wait for. */
  async pair(options: PairOptions = {}): Promise<PairSite> {
    // Written, not copied: a copy would keep its owner, who need not be root.
    writeFileSync(join(this.folder, "hook"), readFileSync(HOOK), { mode: 0o755 });
    this.file("secret", `${SECRET}\n`);
    const backend = await this.backend("one");
    return new PairSite(this, {
      addresses: { a: await this.address(), b: await this.address() },
      virtualAddress: await this.address(),
      backend,
      options,
    });
  }

  async #close(): Promise<void> {
    for (const action of this.#closing.toReversed()) await action();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Both nodes of a pair on loopback, sharing one virtual address through test/support/hook.sh. */
export class PairSite {
  readonly site: Site;
  readonly virtualAddress: string;
  readonly addresses: Readonly<Record<NodeName, string>>;
  readonly backend: SiteBackend;
  readonly #options: PairOptions;

  constructor(
    site: Site,
    layout: {
      readonly addresses: Readonly<Record<NodeName, string>>;
      readonly virtualAddress: string;
      readonly backend: SiteBackend;
      readonly options: PairOptions;
    },
  ) {
    this.site = site;
    this.addresses = layout.addresses;
    this.virtualAddress = layout.virtualAddress;
    this.backend = layout.backend;
    this.#options = layout.options;
  }

  /** The configuration of both nodes, with changes. */
  content({ pair = {}, top = {} }: PairOptions = {}): Record<string, unknown> {
    return {
      pair: {
        nodes: {
          a: { address: this.addresses.a, priority: 150 },
          b: { address: this.addresses.b, priority: 100 },
        },
        secretFile: "secret",
        port: PEER_PORT,
        advertisementInterval: "100ms",
        hook: "hook",
        vitals: NO_VITALS,
        ...this.#options.pair,
        ...pair,
      },
      virtualAddresses: [{ address: `${this.virtualAddress}/8`, interface: "lo" }],
      listeners: [{ name: "web", bind: `vip:${String(PORT)}`, pool: "web" }],
      pools: { web: { backends: [this.backend.address], health: { kind: "none" } } },
      workers: 1,
      shutdownGrace: "2s",
      ...this.#options.top,
      ...top,
    };
  }

  /** Starts a node; `changes` and `env` make it differ from its peer. */
  start(
    node: NodeName,
    { changes, env = {} }: { readonly changes?: PairOptions; readonly env?: Record<string, string> } = {},
  ): VipairProcess {
    const config = this.site.config(this.content(changes), `${node}.yaml`);
    return this.site.start({ config, node, runtimeDir: join(this.site.folder, node), env });
  }

  /** Ends when a is active and b is standby and ready. One after the other, so that it is always these. */
  async startBoth(): Promise<Record<NodeName, VipairProcess>> {
    const a = this.start("a");
    await a.becomes("active");
    const b = this.start("b");
    await this.isWell(b);
    return { a, b };
  }

  /** The node is a standby that would take over. */
  async isWell(standby: VipairProcess): Promise<void> {
    await standby.until(
      "a standby in touch with an active peer",
      ({ role, reason, peer }) => role === "standby" && reason === null && peer?.role === "active",
      { everyMs: REST_EVERY_MS },
    );
  }

  /** Ends when exactly this node is active and the other one a standby that would take over. */
  async isSettled(active: VipairProcess, standby: VipairProcess): Promise<void> {
    await active.becomes("active");
    await this.isWell(standby);
    const { role } = await active.status();
    if (role !== "active") throw new Error(`the active is ${role} again`);
  }

  /** Makes an action of the hook fail or hang on a node. */
  sabotage(node: NodeName, action: "claim" | "renew" | "release", way: "fails" | "hangs"): () => void {
    const path = this.site.file(`${action}-${way}.${node}`, "");
    return () => {
      rmSync(path);
    };
  }

  hookCalls(): readonly HookCall[] {
    return hookCalls(this.site.folder);
  }

  longestOverlapMs(): number {
    return longestOverlapMs(this.site.folder);
  }
}
