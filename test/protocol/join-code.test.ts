import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { JOIN_CODE_LENGTH, formatJoinCode, readJoinCode } from "../../src/protocol/join-code.ts";

const random = fc.uint8Array({ minLength: JOIN_CODE_LENGTH, maxLength: JOIN_CODE_LENGTH });

test("a code has three groups of four characters, without I, L, O and U", () => {
  fc.assert(
    fc.property(random, (bytes) => {
      assert.match(formatJoinCode(bytes), /^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
    }),
  );
});

test("each character stands for five bits: all 32 occur, and other bits change nothing", () => {
  const characters = new Set(
    Array.from({ length: 256 }, (_, byte) => formatJoinCode(new Uint8Array(JOIN_CODE_LENGTH).fill(byte))),
  );
  assert.equal(characters.size, 32);
});

test("a code is read however it is typed: case, dashes, blanks, O for 0, I and L for 1", () => {
  const typed = fc.record({
    bytes: random,
    separator: fc.constantFrom("", "-", " ", ".", " - "),
    isLower: fc.boolean(),
  });
  fc.assert(
    fc.property(typed, ({ bytes, separator, isLower }) => {
      const code = formatJoinCode(bytes);
      const mistaken = code
        .replaceAll("-", separator)
        .replaceAll("0", "O")
        .replace("1", "I")
        .replace("1", "l");
      assert.equal(readJoinCode(isLower ? mistaken.toLowerCase() : mistaken), code);
    }),
  );
});

test("what has other letters, or more or fewer of them, is no code", () => {
  for (const text of [
    "",
    "XXXX",
    "0000-0000-000",
    "0000-0000-00000",
    "UUUU-0000-0000",
    "0000-0000-000!",
    "0000_0000_0000",
  ]) {
    assert.equal(readJoinCode(text), undefined, text);
  }
});
