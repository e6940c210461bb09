// The port at which a second node joins: what lets a node in, what keeps everybody else out, and how it ends. On
// loopback, with real handshakes; only the ten minutes are virtual.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { TLSSocket } from "node:tls";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { JOINER_IDENTITY, PairingHost } from "../../../src/cli/pairing/pairing-host.ts";
import type { HostEnd, Offer, PairingHostOptions } from "../../../src/cli/pairing/pairing-host.ts";
import { connectToHost } from "../../../src/cli/pairing/pairing-joiner.ts";
import type { JoinSession } from "../../../src/cli/pairing/pairing-joiner.ts";
import { PSK_TLS } from "../../../src/system/psk-tls.ts";
import { waitUntil } from "../../support/wait-until.ts";

const HOST = "127.0.0.1";
const KEY = randomBytes(32);
const WRONG = randomBytes(32);
const SELF = { name: "pi-b", address: HOST, protocol: 5, version: "0.1.0" };
const MESSAGE = { kind: "offer", name: "pi-a", config: "pair: {}\n", secret: "the secret" } as const;

interface Waiting {
  readonly host: PairingHost;
  readonly port: number;
  /** What was told to the person who waits. */
  readonly told: string[];
  /** How often the other node was entered. */
  readonly commits: () => number;
  /** undefined as long as it has not ended. */
  readonly end: () => HostEnd | undefined;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function waiting(
  t: TestContext,
  options: Partial<PairingHostOptions> & { readonly commit?: Offer["commit"] } = {},
): Promise<Waiting> {
  const port = await freePort();
  const told: string[] = [];
  let commits = 0;
  let end: HostEnd | undefined;
  const commit = options.commit ?? (() => Promise.resolve(undefined));
  const counted = async () => {
    commits += 1;
    return commit();
  };
  const host = new PairingHost({
    address: HOST,
    port,
    key: KEY,
    validMs: 600_000,
    offerTo: async () => Promise.resolve({ kind: "offer", message: MESSAGE, commit: counted }),
    tell: (event) => told.push(event),
    ...options,
  });
  assert.equal(await host.open(), undefined);
  void host.ended.then((how) => (end = how));
  t.after(async () => {
    host.close();
    await host.ended;
  });
  return { host, port, told, commits: () => commits, end: () => end };
}

async function session(port: number): Promise<JoinSession> {
  const opened = await connectToHost({ address: HOST, port, key: KEY });
  assert.ok(opened.kind === "session", JSON.stringify(opened));
  return opened;
}

async function tryWrong(port: number): Promise<string> {
  const outcome = await connectToHost({ address: HOST, port, key: WRONG });
  assert.equal(outcome.kind, "problem");
  return outcome.kind === "problem" ? outcome.problem : "";
}

/** A connection that says nothing, or what it is told to. */
async function stranger(t: TestContext, port: number, bytes?: string | Buffer): Promise<Socket> {
  const socket = connect({ host: HOST, port });
  t.after(() => socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  if (bytes !== undefined) socket.write(bytes);
  return socket;
}

function closed(socket: Socket): Promise<true> {
  return waitUntil(() => socket.destroyed, { what: "a closed connection", withinMs: 10_000 }).then(
    () => true,
  );
}

describe("a node with the right code", () => {
  test("gets the configuration and the secret, and is entered when it has them on its disk", async (t) => {
    const { host, port, commits } = await waiting(t);
    const joining = await session(port);
    assert.equal(joining.localAddress, HOST);
    assert.deepEqual(await joining.ask(SELF), MESSAGE);
    assert.equal(commits(), 0);
    assert.deepEqual(await joining.confirm(), { kind: "done" });
    assert.equal(commits(), 1);
    assert.deepEqual(await host.ended, { kind: "joined", name: "pi-b", address: HOST });
  });

  test("has used it up: the port is closed", async (t) => {
    const { host, port } = await waiting(t);
    const joining = await session(port);
    await joining.ask(SELF);
    await joining.confirm();
    await host.ended;
    const again = await connectToHost({ address: HOST, port, key: KEY });
    assert.ok(
      again.kind === "problem" && /nobody waits.*used.*vipair invite/.test(again.problem),
      JSON.stringify(again),
    );
  });

  test("that is told why it cannot be the second node may come again", async (t) => {
    let answers = 0;
    const { host, port, told } = await waiting(t, {
      offerTo: async () =>
        Promise.resolve(
          answers++ === 0
            ? { kind: "refused", problem: "both nodes are called pi-b" }
            : { kind: "offer", message: MESSAGE, commit: async () => Promise.resolve(undefined) },
        ),
    });
    const first = await (await session(port)).ask(SELF);
    assert.deepEqual(first, { kind: "problem", problem: `${HOST} refuses: both nodes are called pi-b` });
    assert.match(told.join(), /refused pi-b at 127\.0\.0\.1: both nodes are called pi-b/);
    const second = await session(port);
    assert.equal((await second.ask(SELF)).kind, "offer");
    assert.deepEqual(await second.confirm(), { kind: "done" });
    assert.equal((await host.ended).kind, "joined");
  });

  test("that dies before it has written is not entered, and another one may come with the same code", async (t) => {
    const { host, port, told, commits } = await waiting(t);
    const dying = await session(port);
    await dying.ask(SELF);
    dying.giveUp("the disk is full");
    await waitUntil(() => told.length > 0, { what: "the word of it", withinMs: 5000 });
    assert.match(told.join(), /pi-b has not joined: the disk is full\. It may try again/);
    assert.equal(commits(), 0);
    const next = await session(port);
    await next.ask(SELF);
    assert.deepEqual(await next.confirm(), { kind: "done" });
    assert.equal((await host.ended).kind, "joined");
  });

  test("hears when it cannot be entered, so that it can take back what it wrote", async (t) => {
    const { port, end } = await waiting(t, { commit: async () => Promise.resolve("the disk is full") });
    const joining = await session(port);
    await joining.ask(SELF);
    assert.deepEqual(await joining.confirm(), {
      kind: "problem",
      problem: `${HOST} refuses: the disk is full`,
    });
    assert.equal(end(), undefined);
  });

  test("waits its turn: of two at once one joins, and the other hears why it does not", async (t) => {
    const { host, port, commits } = await waiting(t);
    const first = await session(port);
    await first.ask(SELF);
    const second = await (await session(port)).ask({ ...SELF, name: "pi-c" });
    assert.ok(second.kind === "problem" && /another node is just joining/.test(second.problem));
    assert.deepEqual(await first.confirm(), { kind: "done" });
    assert.deepEqual(await host.ended, { kind: "joined", name: "pi-b", address: HOST });
    assert.equal(commits(), 1);
  });
});

describe("a wrong code", () => {
  test("is told to both, with the tries that are left, and the third one burns the code", async (t) => {
    const { host, port, told } = await waiting(t);
    assert.equal(await tryWrong(port), "the code is wrong; 2 tries are left");
    await waitUntil(() => told.length === 1, { what: "the first", withinMs: 5000 });
    assert.equal(await tryWrong(port), "the code is wrong; 1 try is left");
    await waitUntil(() => told.length === 2, { what: "the second", withinMs: 5000 });
    assert.match(await tryWrong(port), /the code is wrong, and that was the last try\. .*invite/);
    assert.deepEqual(await host.ended, { kind: "burned" });
    assert.deepEqual(told, [
      "wrong code from 127.0.0.1: 2 tries are left",
      "wrong code from 127.0.0.1: 1 try is left",
      "wrong code from 127.0.0.1: it was the last try",
    ]);
    const right = await connectToHost({ address: HOST, port, key: KEY });
    assert.ok(right.kind === "problem" && /nobody waits/.test(right.problem));
  });

  test("gets no more than three tries, however many come at once", async (t) => {
    const { host, port, told } = await waiting(t);
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, () => connectToHost({ address: HOST, port, key: WRONG })),
    );
    assert.ok(outcomes.every(({ kind }) => kind === "problem"));
    // Whoever did not get a try did not find out anything either.
    assert.ok(told.length <= 3, told.join("\n"));
    while (told.length < 3) {
      // oxlint-disable-next-line no-await-in-loop -- those that were turned away come again
      await tryWrong(port);
    }
    assert.deepEqual(await host.ended, { kind: "burned" });
  });

  test("does not burn what a node is just joining with", async (t) => {
    const { host, port, end } = await waiting(t);
    const joining = await session(port);
    await joining.ask(SELF);
    for (let i = 0; i < 3; i += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await tryWrong(port);
    }
    assert.equal(end(), undefined);
    assert.deepEqual(await joining.confirm(), { kind: "done" });
    assert.equal((await host.ended).kind, "joined");
  });
});

