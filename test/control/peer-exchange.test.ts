import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { type ExchangeAnswer, PeerExchange } from "../../src/control/peer-exchange.ts";
import { EXCHANGE_BYTES_MAX, type ExchangeMessage } from "../../src/control/peer-frame.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import { eventually, keepTalking, newPlace, nodeOf } from "./peer-pair.ts";

interface Wire {
  readonly a: PeerExchange;
  readonly b: PeerExchange;
  readonly sent: ExchangeMessage[];
  /** How often each message arrives. */
  copies: (message: ExchangeMessage) => number;
}

/** Two ends that hear each other in later turns of the event loop. */
function wireOf(t: TestContext, answer: (question: string) => Promise<string>): Wire {
  const sent: ExchangeMessage[] = [];
  const carry = (to: () => PeerExchange) => (message: ExchangeMessage) => {
    sent.push(message);
    for (let copy = 0; copy < wire.copies(message); copy += 1) setImmediate(() => to().receive(message));
  };
  const a: PeerExchange = new PeerExchange({ send: carry(() => b), answer });
  const b: PeerExchange = new PeerExchange({ send: carry(() => a), answer });
  const wire: Wire = { a, b, sent, copies: () => 1 };
  t.after(() => {
    a.close();
    b.close();
  });
  return wire;
}

const shout = (question: string): Promise<string> => Promise.resolve(question.toUpperCase());

function partsOf(sent: readonly ExchangeMessage[]): number {
  return sent.filter(({ step }) => step === "part").length;
}

test("a question gets its answer, however long the two are", async (t) => {
  const { a, sent } = wireOf(t, shout);
  assert.deepEqual(await a.ask("what?"), { kind: "answer", text: "WHAT?" });
  assert.equal(partsOf(sent), 2);
  const long = "long €".repeat(50_000);
  assert.deepEqual(await a.ask(long), { kind: "answer", text: long.toUpperCase() });
  const longest = "x".repeat(EXCHANGE_BYTES_MAX + 1);
  assert.deepEqual(await a.ask(longest), { kind: "none", problem: "takes no text as long as this" });
});

test("both nodes may ask at once", async (t) => {
  const { a, b } = wireOf(t, shout);
  const answers = await Promise.all([a.ask("from a"), b.ask("from b")]);
  assert.deepEqual(answers, [
    { kind: "answer", text: "FROM A" },
    { kind: "answer", text: "FROM B" },
  ]);
});

test("what comes over several connections is answered once, and asked once", async (t) => {
  let asked = 0;
  const wire = wireOf(t, async (question) => {
    asked += 1;
    return shout(question);
  });
  wire.copies = () => 3;
  const text = "x".repeat(24_000);
  assert.deepEqual(await wire.a.ask(text), { kind: "answer", text: text.toUpperCase() });
  assert.equal(asked, 1);
  assert.equal(partsOf(wire.sent), 20);
});

test("what is lost on the way is asked for again", async (t) => {
  const wire = wireOf(t, shout);
  const lost = new Set<string>();
  // The first of each kind of message.
  wire.copies = ({ step }) => {
    if (lost.has(step)) return 1;
    lost.add(step);
    return 0;
  };
  const text = "x".repeat(5000);
  assert.deepEqual(await wire.a.ask(text), { kind: "answer", text: text.toUpperCase() });
  assert.ok(["ask", "pull", "part", "answered"].every((step) => lost.has(step)));
});

test("one part at a time is on its way", async (t) => {
  const wire = wireOf(t, shout);
  await wire.a.ask("x".repeat(24_000));
  const steps = wire.sent.map(({ step }) => step).filter((step) => step === "pull" || step === "part");
  assert.deepEqual(
    steps,
    Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? "pull" : "part")),
  );
});

test("a second question waits for nobody: it is refused while the first is open", async (t) => {
  const answer = Promise.withResolvers<string>();
  const { a } = wireOf(t, () => answer.promise);
  const first = a.ask("first");
  assert.deepEqual(await a.ask("second"), { kind: "none", problem: "is being asked something else already" });
  answer.resolve("at last");
  assert.deepEqual(await first, { kind: "answer", text: "at last" });
});

test("a peer that goes out of touch leaves no question open, and can be asked anew", async (t) => {
  const wire = wireOf(t, shout);
  wire.copies = () => 0;
  const lost = wire.a.ask("lost");
  wire.a.disconnected();
  wire.b.disconnected();
  assert.deepEqual(await lost, { kind: "none", problem: "went out of touch before it answered" });
  wire.copies = () => 1;
  assert.deepEqual(await wire.a.ask("again"), { kind: "answer", text: "AGAIN" });
});

test("parts that were not asked for, repeat, or do not fit, change nothing", async (t) => {
  const wire = wireOf(t, shout);
  const parts = ["AAAA", "QUJD", "eHh4"];
  wire.copies = (message) => {
    if (message.step === "part") {
      for (const data of parts) wire.b.receive({ ...message, offset: message.offset + 1, data });
      wire.b.receive({ ...message, id: message.id + 1 });
      wire.b.receive({ ...message, of: "answer" });
    }
    return 2;
  };
  assert.deepEqual(await wire.a.ask("x".repeat(9000)), { kind: "answer", text: "X".repeat(9000) });
});

test("over the peer link: a text of 1 MiB holds up no advertisement", async (t) => {
  const place = await newPlace();
  const links = { a: nodeOf(t, "a", place), b: nodeOf(t, "b", place) };
  const ends = {
    a: new PeerExchange({ send: (message) => links.a.link.tell(message), answer: shout }),
    b: new PeerExchange({ send: (message) => links.b.link.tell(message), answer: shout }),
  };
  for (const name of ["a", "b"] as const) {
    t.after(() => ends[name].close());
    links[name].listeners.config = (message) => {
      if (message.kind === "exchange") ends[name].receive(message);
    };
  }
  const saidAtMs = keepTalking(t, links.a);
  keepTalking(t, links.b);
  await eventually(() => links.a.link.status().connections === 2 && links.b.link.status().connections === 2);
  const delaysMs: number[] = [];
  links.b.listeners.advertisement = ({ epoch }) => {
    delaysMs.push(monotonicClock() - (saidAtMs.get(epoch) ?? NaN));
  };
  let answer: ExchangeAnswer | undefined;
  const text = "x".repeat(1024 * 1024);
  void ends.a.ask(text).then((answered) => (answer = answered));
  await eventually(() => answer !== undefined && delaysMs.length > 5, 60_000);
  assert.deepEqual(answer, { kind: "answer", text: text.toUpperCase() });
  const sorted = delaysMs.toSorted((x, y) => x - y);
  const median = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  t.diagnostic(`an advertisement took ${median.toFixed(1)} ms, the median of ${String(sorted.length)}`);
  assert.ok(median < 50, "less than the advertisement interval");
  assert.equal(
    links.a.events.filter((event) => event === "disconnected").length,
    0,
    "no connection was given up",
  );
});
