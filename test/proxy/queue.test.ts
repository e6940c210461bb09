// Backends with a limit of connections, and requests that wait until one has room: who is next, who has to go, and
// what clients are told.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
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
import { Holding, QUEUE, STICKY, configs, cookieOf, limited, startAll } from "./queue-rig.ts";

describe("who waits", () => {
  test("a full backend gets no more; the others wait and come in the order in which they asked", async (t) => {
    const { backends, ask, queue } = await limited(t, [2]);
    const [backend] = backends;
    assert.ok(backend !== undefined);
    await ask("/1");
    await ask("/2");
    const third = await queue("/3");
    const fourth = await queue("/4");
    await backend.has("/1", "/2");
    backend.answer();
    await backend.has("/1", "/2", "/3");
    backend.answer();
    await backend.has("/1", "/2", "/3", "/4");
    backend.answer();
    backend.answer();
    await third.receives("ok");
    await fourth.receives("ok");
    // A connection that was freed is used again.
    assert.equal(backend.peers.length, 2);
  });

  test("nobody waits while another backend has room", async (t) => {
    const { backends, ask, counters } = await limited(t, [1, Infinity]);
    for (let i = 0; i < 5; i += 1) await ask(`/${String(i)}`);
    await eventually(
      "all were sent",
      () => backends[0]?.paths.length === 1 && backends[1]?.paths.length === 4,
    );
    assert.equal((await counters()).queued, 0);
  });

  test("whoever asks next does not overtake those who wait", async (t) => {
    const { backends, ask, queue } = await limited(t, [1]);
    const [backend] = backends;
    assert.ok(backend !== undefined);
    const first = await ask("/1");
    await queue("/2");
    backend.answer();
    await first.receives("ok");
    first.send(get("/3"));
    await backend.has("/1", "/2");
    backend.answer();
    await backend.has("/1", "/2", "/3");
  });

  test("a tunnel holds its place until it ends", async (t) => {
    const { backends, ask, queue } = await limited(t, [1]);
    const [backend] = backends;
    assert.ok(backend !== undefined);
    const tunnel = await ask("/ws", "Connection: Upgrade", "Upgrade: x");
    await backend.has("/ws");
    (await backend.peer()).send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    );
    await tunnel.receives("101");
    await queue("/2");
    tunnel.socket.resetAndDestroy();
    await backend.has("/ws", "/2");
  });

  test("a request that one backend failed queues behind those who wait", async (t) => {
    const { backends, ask, queue, worker } = await limited(t, [1, 1], {
      balance: { kind: "first" },
      retry: RETRY,
    });
    const [first, second] = backends;
    assert.ok(first !== undefined && second !== undefined);
    await ask("/1");
    await first.has("/1");
    await ask("/2");
    await second.has("/2");
    const next = await queue("/3");
    first.peers[0]?.socket.resetAndDestroy();
    // The one that was reset waits for the second; the one that had waited has the first now.
    await first.has("/1", "/3");
    assert.equal((await worker.counters()).pools["web"]?.queued, 1);
    second.answer();
    await second.has("/2", "/1");
    // The connection of its first request is gone.
    first.answer();
    first.answer();
    await next.receives("ok");
  });
});

test("a request that one backend failed waits for another that is full, though the first has room", async (t) => {
  const { backends, ask, counters } = await limited(t, [1, 1], { balance: { kind: "first" }, retry: RETRY });
  const [first, second] = backends;
  assert.ok(first !== undefined && second !== undefined);
  const client = await ask("/1");
  await first.has("/1");
  await ask("/2");
  await second.has("/2");
  first.peers[0]?.socket.resetAndDestroy();
  await eventually("it waits", async () => (await counters()).queued === 1);
  second.answer();
  await second.has("/2", "/1");
  second.answer();
  await client.receives("ok");
  assert.deepEqual(first.paths, ["/1"]);
});

