import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  type HostMessage,
  type JoinerMessage,
  formatPairingHint,
  parseHostMessage,
  parseJoinerMessage,
  parsePairingHint,
} from "../../src/protocol/pairing.ts";

const JOINER: readonly JoinerMessage[] = [
  { kind: "join", protocol: 5, version: "0.1.0", name: "pi-b", address: "10.0.0.2" },
  { kind: "written" },
  { kind: "failed", problem: "the disk is full" },
];

const HOST: readonly HostMessage[] = [
  { kind: "offer", name: "pi-a", config: "pair: {}\n", secret: "s" },
  { kind: "offer", name: "pi-a", config: "pair: {}\n", secret: null },
  { kind: "refused", problem: "no" },
  { kind: "done" },
];

test("each message is read as it was written, without what does not belong to it", () => {
  for (const message of JOINER) {
    assert.deepEqual(parseJoinerMessage(JSON.stringify({ ...message, more: 1 })), message);
  }
  for (const message of HOST)
    assert.deepEqual(parseHostMessage(JSON.stringify({ ...message, more: 1 })), message);
});

test("a message that lacks something, or has it in another type, is none", () => {
  const parsers = [
    [JOINER, parseJoinerMessage],
    [HOST, parseHostMessage],
  ] as const;
  for (const [messages, parse] of parsers) {
    for (const message of messages) {
      for (const key of Object.keys(message)) {
        for (const wrong of [undefined, 1.5, true, [], {}]) {
          if (key === "protocol" && typeof wrong === "number") continue;
          assert.equal(
            parse(JSON.stringify({ ...message, [key]: wrong })),
            undefined,
            `${key} in ${message.kind}`,
          );
        }
      }
    }
  }
});

test("what is shown on a terminal has no control characters, and an end", () => {
  const problem = `\u001b[2Jgone\n\u009b${"x".repeat(5000)}`;
  const failed = parseJoinerMessage(JSON.stringify({ kind: "failed", problem }));
  assert.ok(failed?.kind === "failed");
  assert.equal(failed.problem, ` [2Jgone  ${"x".repeat(990)}`);
  assert.deepEqual(parseHostMessage(JSON.stringify({ kind: "refused", problem })), {
    ...failed,
    kind: "refused",
  });
});

test("any other text is no message, and never an exception", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      assert.equal(parseJoinerMessage(text), undefined);
      assert.equal(parseHostMessage(text), undefined);
    }),
  );
});

test("the hint tells the tries that are left, and nothing to who speaks another version", () => {
  assert.deepEqual(parsePairingHint(formatPairingHint({ triesLeft: 2 })), { triesLeft: 2 });
  for (const hint of [
    null,
    "",
    "vipair pairing 2 tries 3",
    "vipair pairing 1",
    "vipair pairing 1 tries 33",
  ]) {
    assert.equal(parsePairingHint(hint), undefined);
  }
});
