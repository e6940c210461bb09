// Pairs of peer links on addresses of their own in 127.0.0.0/8, and what a bad peer can be made of.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { WebSocket } from "ws";
import { dialPeer } from "../../src/control/peer-dial.ts";
import { PeerLink } from "../../src/control/peer-link.ts";
import { PeerListener } from "../../src/control/peer-listener.ts";
import { deriveKey } from "../../src/control/peer-security.ts";
import { PROTOCOL_VERSION } from "../../src/control/peer-frame.ts";
import type { ChangesMessage, ConfigMessage } from "../../src/control/peer-frame.ts";
import type { Advertisement } from "../../src/election/advertisement.ts";
import { monotonicClock } from "../../src/system/clock.ts";

export const SECRET = "a secret of the test";
const INTERVAL_MS = 50;
export const GROUPS = [{ name: "default", addresses: ["192.0.2.1"] }];
const CHILD = join(import.meta.dirname, "fixtures/peer-link-child.ts");

/** What a node sees of one path: its own address and where it dials. */
interface Ends {
  readonly self: string;
  readonly peer: string;
}

export interface Place {
  readonly a: string;
  readonly b: string;
  readonly port: number;
  /** What node a and node b see of each path; absent: the one path from `a` to `b`. */
  readonly paths?: readonly { readonly a: Ends; readonly b: Ends }[];
}

/** An address of this test process that nothing has used before. */
let addresses = 0;
export function newAddress(): string {
  addresses += 1;
  return `127.41.${String(10 + (process.pid % 200))}.${String(addresses)}`;
}

/** Two addresses for one test and a port that is free. */
export async function newPlace(): Promise<Place> {
  const a = newAddress();
  const b = newAddress();
  const server = createServer();
  server.listen(0, a);
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  server.close();
  await once(server, "close");
  return { a, b, port: address.port };
}

/** The paths of a place as one of its nodes sees them. */
function pathsOf(place: Place, name: "a" | "b"): readonly Ends[] {
  const { paths } = place;
  if (paths !== undefined) return paths.map((path) => path[name]);
  return [{ self: place[name], peer: place[name === "a" ? "b" : "a"] }];
}

interface Seen {
  readonly events: string[];
  readonly at: Map<string, number>;
  readonly heard: Advertisement[];
  readonly logged: string[];
}

export interface Node extends Seen {
  readonly link: PeerLink;
  /** What a test does with what comes, beside what is noted anyway. */
  readonly listeners: {
    changes?: (message: ChangesMessage) => void;
    config?: (message: ConfigMessage) => void;
    advertisement?: (said: Advertisement) => void;
  };
  say(change?: Partial<Advertisement> & { readonly group?: string }): void;
}

export function nodeOf(
  t: TestContext,
  name: "a" | "b",
  place: Place,
  change: { secret?: string; selfName?: string; peerName?: string; silenceMs?: number } = {},
): Node {
  const other = name === "a" ? "b" : "a";
  const selfName = change.selfName ?? name;
  const seen: Seen = { events: [], at: new Map(), heard: [], logged: [] };
  const note = (event: string): void => {
    seen.events.push(event);
    seen.at.set(event, monotonicClock());
  };
  const logLine = (_subject: object, event: string): void => {
    seen.logged.push(event);
  };
  const listeners: Node["listeners"] = {};
  const link = new PeerLink({
    self: { name: selfName },
    groups: GROUPS,
    peer: { name: change.peerName ?? other },
    paths: pathsOf(place, name),
    port: place.port,
    secret: change.secret ?? SECRET,
    intervalMs: INTERVAL_MS,
    silenceMs: change.silenceMs ?? INTERVAL_MS * 3.5,
    clock: monotonicClock,
    log: { debug: logLine, info: logLine, warn: logLine, error: logLine },
    events: {
      advertisement: (advertisement) => {
        seen.heard.push(advertisement);
        listeners.advertisement?.(advertisement);
      },
      changes: (message) => listeners.changes?.(message),
      config: (message) => listeners.config?.(message),
      dead: ({ everHeard }) => note(everHeard ? "dead" : "never-there"),
      estranged: () => note("estranged"),
      connected: () => note("connected"),
      disconnected: () => note("disconnected"),
    },
  });
  t.after(() => link.stop());
  link.start();
  return { ...seen, link, listeners, say: (said) => link.send(advertisementOf(selfName, said)) };
}

