// Request bodies by RFC 9112 6 and 7, through the engine. A body that is bad must cost the client its connection,
// and the backend must see that what it got is not whole; a good one arrives with the framing of this hop.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  BYTE_BY_BYTE,
  WHOLE,
  answerEach,
  assertRefused,
  openRig,
  sendPieces,
  settle,
  shown,
  told,
  wire,
} from "./strict-rig.ts";
import { LIMITS, eventually } from "./harness.ts";

const rig = openRig({ listener: { limits: { ...LIMITS, bodyBytes: 1000 } } });

const CHUNKED = "POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||";
const CHUNKED_FORWARDED = `POST / HTTP/1.1|Host: a|${told("a")}Transfer-Encoding: chunked||`;
const SMUGGLED = "GET /smuggled HTTP/1.1|Host: evil||";

type Bad = readonly [rule: string, body: string, status?: number];

const BAD_CHUNKS: readonly Bad[] = [
  ["7.1: a chunk without a size", "|abc|0||"],
  ["7.1: a chunk size with a plus", "+3|abc|0||"],
  ["7.1: a chunk size with a minus", "-3|abc|0||"],
  ["7.1: a chunk size behind a space", " 3|abc|0||"],
  ["7.1: a chunk size before a space", "3 |abc|0||"],
  ["7.1: a chunk size before a tab", "3\t|abc|0||"],
  ["7.1: a chunk size with 0x", "0x3|abc|0||"],
  ["7.1: a chunk size with an underscore", "0_3|abc|0||"],
  ["7.1: a chunk size that is no hex", "g|abc|0||"],
  ["7.1: a chunk size in quotes", '"3"|abc|0||'],
  ["7.1: a chunk size beyond 2^64", "10000000000000003|abc|0||"],
  ["7.1: a chunk size beyond 2^53", "20000000000003|abc|0||"],
  ["7.1: a chunk size of endless zeros", `${"0".repeat(300)}3|abc|0||`],
  ["7.1: a last chunk with a minus", "-0||"],
  ["7.1: a bare LF behind the size", "3\nabc|0||"],
  ["7.1: a bare CR behind the size", "3\rabc|0||"],
  ["7.1: a CR before the CR LF of the size", "3\r|abc|0||"],
  ["7.1: a bare LF behind the data", "3|abc\n0||"],
  ["7.1: a bare CR behind the data", "3|abc\r0||"],
  ["7.1: data longer than its size", "3|abcd|0||"],
  ["7.1: data shorter than its size", "5|abc|0||"],
  ["7.1.1: a space before an extension", "3 ;x|abc|0||"],
  ["7.1.1: a space in front of an extension's name", "3; x|abc|0||"],
  ["7.1.1: an extension without a name", "3;|abc|0||"],
  ["7.1.1: an extension whose name is no token", "3;a(b|abc|0||"],
  ["7.1.1: an extension with a space", "3;a b|abc|0||"],
  ["7.1.1: an extension without its value", "3;a=|abc|0||"],
  ["7.1.1: an extension with an unfinished quote", '3;a="b|abc|0||'],
  ["7.1.1: an extension with something behind a quote", '3;a="b"c|abc|0||'],
  ["7.1.1: a bare LF in an extension", "3;a\nb|abc|0||"],
  ["7.1.1: a bare CR in an extension", "3;a\rb|abc|0||"],
  ["7.1.1: NUL in an extension", "3;a\0b|abc|0||"],
  ["7.1.1: an endless extension", `3;${"a".repeat(300)}|abc|0||`],
  ["7.1.1: endless extensions", `3${";a=b".repeat(100)}|abc|0||`],
  ["7.1.2: a trailer with a space before its colon", "3|abc|0|X : y||"],
  ["7.1.2: a trailer without a colon", "3|abc|0|X||"],
  ["7.1.2: a trailer without a name", "3|abc|0|: y||"],
  ["9110 6.5.1: a trailer that names a length", "3|abc|0|Content-Length: 5||"],
  ["9110 6.5.1: a trailer that names a coding", "3|abc|0|Transfer-Encoding: chunked||"],
  ["9110 6.5.1: a trailer that closes the connection", "3|abc|0|Connection: close||"],
  ["7.1.2: a folded trailer", "3|abc|0|X: y| z||"],
  ["7.1.2: a bare LF in the trailers", "3|abc|0|X: y\n||"],
  ["7.1.2: a bare CR in the trailers", "3|abc|0|X: y\rz||"],
  ["7.1.2: NUL in the trailers", "3|abc|0|X: y\0z||"],
  ["7.1.2: a bare LF as the end", "3|abc|0|\n"],
  ["7.1.2: trailers above the limit of fields", `3|abc|0|${"X: y|".repeat(60)}|`, 431],
  ["7.1.2: trailers above the limit of bytes", `3|abc|0|X: ${"y".repeat(9000)}||`, 431],
];

describe("chunked bodies that are refused", () => {
  for (const [rule, body, status = 400] of BAD_CHUNKS) {
    test(`RFC ${rule.startsWith("9110") ? "" : "9112 "}${rule}: ${String(status)}`, async () => {
      // With the head in one piece nothing of it has left when the fault shows.
      const whole = await rig.client();
      await sendPieces(whole, [wire(CHUNKED + body + SMUGGLED)]);
      assertRefused(await whole.endsOrCloses(), status);
      await settle();
      assert.deepEqual(rig.backend.received, []);
      if (body.length > 1000) return;
      // Byte by byte the backend has the head and good data, but no end, and its connection closes.
      const slow = await rig.client();
      await sendPieces(slow, BYTE_BY_BYTE(wire(CHUNKED + body + SMUGGLED)));
      assertRefused(await slow.endsOrCloses(), status);
      await eventually("cut", () => rig.backend.connections.every(({ isOver }) => isOver));
      const [received = "", ...more] = rig.backend.received;
      assert.deepEqual(more, []);
      const good = received.slice(CHUNKED_FORWARDED.length);
      assert.equal(received, CHUNKED_FORWARDED + good);
      assert.match(good, /^(?:1\|[^]\|){0,5}$/u);
    });
  }
});

