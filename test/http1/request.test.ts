import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { DEFAULT_REQUEST_RULES, type RequestParse, parseRequestHead } from "../../src/http1/request.ts";
import { createScan } from "../../src/http1/scan.ts";

/** "|" stands for CR LF; the empty line at the end is added. */
function parse(notation: string, limits = DEFAULT_REQUEST_RULES): RequestParse {
  return parseRequestHead(bytesOf(notation), createScan(), limits);
}

function bytesOf(notation: string): Buffer {
  return Buffer.from(`${notation.replaceAll("|", "\r\n")}\r\n\r\n`, "latin1");
}

/** Parses as if the bytes came in pieces that end at the given offsets. */
function parseSplit(bytes: Buffer, offsets: readonly number[]): RequestParse {
  const scan = createScan();
  for (const end of [...offsets, bytes.length]) {
    const parsed = parseRequestHead(bytes.subarray(0, end), scan, DEFAULT_REQUEST_RULES);
    if (parsed.kind !== "incomplete") return parsed;
  }
  return { kind: "incomplete" };
}

const REFUSED: readonly (readonly [status: number, why: string, notation: string])[] = [
  [400, "no Host", "GET / HTTP/1.1"],
  [400, "two Hosts", "GET / HTTP/1.1|Host: a|Host: a"],
  [400, "an empty Host", "GET / HTTP/1.1|Host:"],
  [400, "a Host with a path", "GET / HTTP/1.1|Host: a/b"],
  [400, "a Host with a user", "GET / HTTP/1.1|Host: u@a"],
  [400, "a Host with two ports", "GET / HTTP/1.1|Host: a:1:2"],
  [400, "a Host list", "GET / HTTP/1.1|Host: a b"],
  [400, "an unfinished IPv6 Host", "GET / HTTP/1.1|Host: [::1"],
  [400, "space before the colon", "GET / HTTP/1.1|Host : a"],
  [400, "an empty field name", "GET / HTTP/1.1|Host: a|: b"],
  [400, "a line without colon", "GET / HTTP/1.1|Host: a|oops"],
  [400, "a name that is no token", "GET / HTTP/1.1|Host: a|x(y: b"],
  [400, "a folded line", "GET / HTTP/1.1|Host: a|x: b| c"],
  [400, "a folded line with a tab", "GET / HTTP/1.1|Host: a|x: b|\tc"],
  [400, "white space before the first field", "GET / HTTP/1.1| Host: a"],
  [400, "a bare LF", "GET / HTTP/1.1|Host: a\nx: y"],
  [400, "a bare CR in a value", "GET / HTTP/1.1|Host: a|x: b\rc"],
  [400, "a bare CR in the request line", "GET /\r HTTP/1.1|Host: a"],
  [400, "NUL", "GET / HTTP/1.1|Host: a|x: b\0c"],
  [400, "a control character", "GET / HTTP/1.1|Host: a|x: b\x01c"],
  [400, "DEL", "GET / HTTP/1.1|Host: a|x: b\x7fc"],
  [400, "no version", "GET /|Host: a"],
  [400, "two spaces after the method", "GET  / HTTP/1.1|Host: a"],
  [400, "two spaces before the version", "GET /  HTTP/1.1|Host: a"],
  [400, "a space in the target", "GET /a b HTTP/1.1|Host: a"],
  [400, "a tab as separator", "GET\t/ HTTP/1.1|Host: a"],
  [400, "a fragment", "GET /a#b HTTP/1.1|Host: a"],
  [400, "bytes above ASCII in the target", "GET /\xe9 HTTP/1.1|Host: a"],
  [400, "a target without slash", "GET a HTTP/1.1|Host: a"],
  [400, "asterisk for GET", "GET * HTTP/1.1|Host: a"],
  [400, "another scheme", "GET ftp://a/ HTTP/1.1|Host: a"],
  [400, "an absolute form without authority", "GET http:///x HTTP/1.1|Host: a"],
  [400, "an absolute form with a user", "GET http://u@a/x HTTP/1.1|Host: a"],
  [400, "a method that is no token", "G(T / HTTP/1.1|Host: a"],
  [400, "a version in small letters", "GET / http/1.1|Host: a"],
  [400, "a version of the wrong shape", "GET / HTTP/11|Host: a"],
  [505, "HTTP/2.0", "GET / HTTP/2.0|Host: a"],
  [505, "HTTP/1.2", "GET / HTTP/1.2|Host: a"],
  [505, "HTTP/0.9 with a version", "GET / HTTP/0.9|Host: a"],
  [501, "CONNECT", "CONNECT a:443 HTTP/1.1|Host: a:443"],
  [501, "TRACE", "TRACE / HTTP/1.1|Host: a"],
  [400, "both framings", "POST / HTTP/1.1|Host: a|Content-Length: 3|Transfer-Encoding: chunked"],
  [400, "two lengths", "POST / HTTP/1.1|Host: a|Content-Length: 3|Content-Length: 4"],
  [400, "the same length twice", "POST / HTTP/1.1|Host: a|Content-Length: 3|Content-Length: 3"],
  [400, "a list of lengths", "POST / HTTP/1.1|Host: a|Content-Length: 3, 3"],
  [400, "a signed length", "POST / HTTP/1.1|Host: a|Content-Length: +3"],
  [400, "a negative length", "POST / HTTP/1.1|Host: a|Content-Length: -3"],
  [400, "a hex length", "POST / HTTP/1.1|Host: a|Content-Length: 0x3"],
  [400, "an empty length", "POST / HTTP/1.1|Host: a|Content-Length:"],
  [400, "a huge length", "POST / HTTP/1.1|Host: a|Content-Length: 99999999999999999999"],
  [400, "chunked not last", "POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked, gzip"],
  [400, "chunked twice", "POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked, chunked"],
  [
    400,
    "chunked twice in two lines",
    "POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Transfer-Encoding: chunked",
  ],
  [400, "an empty coding", "POST / HTTP/1.1|Host: a|Transfer-Encoding:"],
  [400, "an obfuscated coding", "POST / HTTP/1.1|Host: a|Transfer-Encoding: xchunked"],
  [400, "a quoted coding", 'POST / HTTP/1.1|Host: a|Transfer-Encoding: "chunked"'],
  [501, "an unknown coding", "POST / HTTP/1.1|Host: a|Transfer-Encoding: gzip, chunked"],
  [400, "a coding in HTTP/1.0", "POST / HTTP/1.0|Host: a|Transfer-Encoding: chunked"],
  [400, "a Connection option that is no token", "GET / HTTP/1.1|Host: a|Connection: a b"],
  [417, "an unknown expectation", "POST / HTTP/1.1|Host: a|Expect: tea|Content-Length: 1"],
  [414, "a long request line", `GET /${"a".repeat(9000)} HTTP/1.1|Host: a`],
  [431, "a large head", `GET / HTTP/1.1|Host: a|x: ${"a".repeat(40_000)}`],
  [431, "many fields", `GET / HTTP/1.1|Host: a${"|x: y".repeat(101)}`],
];

