import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as assertProperty, json, oneof, property, string } from "fast-check";
import {
  EXCHANGE_BYTES_MAX,
  EXCHANGE_PART_BYTES_MAX,
  FRAME_BYTES_MAX,
  FRAME_CHANGES_BYTES_MAX,
  PROTOCOL_VERSION,
  decodeFrame,
  encodeFrame,
} from "../../src/control/peer-frame.ts";
import type { Frame, Message } from "../../src/control/peer-frame.ts";
import { INTERVAL_MS, LEASE_MS } from "../../src/config/config.ts";
import { expiryLateMs, leaseGoneMs } from "../../src/election/timing.ts";
import { advertisementOf } from "./peer-pair.ts";

const SAID = advertisementOf("pi-a", { role: "active", priority: 150, epoch: 7 });
const CHANGE = { key: "drain/web/big", value: true, epoch: 7, counter: 3, node: "pi-a" };
const MESSAGES: readonly Message[] = [
  {
    kind: "advertisement",
    seq: 5,
    groups: 2,
    addresses: ["192.168.1.50", "fd00::50"],
    advertisement: SAID,
  },
  { kind: "changes", id: 9, changes: [CHANGE, { ...CHANGE, key: "weight/web/big", value: 2.5 }] },
  { kind: "changes", id: 10, changes: [] },
  { kind: "changes-stored", id: 9 },
  { kind: "changes", id: 2 ** 40 + 1, changes: [CHANGE], count: [CHANGE.key] },
  { kind: "changes-stored", id: 2 ** 40 + 1, counts: [3] },
  { kind: "config-file", digest: "0f".repeat(32) },
  { kind: "exchange", id: 7, step: "ask", bytes: 1 },
  { kind: "exchange", id: 7, step: "pull", of: "question", offset: 0, turn: 1 },
  { kind: "exchange", id: 7, step: "part", of: "question", offset: 0, data: "YQ==" },
  { kind: "exchange", id: 7, step: "answered", bytes: EXCHANGE_BYTES_MAX },
  { kind: "exchange", id: 7, step: "done" },
];

function frameOf(message: Message): Frame {
  return { n: 1, boot: "b00t", node: "pi-a", message };
}

function altered(message: Message | undefined, change: object): string {
  assert.ok(message);
  return JSON.stringify({ ...(JSON.parse(encodeFrame(frameOf(message))) as object), ...change });
}

test("a frame of each kind survives the wire", () => {
  for (const message of MESSAGES) {
    assert.deepEqual(decodeFrame(encodeFrame(frameOf(message))), { kind: "frame", frame: frameOf(message) });
  }
});

test("a field that is not known is ignored", () => {
  for (const message of MESSAGES) {
    const decoded = decodeFrame(altered(message, { colour: "red" }));
    assert.deepEqual(decoded, { kind: "frame", frame: frameOf(message) });
  }
});

test("another protocol version is recognized whatever else the frame says", () => {
  const other = { kind: "other-version", version: PROTOCOL_VERSION + 1 };
  assert.deepEqual(decodeFrame(altered(MESSAGES[0], { v: PROTOCOL_VERSION + 1 })), other);
  assert.deepEqual(decodeFrame(JSON.stringify({ v: PROTOCOL_VERSION + 1 })), other);
});

test("a frame with a wrong field is invalid and says which part", () => {
  const [advertisement, changes, , stored, , , file, ask, pull, part] = MESSAGES;
  const cases: readonly (readonly [Message | undefined, object, string])[] = [
    [advertisement, { v: "1" }, "no protocol version"],
    [advertisement, { v: 0 }, "no protocol version"],
    [advertisement, { n: 0 }, "no counter"],
    [advertisement, { n: 1.5 }, "no counter"],
    [advertisement, { seq: null }, "no counter"],
    [advertisement, { boot: "" }, "no boot"],
    [advertisement, { boot: "x".repeat(65) }, "no boot"],
    [advertisement, { node: 7 }, "no node"],
    [advertisement, { kind: "order" }, "unknown kind"],
    [advertisement, { groups: 0 }, "no groups or addresses"],
    [advertisement, { addresses: "192.168.1.50" }, "no groups or addresses"],
    [advertisement, { addresses: ["1".repeat(46)] }, "no groups or addresses"],
    [advertisement, { role: "king" }, "not an advertisement"],
    [advertisement, { priority: 255 }, "not an advertisement"],
    [advertisement, { group: "x".repeat(65) }, "not an advertisement"],
    [advertisement, { intervalMs: undefined }, "not an advertisement"],
    [advertisement, { intervalMs: 19 }, "not an advertisement"],
    [advertisement, { intervalMs: 10_001 }, "not an advertisement"],
    [advertisement, { intervalMs: 200.5 }, "not an advertisement"],
    [advertisement, { leaseGoneMs: undefined }, "not an advertisement"],
    [advertisement, { leaseGoneMs: 1049 }, "not an advertisement"],
    [advertisement, { leaseGoneMs: 64_001 }, "not an advertisement"],
    [advertisement, { leaseGoneMs: "2100" }, "not an advertisement"],
    [changes, { id: 0 }, "no counter"],
    [changes, { changes: CHANGE }, "not run-time changes"],
    [changes, { changes: [CHANGE, { ...CHANGE, value: "yes" }] }, "not run-time changes"],
    [changes, { count: CHANGE.key }, "no keys to count for"],
    [changes, { count: ["x".repeat(257)] }, "no keys to count for"],
    [changes, { count: ["1", "2", "3", "4", "5"] }, "no keys to count for"],
    [stored, { id: "9" }, "no counter"],
    [stored, { counts: [-1] }, "not counts"],
    [stored, { counts: { length: 1 } }, "not counts"],
    [file, { digest: "0f" }, "not a digest"],
    [file, { digest: 7 }, "not a digest"],
    [ask, { id: 0 }, "no counter"],
    [ask, { step: "give" }, "not an exchange"],
    [ask, { bytes: 0 }, "not an exchange"],
    [ask, { bytes: EXCHANGE_BYTES_MAX + 1 }, "not an exchange"],
    [pull, { of: "all" }, "not an exchange"],
    [pull, { offset: -1 }, "not an exchange"],
    [pull, { offset: EXCHANGE_BYTES_MAX }, "not an exchange"],
    [pull, { turn: 0 }, "not an exchange"],
    [part, { data: "" }, "not an exchange"],
    [part, { data: "YQ" }, "not an exchange"],
    [part, { data: "YQ=\n" }, "not an exchange"],
    [part, { data: "A".repeat(3204) }, "not an exchange"],
  ];
  for (const [message, change, reason] of cases) {
    assert.deepEqual(
      decodeFrame(altered(message, change)),
      { kind: "invalid", reason },
      JSON.stringify(change),
    );
  }
});

