// The data plane of one worker: what the control process told it, turned into listeners, pools and
// listening sockets that work. It neither forks nor exits; worker.ts does.

import { Server, Socket } from "node:net";
import { DEFAULT_HEAD_LIMITS } from "../http1/scan.ts";
import type { FromWorker, HealthTable, ToWorker, WorkerConfig, WorkerCounters } from "../protocol/worker.ts";
import type { PoolHealth } from "../routing/pool.ts";
import type { Log } from "../system/log.ts";
import { AccessLog } from "./access-log.ts";
import { type Context, createTally } from "./context.ts";
import { Listener } from "./listener.ts";
import { ConnectionGroup, ListeningSocket } from "./listening-socket.ts";
import { Pool } from "./pool.ts";
import { RequestIds } from "./request-id.ts";
import { Timers } from "./timers.ts";

const ALL_UP: PoolHealth = {};

export class Engine {
  private readonly context: Context;
  private readonly pools = new Map<string, Pool>();
  private readonly listeners = new Map<string, Listener>();
  private readonly sockets = new Map<string, ListeningSocket>();
  /** By listener name: connections that the control process accepted. */
  private readonly strays = new Map<string, ConnectionGroup>();
  private readonly onDrained: () => void;
  private readonly createLog: (level: string) => Log;
  private logLevel = "info";
  /** Set while a drain is under way: looks whether it has ended. */
  private afterDrain: (() => void) | null = null;

  constructor(options: {
    readonly createLog: (level: string) => Log;
    readonly tell: (message: FromWorker) => void;
    /** A drain has ended: nothing is left. */
    readonly onDrained: () => void;
    /** As in Context. */
    readonly ownsSockets: boolean;
  }) {
    this.onDrained = options.onDrained;
    this.createLog = options.createLog;
    this.context = {
      log: options.createLog(this.logLevel),
      accessLog: null,
      tell: options.tell,
      ownsSockets: options.ownsSockets,
      node: "",
      workers: 1,
      timers: new Timers(),
      requestIds: new RequestIds(),
      tally: createTally(),
      responseHeadLimits: DEFAULT_HEAD_LIMITS,
      pools: this.pools,
    };
  }

  /** Does what a message says. `handle` came with it. */
  obey(message: ToWorker, handle: unknown): void {
    switch (message.kind) {
      case "configure":
        this.configure(message.config, message.health);
        break;
      case "health":
        for (const [name, pool] of this.pools) pool.setHealth(healthOf(message.health, name));
        break;
      case "listen":
        this.listen(message.listener, message.socketId, handle);
        break;
      case "connection":
        this.takeStray(message.listener, handle);
        break;
      case "close":
        this.close(message.socketId, message.graceMs);
        break;
      case "cut":
        for (const group of [...this.sockets.values(), ...this.strays.values()])
          group.cutAt(message.addresses);
        break;
      case "report":
        this.report();
        break;
      case "drain":
        this.drain(message.graceMs);
        break;
    }
  }

  /** Reports if something was counted since the last time. */
  reportChanges(): void {
    if (this.context.tally.hasChanged) this.report();
  }

  private configure(config: WorkerConfig, health: HealthTable): void {
    if (config.logLevel !== this.logLevel) this.context.log = this.createLog(config.logLevel);
    this.logLevel = config.logLevel;
    this.context.node = config.node;
    this.context.workers = config.workers;
    this.openAccessLog(config);
    for (const pool of config.pools) {
      const known = this.pools.get(pool.name);
      const poolHealth = healthOf(health, pool.name);
      if (known === undefined)
        this.pools.set(pool.name, new Pool(this.context, pool, poolHealth, config.stickyKey));
      else known.configure(pool, poolHealth, config.stickyKey);
    }
    const names = new Set(config.pools.map(({ name }) => name));
    for (const [name, pool] of this.pools) {
      if (!names.has(name)) pool.retire();
    }
    // A listener that left the configuration keeps its routes until the control process closes its sockets.
    for (const listener of config.listeners) {
      const known = this.listeners.get(listener.name);
      if (known === undefined) this.listeners.set(listener.name, new Listener(listener, config));
      else known.configure(listener, config);
    }
  }

