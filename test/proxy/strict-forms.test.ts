// Requests that are good in a way that proxies have got wrong: what the backend receives of them, byte by byte, and
// what the client gets. Each runs in one piece and split at every byte.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually } from "./harness.ts";
import {
  BYTE_BY_BYTE,
  type Pieces,
  WHOLE,
  answerEach,
  assertRefused,
  openRig,
  sendPieces,
  settle,
  shown,
  told,
  until,
  wire,
} from "./strict-rig.ts";

const rig = openRig();

interface Form {
  readonly rule: string;
  readonly request: string;
  /** What the backend receives, message by message. */
  readonly forwarded: readonly string[];
  /** Between Content-Length and the end of each response head. */
  readonly connection?: string;
  /** The connection ends after the last response. */
  readonly closes?: boolean;
}

const GET_A = `GET / HTTP/1.1|Host: a|${told("a")}|`;

const FORMS: readonly Form[] = [
  {
    rule: "9112 2.2: empty lines before a request line are skipped",
    request: "||GET / HTTP/1.1|Host: a||",
    forwarded: [GET_A],
  },
  {
    rule: "9112 2.2: an empty line between two requests is skipped",
    request: "GET / HTTP/1.1|Host: a|||GET / HTTP/1.1|Host: a||",
    forwarded: [GET_A, GET_A],
  },
  {
    rule: "9112 5: names in any case, white space around values",
    request: "GET / HTTP/1.1|hOST:a|x-A:\t b c \t|X-Empty:||",
    forwarded: [`GET / HTTP/1.1|Host: a|x-A: b c|X-Empty: |${told("a")}|`],
  },
  {
    rule: "9110 5.5: bytes above ASCII in a field value are passed on as they are",
    request: "GET / HTTP/1.1|Host: a|X: \xe9\xff||",
    forwarded: [`GET / HTTP/1.1|Host: a|X: \xe9\xff|${told("a")}|`],
  },
  {
    rule: "9112 3.2: the authority of an absolute form wins over Host",
    request: "GET http://b.lan/x?y HTTP/1.1|Host: a||",
    forwarded: [`GET /x?y HTTP/1.1|Host: b.lan|${told("b.lan")}|`],
  },
  {
    rule: "9112 3.2: the authority of an absolute form wins, with its port",
    request: "GET HTTP://b:81 HTTP/1.1|Host: a:80||",
    forwarded: [`GET / HTTP/1.1|Host: b:81|${told("b:81")}|`],
  },
  {
    rule: "9112 3.2.2: an absolute form with a query and no path",
    request: "GET http://a?x HTTP/1.1|Host: a||",
    forwarded: [`GET /?x HTTP/1.1|Host: a|${told("a")}|`],
  },
  {
    rule: "9112 3.2.1: a target is passed on as it came, escapes and all",
    request: 'GET //a/%00%2F.b?a=%0d%0a&b[]=/../"<>^`{|}\\ HTTP/1.1|Host: a||'.replace("{|}", "{}"),
    forwarded: [`GET //a/%00%2F.b?a=%0d%0a&b[]=/../"<>^\`{}\\ HTTP/1.1|Host: a|${told("a")}|`],
  },
  {
    rule: "3986 6.2.2.3: dot segments are resolved, since servers disagree on them",
    request: "GET //a/../%2e/%00?x=/../y HTTP/1.1|Host: a||",
    forwarded: [`GET //%00?x=/../y HTTP/1.1|Host: a|${told("a")}|`],
  },
  {
    rule: "9112 3.2.4: the asterisk form",
    request: "OPTIONS * HTTP/1.1|Host: a||",
    forwarded: [`OPTIONS * HTTP/1.1|Host: a|${told("a")}|`],
  },
  {
    rule: "9112 3.2.4: OPTIONS in absolute form without a path becomes the asterisk form",
    request: "OPTIONS http://b HTTP/1.1|Host: a||",
    forwarded: [`OPTIONS * HTTP/1.1|Host: b|${told("b")}|`],
  },
  {
    rule: "9110 9.1: a method that nobody knows is passed on",
    request: "BREW /pot HTTP/1.1|Host: a||",
    forwarded: [`BREW /pot HTTP/1.1|Host: a|${told("a")}|`],
  },
  {
    rule: "9110 7.2: an IPv6 Host with a port",
    request: "GET / HTTP/1.1|Host: [::1]:80||",
    forwarded: [`GET / HTTP/1.1|Host: [::1]:80|${told("[::1]:80")}|`],
  },
  {
    rule: "9110 7.6.1: hop-by-hop fields and those that Connection names end here",
    request:
      "GET / HTTP/1.1|Host: a|Connection: X-Hop, te|X-Hop: 1|TE: trailers|Keep-Alive: 5|Proxy-Connection: close|Upgrade: x|HTTP2-Settings: y|X: z||",
    forwarded: [`GET / HTTP/1.1|Host: a|X: z|${told("a")}|`],
  },
  {
    rule: "9110 7.6.1: Connection cannot take away Host, the framing or what this hop tells",
    request:
      "POST / HTTP/1.1|Host: a|Connection: Host, Content-Length, X-Forwarded-For, Forwarded|Content-Length: 1||x",
    forwarded: [`POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 1||x`],
  },
  {
    rule: "9112 9.3: Connection: close is obeyed, and nothing behind it is a request",
    request: "GET / HTTP/1.1|Host: a|Connection: Close||GET /smuggled HTTP/1.1|Host: evil||",
    forwarded: [GET_A],
    connection: "Connection: close|",
    closes: true,
  },
  {
    rule: "9112 9.3: HTTP/1.0 closes, and nothing behind it is a request",
    request: "GET / HTTP/1.0|Host: a||GET /smuggled HTTP/1.0|Host: evil||",
    forwarded: [GET_A],
    connection: "Connection: close|",
    closes: true,
  },
  {
    rule: "9112 9.3: HTTP/1.0 without a Host",
    request: "GET / HTTP/1.0||",
    forwarded: [`GET / HTTP/1.1|Host: |${told("")}|`],
    connection: "Connection: close|",
    closes: true,
  },
  {
    rule: "9112 9.3: HTTP/1.0 with keep-alive goes on",
    request:
      "GET / HTTP/1.0|Host: a|Connection: keep-alive||POST / HTTP/1.0|Host: a|Connection: Keep-Alive|Content-Length: 2||hi",
    forwarded: [GET_A, `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 2||hi`],
    connection: "Connection: keep-alive|",
  },
  {
    rule: "9112 9.3: close wins over keep-alive",
    request: "GET / HTTP/1.0|Host: a|Connection: keep-alive, close||GET /smuggled HTTP/1.0||",
    forwarded: [GET_A],
    connection: "Connection: close|",
    closes: true,
  },
  {
    rule: "9110 10.1.1: an HTTP/1.0 client's expectation is ignored",
    request: "POST / HTTP/1.0|Host: a|Expect: 100-continue|Content-Length: 1||x",
    forwarded: [`POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 1||x`],
    connection: "Connection: close|",
    closes: true,
  },
  {
    rule: "9110 10.1.1: an expectation without a body is ignored",
    request: "GET / HTTP/1.1|Host: a|Expect: 100-continue||",
    forwarded: [GET_A],
  },
  {
    rule: "9110 10.1.1: an expectation whose body comes at once is passed on",
    request: "POST / HTTP/1.1|Host: a|Expect: 100-Continue|Content-Length: 1||x",
    forwarded: [`POST / HTTP/1.1|Host: a|Expect: 100-Continue|${told("a")}Content-Length: 1||x`],
  },
  {
    rule: "9110 7.8: an Upgrade that Connection does not name is ignored",
    request: "GET / HTTP/1.1|Host: a|Upgrade: websocket||",
    forwarded: [GET_A],
  },
  {
    rule: "9110 7.8: an Upgrade in HTTP/1.0 is ignored",
    request: "GET / HTTP/1.0|Host: a|Connection: Upgrade|Upgrade: websocket||",
    forwarded: [GET_A],
    connection: "Connection: close|",
    closes: true,
  },
  {
    rule: "9110 7.8: an Upgrade with a body is ignored",
    request: "POST / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket|Content-Length: 1||x",
    forwarded: [`POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 1||x`],
  },
  {
    rule: "9110 7.8: an Upgrade with a body of no bytes is an Upgrade",
    request: "POST / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket|Content-Length: 0||",
    forwarded: [
      `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 0|Connection: Upgrade|Upgrade: websocket||`,
    ],
  },
  {
    rule: "9110 7.8: an Upgrade with chunks is ignored, even when there are none",
    request: "POST / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket|Transfer-Encoding: chunked||0||",
    forwarded: [`POST / HTTP/1.1|Host: a|${told("a")}Transfer-Encoding: chunked||0||`],
  },
  {
    rule: "9110 7.6.2: OPTIONS has one forward less",
    request: "OPTIONS / HTTP/1.1|Host: a|max-forwards: 010|X: y||",
    forwarded: [`OPTIONS / HTTP/1.1|Host: a|X: y|Max-Forwards: 9|${told("a")}|`],
  },
  {
    rule: "9110 7.6.2: OPTIONS has its last forward",
    request: "OPTIONS * HTTP/1.1|Host: a|Max-Forwards: 1||",
    forwarded: [`OPTIONS * HTTP/1.1|Host: a|Max-Forwards: 0|${told("a")}|`],
  },
  {
    rule: "9110 7.6.2: more forwards than anybody needs are a million",
    request: `OPTIONS / HTTP/1.1|Host: a|Max-Forwards: ${"9".repeat(400)}||`,
    forwarded: [`OPTIONS / HTTP/1.1|Host: a|Max-Forwards: 999999|${told("a")}|`],
  },
  {
    rule: "9110 7.6.2: Connection cannot take away Max-Forwards",
    request: "OPTIONS / HTTP/1.1|Host: a|Connection: Max-Forwards|Max-Forwards: 5||",
    forwarded: [`OPTIONS / HTTP/1.1|Host: a|Max-Forwards: 4|${told("a")}|`],
  },
  {
    rule: "9110 7.6.2: Max-Forwards of another method is passed on as it came",
    request: "GET / HTTP/1.1|Host: a|Max-Forwards: 0|Max-Forwards: x||",
    forwarded: [`GET / HTTP/1.1|Host: a|Max-Forwards: 0|Max-Forwards: x|${told("a")}|`],
  },
  {
    rule: "9113 3: an Upgrade to h2c is ignored",
    request:
      "GET / HTTP/1.1|Host: a|Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAMAAABk||",
    forwarded: [GET_A],
  },
  {
    rule: "9110 7.8: after an Upgrade without a 101 the connection stays HTTP",
    request: "GET / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket||GET / HTTP/1.1|Host: a||",
    forwarded: [`GET / HTTP/1.1|Host: a|${told("a")}Connection: Upgrade|Upgrade: websocket||`, GET_A],
  },
  {
    rule: "9112 9.3.2: pipelined requests with bodies are answered in order",
    request:
      "POST /1 HTTP/1.1|Host: a|Content-Length: 3||abcPOST /2 HTTP/1.1|Host: a|Transfer-Encoding: chunked||1|x|0||GET /3 HTTP/1.1|Host: a||",
    forwarded: [
      `POST /1 HTTP/1.1|Host: a|${told("a")}Content-Length: 3||abc`,
      `POST /2 HTTP/1.1|Host: a|${told("a")}Transfer-Encoding: chunked||1|x|0||`,
      `GET /3 HTTP/1.1|Host: a|${told("a")}|`,
    ],
  },
];

