// Client connections of the engine in this process, on whatever stream a test brings: what is said of a ByteStream
// (proxy/stream.ts) must be all that the engine asks for.

import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import type { TestContext } from "node:test";
import { DEFAULT_HEAD_LIMITS } from "../../src/http1/scan.ts";
import type { FromWorker } from "../../src/protocol/worker.ts";
import { ClientConnection } from "../../src/proxy/client-connection.ts";
import { type Context, createTally } from "../../src/proxy/context.ts";
import { Listener } from "../../src/proxy/listener.ts";
import { Pool } from "../../src/proxy/pool.ts";
import { RequestIds } from "../../src/proxy/request-id.ts";
import { Timers } from "../../src/proxy/timers.ts";
import { createLog } from "../../src/system/log.ts";
import { eventually, pool, workerConfig } from "./harness.ts";

export interface StreamRig {
  readonly context: Context;
  /** Requests in flight at the backends. */
  readonly inFlight: () => number;
  /** A client has come in over this stream. */
  readonly take: (stream: Duplex) => ClientConnection;
}

/** A listener over pools of backends on these ports. At the end of the test nothing of it may be left. */
export function openStreamRig(t: TestContext, ports: readonly number[]): StreamRig {
  const config = workerConfig([pool({ ports })]);
  const pools = new Map<string, Pool>();
  const context: Context = {
    log: createLog({ level: "error", subject: {} }),
    accessLog: null,
    node: "test",
    workers: 1,
    requestIds: new RequestIds(),
    timers: new Timers(),
    tally: createTally(),
    responseHeadLimits: DEFAULT_HEAD_LIMITS,
    pools,
    ownsSockets: true,
    tell: (message: FromWorker) => {
      assert.equal(message.kind, "backend-failure");
    },
  };
  for (const entry of config.pools) pools.set(entry.name, new Pool(context, entry, {}, config.stickyKey));
  const [entry] = config.listeners;
  assert.ok(entry !== undefined);
  const listener = new Listener(entry, config);
  const open = new Set<ClientConnection>();
  const inFlight = (): number =>
    [...pools.values()]
      .flatMap((one) => Object.values(one.backendCounters))
      .reduce((sum, { activeConnections }) => sum + activeConnections, 0);
  t.after(async () => {
    for (const connection of open) connection.cut();
    await eventually("no connection is left", () => context.tally.connections === 0 && inFlight() === 0);
    for (const one of pools.values()) one.retire();
  });
  return {
    context,
    inFlight,
    take: (stream) => {
      const connection = new ClientConnection({
        context,
        listener,
        stream,
        sender: { address: "192.0.2.1", isTrusted: false, scheme: "https" },
        onClosed: (closed) => open.delete(closed),
      });
      open.add(connection);
      return connection;
    },
  };
}
