// Orders for single backends with real processes: a weight, maintenance, and a drain that waits for the last
// connection on either node. (How orders reach the other node is in replication.test.ts.)

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { orderState } from "../../src/cli/commands/backend-orders.ts";
import type { BackendStatus } from "../../src/protocol/status.ts";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import type { VipairProcess } from "../support/vipair-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const WARNING = "vipair: warning: no backend of pool web gets new requests now\n";

async function obeys(node: VipairProcess, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await node.command(...args);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" }, args.join(" "));
}

/** Ends when the node shows this of each backend. */
async function shows(
  node: VipairProcess,
  look: (backend: BackendStatus) => unknown,
  ...expected: readonly unknown[]
): Promise<void> {
  await node.until(expected.join(" and "), ({ pools }) => {
    return String(pools[0]?.backends.map(look)) === String(expected);
  });
}

const isTakenBack = ({ msg }: { readonly msg: string }) => msg.startsWith("orders are taken back");
const state = ({ state: is }: BackendStatus) => is;
const weight = ({ weight: configured, order }: BackendStatus) => order?.weight ?? configured;

/** A backend that holds its answers until they are released, and tunnels until they are closed. */
async function holdingBackend(t: TestContext, host: string) {
  const held: ServerResponse[] = [];
  const tunnels: Socket[] = [];
  const server = createServer((_request, response) => held.push(response));
  server.on("upgrade", (_request, socket: Socket) => {
    tunnels.push(socket);
    socket.on("error", () => socket.destroy());
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    socket.pipe(socket);
  });
  server.listen(0, host);
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    for (const tunnel of tunnels) tunnel.destroy();
    server.close();
  });
  return { held, tunnels, address: `${host}:${String((server.address() as AddressInfo).port)}` };
}

async function openTunnel(t: TestContext, host: string): Promise<Socket> {
  const socket = connect(PORT, host);
  t.after(() => socket.destroy());
  socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
  const [answer] = (await once(socket, "data")) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1.1 101 /);
  return socket;
}