describe("who does not know the code", () => {
  test("costs no try with garbage, silence, another protocol or another name", async (t) => {
    const { port, told, end } = await waiting(t);
    for (const bytes of [
      "GET / HTTP/1.1\r\n\r\n",
      randomBytes(4096),
      Buffer.from([0x16, 3, 3, 0xff, 0xff]),
      "",
    ]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const socket = await stranger(t, port, bytes);
      socket.destroy();
    }
    const certificates = connectTls({ host: HOST, port, rejectUnauthorized: false });
    await once(certificates, "error");
    const other = connectTls({
      host: HOST,
      port,
      ...PSK_TLS,
      pskCallback: () => ({ psk: WRONG, identity: "somebody" }),
      checkServerIdentity: () => undefined,
    });
    await once(other, "error");
    assert.deepEqual(told, []);
    assert.equal(end(), undefined);
    assert.equal((await (await session(port)).ask(SELF)).kind, "offer");
  });

  test("costs no try by hanging up in the middle of a handshake", async (t) => {
    const { port, told } = await waiting(t);
    for (let i = 0; i < 5; i += 1) {
      const half = connectTls({
        host: HOST,
        port,
        ...PSK_TLS,
        pskCallback: () => {
          half.destroy();
          return { psk: WRONG, identity: JOINER_IDENTITY };
        },
        checkServerIdentity: () => undefined,
      });
      half.on("error", () => undefined);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await once(half, "close");
    }
    assert.deepEqual(told, []);
    assert.equal((await (await session(port)).ask(SELF)).kind, "offer");
  });

  test("keeps no place: the oldest of too many silent connections goes, and the node comes through", async (t) => {
    const { port } = await waiting(t);
    const silent = [];
    for (let i = 0; i < 20; i += 1) {
      // oxlint-disable-next-line no-await-in-loop -- in this order
      silent.push(await stranger(t, port));
    }
    const [first] = silent;
    assert.ok(first !== undefined && (await closed(first)));
    assert.equal((await (await session(port)).ask(SELF)).kind, "offer");
  });
});

