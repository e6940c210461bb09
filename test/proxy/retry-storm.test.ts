// Many requests through backends that reset, refuse, hang and are full, all by chance: each client is answered, and nothing
// that was counted or held on the way stays behind.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  OK,
  RETRY,
  RawBackend,
  type RawPeer,
  eventually,
  get,
  openClient,
  pool,
  serve,
  workerConfig,
} from "./harness.ts";
import { Holding, configs, startAll } from "./queue-rig.ts";

const BUSY = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
const HALF = "HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nhalf";
const CLIENTS = 12;
const ROUNDS = 30;

/** mulberry32: the same numbers for the same seed. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Whatever it is asked, once the request is whole, it does something by chance. */
function moody(roll: () => number): RawBackend {
  return new RawBackend((peer) => {
    peer.socket.on("data", () => {
      const isWhole = peer.text.startsWith("GET")
        ? peer.text.endsWith("\r\n\r\n")
        : peer.text.endsWith("end");
      if (!isWhole) return;
      peer.forget();
      const luck = roll();
      if (luck < 0.2) peer.socket.resetAndDestroy();
      else if (luck < 0.4) peer.send(BUSY);
      else if (luck < 0.45) peer.send(HALF);
      else if (luck < 0.5) peer.socket.end();
      else if (luck < 0.52) return;
      else peer.send(OK);
    });
  });
}

for (const seed of [1, 2, 3]) {
  test(`a storm of retries ends with each client answered and every place free again, seed ${String(seed)}`, async (t) => {
    const roll = dice(seed);
    const settings = {
      retry: {
        ...RETRY,
        on: { connect: true, reset: true, timeout: true, statuses: [503] },
        perTryMs: 300,
        budget: { percent: 0, floor: 3 },
      },
      queue: { length: 8, timeoutMs: 1000 },
    };
    const backends = [moody(roll), moody(roll), moody(roll)];
    const gone = new RawBackend();
    const [failing, holding] = [
      new RawBackend((peer) => peer.socket.on("data", () => peer.close())),
      new Holding(),
    ];
    await startAll(t, [...backends, gone, failing, holding]);
    gone.close();
    const members = configs([...backends, gone], [1, 1, 1, 1]);
    const { worker, port } = await serve(t, { settings: { ...settings, backends: members } });
    const answers = new Map<string, number>();
    const ask = async (peer: RawPeer): Promise<RawPeer> => {
      peer.forget();
      const luck = roll();
      if (luck < 0.7) peer.send(get("/"));
      else {
        peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nbegin, ");
        if (luck < 0.85) await new Promise((resolve) => setImmediate(resolve));
        if (luck < 0.95) peer.send("end");
        else {
          peer.socket.resetAndDestroy();
          return openClient(t, port);
        }
      }
      await eventually("an answer", () => /\r\n\r\n[^]/u.test(peer.text) || peer.hasEnded || peer.hasClosed);
      const [, status = "cut"] = peer.text.split(" ");
      answers.set(status, (answers.get(status) ?? 0) + 1);
      // Of half a body the rest never comes.
      if (!/connection: close|half$/iu.test(peer.text) && !peer.hasEnded && !peer.hasClosed) return peer;
      peer.socket.resetAndDestroy();
      return openClient(t, port);
    };
    await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        let peer = await openClient(t, port);
        for (let round = 0; round < ROUNDS; round += 1) peer = await ask(peer);
        peer.close();
      }),
    );
    t.diagnostic(JSON.stringify(Object.fromEntries(answers)));
    for (const status of answers.keys()) assert.match(status, /^(200|502|503|504)$/u);
    assert.ok((answers.get("200") ?? 0) >= ROUNDS);
    const { pools } = await worker.counters();
    assert.equal(pools["web"]?.queued, 0);
    // Three places, and not one fewer.
    const calm = {
      ...settings,
      balance: { kind: "first" },
      retry: { ...settings.retry, perTryMs: 60_000 },
    } as const;
    const both = configs([failing, holding], [Infinity, Infinity]);
    worker.configure(workerConfig([pool({ backends: both, settings: calm })]));
    const last: RawPeer[] = [];
    for (let i = 0; i < 4; i += 1) {
      const peer = await openClient(t, port);
      peer.send(get(`/${String(i)}`));
      last.push(peer);
    }
    await eventually("one is refused", () => last.some(({ text }) => text.startsWith("HTTP/1.1 502")));
    await eventually("three are held", () => holding.paths.length === 3);
    for (let i = 0; i < 3; i += 1) holding.answer();
    await eventually("all are answered", () => last.every(({ text }) => text.includes("\r\n\r\n")));
  });
}
