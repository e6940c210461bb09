// Retries and breakers at the queue: who waits for whom, who need not, and that nobody waits for what will not come.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { OK, RETRY, RawBackend, eventually, get, openClient, pool, workerConfig } from "./harness.ts";
import { Holding, QUEUE, STICKY, configs, cookieOf, limited, startAll } from "./queue-rig.ts";

const FIRST = { balance: { kind: "first" }, retry: RETRY } as const;

describe("requests that a backend has failed and that wait for another", () => {
  test("a full queue of them turns nobody away who can be served", async (t) => {
    const queue = { ...QUEUE, length: 2 };
    const { backends, ask, counters } = await limited(t, [5, 1], { ...FIRST, queue });
    const [first, second] = backends;
    assert.ok(first !== undefined && second !== undefined);
    for (let i = 1; i <= 5; i += 1) await ask(`/${String(i)}`);
    await eventually("the first is full", () => first.paths.length === 5);
    await ask("/6");
    await second.has("/6");
    for (const peer of first.peers.slice(0, 2)) peer.socket.resetAndDestroy();
    await eventually("two wait", async () => (await counters()).queued === 2);
    await ask("/fresh");
    await eventually("it is served", () => first.paths.includes("/fresh"));
    assert.deepEqual(await counters(), {
      queued: 2,
      overflows: 0,
      retries: 0,
      retriesRefused: 0,
      reconnects: 0,
    });
  });

  test("whoever asks next does not take the room that they wait for", async (t) => {
    const { backends, ask, counters, port } = await limited(t, [1, 1], FIRST);
    const [full, failing] = backends;
    assert.ok(full !== undefined && failing !== undefined);
    const greedy = await openClient(t, port);
    greedy.send(get("/1") + get("/3"));
    await full.has("/1");
    await ask("/2");
    await failing.has("/2");
    failing.peers[0]?.socket.resetAndDestroy();
    await eventually("it waits", async () => (await counters()).queued === 1);
    full.answer();
    await full.has("/1", "/2");
    await failing.has("/2", "/3");
  });

  test("they go to the backend that failed them when no other is left", async (t) => {
    const { backends, ask, counters, worker } = await limited(t, [1, 1], FIRST);
    const [first, second] = backends;
    assert.ok(first !== undefined && second !== undefined);
    const client = await ask("/1");
    await first.has("/1");
    await ask("/2");
    await second.has("/2");
    first.peers[0]?.socket.resetAndDestroy();
    await eventually("it waits", async () => (await counters()).queued === 1);
    worker.send({ kind: "health", health: { web: { b2: { health: "down" } } } });
    await first.has("/1", "/1");
    // Of the connection that was reset, and of the one that is there.
    first.answer();
    first.answer();
    await client.receives("ok");
    assert.equal((await counters()).overflows, 0);
  });

  test("they go to the backend that failed them when they have waited for too long", async (t) => {
    const { backends, ask, counters } = await limited(t, [1, 1], {
      ...FIRST,
      queue: { ...QUEUE, timeoutMs: 300 },
    });
    const [first, second] = backends;
    assert.ok(first !== undefined && second !== undefined);
    await ask("/1");
    await first.has("/1");
    await ask("/2");
    await second.has("/2");
    first.peers[0]?.socket.resetAndDestroy();
    await eventually("it waits", async () => (await counters()).queued === 1);
    await first.has("/1", "/1");
  });

  test("a retry that would wait for itself alone behind others waits in their order", async (t) => {
    const { backends, ask, queue } = await limited(t, [1], FIRST);
    const [only] = backends;
    assert.ok(only !== undefined);
    const client = await ask("/1");
    await only.has("/1");
    await queue("/2");
    only.peers[0]?.socket.resetAndDestroy();
    await only.has("/1", "/2");
    only.answer();
    only.answer();
    await only.has("/1", "/2", "/1");
    only.answer();
    await client.receives("ok");
  });
});

test("a sticky client whose backend is down does not overtake those who wait for the others", async (t) => {
  const rig = await limited(t, [1, 1], { sticky: STICKY, balance: { kind: "first" } });
  const [first, second] = rig.backends;
  assert.ok(first !== undefined && second !== undefined);
  const cookie = await cookieOf(rig, first);
  rig.worker.send({ kind: "health", health: { web: { b1: { health: "down" } } } });
  const greedy = await openClient(t, rig.port);
  // The second one asks in the moment in which there is room.
  greedy.send(get("/1") + get("/3", cookie));
  await second.has("/1");
  await rig.queue("/2");
  second.answer();
  await second.has("/1", "/2");
  second.answer();
  await second.has("/1", "/2", "/3");
});

test("those who wait are told at once when the breaker of the last backend opens", async (t) => {
  const { backends, ask, queue } = await limited(t, [2], {
    queue: { length: 10, timeoutMs: 600_000 },
    circuitBreaker: { failureRate: 50, minimumRequests: 1, windowMs: 60_000, openMs: 600_000, trials: 1 },
  });
  const [backend] = backends;
  assert.ok(backend !== undefined);
  const first = await ask("/1");
  await ask("/2");
  await eventually("it is full", () => backend.paths.length === 2);
  const third = await queue("/3");
  // The rest of its body keeps its place.
  backend.peers[0]?.send("HTTP/1.1 500 Bad\r\nContent-Length: 9\r\n\r\nhalf");
  assert.match(await third.receives("\r\n\r\n"), /^HTTP\/1\.1 503 /u);
  assert.equal(backend.paths.length, 2);
  first.close();
});

test("when the breaker of one backend opens, those who wait go on waiting for the others", async (t) => {
  const [bad, good] = [new Holding(), new Holding()];
  const { ask, queue, counters } = await limited(
    t,
    [2, 1],
    {
      balance: { kind: "first" },
      circuitBreaker: { failureRate: 50, minimumRequests: 2, windowMs: 60_000, openMs: 600_000, trials: 1 },
    },
    [bad, good],
  );
  await ask("/1");
  await ask("/2");
  await ask("/3");
  await eventually("both are full", () => bad.paths.length === 2 && good.paths.length === 1);
  const waiting = await queue("/4");
  for (const peer of bad.peers.slice(0, 1)) peer.send("HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n");
  await eventually("it has the room", () => bad.paths.length === 3);
  const last = await queue("/5");
  bad.peers[1]?.socket.resetAndDestroy();
  assert.equal((await counters()).queued, 1);
  good.answer();
  await eventually("it is served", () => good.paths.includes("/5"));
  good.answer();
  await last.receives("ok");
  waiting.close();
});

test("a reload takes those who wait along, whatever backends they were tried on", async (t) => {
  const old = [new Holding(), new Holding()];
  const anew = new RawBackend((peer) => {
    peer.socket.on("data", () => {
      peer.send(OK);
    });
  });
  await startAll(t, [anew]);
  const { ask, counters, worker } = await limited(t, [1, 1], FIRST, old);
  const client = await ask("/1");
  await old[0]?.has("/1");
  await ask("/2");
  await old[1]?.has("/2");
  old[0]?.peers[0]?.socket.resetAndDestroy();
  await eventually("it waits", async () => (await counters()).queued === 1);
  const settings = { ...FIRST, queue: QUEUE };
  worker.configure(workerConfig([pool({ backends: configs([anew], [1]), settings })]));
  await client.receives("ok");
});
