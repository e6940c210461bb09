// Responses by RFC 9110 and 9112 and DESIGN section 7, in one piece and byte by byte: what the client gets of them,
// and whether that backend connection carries another request.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RawPeer } from "./harness.ts";
import {
  BYTE_BY_BYTE,
  type Recorded,
  type Script,
  WHOLE,
  openRig,
  sendPieces,
  settle,
  shown,
  told,
  until,
  wire,
} from "./strict-rig.ts";

const rig = openRig();

const OK = wire("HTTP/1.1 200 OK|Content-Length: 2||ok");
const NEXT = "GET /next HTTP/1.1|Host: a||";
const NEXT_FORWARDED = `GET /next HTTP/1.1|Host: a|${told("a")}|`;

/** Answers the first request with the given pieces, and every other one with OK. */
function answerFirst(pieces: readonly string[], then: (first: Recorded) => void = () => undefined): Script {
  return (connection) => {
    const heads = connection.text.split("\r\n\r\n").length - 1;
    for (; connection.answered < heads; connection.answered += 1) {
      if (connection !== rig.backend.connections[0] || connection.answered > 0) {
        connection.send(OK);
        continue;
      }
      void sendPieces(connection, pieces).then(() => then(connection));
    }
  };
}

/** Another request on the same client connection; returns what came for it. */
async function askNext(client: RawPeer): Promise<string> {
  client.forget();
  client.send(wire(NEXT));
  await until(
    () => `the next answer (got ${shown(client.text)})`,
    () => client.text.endsWith("ok"),
  );
  return client.text;
}

function assertBadGateway(text: string): void {
  const [head = "", body = "", ...rest] = text.split("\r\n\r\n");
  assert.match(head, /^HTTP\/1\.1 502 Bad Gateway\r\n/u, shown(text));
  assert.ok(head.includes(`\r\nContent-Length: ${String(body.length)}\r\n`), shown(text));
  assert.deepEqual(rest, []);
}

type Malformed = readonly [rule: string, answer: string];

