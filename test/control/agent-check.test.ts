// Agents of backends, as HAProxy's agent-check: what they say beside the checks, and what their silence means.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { ONCE, patient, until, watch, web, type Watch } from "./health-rig.ts";
import { accept, refusedPort } from "./probe-rig.ts";

interface Rig extends Watch {
  /** What the agent says from now on. */
  say: (talk: string | ((socket: Socket) => void)) => void;
  readonly agent: () => string;
  /** Weight in percent, as the workers hear of it. */
  readonly weight: () => number;
  /** The port of the backend itself. */
  readonly target: number;
}

function hangUp(socket: Socket): void {
  socket.end();
}

async function withAgent(
  t: TestContext,
  { health = `{ kind: tcp, ${ONCE} }`, backend = "alive", agent = "", timeoutMs = 5_000 } = {},
): Promise<Rig> {
  let talk: (socket: Socket) => void = hangUp;
  const port = await accept(t, (socket) => {
    talk(socket);
  });
  const target = backend === "alive" ? await accept(t, () => undefined) : await refusedPort();
  const yaml = `health: ${health}, agent: { port: ${String(port)}, interval: 50ms, timeout: 50ms ${agent} }`;
  const pool = patient(web(yaml, { a: target }));
  const watched = watch(t, [
    pool.agent === undefined ? pool : { ...pool, agent: { ...pool.agent, timeoutMs } },
  ]);
  return {
    ...watched,
    target,
    say: (words) => {
      talk = typeof words === "string" ? (socket) => socket.end(words) : words;
    },
    agent: () => {
      const status = watched.checker.status("web", "a").agent;
      const problem = status?.problem ?? null;
      return `${status?.said ?? "nothing"}${problem === null ? "" : ` (${problem})`}`;
    },
    weight: () => watched.checker.table()["web"]?.["a"]?.weightPercent ?? 100,
  };
}

test("an agent's weight, drain, maint and down reach the workers, and go when it takes them back", async (t) => {
  const { say, state, weight, reason, agent } = await withAgent(t);
  say("75%\n");
  await until(() => weight() === 75, "75 %");
  assert.equal(state(), "up");
  say("drain\n");
  await until(() => state() === "drain", "drain");
  assert.equal(reason(), "its agent says drain");
  assert.equal(weight(), 75, "what it does not say stays");
  say("maint\r\n");
  await until(() => state() === "maintenance", "maintenance");
  assert.equal(reason(), "its agent says maint");
  say("ready,100%");
  await until(() => state() === "up" && weight() === 100, "ready");
  say("down # the disk is full\n");
  await until(() => state() === "down", "down");
  assert.equal(reason(), "its agent says down: the disk is full");
  say("ready\n");
  await until(() => agent() === "ready", "ready, which ends no failure");
  assert.equal(state(), "down");
  say("up\n");
  await until(() => state() === "up", "up");
  assert.equal(reason(), null);
});

test("an agent that says up does not heal a backend whose checks fail", async (t) => {
  const { say, state, reason, agent } = await withAgent(t, { backend: "dead" });
  say("up ready 100%\n");
  await until(() => state() === "down" && agent().startsWith("up"), "down");
  assert.equal(reason(), "connect refused");
});

test("an agent that falls silent changes nothing: only it can take back what it said", async (t) => {
  const { say, state, agent, weight, events } = await withAgent(t);
  say("drain 40%\n");
  await until(() => state() === "drain", "drain");
  say((socket) => socket.resetAndDestroy());
  await until(() => agent() === "drain 40% (connection reset)", "reset");
  say(hangUp);
  await until(() => agent() === "drain 40% (it said nothing)", "an empty answer");
  assert.equal(state(), "drain");
  assert.equal(weight(), 40);
  say("ready\n");
  await until(() => state() === "up" && agent() === "ready", "ready");
  const complaints = events.filter((event) => event === "the agent of a backend is not understood");
  assert.equal(complaints.length, 1, "told once, not with each question");
});

test("an agent that takes its time is not waited for longer than the timeout", async (t) => {
  const { say, agent, state } = await withAgent(t, { timeoutMs: 200 });
  say((socket) => void socket.on("data", () => undefined));
  await until(() => agent() === "nothing (no answer within 200 ms)", "silence");
  assert.equal(state(), "up");
});

