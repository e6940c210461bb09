// Loaded into the worker processes of tests (--import), and imported where the engine runs in the test's own: counts,
// when a test asks, what the process holds besides what the engine says of itself. Node knows its sockets and timers, the garbage collector its
// objects; so a thing that the engine has forgotten is found all the same.

import { Socket } from "node:net";
import { queryObjects, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Attempt } from "../../src/proxy/attempt.ts";
import { BackendConnection } from "../../src/proxy/backend-connection.ts";
import { ClientConnection } from "../../src/proxy/client-connection.ts";
import { Exchange } from "../../src/proxy/exchange.ts";
import { Mirror } from "../../src/proxy/mirror.ts";
import { Tunnel } from "../../src/proxy/tunnel.ts";

/** What Node counts at no cost. */
export interface Holdings {
  /** Connected TCP sockets. */
  readonly sockets: number;
  /** Listening ones. */
  readonly servers: number;
  readonly timers: number;
  /** Written by the engine, not taken by the kernel. */
  readonly unsentBytes: number;
}

export interface Census extends Holdings {
  /** Alive after a garbage collection, by class; empty when none is. */
  readonly objects: Readonly<Record<string, number>>;
  /** In Buffers that are alive after a garbage collection. */
  readonly bufferBytes: number;
  /** Of JavaScript objects that are alive after a garbage collection. */
  readonly heapBytes: number;
  /** Of the process in RAM, before and after the collection. */
  readonly residentBytes: { readonly before: number; readonly after: number };
}

export type FromCensus =
  | { readonly kind: "holdings"; readonly holdings: Holdings }
  | { readonly kind: "census"; readonly census: Census };

const CLASSES = { Attempt, BackendConnection, ClientConnection, Exchange, Mirror, Tunnel };

/** Stands above all of them: each walk over the heap costs seven collections, so one must do as long as it finds nothing. */
class Counted {
  readonly isCounted = true;
}

for (const { prototype } of Object.values(CLASSES)) Object.setPrototypeOf(prototype, Counted.prototype);

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function takeCensus(): Census {
  const before = process.memoryUsage.rss();
  const holdings = countHoldings();
  const objects = countObjects();
  // The first one finds the buffers, the second one waits until they are freed.
  collectGarbage();
  collectGarbage();
  const memory = process.memoryUsage();
  return {
    ...holdings,
    objects,
    bufferBytes: memory.arrayBuffers,
    heapBytes: memory.heapUsed,
    residentBytes: { before, after: memory.rss },
  };
}

export function countHoldings(): Holdings {
  const resources = process.getActiveResourcesInfo();
  const count = (name: string): number => resources.filter((resource) => resource === name).length;
  return {
    sockets: count("TCPSocketWrap"),
    servers: count("TCPServerWrap"),
    timers: count("Timeout"),
    unsentBytes: unsentBytes(),
  };
}

export function countObjects(): Census["objects"] {
  const classes = Object.entries(CLASSES);
  // The prototypes of the classes are found too.
  if (queryObjects(Counted, { format: "count" }) === classes.length) return {};
  return Object.fromEntries(classes.map(([name, ctor]) => [name, queryObjects(ctor, { format: "count" })]));
}

function unsentBytes(): number {
  const handles = (Reflect.get(process, "_getActiveHandles") as () => unknown[]).call(process);
  return handles.reduce<number>(
    (sum, handle) =>
      sum + (handle instanceof Socket && handle.remotePort !== undefined ? handle.writableLength : 0),
    0,
  );
}

/** Messages wait for the first listener: this one must not be the first, or the worker would miss some. */
function listenBesideWorker(event: string | symbol): void {
  if (event !== "message") return;
  process.off("newListener", listenBesideWorker);
  process.on("message", (message: { readonly kind: string }) => {
    if (message.kind === "holdings") process.send?.({ kind: "holdings", holdings: countHoldings() });
    if (message.kind === "census") process.send?.({ kind: "census", census: takeCensus() });
  });
}

process.on("newListener", listenBesideWorker);