function answer(index: number): string {
  return wire(`HTTP/1.1 200 OK|Content-Length: 1||${String(index % 10)}`);
}

async function runForm(form: Form, pieces: Pieces): Promise<void> {
  const { request, forwarded, connection = "", closes = false } = form;
  await rig.backend.reset();
  rig.backend.script = answerEach(forwarded, answer);
  const client = await rig.client();
  await sendPieces(client, pieces(wire(request)));
  const expected = forwarded
    .map((_, i) => `HTTP/1.1 200 OK|Content-Length: 1|${connection}|${String(i)}`)
    .join("");
  await until(
    () => `${expected} (got ${shown(client.text)})`,
    () => client.text.length >= wire(expected).length,
  );
  if (closes)
    await until(
      () => "the end",
      () => client.hasEnded,
    );
  await settle();
  assert.equal(shown(client.text), expected);
  assert.equal(client.hasEnded, closes);
  assert.deepEqual(rig.backend.received, [forwarded.join("")]);
  client.close();
}

describe("requests that are passed on", () => {
  for (const form of FORMS) {
    test(`RFC ${form.rule}`, async () => {
      await runForm(form, WHOLE);
    });
  }
});

describe("requests split in two at every byte are the same requests", () => {
  for (const form of FORMS) {
    test(`RFC ${form.rule}`, async () => {
      for (let at = 1; at < wire(form.request).length; at += 1) {
        await runForm(form, (text) => [text.slice(0, at), text.slice(at)]);
      }
    });
  }
});