for (const [status, why, notation] of REFUSED) {
  test(`a request with ${why} gets ${String(status)}`, () => {
    const parsed = parse(notation);
    assert.equal(parsed.kind, "invalid");
    assert.equal(parsed.status, status);
  });
}

function headOf(notation: string): Extract<RequestParse, { kind: "head" }>["head"] {
  const parsed = parse(notation);
  assert.equal(parsed.kind, "head", JSON.stringify(parsed));
  return parsed.head;
}

test("a plain request is read", () => {
  const head = headOf("GET /a?b=c HTTP/1.1|Host: example.lan:8080|X-One: \t 1 \t|x-empty:");
  assert.equal(head.method, "GET");
  assert.equal(head.target, "/a?b=c");
  assert.equal(head.authority, "example.lan:8080");
  assert.deepEqual(head.framing, { kind: "none" });
  assert.equal(head.isPersistent, true);
  assert.deepEqual(
    head.fields.list.map(({ name, value }) => [name, value]),
    [
      ["Host", "example.lan:8080"],
      ["X-One", "1"],
      ["x-empty", ""],
    ],
  );
});

test("empty lines before a request are skipped", () => {
  assert.equal(headOf("||GET / HTTP/1.1|Host: a").target, "/");
});

test("the authority of an absolute-form target wins over Host", () => {
  const head = headOf("GET http://b.lan?x HTTP/1.1|Host: a.lan");
  assert.equal(head.authority, "b.lan");
  assert.equal(head.target, "/?x");
});

