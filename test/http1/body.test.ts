import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { type OutFraming, createBody, finishBody, hasEnded, transferBody } from "../../src/http1/body.ts";
import type { BodyFraming } from "../../src/http1/framing.ts";

interface Outcome {
  /** What the recipient got. */
  readonly out: string;
  readonly ended: boolean;
  /** Bytes behind the body. */
  readonly rest: string;
  readonly status: number | null;
}

/** Transfers wire bytes that come in pieces ending at the given offsets. */
function transfer(
  wire: string,
  framing: BodyFraming,
  out: OutFraming,
  offsets: readonly number[] = [],
): Outcome {
  const bytes = Buffer.from(wire, "latin1");
  const body = createBody(framing, out);
  const parts: Buffer[] = [];
  let at = 0;
  for (const end of [...offsets, bytes.length]) {
    const piece = bytes.subarray(at, end);
    const taken = transferBody(body, piece, 0, parts);
    if (typeof taken !== "number")
      return { out: textOf(parts), ended: false, rest: "", status: taken.status };
    at += taken;
    if (hasEnded(body)) break;
    assert.equal(taken, piece.length, "a body that has not ended takes everything");
  }
  return { out: textOf(parts), ended: hasEnded(body), rest: wire.slice(at), status: null };
}

function textOf(parts: readonly Buffer[]): string {
  return Buffer.concat(parts).toString("latin1");
}

const CHUNKED = { kind: "chunked" } as const;

test("a body with a length ends where the length says", () => {
  const outcome = transfer("helloGET /", { kind: "length", length: 5 }, "length");
  assert.deepEqual(outcome, { out: "hello", ended: true, rest: "GET /", status: null });
});

test("an empty body has ended before it began", () => {
  assert.equal(hasEnded(createBody({ kind: "length", length: 0 }, "length")), true);
  assert.equal(hasEnded(createBody({ kind: "none" }, "none")), true);
});

test("chunks of one read leave as one chunk, without their extensions", () => {
  const outcome = transfer("3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET", CHUNKED, "chunked");
  assert.deepEqual(outcome, { out: "5\r\nabcde\r\n0\r\n\r\n", ended: true, rest: "GET", status: null });
});

test("chunks become plain bytes for a recipient that knows no chunks", () => {
  assert.equal(transfer("3\r\nabc\r\n0\r\nx: y\r\n\r\n", CHUNKED, "until-close").out, "abc");
});

test("trailers pass, but for those that may not come late", () => {
  const { out } = transfer("0\r\nX-Sum: 1\r\nSet-Cookie: a\r\nHost: b\r\n\r\n", CHUNKED, "chunked");
  assert.equal(out, "0\r\nX-Sum: 1\r\n\r\n");
});

test("a body that ends with its connection is chunked for the recipient", () => {
  const body = createBody({ kind: "until-close" }, "chunked");
  const parts: Buffer[] = [];
  transferBody(body, Buffer.from("abc"), 0, parts);
  assert.equal(finishBody(body, parts), true);
  assert.equal(textOf(parts), "3\r\nabc\r\n0\r\n\r\n");
});

test("a connection that closes inside a body with a length or chunks has cut it", () => {
  assert.equal(finishBody(createBody({ kind: "length", length: 3 }, "length"), []), false);
  assert.equal(finishBody(createBody(CHUNKED, "chunked"), []), false);
});

const BAD_CHUNKS: readonly (readonly [why: string, wire: string])[] = [
  ["no size", "\r\nabc\r\n"],
  ["a sign", "+3\r\nabc\r\n"],
  ["a minus", "-3\r\nabc\r\n"],
  ["a space before", " 3\r\nabc\r\n"],
  ["a space after", "3 \r\nabc\r\n"],
  ["0x", "0x3\r\nabc\r\n"],
  ["no hex digit", "g\r\nabc\r\n"],
  ["an overflowing size", "ffffffffffffffff\r\nabc\r\n"],
  ["many leading zeros", `${"0".repeat(13)}3\r\nabc\r\n`],
  ["a bare LF after the size", "3\nabc\r\n"],
  ["a bare CR after the size", "3\rabc\r\n"],
  ["a bare CR in an extension", "3;a\rb\r\nabc\r\n"],
  ["NUL in an extension", "3;a\0b\r\nabc\r\n"],
  ["an endless extension", `3;${"a".repeat(300)}`],
  ["data longer than its size", "3\r\nabcd\r\n"],
  ["a bare LF after the data", "3\r\nabc\n0\r\n\r\n"],
  ["a length in the trailers", "0\r\nContent-Length: 3\r\n\r\n"],
  ["a coding in the trailers", "0\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ["connection options in the trailers", "0\r\nConnection: x\r\n\r\n"],
  ["a folded trailer", "0\r\nx: y\r\n z\r\n\r\n"],
  ["a trailer without colon", "0\r\nxy\r\n\r\n"],
  ["a bare LF in the trailers", "0\r\nx: y\n\r\n"],
  ["a trailer section that ends in LF LF", "0\r\nx: y\r\n\n"],
  ["an endless trailer section", `0\r\n${"x: y\r\n".repeat(2000)}`],
];
for (const [why, wire] of BAD_CHUNKS) {
  test(`a chunked body with ${why} is refused, however it is split`, () => {
    const whole = transfer(wire, CHUNKED, "chunked");
    assert.notEqual(whole.status, null);
    const everywhere = Array.from({ length: wire.length }, (_, i) => i + 1);
    assert.equal(transfer(wire, CHUNKED, "chunked", everywhere).status, whole.status);
  });
}

function within(offsets: readonly number[], text: string): number[] {
  return offsets.filter((at) => at < text.length).toSorted((a, b) => a - b);
}

test("what was chunked and chunked again is what was sent, whatever the splits", () => {
  const pieces = fc.array(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 }), { maxLength: 6 });
  const splits = fc.array(fc.nat(300), { maxLength: 10 });
  fc.assert(
    fc.property(pieces, splits, splits, (sent, first, second) => {
      const wire = `${sent.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("")}0\r\nX: y\r\n\r\n`;
      const again = transfer(`${wire}NEXT`, CHUNKED, "chunked", within(first, wire));
      assert.equal(again.ended, true);
      assert.equal(again.out.endsWith("0\r\nX: y\r\n\r\n"), true);
      const plain = transfer(again.out, CHUNKED, "until-close", within(second, again.out));
      assert.equal(plain.ended, true);
      assert.equal(plain.out, sent.join(""));
    }),
    { numRuns: 300 },
  );
});
