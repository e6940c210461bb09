// Lines of the access log: whatever a request and its answer hold, they are one line that means what happened.

import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as check, constantFrom, integer, oneof, property } from "fast-check";
import { parseRequestHead, DEFAULT_REQUEST_RULES } from "../../src/http1/request.ts";
import { createScan } from "../../src/http1/scan.ts";
import { quoted, renderLine } from "../../src/proxy/access-line.ts";
import {
  type AccessRecord,
  createRecord,
  describeClient,
  noteBadHead,
  noteEnd,
  noteHead,
} from "../../src/proxy/access-record.ts";

const NODE = 'pi "a" \u00e9';
const FRAME = {
  id: "abcdef012345-1",
  wallOffsetMs: 0,
  endedAt: 0,
  suffix: `,"node":${quoted(NODE)},"msg":"request"}\n`,
};

function render(shown: AccessRecord, frame: Partial<typeof FRAME> = {}): Record<string, unknown> {
  const line = renderLine(shown, { ...FRAME, ...frame });
  assert.match(line, /^[ -~]*\n$/u, "one line of printable ASCII");
  assert.ok(line.length <= 4096, `${String(line.length)} bytes are more than a pipe takes in one piece`);
  return JSON.parse(line) as Record<string, unknown>;
}

function record(fill: (made: AccessRecord) => void = () => undefined): AccessRecord {
  const made = createRecord("192.0.2.1:50000", "web");
  fill(made);
  return made;
}

const bytes = (options: { minLength?: number; maxLength: number }) =>
  array(oneof(integer({ min: 0, max: 255 }), constantFrom(34, 92, 10, 13, 0, 127, 255)), {
    ...options,
    size: "max",
  }).map((list) => Buffer.from(list));

test("whatever comes in place of a head makes one line of JSON, and reads as it came", () => {
  check(
    property(bytes({ maxLength: 600 }), bytes({ maxLength: 300 }), (input, reason) => {
      const shown = render(
        record((made) => {
          noteBadHead(made, input);
          noteEnd(made, "refused", reason.toString("latin1"));
        }),
      );
      const line = input.subarray(0, 256).toString("latin1").split("\n")[0]?.replace(/\r$/u, "") ?? "";
      assert.equal(shown["requestLine"] ?? "", line);
      assert.deepEqual([shown["msg"], shown["node"], shown["end"]], ["request", NODE, "refused"]);
    }),
  );
});

test("every head that is accepted makes one line of JSON with its target", () => {
  const target = array(integer({ min: 33, max: 126 }), { maxLength: 3000, size: "max" }).map(
    (codes) => `/${String.fromCharCode(...codes).replaceAll(/[#\\]/gu, '"')}`,
  );
  check(
    property(target, bytes({ maxLength: 300 }), (path, reason) => {
      const text = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: ${"a".repeat(900)}\r\n\r\n`, "latin1");
      const parsed = parseRequestHead(text, createScan(), DEFAULT_REQUEST_RULES);
      assert.ok(parsed.kind === "head");
      const shown = render(
        record((made) => {
          noteHead(made, parsed.head);
          made.pool = "p".repeat(64);
          made.backend = "b".repeat(255);
          noteEnd(made, "backend-closed", reason.toString("latin1"));
        }),
        { id: "i".repeat(128) },
      );
      const expected = path.length > 1024 ? `${path.slice(0, 1024)}...` : path;
      assert.equal(shown["target"], expected);
      assert.equal(shown["method"], "GET");
      assert.equal(shown["host"], `${"a".repeat(255)}...`);
    }),
  );
});

test("times are UTC with milliseconds, durations have one digit, and what did not happen is null", () => {
  const shown = render(
    { ...record(), startedAt: 1000, headAt: 1000.26, connectedAt: 1012.5, status: 200 },
    { wallOffsetMs: Date.UTC(2026, 0, 2, 3, 4, 5, 7) - 1000, endedAt: 3000 },
  );
  assert.equal(shown["time"], "2026-01-02T03:04:05.007Z");
  assert.equal(shown["headMs"], 0.2);
  assert.equal(shown["connectMs"], 12.2);
  assert.equal(shown["responseMs"], null);
  assert.equal(shown["totalMs"], 2000);
  assert.equal(shown["pool"], null);
});

function timeAt(ms: number): unknown {
  return render({ ...record(), startedAt: ms })["time"];
}

test("times are right across a second and backwards", () => {
  check(
    property(integer({ min: 0, max: 4e12 }), integer({ min: -2000, max: 2000 }), (ms, step) => {
      assert.equal(timeAt(ms), new Date(ms).toISOString());
      assert.equal(timeAt(ms + Math.abs(step)), new Date(ms + Math.abs(step)).toISOString());
      assert.equal(timeAt(ms), new Date(ms).toISOString());
    }),
  );
});

test("the first cause of an end is the one that is told", () => {
  const made = record((one) => {
    noteEnd(one, "backend-timeout", "no response in time");
    noteEnd(one, "client-closed");
  });
  assert.equal(made.end, "backend-timeout");
  assert.equal(made.reason, "no response in time");
});

test("a client is an address and a port, in brackets when it is an IPv6 one", () => {
  assert.equal(describeClient("192.0.2.1", 80), "192.0.2.1:80");
  assert.equal(describeClient("2001:db8::1", 80), "[2001:db8::1]:80");
  assert.equal(describeClient("192.0.2.1", undefined), "192.0.2.1");
});