const MALFORMED: readonly Malformed[] = [
  ["4: garbage before the status line", "xHTTP/1.1 200 OK|Content-Length: 2||ok"],
  ["4: an empty line before the status line", "|HTTP/1.1 200 OK|Content-Length: 2||ok"],
  ["4: white space before the status line", " HTTP/1.1 200 OK|Content-Length: 2||ok"],
  ["4: garbage that has no end", "what is this"],
  ["4: one line of garbage", "what is this|"],
  ["4: another protocol", "ICY 200 OK|Content-Length: 2||ok"],
  ["4: a protocol in small letters", "http/1.1 200 OK|Content-Length: 2||ok"],
  ["4: HTTP/0.9", "<html>|"],
  ["4: HTTP/2.0", "HTTP/2.0 200 OK|Content-Length: 2||ok"],
  ["4: HTTP/1.2", "HTTP/1.2 200 OK|Content-Length: 2||ok"],
  ["4: a status of two digits", "HTTP/1.1 20 OK|Content-Length: 2||ok"],
  ["4: a status of four digits", "HTTP/1.1 2000 OK|Content-Length: 2||ok"],
  ["4: a status below 100", "HTTP/1.1 099 OK|Content-Length: 2||ok"],
  ["4: a signed status", "HTTP/1.1 +20 OK|Content-Length: 2||ok"],
  ["4: no status", "HTTP/1.1 |Content-Length: 2||ok"],
  ["4: two spaces before the status", "HTTP/1.1  200 OK|Content-Length: 2||ok"],
  ["4: a control character in the reason phrase", "HTTP/1.1 200 O\x01K|Content-Length: 2||ok"],
  ["2.2: a bare LF behind the status line", "HTTP/1.1 200 OK\nContent-Length: 2||ok"],
  ["2.2: a bare CR in the status line", "HTTP/1.1 200 O\rK|Content-Length: 2||ok"],
  ["2.2: a bare LF behind a field line", "HTTP/1.1 200 OK|X: y\nContent-Length: 2||ok"],
  ["2.2: a bare CR in a field value", "HTTP/1.1 200 OK|X: y\rz|Content-Length: 2||ok"],
  ["2.2: bare LFs as the empty line", "HTTP/1.1 200 OK|Content-Length: 2\n\nok"],
  ["5.1: a space before the colon", "HTTP/1.1 200 OK|Content-Length : 2||ok"],
  ["5.1: an empty field name", "HTTP/1.1 200 OK|: x|Content-Length: 2||ok"],
  ["5.1: a field line without a colon", "HTTP/1.1 200 OK|X|Content-Length: 2||ok"],
  ["5.2: obs-fold", "HTTP/1.1 200 OK|X: y| z|Content-Length: 2||ok"],
  ["9110 5.5: NUL in a field value", "HTTP/1.1 200 OK|X: \0|Content-Length: 2||ok"],
  ["6.3: both framings", "HTTP/1.1 200 OK|Content-Length: 2|Transfer-Encoding: chunked||2|ok|0||"],
  [
    "6.3: both framings, in the other order",
    "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Content-Length: 2||2|ok|0||",
  ],
  ["6.3: differing lengths", "HTTP/1.1 200 OK|Content-Length: 2|Content-Length: 3||ok!"],
  ["6.3: a list of differing lengths", "HTTP/1.1 200 OK|Content-Length: 2, 3||ok!"],
  ["6.3: a signed length", "HTTP/1.1 200 OK|Content-Length: +2||ok"],
  ["6.3: a negative length", "HTTP/1.1 200 OK|Content-Length: -2||ok"],
  ["6.3: a hex length", "HTTP/1.1 200 OK|Content-Length: 0x2||ok"],
  ["6.3: an empty length", "HTTP/1.1 200 OK|Content-Length:||ok"],
  ["6.3: a huge length", "HTTP/1.1 200 OK|Content-Length: 99999999999999999999||ok"],
  ["6.1: an unknown coding", "HTTP/1.1 200 OK|Transfer-Encoding: gzip, chunked||2|ok|0||"],
  ["6.1: chunked not last", "HTTP/1.1 200 OK|Transfer-Encoding: chunked, gzip||2|ok|0||"],
  ["6.1: chunked twice", "HTTP/1.1 200 OK|Transfer-Encoding: chunked, chunked||2|ok|0||"],
  ["6.1: a coding before an empty member", "HTTP/1.1 200 OK|Transfer-Encoding: chunked,||2|ok|0||"],
  ["6.1: a coding before a tab", "HTTP/1.1 200 OK|Transfer-Encoding: chunked\t||2|ok|0||"],
  ["6.1: an obfuscated coding", "HTTP/1.1 200 OK|Transfer-Encoding: xchunked||2|ok|0||"],
  ["6.1: chunked in HTTP/1.0", "HTTP/1.0 200 OK|Transfer-Encoding: chunked||2|ok|0||"],
  ["6.3: a bad length in an answer without a body", "HTTP/1.1 304 Not Modified|Content-Length: 2, 3||"],
  [
    "9110 15.2.2: a 101 that was not asked for",
    "HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: x||",
  ],
  [
    "9110 15.2: an interim response in HTTP/1.0",
    "HTTP/1.0 100 Continue||HTTP/1.1 200 OK|Content-Length: 2||ok",
  ],
  [
    "9110 15.2: an interim response that closes",
    "HTTP/1.1 100 Continue|Connection: close||HTTP/1.1 200 OK|Content-Length: 2||ok",
  ],
  [
    "6.3: a malformed interim response",
    "HTTP/1.1 103 Early Hints|X : y||HTTP/1.1 200 OK|Content-Length: 2||ok",
  ],
  ["9110 5.4: a head that is too large", `HTTP/1.1 200 OK|X: ${"y".repeat(40_000)}||`],
  ["9110 5.4: a head without an end", `HTTP/1.1 200 OK|${"X: y|".repeat(8000)}`],
  ["9110 5.4: more fields than the limit", `HTTP/1.1 200 OK${"|X: y".repeat(101)}||`],
];

describe("malformed responses become 502", () => {
  for (const [rule, answer] of MALFORMED) {
    test(`RFC ${rule.startsWith("9110") ? "" : "9112 "}${rule}`, async () => {
      for (const pieces of answer.length < 400 ? [WHOLE, BYTE_BY_BYTE] : [WHOLE]) {
        await rig.backend.reset();
        rig.backend.script = answerFirst(pieces(wire(answer)));
        const client = await rig.client();
        client.send(wire("GET / HTTP/1.1|Host: a||"));
        await until(
          () => `502 (got ${shown(client.text)})`,
          () => client.text.endsWith("502 Bad Gateway\n"),
        );
        assertBadGateway(client.text);
        // The client's connection goes on; the backend's is never used again.
        assert.equal(await askNext(client), OK);
        assert.equal(rig.backend.received.length, 2);
        assert.equal(rig.backend.received[1], NEXT_FORWARDED);
        await until(
          () => "dropped",
          () => rig.backend.connections[0]?.isOver === true,
        );
      }
    });
  }
});

