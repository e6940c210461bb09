// What 8,000 clients cost that are connected and ask nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { test } from "node:test";
import { LIMITS, eventually, get, serve } from "../proxy/harness.ts";
import { startEchoBackend } from "../support/echo-backend.ts";
import { openFilesMax, residentBytes } from "../support/resident.ts";

const CONNECTIONS = 8000;
const BYTES_EACH_MAX = 15_000;
/** At once: the kernel's queue of new connections is finite. */
const STEP = 200;
const RESERVE = 500;

test("8,000 idle kept-alive connections take at most 15 KB each, and all of them still work", async (t) => {
  const wanted = Math.min(CONNECTIONS, openFilesMax() - RESERVE);
  assert.ok(wanted >= 3000, `only ${String(openFilesMax())} open files are allowed here (ulimit -Hn)`);
  const backend = await startEchoBackend();
  t.after(() => {
    backend.close();
  });
  const { worker, port } = await serve(t, {
    isAlone: true,
    ports: [backend.port],
    listener: { limits: LIMITS, timeouts: { headMs: 60_000, idleMs: 300_000 } },
  });
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  // Code that has not run yet is not what connections cost.
  await openMany(STEP * 2);
  await worker.census();
  const before = residentBytes(worker.process.pid);
  const first = sockets.length;
  while (sockets.length < first + wanted) await openMany(Math.min(STEP, first + wanted - sockets.length));
  const each = (residentBytes(worker.process.pid) - before) / wanted;
  await worker.census();
  const eachAfter = (residentBytes(worker.process.pid) - before) / wanted;
  t.diagnostic(
    `${String(wanted)} connections: ${each.toFixed(0)} bytes each, ${eachAfter.toFixed(0)} after a garbage collection`,
  );
  assert.ok(each <= BYTES_EACH_MAX, `${each.toFixed(0)} bytes each`);
  assert.equal((await worker.counters()).connections, sockets.length);
  for (let i = 0; i < sockets.length; i += 97) await ask(sockets[i]!);
  for (const socket of sockets) socket.destroy();

  async function openMany(count: number): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, async () => {
        const socket = connect({ port, host: "127.0.0.1", noDelay: true });
        sockets.push(socket);
        await once(socket, "connect");
        await ask(socket);
      }),
    );
  }
});

async function ask(socket: Socket): Promise<void> {
  let text = "";
  const hear = (bytes: Buffer): void => {
    text += bytes.toString("latin1");
  };
  socket.on("data", hear);
  socket.write(get("/bytes/2/1"));
  await eventually("an answer", () => /\r\n\r\n[^]{2}$/u.test(text));
  socket.off("data", hear);
}