describe("who knows the code and misbehaves", () => {
  test("is cut off when it says too much, or no message, and nothing is changed", async (t) => {
    const { port, commits, end } = await waiting(t);
    for (const text of ["x".repeat(100_000), "nonsense\n", '{"kind":"written"}\n', "[]\n", "\n"]) {
      const socket = withCode(port);
      socket.on("error", () => undefined);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await once(socket, "secureConnect");
      socket.write(text);
      socket.resume();
      // oxlint-disable-next-line no-await-in-loop -- see above
      await closed(socket);
    }
    assert.deepEqual([commits(), end()], [0, undefined]);
    assert.equal((await (await session(port)).ask(SELF)).kind, "offer");
  });

  test("is cut off when it says nothing, so that the next one comes through", async (t) => {
    const { port } = await waiting(t);
    const silent = withCode(port);
    silent.on("error", () => undefined);
    silent.resume();
    await once(silent, "secureConnect");
    assert.ok(await closed(silent));
    assert.equal((await (await session(port)).ask(SELF)).kind, "offer");
  });
});

describe("the time of a code", () => {
  test("ends after so long, and no earlier", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { host, port, end } = await waiting(t);
    t.mock.timers.tick(599_999);
    await Promise.resolve();
    assert.equal(end(), undefined);
    t.mock.timers.tick(1);
    assert.deepEqual(await host.ended, { kind: "expired" });
    t.mock.timers.reset();
    const late = await connectToHost({ address: HOST, port, key: KEY });
    assert.ok(late.kind === "problem" && /expired/.test(late.problem), JSON.stringify(late));
  });

  test("does not end for a node that is just joining", async (t) => {
    const { host, port, end } = await waiting(t, { validMs: 300 });
    const joining = await session(port);
    await joining.ask(SELF);
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.equal(end(), undefined);
    assert.deepEqual(await joining.confirm(), { kind: "done" });
    assert.equal((await host.ended).kind, "joined");
  });

  test("ends at once when nobody waits any more", async (t) => {
    const { host, port } = await waiting(t);
    const socket = await stranger(t, port);
    host.close();
    assert.deepEqual(await host.ended, { kind: "closed" });
    assert.ok(await closed(socket));
  });
});

describe("a node that joins is told", () => {
  test("that a port is used by another program", async (t) => {
    const { port } = await waiting(t);
    const second = new PairingHost({
      address: HOST,
      port,
      key: KEY,
      validMs: 1000,
      offerTo: async () => Promise.resolve({ kind: "refused", problem: "" }),
      tell: () => undefined,
    });
    assert.match((await second.open()) ?? "", /another program uses it, perhaps a vipair invite/);
  });

  test("that what listens there is no vipair that waits", async (t) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.end("SSH-2.0-OpenSSH\r\n");
    }).listen(0, HOST);
    t.after(() => server.close());
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const outcome = await connectToHost({ address: HOST, port, key: KEY });
    assert.ok(
      outcome.kind === "problem" && /not a vipair that waits/.test(outcome.problem),
      JSON.stringify(outcome),
    );
  });

  test("that nobody has confirmed, when the other node dies as it enters it", async (t) => {
    const { host, port } = await waiting(t, {
      commit: async () => {
        host.close();
        return Promise.resolve(undefined);
      },
    });
    const joining = await session(port);
    await joining.ask(SELF);
    assert.deepEqual(await joining.confirm(), { kind: "unclear" });
    assert.equal((await host.ended).kind, "joined");
  });
});

function withCode(port: number): TLSSocket {
  return connectTls({
    host: HOST,
    port,
    ...PSK_TLS,
    pskCallback: () => ({ psk: KEY, identity: JOINER_IDENTITY }),
    checkServerIdentity: () => undefined,
  });
}