describe("sticky clients", () => {
  test("a client that is bound to a full backend waits for it, though another has room", async (t) => {
    const rig = await limited(t, [1, 1], { sticky: STICKY, balance: { kind: "first" } });
    const [first, second] = rig.backends;
    assert.ok(first !== undefined && second !== undefined);
    const cookie = await cookieOf(rig, first);
    await rig.ask("/1");
    await first.has("/1");
    await rig.queue("/bound", cookie);
    await rig.ask("/2");
    await second.has("/2");
    first.answer();
    await first.has("/1", "/bound");
  });

  test("a client that pipelines does not go before one that is bound", async (t) => {
    const rig = await limited(t, [1], { sticky: STICKY });
    const [backend] = rig.backends;
    assert.ok(backend !== undefined);
    const cookie = await cookieOf(rig, backend);
    const greedy = await openClient(t, rig.port);
    greedy.send(["/1", "/2", "/3"].map((path) => get(path)).join(""));
    await backend.has("/1");
    await rig.queue("/bound", cookie);
    for (let i = 0; i < 3; i += 1) {
      await eventually("one is held", () => backend.paths.length === i + 1);
      backend.answer();
    }
    await backend.has("/1", "/bound", "/2", "/3");
    backend.answer();
  });

  test("a bound client whose backend has failed it waits for the others", async (t) => {
    const settings = { sticky: STICKY, balance: { kind: "first" }, retry: RETRY } as const;
    const rig = await limited(t, [1, 1], settings);
    const [first, second] = rig.backends;
    assert.ok(first !== undefined && second !== undefined);
    const cookie = await cookieOf(rig, first);
    first.peers[0]?.socket.destroy();
    await eventually("it is gone", () => first.peers[0]?.hasClosed === true);
    await rig.ask("/one", cookie);
    await first.has("/one");
    await rig.queue("/two", cookie);
    await rig.queue("/three", cookie);
    first.peers.at(-1)?.socket.resetAndDestroy();
    await first.has("/one", "/two");
    await second.has("/one");
  });

  test("bound clients go before all others when their backend has room", async (t) => {
    const rig = await limited(t, [1], { sticky: STICKY });
    const [backend] = rig.backends;
    assert.ok(backend !== undefined);
    const cookie = await cookieOf(rig, backend);
    await rig.ask("/1");
    await backend.has("/1");
    await rig.queue("/new");
    await rig.queue("/bound1", cookie);
    await rig.queue("/bound2", cookie);
    for (let i = 0; i < 3; i += 1) {
      await eventually("one is held", () => backend.paths.length === i + 1);
      backend.answer();
    }
    await backend.has("/1", "/bound1", "/bound2", "/new");
  });

  for (const health of ["down", "drain", "maintenance"] as const) {
    test(`those who wait for a backend that is in ${health} now go elsewhere, as fallback says`, async (t) => {
      for (const fallback of ["another", "refuse"] as const) {
        const rig = await limited(t, [1, 1], {
          sticky: { ...STICKY, fallback },
          balance: { kind: "first" },
        });
        const [first, second] = rig.backends;
        assert.ok(first !== undefined && second !== undefined);
        const cookie = await cookieOf(rig, first);
        await rig.ask("/1");
        await first.has("/1");
        const bound = await rig.queue("/bound", cookie);
        rig.worker.send({ kind: "health", health: { web: { b1: { health } } } });
        if (fallback === "another") await second.has("/bound");
        else assert.match(await bound.receives("\r\n\r\n"), /^HTTP\/1\.1 503 /u);
        assert.equal((await rig.counters()).queued, 0);
      }
    });
  }
});

describe("who does not get a backend", () => {
  test("one more than the queue holds gets 503 with Retry-After at once", async (t) => {
    const { backends, ask, queue, counters } = await limited(t, [1], { queue: { ...QUEUE, length: 1 } });
    await ask("/1");
    await backends[0]?.has("/1");
    await queue("/2");
    const third = await ask("/3");
    assert.match(await third.receives("\r\n\r\n"), /^HTTP\/1\.1 503 [^]*\r\nRetry-After: 1\r\n/u);
    const { queued, overflows } = await counters();
    assert.deepEqual({ queued, overflows }, { queued: 1, overflows: 1 });
  });

  test("with a length of 0 nobody waits", async (t) => {
    const { backends, ask } = await limited(t, [1], { queue: { ...QUEUE, length: 0 } });
    await ask("/1");
    await backends[0]?.has("/1");
    assert.match(await (await ask("/2")).receives("\r\n\r\n"), /^HTTP\/1\.1 503 /u);
  });

  test("who has waited for too long gets 503 with Retry-After, and keeps the connection", async (t) => {
    const { backends, ask, queue, counters } = await limited(t, [1], { queue: { ...QUEUE, timeoutMs: 200 } });
    const [backend] = backends;
    assert.ok(backend !== undefined);
    await ask("/1");
    await backend.has("/1");
    const second = await queue("/2");
    const text = await second.receives("503 Service Unavailable\n");
    assert.match(text, /\r\nRetry-After: 1\r\n/u);
    assert.equal((await counters()).queued, 0);
    backend.answer();
    second.forget();
    second.send(get("/3"));
    await backend.has("/1", "/3");
  });

  test("total ends the waiting with 504", async (t) => {
    const retry = { ...RETRY, totalMs: 200 };
    const { backends, ask, queue } = await limited(t, [1], { retry: { ...retry, totalMs: 700 } });
    await ask("/1");
    await backends[0]?.has("/1");
    const second = await queue("/2");
    assert.match(await second.receives("\r\n\r\n"), /^HTTP\/1\.1 504 /u);
  });

  for (const [how, leave] of [
    ["resets", (peer: RawPeer) => peer.socket.resetAndDestroy()],
    ["ends its side", (peer: RawPeer) => peer.socket.end()],
  ] as const) {
    test(`a client that ${how} while it waits leaves the queue`, async (t) => {
      const { backends, ask, queue, counters } = await limited(t, [1]);
      const [backend] = backends;
      assert.ok(backend !== undefined);
      await ask("/1");
      await backend.has("/1");
      const second = await queue("/2");
      await queue("/3");
      leave(second);
      await eventually("it has left", async () => (await counters()).queued === 1);
      backend.answer();
      await backend.has("/1", "/3");
    });
  }

  test("those who wait when nobody is left who could serve get 503", async (t) => {
    const { backends, ask, queue, worker } = await limited(t, [1]);
    await ask("/1");
    await backends[0]?.has("/1");
    const second = await queue("/2");
    worker.send({ kind: "health", health: { web: { b1: { health: "down" } } } });
    assert.match(await second.receives("\r\n\r\n"), /^HTTP\/1\.1 503 /u);
  });
});