test("without an agent there the backend is as its checks say", async (t) => {
  const alive = await accept(t, () => undefined);
  const nobody = await refusedPort();
  const yaml = `health: { kind: tcp, ${ONCE} }, agent: { port: ${String(nobody)}, interval: 50ms, timeout: 50ms }`;
  const { checker, state } = watch(t, [web(yaml, { a: alive })]);
  await until(() => checker.status("web", "a").agent?.problem === "connect refused", "refused");
  assert.equal(state(), "up");
  assert.equal(checker.status("web", "a").agent?.said, null);
});

for (const [what, talk, said] of [
  ["a line without its line feed", (socket: Socket) => socket.end("60%"), "60%"],
  [
    "a line in pieces",
    (socket: Socket) => {
      socket.write("6");
      setTimeout(() => socket.write("0%\nrest"), 5);
    },
    "60%",
  ],
  ["a line that a carriage return ends", (socket: Socket) => socket.write("60%\r"), "60%"],
  ["an endless line", (socket: Socket) => socket.write("x".repeat(5_000)), "nothing (its line has no end)"],
  [
    "words that mean nothing",
    (socket: Socket) => socket.end("HTTP/1.1 \u001b[2J\n"),
    "HTTP/1.1 ?[2J (no word of an agent: HTTP/1.1 ?[2J)",
  ],
] as const) {
  test(`an agent that says ${what}: ${said}`, async (t) => {
    const { say, agent, weight } = await withAgent(t);
    say(talk);
    await until(() => agent() === said, said);
    assert.equal(weight(), said === "60%" ? 60 : 100);
  });
}

test("an agent is told what the configuration says, and answers to that", async (t) => {
  const { say, weight } = await withAgent(t, { agent: String.raw`, send: 'weight of web?\n'` });
  say((socket) => {
    socket.once("data", (bytes: Buffer) =>
      socket.end(String(bytes) === "weight of web?\n" ? "33%\n" : "down\n"),
    );
  });
  await until(() => weight() === 33, "33 %");
});

test("a backend may have its agent at a port of its own", async (t) => {
  const saying = async (words: string) => accept(t, (socket) => socket.end(words));
  const [usual, own] = [await saying("10%\n"), await saying("20%\n")];
  const yaml = `health: { kind: none }, agent: { port: ${String(usual)}, interval: 50ms, timeout: 50ms }`;
  const pool = web(yaml, { a: await refusedPort(), b: await refusedPort() });
  const backends = pool.backends.map((one) =>
    one.name === "b" ? { ...one, check: { agentPort: own } } : one,
  );
  const { checker } = watch(t, [{ ...pool, backends }]);
  const weight = (name: string) => checker.table()["web"]?.[name]?.weightPercent;
  await until(() => weight("a") === 10 && weight("b") === 20, "10 % and 20 %");
});

test("a backend without checks has its agent's word alone", async (t) => {
  const { say, state } = await withAgent(t, { health: "{ kind: none }", backend: "dead" });
  say("fail\n");
  await until(() => state() === "down", "down");
  say("up\n");
  await until(() => state() === "up", "up");
});

test("a backend that its agent brings back has recovered; one that ends its drain has not", async (t) => {
  const { say, state, checker } = await withAgent(t);
  const recovered = () => checker.table()["web"]?.["a"]?.recoveredAgoMs !== undefined;
  say("drain\n");
  await until(() => state() === "drain", "drain");
  say("ready\n");
  await until(() => state() === "up", "ready");
  assert.equal(recovered(), false);
  say("down\n");
  await until(() => state() === "down", "down");
  say("up\n");
  await until(() => state() === "up", "up");
  assert.equal(recovered(), true);
});

test("a reload keeps what the agent said; without an agent in the configuration it counts no more", async (t) => {
  const { say, state, weight, checker, target } = await withAgent(t);
  say("drain 40%\n");
  await until(() => state() === "drain" && weight() === 40, "drain");
  const nobody = await refusedPort();
  const health = `health: { kind: tcp, ${ONCE} }`;
  checker.configure([web(`${health}, agent: { port: ${String(nobody)} }`, { a: target })]);
  assert.equal(state(), "drain");
  assert.equal(weight(), 40);
  checker.configure([web(health, { a: target })]);
  assert.deepEqual(checker.table(), { web: { a: { health: "up" } } });
});
