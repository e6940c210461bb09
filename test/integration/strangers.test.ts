// What a node hears that is not its peer, or is and cannot be understood: it says so, stays up, and the two never
// hold the address both. And a clock that cannot be trusted.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import type { WebSocket } from "ws";
import { PROTOCOL_VERSION } from "../../src/control/peer-frame.ts";
import { REDIAL_MEMORY_MS } from "../../src/election/timing.ts";
import { dialAsPeer, type FakePeerOptions, listenAsPeer } from "../support/fake-peer.ts";
import { PEER_PORT, SECRET, Site, type NodeName, type PairSite } from "../support/site.ts";
import type { VipairProcess } from "../support/vipair-process.ts";

const OTHER_SECRET = "another-secret-of-another-pair";
/** Longer than any wait after which a node would claim, at the advertisement interval of these tests. */
const LONG_MS = 1_500;
/** Whoever has not shown the secret gets two seconds. */
const CLOSED_WITHIN_MS = 8_000;

function fake(pair: PairSite, name: NodeName, secret = SECRET): FakePeerOptions {
  const other = name === "a" ? "b" : "a";
  return { name, address: pair.addresses[name], to: pair.addresses[other], port: PEER_PORT, secret };
}

/** Waits for the end of a connection, whichever way it ends. */
async function closed(connection: NodeJS.EventEmitter): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const limit = setTimeout(() => {
      reject(new Error(`not closed within ${String(CLOSED_WITHIN_MS)} ms`));
    }, CLOSED_WITHIN_MS);
    connection.on("error", () => undefined);
    connection.on("close", () => {
      clearTimeout(limit);
      resolve();
    });
  });
}

/** Sends bytes to the peer link's port and waits until the node has cut the connection. */
async function shout(host: string, bytes: Buffer | string): Promise<void> {
  const socket = connect(PEER_PORT, host);
  socket.resume();
  socket.write(bytes);
  await closed(socket);
}

/** Sends one message with the pair's secret and waits until the node has closed the connection. */
async function say(peer: FakePeerOptions, message: string | Buffer): Promise<void> {
  const webSocket = await dialAsPeer(peer);
  webSocket.send(message);
  await closed(webSocket);
}

function claims(node: VipairProcess): number {
  return node.lines.filter(({ msg }) => msg === "claiming").length;
}