const BAD_CHUNKS: readonly Malformed[] = [
  ["7.1: a chunk without a size", "|ok|0||"],
  ["7.1: a signed chunk size", "+2|ok|0||"],
  ["7.1: a negative chunk size", "-2|ok|0||"],
  ["7.1: a chunk size before a space", "2 |ok|0||"],
  ["7.1: a chunk size with 0x", "0x2|ok|0||"],
  ["7.1: a chunk size beyond 2^64", "10000000000000002|ok|0||"],
  ["7.1: a bare LF behind a size", "2\nok|0||"],
  ["7.1: data longer than its size", "2|ok!|0||"],
  ["7.1: a bare LF behind the data", "2|ok\n0||"],
  ["7.1: a bad second chunk", "2|ok|z|0||"],
  ["7.1.1: an endless extension", `2;${"x".repeat(300)}|ok|0||`],
  ["7.1.2: a malformed trailer", "2|ok|0|X : y||"],
  ["7.1.2: endless trailers", `2|ok|0|${"X: y|".repeat(3000)}|`],
];

describe("bad chunks in a response are never passed on as good", () => {
  const HEAD = "HTTP/1.1 200 OK|Transfer-Encoding: chunked||";
  for (const [rule, body] of BAD_CHUNKS) {
    test(`RFC 9112 ${rule}: 502 while the head has not left`, async () => {
      rig.backend.script = answerFirst([wire(HEAD + body)]);
      const client = await rig.client();
      client.send(wire("GET / HTTP/1.1|Host: a||"));
      await until(
        () => `502 (got ${shown(client.text)})`,
        () => client.text.endsWith("502 Bad Gateway\n"),
      );
      assertBadGateway(client.text);
      assert.equal(await askNext(client), OK);
      assert.equal(rig.backend.received.length, 2);
    });

    test(`RFC 9112 ${rule}: the connection is cut when the head has left`, async () => {
      rig.backend.script = answerFirst([
        wire(HEAD),
        ...(body.length < 400 ? BYTE_BY_BYTE : WHOLE)(wire(body)),
      ]);
      const client = await rig.client();
      client.send(wire(`GET / HTTP/1.1|Host: a||${NEXT}`));
      await until(
        () => "cut",
        () => client.hasClosed,
      );
      assert.match(String(client.error), /ECONNRESET/u);
      assert.equal(shown(client.text).startsWith(HEAD), true);
      assert.match(shown(client.text).slice(HEAD.length), /^(?:\d\|[ok!\r\n|]+\|)*$/u);
      await until(
        () => "dropped",
        () => rig.backend.connections.every(({ isOver }) => isOver),
      );
      assert.equal(rig.backend.received.length, 1);
    });
  }
});

interface Good {
  readonly rule: string;
  readonly answer: string;
  readonly request?: string;
  /** What the client gets. */
  readonly passed: string;
  /** The backend closes behind it. */
  readonly backendEnds?: boolean;
  /** The backend connection may carry the next request. */
  readonly isReused: boolean;
}

const INTERIM = "HTTP/1.1 103 Early Hints|Link: </a>||";