  /** Also when nothing has changed: the file may have been moved away (logrotate). */
  private openAccessLog({ accessLog, node }: WorkerConfig): void {
    const { context } = this;
    context.accessLog?.retire();
    context.accessLog = null;
    if (accessLog === null) return;
    try {
      context.accessLog = new AccessLog({ config: accessLog, node, log: context.log });
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      context.log.error({ file: accessLog.file, problem }, "there is no access log until the next reload");
    }
  }

  /** Writes what logs still hold; as LineWriter.close. */
  async closeLogs(options: { readonly withinMs: number }): Promise<boolean> {
    const { accessLog } = this.context;
    this.context.accessLog = null;
    return (await accessLog?.close(options)) ?? true;
  }

  private listen(name: string, socketId: string, handle: unknown): void {
    const listener = this.listeners.get(name);
    if (!(handle instanceof Server)) {
      this.context.log.error({ listener: name, socketId }, "a listening socket did not arrive");
      return;
    }
    if (listener === undefined) {
      this.context.log.error({ listener: name, socketId }, "a socket came for an unknown listener");
      handle.close();
      return;
    }
    const socket = new ListeningSocket({
      id: socketId,
      context: this.context,
      listener,
      handle,
      onListening: () => {
        this.context.tell({ kind: "listening", socketId });
      },
    });
    this.sockets.set(socketId, socket);
  }

  private takeStray(name: string, handle: unknown): void {
    // A client that went while it was handed over arrives as nothing.
    if (!(handle instanceof Socket)) return;
    const listener = this.listeners.get(name);
    if (listener === undefined) {
      handle.destroy();
      return;
    }
    let group = this.strays.get(name);
    if (group === undefined) {
      group = new ConnectionGroup(this.context, listener);
      this.strays.set(name, group);
    }
    group.take(handle);
  }

  private close(socketId: string, graceMs: number): void {
    const socket = this.sockets.get(socketId);
    if (socket === undefined) {
      this.context.tell({ kind: "closed", socketId });
      return;
    }
    socket.close(graceMs, () => {
      this.forget(socketId);
    });
  }

  private forget(socketId: string): void {
    this.sockets.delete(socketId);
    this.context.tell({ kind: "closed", socketId });
    this.afterDrain?.();
  }

  private drain(graceMs: number): void {
    let strayGroups = this.strays.size;
    this.afterDrain = () => {
      if (this.sockets.size > 0 || strayGroups > 0) return;
      this.afterDrain = null;
      this.report();
      this.onDrained();
    };
    for (const group of this.strays.values()) {
      group.drain(graceMs, () => {
        strayGroups -= 1;
        this.afterDrain?.();
      });
    }
    for (const socketId of this.sockets.keys()) this.close(socketId, graceMs);
    this.afterDrain?.();
  }

  private report(): void {
    this.context.tally.hasChanged = false;
    this.context.tell({ kind: "report", counters: this.count() });
  }

  private count(): WorkerCounters {
    const { connections, requests, refusedConnections } = this.context.tally;
    const mirrors = { sent: this.context.tally.mirrored, dropped: this.context.tally.mirrorsDropped };
    const backends: Record<string, WorkerCounters["backends"][string]> = {};
    const pools: Record<string, WorkerCounters["pools"][string]> = {};
    for (const [name, pool] of this.pools) {
      if (!pool.isConfigured) continue;
      backends[name] = pool.backendCounters;
      pools[name] = pool.counters;
    }
    const breakers = [...this.pools.values()].flatMap((pool) => pool.breakers);
    return { connections, requests, refusedConnections, mirrors, backends, pools, breakers };
  }
}

function healthOf(health: HealthTable, pool: string): PoolHealth {
  return (Object.hasOwn(health, pool) ? health[pool] : undefined) ?? ALL_UP;
}
