// The same inputs through the whole engine: sockets, exchanges and kept connections to a backend of node:http. What that
// backend reads must be the messages that the pure part accepted, one for one and in order: no state of the
// shell may make another request of any byte.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, createServer } from "node:http";
import { type AddressInfo, connect, createServer as createListener } from "node:net";
import { after, before, test } from "node:test";
import * as fc from "fast-check";
import type { FromWorker } from "../../src/protocol/worker.ts";
import { Engine } from "../../src/proxy/engine.ts";
import { resolveTarget } from "../../src/routing/path.ts";
import { createLog } from "../../src/system/log.ts";
import { LIMITS, eventually, pool, workerConfig } from "../proxy/harness.ts";
import { readCorpus } from "./corpus.ts";
import { SENDER, forwardRequests } from "./engine.ts";
import { requestCases } from "./messages.ts";
import { type Message, collect, isMethodKnown, readRequests } from "./node-parser.ts";

let read: Message[] = [];
let faults: string[] = [];
let port = 0;

const backend = createServer({ keepAliveTimeout: 0, maxHeaderSize: 65_536 });
const engine = new Engine({
  createLog: () => createLog({ level: "error", subject: {} }),
  tell: (message: FromWorker) => reports.push(message),
  onDrained: () => undefined,
  ownsSockets: true,
});
const reports: FromWorker[] = [];
const server = createListener();

function receive(message: IncomingMessage, answer: { end: (text: string) => void }): void {
  collect(message, (whole) => {
    read.push(whole);
    answer.end("ok");
  });
  // An upload that is cut is no message.
  message.on("error", () => undefined);
}

before(async () => {
  backend.on("request", receive).on("checkContinue", receive).on("checkExpectation", receive);
  backend.on("clientError", (error: Error & { code?: string }, socket) => {
    // What is cut is cut on purpose; everything else was forwarded and is wrong.
    const isCut = error.code === "ECONNRESET" || error.code === "HPE_INVALID_EOF_STATE";
    if (!isCut) faults.push(error.code ?? error.message);
    socket.destroy();
  });
  backend.listen(0, "127.0.0.1");
  await once(backend, "listening");
  const config = workerConfig([pool({ ports: [(backend.address() as AddressInfo).port] })], {
    limits: { ...LIMITS, headBytes: 32_768 },
  });
  engine.obey({ kind: "configure", config, health: {} }, undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
  engine.obey({ kind: "listen", listener: "web", socketId: "s1" }, server);
  await eventually("listening", () => reports.some(({ kind }) => kind === "listening"));
});

after(() => {
  engine.obey({ kind: "drain", graceMs: 0 }, undefined);
  server.close();
  backend.close();
  backend.closeAllConnections();
});

/** Sends the pieces on one connection, ends it, and waits until the proxy has ended it too. */
async function send(pieces: readonly string[]): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  let got = "";
  socket.on("data", (bytes: Buffer) => {
    got += bytes.toString("latin1");
  });
  socket.on("error", () => undefined);
  const over = Promise.race([once(socket, "end"), once(socket, "close")]).catch(() => undefined);
  for (const piece of pieces) {
    if (socket.writable) socket.write(piece, "latin1");
    await new Promise(setImmediate);
  }
  socket.end();
  await over;
  socket.destroy();
  return got;
}

/** The engine resolves dot segments; test/routing holds that against another reading of URLs. */
function resolved(message: Message): Message {
  const [method = "", target = "", version = ""] = message.start.split(" ");
  return { ...message, start: `${method} ${resolveTarget(target)} ${version}` };
}

test("what a backend reads is what was accepted, one for one and in order", async () => {
  let accepted = 0;
  const cases = requestCases(readCorpus().requests.map(({ bytes }) => bytes));
  const property = fc.asyncProperty(cases, async ({ input, splits }) => {
    const { ends, forwarded, begun } = forwardRequests(input, []);
    // The backend is llhttp, which ends at a method that it does not know.
    const methods = [...forwarded, begun].map((text) => text.slice(0, Math.max(0, text.indexOf(" "))));
    if (!methods.every((method) => method === "" || isMethodKnown(method))) return;
    accepted += ends.length;
    const expected: Message[] = [];
    for (const text of forwarded) {
      const { messages } = await readRequests(text.replaceAll(SENDER.address, "127.0.0.1"));
      expected.push(...messages.map(resolved));
    }
    assert.equal(expected.length, ends.length);
    read = [];
    faults = [];
    const borders = [0, ...splits.filter((at) => at < input.length), input.length];
    const got = await send(borders.slice(1).map((end, i) => input.slice(borders[i], end)));
    assert.deepEqual(read, expected);
    assert.deepEqual(faults, []);
    assert.ok(got.split("HTTP/1.1 200 OK\r\n").length - 1 <= ends.length, "more answers than requests");
  });
  await fc.assert(property, { numRuns: 100_000, interruptAfterTimeLimit: 4000 });
  assert.ok(accepted > 50, `only ${String(accepted)} were accepted`);
});