const GOOD: readonly Good[] = [
  {
    rule: "6.2: a length",
    answer: "HTTP/1.1 200 OK|content-length:2 ||ok",
    passed: "HTTP/1.1 200 OK|Content-Length: 2||ok",
    isReused: true,
  },
  {
    rule: "6.2: a length of zero",
    answer: "HTTP/1.1 200 OK|Content-Length: 0||",
    passed: "HTTP/1.1 200 OK|Content-Length: 0||",
    isReused: true,
  },
  {
    rule: "4: an empty reason phrase",
    answer: "HTTP/1.1 200 |Content-Length: 0||",
    passed: "HTTP/1.1 200 |Content-Length: 0||",
    isReused: true,
  },
  {
    rule: "4: a missing reason phrase gets its space",
    answer: "HTTP/1.1 200|Content-Length: 0||",
    passed: "HTTP/1.1 200 |Content-Length: 0||",
    isReused: true,
  },
  {
    rule: "4: a status that nobody knows",
    answer: "HTTP/1.1 299 \xe9|Content-Length: 0||",
    passed: "HTTP/1.1 299 \xe9|Content-Length: 0||",
    isReused: true,
  },
  {
    rule: "7.1: no chunk but the last, with trailers",
    answer: "HTTP/1.1 200 OK|Transfer-Encoding: Chunked||0;x|X-T: 1|Set-Cookie: a||",
    passed: "HTTP/1.1 200 OK|Transfer-Encoding: chunked||0|X-T: 1||",
    isReused: true,
  },
  {
    rule: "9110 7.6.1: hop-by-hop fields end here",
    answer:
      "HTTP/1.1 200 OK|Connection: keep-alive, X-Hop|X-Hop: 1|Keep-Alive: timeout=5|Proxy-Connection: x|Upgrade: h2|Server: s|Content-Length: 0||",
    passed: "HTTP/1.1 200 OK|Server: s|Content-Length: 0||",
    isReused: true,
  },
  {
    rule: "9.3: a backend that says close is obeyed, the client is not told",
    answer: "HTTP/1.1 200 OK|Connection: close|Content-Length: 2||ok",
    passed: "HTTP/1.1 200 OK|Content-Length: 2||ok",
    isReused: false,
  },
  {
    rule: "9.3: HTTP/1.0 closes",
    answer: "HTTP/1.0 200 OK|Content-Length: 2||ok",
    passed: "HTTP/1.1 200 OK|Content-Length: 2||ok",
    isReused: false,
  },
  {
    rule: "6.3: close-delimited",
    answer: "HTTP/1.1 200 OK|Server: s||",
    backendEnds: true,
    passed: "HTTP/1.1 200 OK|Server: s|Transfer-Encoding: chunked||0||",
    isReused: false,
  },
  {
    rule: "9110 9.3.2: the answer to HEAD has a length and no body",
    request: "HEAD / HTTP/1.1|Host: a||",
    answer: "HTTP/1.1 200 OK|Content-Length: 500||",
    passed: "HTTP/1.1 200 OK|Content-Length: 500||",
    isReused: true,
  },
  {
    rule: "9110 9.3.2: the answer to HEAD in chunks has no body",
    request: "HEAD / HTTP/1.1|Host: a||",
    answer: "HTTP/1.1 200 OK|Transfer-Encoding: chunked||",
    passed: "HTTP/1.1 200 OK||",
    isReused: true,
  },
  {
    rule: "9110 15.3.5: 204 has no length",
    answer: "HTTP/1.1 204 No Content|Content-Length: 5||",
    passed: "HTTP/1.1 204 No Content||",
    isReused: true,
  },
  {
    rule: "9110 15.4.5: 304 has a length and no body",
    answer: "HTTP/1.1 304 Not Modified|Content-Length: 5||",
    passed: "HTTP/1.1 304 Not Modified|Content-Length: 5||",
    isReused: true,
  },
  {
    rule: "9110 15.2: one interim response",
    answer: `${INTERIM}HTTP/1.1 200 OK|Content-Length: 0||`,
    passed: `${INTERIM}HTTP/1.1 200 OK|Content-Length: 0||`,
    isReused: true,
  },
  {
    rule: "9110 15.2: a hundred interim responses",
    answer: `${INTERIM.repeat(100)}HTTP/1.1 200 OK|Content-Length: 0||`,
    passed: `${INTERIM.repeat(100)}HTTP/1.1 200 OK|Content-Length: 0||`,
    isReused: true,
  },
  {
    rule: "9110 15.2: an interim response has no framing",
    answer:
      "HTTP/1.1 100 Continue|Content-Length: 5||HTTP/1.1 102 Processing|Transfer-Encoding: chunked||HTTP/1.1 200 OK|Content-Length: 0||",
    passed: "HTTP/1.1 100 Continue||HTTP/1.1 102 Processing||HTTP/1.1 200 OK|Content-Length: 0||",
    isReused: true,
  },
  {
    rule: "9110 15.2: an HTTP/1.0 client gets no interim responses",
    request: "GET / HTTP/1.0|Host: a|Connection: keep-alive||",
    answer: `${INTERIM}HTTP/1.1 200 OK|Content-Length: 0||`,
    passed: "HTTP/1.1 200 OK|Content-Length: 0|Connection: keep-alive||",
    isReused: true,
  },
];

describe("responses that are passed on", () => {
  for (const {
    rule,
    answer,
    request = "GET / HTTP/1.1|Host: a||",
    passed,
    backendEnds = false,
    isReused,
  } of GOOD) {
    test(`RFC ${rule.startsWith("9110") ? "" : "9112 "}${rule}`, async () => {
      // Bodies are chunked as they were read, so only those without one come byte by byte.
      for (const pieces of passed.endsWith("|ok") ? [WHOLE] : [WHOLE, BYTE_BY_BYTE]) {
        await rig.backend.reset();
        rig.backend.script = answerFirst(pieces(wire(answer)), (first) => {
          if (backendEnds) first.socket.end();
        });
        const client = await rig.client();
        client.send(wire(request));
        await until(
          () => `${passed} (got ${shown(client.text)})`,
          () => client.text.length >= wire(passed).length,
        );
        await settle();
        assert.equal(shown(client.text), passed);
        assert.equal(shown(await askNext(client)).startsWith("HTTP/1.1 200 OK|Content-Length: 2|"), true);
        assert.equal(rig.backend.received.length, isReused ? 1 : 2);
      }
    });
  }
});
