import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Sender,
  renderRequestHead,
  renderResponseHead,
  responseOutFraming,
} from "../../src/http1/forward.ts";
import { DEFAULT_REQUEST_RULES, parseRequestHead } from "../../src/http1/request.ts";
import { parseResponseHead } from "../../src/http1/response.ts";
import { DEFAULT_HEAD_LIMITS, createScan } from "../../src/http1/scan.ts";

const STRANGER: Sender = { address: "192.0.2.7", isTrusted: false, scheme: "http" };

/** What a backend gets for a request; "|" stands for CR LF in both. */
function forwarded(notation: string, sender = STRANGER): string {
  const bytes = Buffer.from(`${notation.replaceAll("|", "\r\n")}\r\n\r\n`, "latin1");
  const parsed = parseRequestHead(bytes, createScan(), DEFAULT_REQUEST_RULES);
  assert.equal(parsed.kind, "head", JSON.stringify(parsed));
  return renderRequestHead(parsed.head, sender).replaceAll("\r\n", "|");
}

/** What a client gets for a backend's response head. */
function answered(notation: string, minor: 0 | 1 = 1, method = "GET"): string {
  const bytes = Buffer.from(`${notation.replaceAll("|", "\r\n")}\r\n\r\n`, "latin1");
  const parsed = parseResponseHead(bytes, createScan(), DEFAULT_HEAD_LIMITS, method);
  assert.equal(parsed.kind, "head", JSON.stringify(parsed));
  const out = responseOutFraming(parsed.head, minor);
  const head = renderResponseHead(parsed.head, out, { minor, staysOpen: true });
  return head.replaceAll("\r\n", "|");
}

const TOLD =
  "X-Forwarded-For: 192.0.2.7|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Real-IP: 192.0.2.7|" +
  'Forwarded: for=192.0.2.7;host="a";proto=http|';

test("hop-by-hop fields and what Connection names end here", () => {
  const got = forwarded(
    "GET / HTTP/1.1|Host: a|Connection: close, X-Secret|X-Secret: 1|Keep-Alive: 5|TE: trailers|" +
      "Proxy-Connection: x|Upgrade: y|HTTP2-Settings: z|Accept: */*",
  );
  assert.equal(got, `GET / HTTP/1.1|Host: a|Accept: */*|${TOLD}|`);
});

test("Connection cannot take away Host, the framing, or what this hop tells", () => {
  const got = forwarded(
    "POST / HTTP/1.1|Host: a|Connection: Host, Content-Length, X-Forwarded-For, Forwarded|Content-Length: 3",
  );
  assert.equal(got, `POST / HTTP/1.1|Host: a|${TOLD}Content-Length: 3||`);
});

test("what a stranger says of who asked is thrown away", () => {
  const got = forwarded(
    "GET / HTTP/1.1|Host: a|x-forwarded-for: 6.6.6.6|X-FORWARDED-PROTO: https|X-Forwarded-Host: evil|" +
      "X-Real-IP: 6.6.6.6|Forwarded: for=6.6.6.6",
  );
  assert.equal(got, `GET / HTTP/1.1|Host: a|${TOLD}|`);
});

test("what a trusted proxy says is kept and extended", () => {
  const got = forwarded(
    "GET / HTTP/1.1|Host: a|X-Forwarded-For: 1.1.1.1|X-Forwarded-For: 2.2.2.2|X-Forwarded-Proto: https|" +
      "X-Forwarded-Host: real.lan|X-Real-IP: 1.1.1.1|Forwarded: for=1.1.1.1",
    { ...STRANGER, isTrusted: true },
  );
  assert.equal(
    got,
    "GET / HTTP/1.1|Host: a|X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7|X-Forwarded-Proto: https|" +
      "X-Forwarded-Host: real.lan|X-Real-IP: 1.1.1.1|" +
      'Forwarded: for=1.1.1.1, for=192.0.2.7;host="a";proto=http||',
  );
});

test("an IPv6 client is quoted in Forwarded", () => {
  const got = forwarded("GET / HTTP/1.1|Host: a", { ...STRANGER, address: "2001:db8::1" });
  assert.match(got, /Forwarded: for="\[2001:db8::1\]";/u);
  assert.match(got, /X-Forwarded-For: 2001:db8::1\|/u);
});

test("a websocket upgrade is asked for again", () => {
  const got = forwarded("GET / HTTP/1.1|Host: a|Connection: keep-alive, Upgrade|Upgrade: websocket");
  assert.match(got, /\|Connection: Upgrade\|Upgrade: websocket\|\|$/u);
});

test("an HTTP/1.0 client's expectation is not passed on", () => {
  assert.doesNotMatch(forwarded("POST / HTTP/1.0|Expect: 100-continue|Content-Length: 1"), /Expect/u);
  assert.match(
    forwarded("POST / HTTP/1.1|Host: a|Expect: 100-continue|Content-Length: 1"),
    /Expect: 100-continue/u,
  );
});

test("a response loses hop-by-hop fields and keeps its length", () => {
  assert.equal(
    answered(
      "HTTP/1.1 200 Fine|Connection: close, X-Hop|X-Hop: 1|Keep-Alive: timeout=5|Content-Length: 3|Server: s",
    ),
    "HTTP/1.1 200 Fine|Server: s|Content-Length: 3||",
  );
});

test("the length in an answer to HEAD and in 304 is told, in 204 it is not", () => {
  assert.match(answered("HTTP/1.1 200 OK|Content-Length: 3", 1, "HEAD"), /Content-Length: 3/u);
  assert.match(answered("HTTP/1.1 304 Not Modified|Content-Length: 3"), /Content-Length: 3/u);
  assert.doesNotMatch(answered("HTTP/1.1 204 No Content|Content-Length: 3"), /Content-Length/u);
});

test("a body without a length is chunked for HTTP/1.1 and ends with the connection for HTTP/1.0", () => {
  assert.match(answered("HTTP/1.1 200 OK"), /Transfer-Encoding: chunked/u);
  assert.doesNotMatch(answered("HTTP/1.1 200 OK|Transfer-Encoding: chunked", 0), /Transfer-Encoding/u);
});