test("every interval and every lease that a file may say can be advertised", () => {
  const intervals = [INTERVAL_MS.from, INTERVAL_MS.to];
  for (const intervalMs of intervals) {
    assert.equal(decodeFrame(altered(MESSAGES[0], { intervalMs })).kind, "frame", String(intervalMs));
  }
  for (let leaseMs: number = LEASE_MS.from; leaseMs <= LEASE_MS.to; leaseMs += 1000) {
    for (const addresses of [1, 64]) {
      const goneMs = leaseGoneMs({ leaseMs, expiryLateMs: expiryLateMs(addresses) });
      assert.equal(decodeFrame(altered(MESSAGES[0], { leaseGoneMs: goneMs })).kind, "frame", String(goneMs));
    }
  }
});

test("around the longest part of an exchange there is room for the rest of the frame", () => {
  const data = Buffer.alloc(EXCHANGE_PART_BYTES_MAX).toString("base64");
  const part = { step: "part", of: "question", offset: EXCHANGE_BYTES_MAX - 1, data } as const;
  const message = { kind: "exchange", id: Number.MAX_SAFE_INTEGER, ...part } as const;
  const head = { n: Number.MAX_SAFE_INTEGER, boot: "x".repeat(64), node: "€".repeat(64) };
  const frame = encodeFrame({ ...head, message });
  assert.ok(Buffer.byteLength(frame) <= FRAME_BYTES_MAX);
  assert.equal(decodeFrame(frame).kind, "frame");
});

test("around the longest list of changes there is room for the rest of the frame", () => {
  const widest = "€".repeat(64);
  const head = { n: Number.MAX_SAFE_INTEGER, boot: widest, node: widest };
  const message: Message = { kind: "changes", id: Number.MAX_SAFE_INTEGER, changes: [] };
  const around = Buffer.byteLength(encodeFrame({ ...head, message }));
  assert.ok(around + FRAME_CHANGES_BYTES_MAX <= FRAME_BYTES_MAX, String(around));
});

test("a question for the connections of any backend fits into a frame, with its order", () => {
  const widest = "€".repeat(64);
  const key = "€".repeat(256);
  const id = Number.MAX_SAFE_INTEGER;
  const change = { key, value: 1 / 7, epoch: id, counter: id, node: widest };
  const message: Message = { kind: "changes", id, changes: [change], count: [key] };
  const bytes = Buffer.byteLength(encodeFrame({ n: id, boot: widest, node: widest, message }));
  assert.ok(bytes <= FRAME_BYTES_MAX, String(bytes));
});

test("the addresses of any group fit into a frame", () => {
  const widest = "€".repeat(64);
  const head = { n: Number.MAX_SAFE_INTEGER, boot: widest, node: widest };
  const seq = Number.MAX_SAFE_INTEGER;
  const addresses = Array.from({ length: 300 }, () => "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  const said = { ...SAID, group: widest, node: widest, configHash: widest, epoch: seq, heard: seq };
  const message: Message = { kind: "advertisement", seq, groups: 255, addresses, advertisement: said };
  const text = encodeFrame({ ...head, message });
  assert.ok(Buffer.byteLength(text) <= FRAME_BYTES_MAX, String(Buffer.byteLength(text)));
  assert.equal(decodeFrame(text).kind, "frame");
});

test("no text makes the decoder throw or yield a frame that was not sent", () => {
  assertProperty(
    property(oneof(string(), json()), (text) => {
      assert.notEqual(decodeFrame(text).kind, "frame");
    }),
  );
});