describe("strangers", { concurrency: 4 }, () => {
  test("garbage at the port of the peer link, with and without the secret, changes nothing in a pair that is in touch", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const { a, b } = await pair.startBoth();
    const before = await a.status();
    const to = pair.addresses.a;

    await shout(to, randomBytes(4_096));
    await shout(to, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const tls = connectTls({ host: to, port: PEER_PORT, rejectUnauthorized: false });
    await closed(tls);
    await assert.rejects(dialAsPeer(fake(pair, "b", OTHER_SECRET)));
    await assert.rejects(dialAsPeer({ ...fake(pair, "b"), name: "c" }));
    for (const message of [
      "garbage",
      "null",
      randomBytes(64),
      JSON.stringify({ v: PROTOCOL_VERSION, n: 1, kind: "advertisement", boot: "x", node: "b", seq: 1 }),
      JSON.stringify({ v: PROTOCOL_VERSION, n: 7, kind: "order", boot: "x", node: "b", seq: 1 }),
      JSON.stringify({ v: 99, n: 1 }),
      "x".repeat(1_000_000),
    ]) {
      await say(fake(pair, "b"), message);
    }

    await a.logged("the stranger", ({ msg }) => /is not vipair|does not have our secret/.test(msg));
    await a.logged("the garbage", ({ msg }) => msg === "peer link: bad message");
    await pair.isWell(b);
    const after = await a.status();
    assert.deepEqual(
      [after.role, after.epoch, after.since, after.peer?.role, after.peer?.connected],
      ["active", before.epoch, before.since, "standby", true],
    );
    assert.deepEqual(
      after.workers.map(({ pid }) => pid),
      before.workers.map(({ pid }) => pid),
    );
    assert.equal(pair.longestOverlapMs(), 0);
  });

  for (const { what, speak, problem } of [
    {
      what: "speaks garbage",
      speak: (webSocket: WebSocket) => webSocket.send("this is no advertisement"),
      problem: /sends what is no message of ours/,
    },
    {
      what: "speaks another protocol version",
      speak: (webSocket: WebSocket) =>
        webSocket.send(JSON.stringify({ v: PROTOCOL_VERSION + 1, n: 1, hello: "from the future" })),
      problem: new RegExp(
        `protocol version ${String(PROTOCOL_VERSION + 1)}, this node ${String(PROTOCOL_VERSION)}`,
      ),
    },
    {
      what: "has another secret",
      secret: OTHER_SECRET,
      speak: () => undefined,
      problem: /does not have our secret/,
    },
  ] as const) {
    test(`a preferred peer that ${what} is told in log and status, and not succeeded while it lives`, async (t) => {
      const site = Site.open(t);
      const pair = await site.pair();
      const close = await listenAsPeer(
        fake(pair, "a", what === "has another secret" ? OTHER_SECRET : SECRET),
        speak,
      );
      site.atEnd(close);
      const b = pair.start("b");
      await b.until("the problem", ({ peer }) => problem.test(peer?.problem ?? ""));
      await b.logged("the problem", ({ msg, level }) => level === "warn" && problem.test(msg));
      await sleep(LONG_MS);
      const { role, peer } = await b.status();
      assert.deepEqual([role, peer?.connected], ["standby", false]);
      assert.equal(claims(b), 0);
      const lines = b.lines.filter(({ msg }) => problem.test(msg));
      assert.equal(lines.length, 1, "once, not at each attempt");

      // What lives no more holds no address.
      await close();
      await b.becomes("active", { withinMs: REDIAL_MEMORY_MS + 10_000 });
    });
  }

  test("of two nodes with different secrets the preferred one stays active, and both say what is wrong", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    site.file("other-secret", OTHER_SECRET);
    const a = pair.start("a");
    await a.becomes("active");
    const b = pair.start("b", { changes: { pair: { secretFile: "other-secret" } } });
    const problem = /does not have our secret: is the secret the same on both nodes/;
    for (const [node, peerName] of [
      [a, "b"],
      [b, "a"],
    ] as const) {
      const status = await node.until("the problem", ({ peer }) => problem.test(peer?.problem ?? ""));
      assert.ok(status.peer?.problem?.startsWith(peerName));
      await node.logged("the problem", ({ msg }) => problem.test(msg));
    }
    await sleep(LONG_MS);
    assert.deepEqual([(await a.status()).role, (await b.status()).role], ["active", "standby"]);
    assert.equal(claims(b), 0);
    const { code, stderr } = await a.command("switchover");
    assert.equal(code, 1);
    assert.match(stderr, problem);
    assert.equal(pair.longestOverlapMs(), 0);
  });

  test("a preferred node that returns with a wrong secret finds the address taken, and the active stays", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ pair: { lease: "5s" } });
    const b = pair.start("b");
    await b.becomes("active");
    const { epoch } = await b.status();
    site.file("other-secret", OTHER_SECRET);
    const a = pair.start("a", { changes: { pair: { secretFile: "other-secret" } } });
    const line = await a.logged(
      "the address in use",
      ({ msg, failure }) => msg === "hook failed" && failure === "taken",
    );
    assert.match(String(line["reason"]), /is in use/);
    await a.becomes("fault");
    const status = await b.status();
    assert.deepEqual([status.role, status.epoch], ["active", epoch]);
    assert.match(status.peer?.problem ?? "", /does not have our secret/);
    assert.equal(pair.longestOverlapMs(), 0);
  });

  test("a node is renamed by restarting first the standby, then the node itself: one node holds the address all the time", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const { a, b } = await pair.startBoth();
    const nodes = {
      x: { address: pair.addresses.a, priority: 150 },
      b: { address: pair.addresses.b, priority: 100 },
    };
    const config = site.config(pair.content({ pair: { nodes } }), "renamed.yaml");
    const start = (node: string, runtimeDir: string) =>
      site.start({ config, node, runtimeDir: join(site.folder, runtimeDir) });
    await b.kill();
    const renamed = start("b", "b");
    const problem = /disagree about the nodes' names/;
    for (const node of [a, renamed])
      await node.until("the problem", ({ peer }) => problem.test(peer?.problem ?? ""));
    await sleep(REDIAL_MEMORY_MS + LONG_MS);
    assert.deepEqual([(await a.status()).role, (await renamed.status()).role], ["active", "standby"]);
    assert.equal(claims(renamed), 0);
    const { stderr } = await a.command("switchover");
    assert.match(stderr, problem);

    a.signal("SIGTERM");
    await renamed.becomes("active");
    assert.deepEqual(await a.exit(), { code: 0, signal: null });
    const x = start("x", "x");
    await pair.isWell(x);
    assert.equal((await renamed.status()).role, "active");
    assert.equal(pair.longestOverlapMs(), 0);
  });

  test("a clock that jumps by hours moves no role", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const clock = join(import.meta.dirname, "../support/jumping-clock.ts");
    const env = { NODE_OPTIONS: `--import=${clock}` };
    const a = pair.start("a", { env });
    await a.becomes("active");
    const b = pair.start("b", { env });
    await pair.isWell(b);
    const before = await a.status();
    const sinces = { a: a.lines.length, b: b.lines.length };
    await sleep(2_500);
    const after = await a.status();
    assert.deepEqual([after.role, after.epoch], [before.role, before.epoch]);
    assert.equal((await b.status()).role, "standby");
    assert.deepEqual(
      a.lines.slice(sinces.a).filter(({ level }) => level !== "info"),
      [],
    );
    assert.equal(pair.longestOverlapMs(), 0);

    a.signalAll("SIGKILL");
    await b.logged("active", ({ msg }) => msg === "active", { since: sinces.b });
    const times = [...a.lines, ...b.lines].map(({ time }) => Date.parse(String(time)));
    assert.ok(Math.max(...times) - Math.min(...times) > 3_600_000, "the clock did jump");
  });
});
