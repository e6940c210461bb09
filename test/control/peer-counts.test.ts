import assert from "node:assert/strict";
import { test } from "node:test";
import { PeerCounts } from "../../src/control/peer-counts.ts";
import type { ChangesMessage } from "../../src/control/peer-frame.ts";
import type { Change } from "../../src/election/changes.ts";

const ORDER: Change = { key: "drain/web/big", value: true, epoch: 3, counter: 4, node: "a" };

/** Two nodes; `lose`: what does not arrive, `paths`: how often all else does. */
function pair({ paths = 1, isInTouch = () => true }: { paths?: number; isInTouch?: () => boolean } = {}) {
  const heard: Change[] = [];
  const counted: string[] = [];
  const carry = (to: () => PeerCounts) => (message: ChangesMessage) => {
    setImmediate(() => {
      for (let path = 0; path < paths; path += 1) {
        if (message.kind === "changes") heard.push(...message.changes);
        to().receive(message);
      }
    });
  };
  const node = (peer: string, to: () => PeerCounts): PeerCounts =>
    new PeerCounts({
      peer: () => peer,
      isInTouch,
      find: (key) => (key === ORDER.key ? ORDER : undefined),
      send: carry(to),
      count: async (keys) => {
        counted.push(...keys);
        return Promise.resolve(keys.map((key) => (key === ORDER.key ? 3 : 0)));
      },
    });
  const a: PeerCounts = node("pi-b", () => b);
  const b: PeerCounts = node("pi-a", () => a);
  return { a, b, heard, counted };
}

test("the peer hears of the order before it counts, and says how many connections it has", async () => {
  const { a, heard, counted } = pair();
  assert.deepEqual(await a.ask("drain/web/big"), { node: "pi-b", connections: 3, problem: null });
  assert.deepEqual(heard, [ORDER]);
  assert.deepEqual(counted, ["drain/web/big"]);
  assert.deepEqual(await a.ask("drain/web/small"), { node: "pi-b", connections: 0, problem: null });
});

test("a question that comes over several paths is counted for once", async () => {
  const { a, b, counted } = pair({ paths: 4 });
  const answers = await Promise.all([a.ask("drain/web/big"), b.ask("drain/web/big"), a.ask("drain/web/big")]);
  assert.deepEqual(
    answers.map(({ connections }) => connections),
    [3, 3, 3],
  );
  assert.equal(counted.length, 3);
});

test("a peer that is not in touch, that does not answer, or whose release does not count is named with the reason", async (t) => {
  const away = pair({ isInTouch: () => false });
  assert.deepEqual(await away.a.ask("drain/web/big"), {
    node: "pi-b",
    connections: null,
    problem: "it is not in touch",
  });

  t.mock.timers.enable({ apis: ["setTimeout"] });
  const silent = pair({ paths: 0 });
  const asked = silent.a.ask("drain/web/big");
  t.mock.timers.tick(1500);
  assert.equal((await asked).problem, "it does not answer");

  const sent: ChangesMessage[] = [];
  const old = new PeerCounts({
    peer: () => "pi-b",
    isInTouch: () => true,
    find: () => ORDER,
    send: (message) => sent.push(message),
    count: async () => Promise.resolve([]),
  });
  const answered = old.ask("drain/web/big");
  // As an earlier release confirms changes.
  old.receive({ kind: "changes-stored", id: sent[0]?.id ?? 0 });
  assert.equal((await answered).problem, "its release does not count them");
});

test("whoever asks when the node stops is told at once", async () => {
  const { a } = pair({ paths: 0 });
  const asked = a.ask("drain/web/big");
  a.close();
  assert.deepEqual(await asked, { node: "pi-b", connections: null, problem: "this node stops" });
});