test("OPTIONS may ask about the whole server", () => {
  assert.equal(headOf("OPTIONS * HTTP/1.1|Host: a").target, "*");
  assert.equal(headOf("OPTIONS http://a HTTP/1.1|Host: a").target, "*");
});

const PERSISTENCE: readonly (readonly [isPersistent: boolean, notation: string])[] = [
  [true, "GET / HTTP/1.1|Host: a"],
  [false, "GET / HTTP/1.1|Host: a|Connection: Close"],
  [false, "GET / HTTP/1.1|Host: a|Connection: keep-alive, close"],
  [false, "GET / HTTP/1.0"],
  [true, "GET / HTTP/1.0|Connection: Keep-Alive"],
];
for (const [isPersistent, notation] of PERSISTENCE) {
  test(`${notation} ${isPersistent ? "keeps" : "closes"} the connection`, () => {
    assert.equal(headOf(notation).isPersistent, isPersistent);
  });
}

function asked(notation: string): string | null {
  return headOf(notation).upgrade;
}

test("only an upgrade that can become a tunnel is passed on", () => {
  assert.equal(asked("GET / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket"), "websocket");
  assert.equal(asked("GET / HTTP/1.1|Host: a|Upgrade: websocket"), null);
  assert.equal(asked("GET / HTTP/1.0|Host: a|Connection: Upgrade|Upgrade: websocket"), null);
  assert.equal(asked("GET / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: h2c"), null);
  assert.equal(asked("GET / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: x|Content-Length: 1"), null);
});

test("an HTTP/0.9 request is refused without waiting for a second line", () => {
  const parsed = parseRequestHead(Buffer.from("GET /\r\n"), createScan(), DEFAULT_REQUEST_RULES);
  assert.equal(parsed.kind, "invalid");
});

test("a target at the limit passes, one byte more does not", () => {
  const limits = { ...DEFAULT_REQUEST_RULES, lineBytesMax: 20 };
  assert.equal(parse(`GET /${"a".repeat(6)} HTTP/1.1|Host: a`, limits).kind, "head");
  const parsed = parse(`GET /${"a".repeat(7)} HTTP/1.1|Host: a`, limits);
  assert.equal(parsed.kind === "invalid" && parsed.status, 414);
});

test("the result does not depend on how the bytes were split", () => {
  const notations = [
    ...REFUSED.map(([, , notation]) => notation).filter((notation) => notation.length < 1000),
    "GET /a?b HTTP/1.1|Host: a|X: y|Connection: close, x",
    "||POST http://a/ HTTP/1.1|Host: b|Transfer-Encoding: chunked",
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...notations),
      fc.array(fc.nat(100), { maxLength: 8 }),
      fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 2 }),
      (notation, offsets, mutations) => {
        const bytes = bytesOf(notation);
        for (const [at, byte] of mutations) if (at < bytes.length) bytes[at] = byte;
        const splits = offsets.filter((at) => at < bytes.length).toSorted((a, b) => a - b);
        assert.deepEqual(parseSplit(bytes, splits), parseSplit(bytes, []));
      },
    ),
    { numRuns: 500 },
  );
});

test("every request that is accepted is accepted byte by byte as well", () => {
  const bytes = bytesOf("POST /a HTTP/1.1|Host: a|Content-Length: 3|X-Y: z");
  const everywhere = Array.from({ length: bytes.length }, (_, i) => i);
  assert.deepEqual(parseSplit(bytes, everywhere), parseSplit(bytes, []));
});