describe("changes while requests wait", () => {
  test("a backend that comes up takes those who wait", async (t) => {
    const { backends, ask, queue, worker } = await limited(t, [1, 1], { balance: { kind: "first" } });
    const [first, second] = backends;
    assert.ok(first !== undefined && second !== undefined);
    worker.send({ kind: "health", health: { web: { b2: { health: "down" } } } });
    await ask("/1");
    await first.has("/1");
    await queue("/2");
    worker.send({ kind: "health", health: { web: {} } });
    await second.has("/2");
  });

  test("a reload that raises a limit lets those in who have room, one that removes it all", async (t) => {
    const { backends, ask, queue, worker, counters } = await limited(t, [1]);
    const [backend] = backends;
    assert.ok(backend !== undefined);
    await ask("/1");
    await backend.has("/1");
    for (const path of ["/2", "/3", "/4"]) await queue(path);
    const reload = (limits: readonly number[]): void => {
      const settings = { queue: limits[0] === Infinity ? null : QUEUE };
      worker.configure(workerConfig([pool({ backends: configs(backends, limits), settings })]));
    };
    reload([2]);
    await backend.has("/1", "/2");
    assert.equal((await counters()).queued, 2);
    reload([Infinity]);
    await backend.has("/1", "/2", "/3", "/4");
  });

  test("a connection that was in use while its backend got another address is not used for that", async (t) => {
    const [old, anew] = [new Holding(), new Holding()];
    await startAll(t, [anew]);
    const { worker, port } = await limited(t, [Infinity], {}, [old]);
    const client = await openClient(t, port);
    client.send(get("/before"));
    await old.has("/before");
    worker.configure(workerConfig([pool({ backends: configs([anew], [Infinity]) })]));
    await worker.counters();
    old.answer();
    await client.receives("ok");
    client.forget();
    client.send(get("/after"));
    await anew.has("/after");
    anew.answer();
    await client.receives("ok");
    assert.deepEqual(old.paths, ["/before"]);
  });

  test("each worker takes its part of a limit, rounded down, but at least 1", async (t) => {
    const { backends, ask, worker, counters } = await limited(t, [7, 1]);
    const config = workerConfig([pool({ backends: configs(backends, [7, 1]), settings: { queue: QUEUE } })]);
    worker.configure({ ...config, workers: 2 });
    for (let i = 0; i < 6; i += 1) await ask(`/${String(i)}`);
    await eventually("two wait", async () => (await counters()).queued === 2);
    assert.equal(backends[0]?.paths.length, 3);
    assert.equal(backends[1]?.paths.length, 1);
  });

  test("of a thousand requests through a narrow gate each is answered once, and never more are under way", async (t) => {
    let active = 0;
    let most = 0;
    const backend = new RawBackend((peer) => {
      peer.socket.on("data", () => {
        active += 1;
        most = Math.max(most, active);
        setImmediate(() => {
          active -= 1;
          peer.send(OK);
        });
      });
    });
    await startAll(t, [backend]);
    const { port, worker } = await serve(t, {
      settings: { queue: { length: 100, timeoutMs: 60_000 }, backends: configs([backend], [3]) },
    });
    const clients: RawPeer[] = [];
    for (let i = 0; i < 20; i += 1) clients.push(await openClient(t, port));
    for (let round = 0; round < 50; round += 1) {
      for (const client of clients) {
        client.forget();
        client.send(get("/"));
      }
      await Promise.all(clients.map(async (client) => client.receives("ok")));
    }
    assert.ok(most <= 3, `${String(most)} at a time`);
    const { pools, backends } = await worker.counters();
    assert.equal(pools["web"]?.overflows, 0);
    assert.equal(backends["web"]?.["b1"]?.requests, 1000);
  });
});