describe("orders for backends", { concurrency: 2 }, () => {
  test("weight and maintenance: ordered on one node they count on both, and survive kill -9 of both and the failover", async (t) => {
    const site = Site.open(t);
    const one = await site.backend("one");
    const two = await site.backend("two");
    const backends = [one, two].map(({ name, address }) => ({ name, address }));
    const pair = await site.pair({ top: { pools: { web: { backends, health: { kind: "none" } } } } });
    let nodes = await pair.startBoth();
    const shares = async (requests = 20) => {
      const before = [one.requests(), two.requests()] as const;
      for (let n = 0; n < requests; n += 1) {
        assert.equal((await ask({ host: pair.virtualAddress })).status, 200);
      }
      return [one.requests() - before[0], two.requests() - before[1]];
    };
    const bothShow = async (
      ...expected: Parameters<typeof shows> extends [unknown, ...infer R] ? R : never
    ) => {
      await shows(nodes.a, ...expected);
      await shows(nodes.b, ...expected);
    };

    await obeys(nodes.b, "weight", "web/two", "300%");
    await bothShow(weight, 1, 3);
    assert.deepEqual(await shares(), [5, 15]);
    const { stdout } = await nodes.a.command("status");
    assert.match(stdout, /^ +two .*weight 1  now 3 \(ordered on b\)/m);

    await Promise.all([nodes.a.kill(), nodes.b.kill()]);
    nodes = await pair.startBoth();
    await bothShow(weight, 1, 3);
    assert.deepEqual(await shares(), [5, 15]);

    await obeys(nodes.a, "maintenance", "web/one");
    await bothShow(state, "maintenance", "up");
    assert.deepEqual(await shares(), [0, 20]);
    await nodes.a.kill();
    await nodes.b.becomes("active");
    assert.deepEqual(await shares(), [0, 20]);
    await shows(nodes.b, weight, 1, 3);

    // Nobody is left: as ordered, but not unnoticed.
    const last = await nodes.b.command("weight", "web/two", "0");
    assert.equal(last.code, 0);
    assert.equal(last.stderr, WARNING);
    assert.equal((await ask({ host: pair.virtualAddress })).status, 503);
    await obeys(nodes.b, "weight", "web/two", "reset");
    await obeys(nodes.b, "ready", "web/one");
    assert.deepEqual(await shares(), [10, 10]);
  });

  test("drain --wait ends when the last request and the last tunnel have gone, on whichever node they are", async (t) => {
    const site = Site.open(t);
    const backend = await holdingBackend(t, await site.address());
    const other = await site.backend("other");
    const backends = [
      { name: "held", address: backend.address },
      { name: "other", address: other.address, backup: true },
    ];
    const pair = await site.pair({ top: { pools: { web: { backends, health: { kind: "none" } } } } });
    const hosts = { a: await site.address(), b: await site.address() };
    const start = (node: "a" | "b") =>
      pair.start(node, {
        changes: {
          top: {
            listeners: [
              { name: "web", bind: `vip:${String(PORT)}`, pool: "web" },
              { name: "own", bind: `${hosts[node]}:${String(PORT)}`, pool: "web" },
            ],
          },
        },
      });
    const a = start("a");
    await a.becomes("active");
    const b = start("b");
    await pair.isWell(b);

    const request = ask({ host: hosts.a, timeoutMs: 60_000 });
    const tunnel = await openTunnel(t, hosts.b);
    await waitUntil(() => backend.held.length === 1, { what: "the request", withinMs: 10_000 });

    const early = await a.command("drain", "web/held", "--wait=1s");
    assert.equal(early.code, 1);
    assert.match(early.stderr, /^vipair: web\/held is not drained after 1s: 1 connection on a, 1 on b$/m);
    await shows(b, state, "drain", "up");
    assert.match((await a.command("status")).stdout, /^.* held .*  draining \(1 connection\)  /m);
    assert.equal((await ask({ host: hosts.b })).body, "other");

    // Each goes when the command has shown that it is still there.
    const said: string[] = [];
    const print = (line: string): void => {
      said.push(line);
      if (line === "web/held: 1 connection on a, 1 on b") backend.held[0]?.end("done");
      if (line === "web/held: 0 connections on a, 1 on b") tunnel.destroy();
    };
    const { runtimeDir } = a;
    const code = await orderState(
      { runtimeDir, target: "web/held", state: "drain", waitMs: 30_000 },
      { print, complain: print },
    );
    assert.deepEqual(said, [
      "web/held gets no new requests",
      "web/held: 1 connection on a, 1 on b",
      "web/held: 0 connections on a, 1 on b",
      "web/held is drained: its last connection has gone",
    ]);
    assert.equal(code, 0);
    assert.equal((await request).body, "done");
    assert.match((await a.command("status")).stdout, /^.* held .*  drained  /m);
  });

  test("a file of the first release is read; what a later release may have ordered is kept, and an order about nothing is taken back", async (t) => {
    const site = Site.open(t);
    const two = await site.backend("two");
    const backends = [two, { name: "three", address: two.address }].map(({ name, address }) => ({
      name,
      address,
    }));
    const pair = await site.pair({ top: { pools: { web: { backends, health: { kind: "none" } } } } });
    const orders = {
      "drain/web/two": true,
      "drain/web/three": 3,
      "later/web/two": true,
      "weight/web/gone": 2,
    };
    const changes = Object.entries(orders).map(([key, value], n) => {
      return { key, value, epoch: 0, counter: n + 1, node: "a" };
    });
    writeFileSync(join(site.directory("a"), "changes.json"), JSON.stringify({ version: 1, changes }));
    const nodes = await pair.startBoth();
    // Of a number that means nothing yet only this is certain: it is not ready.
    await shows(nodes.a, state, "drain", "drain");
    await shows(nodes.b, state, "drain", "drain");
    const { keys } = await Promise.race([
      nodes.a.logged("the end", isTakenBack),
      nodes.b.logged("the end", isTakenBack),
    ]);
    assert.deepEqual(keys, ["weight/web/gone"]);
    for (const node of ["a", "b"]) {
      await waitUntil(
        () => {
          const text = readFileSync(join(site.folder, node, "changes.json"), "utf8");
          return text.includes('"key":"later/web/two","value":true') && !text.includes('gone","value":2');
        },
        { what: `the orders on the disk of ${node}`, withinMs: 10_000 },
      );
    }
  });

  test("a node alone keeps its orders across a restart, until the file drops what they are about", async (t) => {
    const site = Site.open(t);
    const address = await site.address();
    const one = await site.backend("one");
    const two = await site.backend("two");
    const write = (...named: readonly { readonly name: string; readonly address: string }[]) =>
      site.config({
        listeners: [{ name: "web", bind: `${address}:${String(PORT)}`, pool: "web" }],
        pools: {
          web: {
            backends: named.map(({ name, address: where }) => ({ name, address: where })),
            health: { kind: "none" },
          },
        },
        workers: 1,
      });
    const start = () => site.start({ config: write(one, two), runtimeDir: site.directory("run") });
    let node = start();
    await node.isReady();
    const drained = await node.command("drain", "web/two", "--wait");
    assert.equal(drained.code, 0);
    assert.equal(
      drained.stdout,
      "web/two gets no new requests\nweb/two is drained: its last connection has gone\n",
    );
    await node.kill();
    node = start();
    await node.isReady();
    await shows(node, state, "up", "drain");
    for (let n = 0; n < 4; n += 1) assert.equal((await ask({ host: address })).body, "one");

    for (const named of [[one], [one, two]]) {
      write(...named);
      const since = node.lines.length;
      node.signal("SIGHUP");
      await node.logged("the reload", ({ msg }) => msg === "configuration reloaded", { since });
    }
    await shows(node, state, "up", "up");
  });
});
