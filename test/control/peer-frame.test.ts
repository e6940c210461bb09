import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as assertProperty, json, oneof, property, string } from "fast-check";
import { PROTOCOL_VERSION, decodeFrame, encodeFrame } from "../../src/control/peer-frame.ts";
import type { Advertisement } from "../../src/election/advertisement.ts";

const SAID: Advertisement = {
  node: "pi-a",
  role: "active",
  priority: 150,
  epoch: 7,
  ready: true,
  intent: "none",
  configHash: "abc",
};
const FRAME = { n: 1, boot: "b00t", seq: 5, advertisement: SAID };

function altered(change: object): string {
  return JSON.stringify({ ...(JSON.parse(encodeFrame(FRAME)) as object), ...change });
}

test("a frame survives the wire", () => {
  assert.deepEqual(decodeFrame(encodeFrame(FRAME)), { kind: "frame", frame: FRAME });
});

test("a field that is not known is ignored", () => {
  assert.equal(decodeFrame(altered({ colour: "red" })).kind, "frame");
});

test("another protocol version is recognized whatever else the frame says", () => {
  const other = { kind: "other-version", version: PROTOCOL_VERSION + 1 };
  assert.deepEqual(decodeFrame(altered({ v: PROTOCOL_VERSION + 1 })), other);
  assert.deepEqual(decodeFrame(JSON.stringify({ v: PROTOCOL_VERSION + 1 })), other);
});

test("a frame with a wrong field is invalid and says which part", () => {
  const cases: readonly (readonly [object, string])[] = [
    [{ v: "1" }, "no protocol version"],
    [{ v: 0 }, "no protocol version"],
    [{ n: 0 }, "no counter"],
    [{ n: 1.5 }, "no counter"],
    [{ seq: null }, "no counter"],
    [{ boot: "" }, "no boot"],
    [{ boot: "x".repeat(65) }, "no boot"],
    [{ kind: "order" }, "unknown kind"],
    [{ role: "king" }, "not an advertisement"],
    [{ priority: 255 }, "not an advertisement"],
  ];
  for (const [change, reason] of cases) {
    assert.deepEqual(decodeFrame(altered(change)), { kind: "invalid", reason }, JSON.stringify(change));
  }
});

test("no text makes the decoder throw or yield a frame that was not sent", () => {
  assertProperty(
    property(oneof(string(), json()), (text) => {
      assert.notEqual(decodeFrame(text).kind, "frame");
    }),
  );
});