describe("RFC 9110 7.6.2: an OPTIONS without a forward is answered here", () => {
  for (const [what, request, connection] of [
    ["and the connection goes on", "OPTIONS / HTTP/1.1|Host: a|Max-Forwards: 0||", ""],
    [
      "in HTTP/1.0",
      "OPTIONS / HTTP/1.0|Host: a|Connection: keep-alive|Max-Forwards: 000||",
      "Connection: keep-alive|",
    ],
    [
      "and what follows a body that nobody reads is no request",
      "OPTIONS / HTTP/1.1|Host: a|Max-Forwards: 0|Content-Length: 5||",
      "Connection: close|",
    ],
  ] as const) {
    test(what, async () => {
      const client = await rig.client();
      rig.backend.script = answerEach([GET_A], answer);
      await sendPieces(client, BYTE_BY_BYTE(wire(`${request}GET / HTTP/1.1|Host: a||`)));
      const closes = connection.includes("close");
      const own = `HTTP/1.1 200 OK|Date|Content-Length: 0|${connection}|`;
      const expected = closes ? own : `${own}${shown(answer(0))}`;
      const got = (): string => shown(client.text).replace(/Date: [^|]*/u, "Date");
      await until(
        () => `${expected} (got ${got()})`,
        () => got().length >= expected.length && (!closes || client.hasEnded),
      );
      await settle();
      assert.equal(got(), expected);
      assert.deepEqual(rig.backend.received, closes ? [] : [GET_A]);
    });
  }
});

