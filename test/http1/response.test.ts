import assert from "node:assert/strict";
import { test } from "node:test";
import { type ResponseParse, parseResponseHead } from "../../src/http1/response.ts";
import { DEFAULT_HEAD_LIMITS, createScan } from "../../src/http1/scan.ts";

/** "|" stands for CR LF; the empty line at the end is added. */
function parse(notation: string, method = "GET"): ResponseParse {
  const bytes = Buffer.from(`${notation.replaceAll("|", "\r\n")}\r\n\r\n`, "latin1");
  return parseResponseHead(bytes, createScan(), DEFAULT_HEAD_LIMITS, method);
}

const MALFORMED: readonly (readonly [why: string, notation: string])[] = [
  ["garbage", "hello"],
  ["garbage before the status line", "xHTTP/1.1 200 OK"],
  ["an empty line before the status line", "|HTTP/1.1 200 OK"],
  ["another version", "HTTP/2.0 200 OK"],
  ["a short status", "HTTP/1.1 20 OK"],
  ["a long status", "HTTP/1.1 2000 OK"],
  ["a status below 100", "HTTP/1.1 099 OK"],
  ["both framings", "HTTP/1.1 200 OK|Content-Length: 3|Transfer-Encoding: chunked"],
  ["differing lengths", "HTTP/1.1 200 OK|Content-Length: 3|Content-Length: 4"],
  ["a coding that is not chunked", "HTTP/1.1 200 OK|Transfer-Encoding: gzip"],
  ["a coding in HTTP/1.0", "HTTP/1.0 200 OK|Transfer-Encoding: chunked"],
  ["a folded line", "HTTP/1.1 200 OK|x: a| b"],
  ["a bare LF", "HTTP/1.1 200 OK\nx: y"],
  ["NUL", "HTTP/1.1 200 OK|x: \0"],
];
for (const [why, notation] of MALFORMED) {
  test(`a response with ${why} is malformed`, () => {
    assert.equal(parse(notation).kind, "invalid");
  });
}

const FRAMINGS: readonly (readonly [framing: string, notation: string, method?: string])[] = [
  ["length", "HTTP/1.1 200 OK|Content-Length: 3"],
  ["chunked", "HTTP/1.1 200 OK|Transfer-Encoding: Chunked"],
  ["until-close", "HTTP/1.1 200 OK"],
  ["none", "HTTP/1.1 200 OK|Content-Length: 3", "HEAD"],
  ["none", "HTTP/1.1 204 No Content|Content-Length: 3"],
  ["none", "HTTP/1.1 304 Not Modified|Content-Length: 3"],
  ["none", "HTTP/1.1 100 Continue"],
];
for (const [framing, notation, method = "GET"] of FRAMINGS) {
  test(`the answer to ${method} ${notation} has the framing ${framing}`, () => {
    const parsed = parse(notation, method);
    assert.equal(parsed.kind === "head" && parsed.head.framing.kind, framing);
  });
}

function kept(notation: string): boolean {
  const parsed = parse(notation);
  return parsed.kind === "head" && parsed.head.isPersistent;
}

test("a backend's connection is kept only when it says so or speaks HTTP/1.1 with an end to its body", () => {
  assert.equal(kept("HTTP/1.1 200 OK|Content-Length: 0"), true);
  assert.equal(kept("HTTP/1.1 200 OK"), false);
  assert.equal(kept("HTTP/1.1 200 OK|Content-Length: 0|Connection: close"), false);
  assert.equal(kept("HTTP/1.0 200 OK|Content-Length: 0"), false);
  assert.equal(kept("HTTP/1.0 200 OK|Content-Length: 0|Connection: keep-alive"), true);
});

test("Keep-Alive names the backend's patience", () => {
  const parsed = parse("HTTP/1.1 200 OK|Content-Length: 0|Keep-Alive: max=5, timeout=7");
  assert.equal(parsed.kind === "head" && parsed.head.keepAliveTimeoutMs, 7000);
});

test("a reason phrase may be missing with its space", () => {
  const parsed = parse("HTTP/1.1 200|Content-Length: 0");
  assert.equal(parsed.kind === "head" && parsed.head.status, 200);
});
