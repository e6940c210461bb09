// What the suites of the strict rules share: an engine in this process behind a real listening socket, and a
// backend that records the exact bytes it received. In one process, two turns of the event loop
// after a write are enough for the other side to have read it, so pieces arrive as they were sent.
//
// Notation: "|" stands for CR LF.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import { after, afterEach, before } from "node:test";
import type { ListenerConfig, PoolConfig } from "../../src/config/config.ts";
import type { FromWorker } from "../../src/protocol/worker.ts";
import { Engine } from "../../src/proxy/engine.ts";
import { createLog } from "../../src/system/log.ts";
import { countHoldings, countObjects } from "./census.ts";
import { RawPeer, eventually, pool, workerConfig } from "./harness.ts";

export function wire(notation: string): string {
  return notation.replaceAll("|", "\r\n");
}

export function shown(text: string): string {
  return text.replaceAll("\r\n", "|");
}

/** The fields that a backend is told about a client, in the notation. */
export function told(authority: string): string {
  const host = authority === "" ? "" : `;host="${authority}"`;
  return (
    "X-Forwarded-For: 127.0.0.1|X-Forwarded-Proto: http|" +
    (authority === "" ? "" : `X-Forwarded-Host: ${authority}|`) +
    `X-Real-IP: 127.0.0.1|Forwarded: for=127.0.0.1${host};proto=http|`
  );
}

/** Long enough for all sides to have read what was written. */
export async function settle(turns = 3): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
}

/** Waits for a condition, looking in each turn of the event loop: these suites wait thousands of times. */
export async function until(what: () => string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!holds()) {
    assert.ok(performance.now() < end, `not in time: ${what()}`);
    await settle(1);
  }
}

/** How a message is cut into the pieces that it is sent in. */
export type Pieces = (text: string) => readonly string[];

export const WHOLE: Pieces = (text) => [text];
export const BYTE_BY_BYTE: Pieces = (text) => text.split("");

/** Sends pieces so that each is read by itself. */
export async function sendPieces(peer: RawPeer, pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    if (peer.socket.writable) peer.send(piece);
    await settle(2);
  }
}

/** One connection that the proxy made to the recording backend. */
export class Recorded extends RawPeer {
  /** Answers already given on it. */
  answered = 0;

  get isOver(): boolean {
    return this.hasEnded || this.hasClosed;
  }
}

/** Decides after each read what the backend does on a connection. */
export type Script = (connection: Recorded) => void;

/** A backend that records every byte; what it answers is the test's script. */
export class Recorder {
  connections: Recorded[] = [];
  script: Script = () => undefined;
  port = 0;
  private readonly open = new Set<Socket>();
  private readonly server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const connection = new Recorded(socket);
    this.open.add(socket);
    this.connections.push(connection);
    socket.on("data", () => {
      this.script(connection);
    });
    socket.on("end", () => socket.end());
    socket.on("close", () => this.open.delete(socket));
  });

  async start(): Promise<void> {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** What each connection received that received anything, in the notation. */
  get received(): string[] {
    return this.connections.map(({ text }) => shown(text)).filter((text) => text !== "");
  }

  /** Ends what the last case left behind, so that this case's connections are its own. */
  async reset(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    await settle();
    this.connections = [];
    this.script = () => undefined;
  }

  close(): void {
    for (const socket of this.open) socket.destroy();
    this.server.close();
  }
}

/** Answers each time another of the expected messages (in the notation) has come in full. */
export function answerEach(expected: readonly string[], answer: (index: number) => string): Script {
  let at = 0;
  const ends = expected.map((message) => (at += wire(message).length));
  return (connection) => {
    while (connection.answered < ends.length) {
      if (connection.received.length < (ends[connection.answered] ?? Infinity)) return;
      connection.send(answer(connection.answered));
      connection.answered += 1;
    }
  };
}

/** Answers with the bytes as soon as a request head is there, once for each connection. */
export function answerHead(bytes: string, then: (connection: Recorded) => void = () => undefined): Script {
  return (connection) => {
    if (connection.answered > 0 || !connection.text.includes("\r\n\r\n")) return;
    connection.answered = 1;
    connection.send(bytes);
    then(connection);
  };
}

export interface Rig {
  readonly backend: Recorder;
  /** A new client connection; it ends with the test. */
  readonly client: () => Promise<RawPeer>;
}

/**
 * The engine and the backend for all tests of one file. Each test must leave neither sockets nor timers behind, and the
 * file no object of the engine's.
 */
export function openRig(
  options: {
    readonly listener?: Partial<ListenerConfig>;
    readonly timeouts?: Partial<PoolConfig["timeouts"]>;
    /** As in the engine's context; true when not given. */
    readonly ownsSockets?: boolean;
  } = {},
): Rig {
  const backend = new Recorder();
  const clients: RawPeer[] = [];
  const reports: FromWorker[] = [];
  let port = 0;
  let close: (() => void) | null = null;
  /** Of the process, before there was any connection. */
  let timersBefore = 0;

  before(async () => {
    await backend.start();
    const { timeouts = {}, listener = {} } = options;
    const engine = new Engine({
      createLog: () => createLog({ level: "error", subject: {} }),
      tell: (message) => reports.push(message),
      onDrained: () => undefined,
      ownsSockets: options.ownsSockets ?? true,
    });
    const config = workerConfig([pool({ ports: [backend.port], timeouts })], listener);
    engine.obey({ kind: "configure", config, health: {} }, undefined);
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
    engine.obey({ kind: "listen", listener: "web", socketId: "s1" }, server);
    await eventually("listening", () => reports.some(({ kind }) => kind === "listening"));
    timersBefore = countHoldings().timers;
    close = () => {
      engine.obey({ kind: "drain", graceMs: 0 }, undefined);
      server.close();
    };
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await backend.reset();
    await until(
      () => `no socket and no timer is left: ${JSON.stringify(countHoldings())}`,
      () => {
        const { sockets, timers } = countHoldings();
        return sockets === 0 && timers <= timersBefore;
      },
    );
  });
  after(async () => {
    try {
      await until(
        () => `no exchange and no connection is left: ${JSON.stringify(countObjects())}`,
        () => Object.values(countObjects()).every((count) => count === 0),
      );
    } catch (error) {
      // What a broken engine has left behind would keep the process alive.
      setTimeout(() => process.exit(1), 10_000).unref();
      throw error;
    } finally {
      close?.();
      backend.close();
    }
  });

  return {
    backend,
    client: async () => {
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
      await once(socket, "connect");
      const peer = new RawPeer(socket);
      clients.push(peer);
      return peer;
    },
  };
}

/** One response of the proxy's own, and then the end of the connection. */
export function assertRefused(text: string, status: number): void {
  const [head = "", body = "", ...rest] = text.split("\r\n\r\n");
  const lines = head.split("\r\n");
  assert.match(lines[0] ?? "", new RegExp(`^HTTP/1\\.1 ${String(status)} `, "u"), shown(text));
  assert.ok(lines.includes("Connection: close"), shown(text));
  assert.ok(lines.includes(`Content-Length: ${String(body.length)}`), shown(text));
  assert.deepEqual(rest, []);
}