describe("what comes behind a request", () => {
  test("RFC 9112 9.3.2: twenty pipelined requests are answered in order, though the first is the slowest", async () => {
    const paths = Array.from({ length: 20 }, (_, i) => `/${String(i)}`);
    rig.backend.script = (connection) => {
      const asked = [...connection.text.matchAll(/GET (\/\d+) /gu)].map((match) => match[1] ?? "");
      for (; connection.answered < asked.length; connection.answered += 1) {
        const body = asked[connection.answered] ?? "";
        setTimeout(
          () => connection.send(wire(`HTTP/1.1 200 OK|Content-Length: ${String(body.length)}||${body}`)),
          body === "/0" ? 50 : 0,
        );
      }
    };
    const client = await rig.client();
    client.send(wire(paths.map((path) => `GET ${path} HTTP/1.1|Host: a||`).join("")));
    const text = await client.receives("/19");
    assert.deepEqual(
      [...text.matchAll(/\r\n\r\n(\/\d+)/gu)].map((match) => match[1]),
      paths,
    );
  });

  test("RFC 9112 9.3.2: a bad request behind a good one is refused after the good one's answer", async () => {
    rig.backend.script = answerEach([GET_A], answer);
    const client = await rig.client();
    client.send(wire("GET / HTTP/1.1|Host: a||GET /x HTTP/1.1|Host : a||"));
    const text = await client.endsOrCloses();
    const first = wire("HTTP/1.1 200 OK|Content-Length: 1||0");
    assert.equal(text.slice(0, first.length), first);
    assertRefused(text.slice(first.length), 400);
    assert.deepEqual(rig.backend.received, [GET_A]);
  });

  test("RFC 9112 6.3: bytes beyond the length are the next request, and refused when they are none", async () => {
    const forwarded = `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 3||abc`;
    rig.backend.script = answerEach([forwarded], answer);
    const client = await rig.client();
    client.send(wire("POST / HTTP/1.1|Host: a|Content-Length: 3||abcdef||"));
    const text = await client.endsOrCloses();
    assertRefused(text.slice(wire("HTTP/1.1 200 OK|Content-Length: 1||0").length), 400);
    assert.deepEqual(rig.backend.received, [forwarded]);
  });

  test("RFC 9110 7.8: what follows an Upgrade that got no 101 is read as requests, and refused when it is none", async () => {
    const forwarded = `GET / HTTP/1.1|Host: a|${told("a")}Connection: Upgrade|Upgrade: websocket||`;
    rig.backend.script = answerEach([forwarded], answer);
    const client = await rig.client();
    client.send(wire("GET / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket||\x81\x05hello"));
    const text = await client.endsOrCloses();
    assertRefused(text.slice(wire("HTTP/1.1 200 OK|Content-Length: 1||0").length), 400);
    assert.deepEqual(rig.backend.received, [forwarded]);
  });

  test("RFC 9112 9.6: a body that is sent on after the answer is not read as requests", async () => {
    rig.backend.script = (connection) => {
      if (connection.answered > 0) return;
      connection.answered = 1;
      connection.send(wire("HTTP/1.1 403 Forbidden|Content-Length: 2||no"));
    };
    const client = await rig.client();
    client.send(wire("POST / HTTP/1.1|Host: a|Content-Length: 1000||begin"));
    const text = await client.endsOrCloses();
    assert.equal(shown(text), "HTTP/1.1 403 Forbidden|Content-Length: 2|Connection: close||no");
    for (let i = 0; i < 5; i += 1) await sendPieces(client, [wire("GET /smuggled HTTP/1.1|Host: evil||")]);
    assert.equal(client.text, text);
    const [received = "", ...more] = rig.backend.received;
    assert.deepEqual(more, []);
    assert.equal(received, `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 1000||begin`);
    await eventually("dropped", () => rig.backend.connections.every(({ isOver }) => isOver));
  });

  test("RFC 9112 8: a request whose body is cut by the client's end is not completed", async () => {
    for (const request of [
      "POST / HTTP/1.1|Host: a|Content-Length: 9||half",
      "POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|hel",
      "POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||2|he|",
      "POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||2|he|0|",
    ]) {
      await rig.backend.reset();
      const client = await rig.client();
      client.send(wire(request));
      await eventually("the backend has the head", () => rig.backend.received.length > 0);
      await settle();
      client.socket.end();
      await client.endsOrCloses();
      await eventually("cut", () => rig.backend.connections.every(({ isOver }) => isOver));
      assert.equal(client.text, "");
      assert.equal(rig.backend.received.join("").includes("0||"), false);
    }
  });
});