test("DESIGN 7: a chunked body above the limit gets 413 and nothing of it becomes a request", async () => {
  const long = "x".repeat(2000);
  const body = `${SMUGGLED}${long}`;
  const chunk = `${wire(body).length.toString(16)}|${body}|0||`;
  const client = await rig.client();
  await sendPieces(client, [wire(CHUNKED + chunk + SMUGGLED)]);
  assertRefused(await client.endsOrCloses(), 413);
  assert.deepEqual(rig.backend.received, []);
});

test("DESIGN 7: a declared body above the limit gets 413 and nothing of it becomes a request", async () => {
  const client = await rig.client();
  await sendPieces(client, [wire(`POST / HTTP/1.1|Host: a|Content-Length: 1001||${SMUGGLED.repeat(50)}`)]);
  assertRefused(await client.endsOrCloses(), 413);
  assert.equal(rig.backend.connections.length, 0);
});

type Good = readonly [rule: string, request: string, forwarded: string];

function chunks(...body: readonly string[]): string {
  return CHUNKED_FORWARDED + body.join("");
}

const GOOD: readonly Good[] = [
  [
    "6.2: a length of zero",
    "POST / HTTP/1.1|Host: a|Content-Length: 0||",
    `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 0||`,
  ],
  [
    "6.2: a length",
    "POST / HTTP/1.1|Host: a|content-length:\t3 ||abc",
    `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 3||abc`,
  ],
  [
    "6.2: a length with leading zeros is told without them",
    "POST / HTTP/1.1|Host: a|Content-Length: 0003||abc",
    `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 3||abc`,
  ],
  [
    "9110 9.3.1: a GET with a body",
    "GET / HTTP/1.1|Host: a|Content-Length: 3||abc",
    `GET / HTTP/1.1|Host: a|${told("a")}Content-Length: 3||abc`,
  ],
  [
    "6: a body that looks like a request",
    `POST / HTTP/1.1|Host: a|Content-Length: 38||${SMUGGLED}`,
    `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 38||${SMUGGLED}`,
  ],
  ["7.1: chunks of one read become one", `${CHUNKED}3|abc|2|de|0||`, chunks("5|abcde|0||")],
  ["7.1: capital hex digits and leading zeros", `${CHUNKED}000A|0123456789|00||`, chunks("a|0123456789|0||")],
  ["7.1: no chunk but the last", `${CHUNKED}0||`, chunks("0||")],
  ["7.1: a chunk that looks like the end", `${CHUNKED}a|0||0|||0||`, chunks("a|0||0|||0||")],
  ["7.1.1: extensions are dropped", `${CHUNKED}3;a;b=c;d="e;\\"f"|abc|0;last||`, chunks("3|abc|0||")],
  ["7.1.2: trailers are passed on", `${CHUNKED}3|abc|0|X-Sum: 1|Y:2 ||`, chunks("3|abc|0|X-Sum: 1|Y: 2||")],
  [
    "9110 6.5.1: trailers about routing, control and credentials are dropped",
    `${CHUNKED}0|Host: b|Trailer: X|TE: trailers|` +
      "Upgrade: h2c|Keep-Alive: 1|Expect: 100-continue|Authorization: x|Proxy-Authorization: x|Cookie: a=b|" +
      "Content-Type: text/html|Content-Encoding: gzip|Content-Range: x|Cache-Control: no-store|Max-Forwards: 1|" +
      "Range: bytes=0-|If-Match: x|If-None-Match: x|If-Modified-Since: x|If-Unmodified-Since: x|If-Range: x|Pragma: x|" +
      "Location: /|Vary: x|Age: 1|Date: x|Expires: x|Retry-After: 1|Warning: x|" +
      "X-Forwarded-For: 6.6.6.6|X-Forwarded-Proto: https|X-Forwarded-Host: evil|X-Real-IP: 6.6.6.6|Forwarded: for=6.6.6.6|" +
      "X-Good: yes||",
    chunks("0|X-Good: yes||"),
  ],
  [
    "7.1.2: trailers with an underscore are dropped, whatever the head may hold",
    `${CHUNKED}0|X_Forwarded_For: 6.6.6.6|X-Good: yes||`,
    chunks("0|X-Good: yes||"),
  ],
];

describe("bodies that are passed on", () => {
  for (const [rule, request, forwarded] of GOOD) {
    test(`RFC ${rule.startsWith("9110") ? "" : "9112 "}${rule}`, async () => {
      const next = `GET /next HTTP/1.1|Host: a|${told("a")}|`;
      const expected = [forwarded, next];
      rig.backend.script = answerEach(expected, (i) =>
        wire(`HTTP/1.1 200 OK|Content-Length: 1||${String(i)}`),
      );
      const client = await rig.client();
      await sendPieces(client, WHOLE(wire(`${request}GET /next HTTP/1.1|Host: a||`)));
      const text = await client.receives("\r\n\r\n1");
      assert.equal(shown(text), "HTTP/1.1 200 OK|Content-Length: 1||0HTTP/1.1 200 OK|Content-Length: 1||1");
      assert.deepEqual(rig.backend.received, [expected.join("")]);
    });
  }
});