/** Says something new each interval until the test ends; the result is when each epoch was said. */
export function keepTalking(t: TestContext, node: Node): ReadonlyMap<number, number> {
  const saidAtMs = new Map<number, number>();
  let epoch = 0;
  const timer = setInterval(() => {
    epoch += 1;
    saidAtMs.set(epoch, monotonicClock());
    node.say({ epoch });
  }, INTERVAL_MS);
  t.after(() => clearInterval(timer));
  return saidAtMs;
}

export function advertisementOf(
  node: string,
  change: Partial<Advertisement> & { readonly group?: string } = {},
): Advertisement {
  const base = {
    group: "default",
    role: "standby",
    priority: 100,
    impairment: 0,
    damped: false,
    epoch: 1,
    heard: 0,
    ready: true,
    intent: "none",
    configHash: "x",
    intervalMs: INTERVAL_MS,
    leaseGoneMs: 2100,
  } as const;
  return { node, ...base, ...change };
}

export async function eventually(holds: () => boolean, limitMs = 5000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!holds()) {
    assert.ok(
      performance.now() < deadline,
      `did not become true within ${String(limitMs)} ms: ${holds.toString()}`,
    );
    // oxlint-disable-next-line no-await-in-loop -- polls until the deadline above
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function startChild(
  t: TestContext,
  place: Place,
  silenceMs = INTERVAL_MS * 3.5,
): Promise<ChildProcess> {
  const child = spawn(
    process.execPath,
    [CHILD, JSON.stringify({ port: place.port, silenceMs, paths: pathsOf(place, "b") })],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  t.after(() => child.kill("SIGKILL"));
  assert.ok(child.stdout);
  await once(child.stdout, "data", { signal: AbortSignal.timeout(10_000) });
  return child;
}

/** Something that has b's name and the secret, but says what it likes: sent on each connection from a. */
export function startImpostor(t: TestContext, place: Place, talk: (webSocket: WebSocket) => void): void {
  const listener = new PeerListener({
    self: { name: "b", address: place.b },
    peer: { name: "a", address: place.a },
    port: place.port,
    key: deriveKey(SECRET),
    events: {
      opened: (webSocket) => {
        webSocket.on("error", () => {});
        talk(webSocket);
      },
      refused() {},
      problem() {},
    },
  });
  t.after(() => {
    listener.stop();
    listener.cut();
  });
  listener.start();
}

export function frame(change: object): string {
  return JSON.stringify({
    v: PROTOCOL_VERSION,
    n: 1,
    kind: "advertisement",
    boot: "x",
    seq: 1,
    groups: 1,
    addresses: [],
    ...advertisementOf("b"),
    ...change,
  });
}

export async function listenPlain(
  t: TestContext,
  host: string,
  port: number,
  serve: (s: Socket) => void,
): Promise<Server> {
  const server = createServer(serve);
  t.after(() => server.close());
  server.listen(port, host);
  await once(server, "listening");
  return server;
}

/** A WebSocket to node a, authenticated as b, that says only what the test makes it say. */
export function dialAsPeer(t: TestContext, place: Place): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    dialPeer(
      {
        self: { name: "b", address: place.b },
        peer: { name: "a", address: place.a },
        port: place.port,
        key: deriveKey(SECRET),
        connectTimeoutMs: 2000,
      },
      (outcome) => {
        if (outcome.kind !== "open") {
          reject(new Error(outcome.kind));
          return;
        }
        t.after(() => outcome.webSocket.terminate());
        resolve(outcome.webSocket);
      },
    );
  });
}
