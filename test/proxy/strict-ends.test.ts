// Where exchanges end badly or early: responses cut at every byte, answers before the request is whole, bytes
// behind a response, and switches of protocol.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type RawPeer, OK, get } from "./harness.ts";
import {
  type Recorded,
  answerHead,
  openRig,
  sendPieces,
  settle,
  shown,
  told,
  until,
  wire,
} from "./strict-rig.ts";

const rig = openRig();

const GET = wire("GET / HTTP/1.1|Host: a||");

/** The next request gets an answer on another backend connection than all before. */
async function assertNeverReused(client: RawPeer): Promise<void> {
  const used = rig.backend.connections.length;
  rig.backend.script = answerHead(OK);
  client.forget();
  client.send(get("/next"));
  await until(
    () => `the next answer (got ${shown(client.text)})`,
    () => client.text.endsWith("ok"),
  );
  assert.equal(rig.backend.connections.length, used + 1);
  const before = rig.backend.connections.slice(0, used);
  await until(
    () => "dropped",
    () => before.every(({ isOver }) => isOver),
  );
  for (const { text } of before) assert.equal(text.includes("/next"), false);
}

/** What a client got of a response: whether it is whole is for the framing to say. */
function isWhole(text: string): boolean {
  const bodyStart = text.indexOf("\r\n\r\n") + 4;
  if (bodyStart < 4) return false;
  const head = text.slice(0, bodyStart);
  if (head.startsWith("HTTP/1.1 1")) return isWhole(text.slice(bodyStart));
  const length = /\r\nContent-Length: (\d+)\r\n/u.exec(head)?.[1];
  if (length !== undefined) return text.length - bodyStart >= Number(length);
  return /\r\n0\r\n(?:[^\r]+\r\n)*\r\n$/u.test(text);
}

const CUT: readonly (readonly [what: string, answer: string])[] = [
  ["a length", "HTTP/1.1 200 OK|Server: s|Content-Length: 5||hello"],
  ["chunks and trailers", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||3;x=y|abc|2|de|0|X-T: 1||"],
  [
    "interim responses",
    "HTTP/1.1 100 Continue||HTTP/1.1 103 Early Hints|Link: </a>||HTTP/1.1 200 OK|Content-Length: 1||x",
  ],
];

describe("RFC 9112 8: a response cut at any byte never looks whole", () => {
  for (const [what, answer] of CUT) {
    for (const end of ["end", "resetAndDestroy"] as const) {
      test(`with ${what}, by ${end === "end" ? "FIN" : "RST"}`, async () => {
        const bytes = wire(answer);
        for (let at = 0; at < bytes.length; at += 1) {
          await rig.backend.reset();
          rig.backend.script = answerHead("", (connection) => {
            void sendPieces(connection, at === 0 ? [] : [bytes.slice(0, at)]).then(() =>
              connection.socket[end](),
            );
          });
          const client = await rig.client();
          client.send(GET);
          const isOver = (): boolean => client.hasClosed || client.text.endsWith("502 Bad Gateway\n");
          await until(() => `an end at ${String(at)} (got ${shown(client.text)})`, isOver);
          if (client.text.endsWith("502 Bad Gateway\n")) {
            // Interim responses may have gone before; a head that has not must not have begun.
            assert.match(client.text, /^(?:HTTP\/1\.1 1\d\d [^]*?\r\n\r\n)*HTTP\/1\.1 502 /u);
            client.forget();
            rig.backend.script = answerHead(OK);
            client.send(GET);
            await until(
              () => "the next answer",
              () => client.text.endsWith("ok"),
            );
          } else {
            assert.equal(isWhole(client.text), false, `at ${String(at)}: ${shown(client.text)}`);
          }
          assert.equal(rig.backend.connections[0]?.text.split("GET ").length, 2);
        }
      });
    }
  }

  test("close-delimited: FIN after the head is its end, RST is a cut", async () => {
    const bytes = wire("HTTP/1.1 200 OK||hello");
    const headEnd = bytes.indexOf("hello");
    for (let at = headEnd; at <= bytes.length; at += 1) {
      for (const end of ["end", "resetAndDestroy"] as const) {
        await rig.backend.reset();
        rig.backend.script = answerHead("", (connection) => {
          void sendPieces(connection, [bytes.slice(0, at)]).then(() => connection.socket[end]());
        });
        const client = await rig.client();
        client.send(GET);
        await until(
          () => `an end at ${String(at)}`,
          () => client.hasClosed || isWhole(client.text),
        );
        assert.equal(isWhole(client.text), end === "end", `at ${String(at)}: ${shown(client.text)}`);
      }
    }
  });
});

/** Sends the head and the first half of the body, waits for the answer, and then sends the rest and a request. */
async function postSlowly(head: string, first: string, rest: string): Promise<RawPeer> {
  const client = await rig.client();
  await sendPieces(client, [wire(head + first)]);
  await until(
    () => `an answer (got ${shown(client.text)})`,
    () => client.hasEnded || client.hasClosed,
  );
  await sendPieces(client, [wire(rest), wire("GET /smuggled HTTP/1.1|Host: evil||")]);
  return client;
}

const UPLOADS = [
  ["a length", "POST / HTTP/1.1|Host: a|Content-Length: 10||", "hello", "world", `Content-Length: 10||hello`],
  [
    "chunks",
    "POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||",
    "5|hello|",
    "5|world|0||",
    `Transfer-Encoding: chunked||5|hello|`,
  ],
  [
    "an expectation",
    "POST / HTTP/1.1|Host: a|Expect: 100-continue|Content-Length: 10||",
    "",
    "helloworld",
    `Content-Length: 10||`,
  ],
] as const;

const EARLY = [
  [
    "a length",
    "HTTP/1.1 413 Too Large|Content-Length: 2||no",
    "HTTP/1.1 413 Too Large|Content-Length: 2|Connection: close||no",
  ],
  [
    "chunks",
    "HTTP/1.1 413 Too Large|Transfer-Encoding: chunked||2|no|0||",
    "HTTP/1.1 413 Too Large|Transfer-Encoding: chunked|Connection: close||2|no|0||",
  ],
  ["no body", "HTTP/1.1 204 No Content||", "HTTP/1.1 204 No Content|Connection: close||"],
] as const;

describe("RFC 9112 9.3: an answer before the request is whole", () => {
  for (const [upload, head, first, rest, received] of UPLOADS) {
    for (const [kind, answer, passed] of EARLY) {
      test(`with ${kind}, to a request with ${upload}: the client gets it and a close, the rest is nobody's request`, async () => {
        const forwardedEnd = wire(received);
        rig.backend.script = (connection) => {
          if (connection.answered > 0 || !connection.text.endsWith(forwardedEnd)) return;
          connection.answered = 1;
          connection.send(wire(answer));
        };
        const client = await postSlowly(head, first, rest);
        assert.equal(shown(client.text), passed);
        const expectation = upload === "an expectation" ? "Expect: 100-continue|" : "";
        assert.deepEqual(rig.backend.received, [
          `POST / HTTP/1.1|Host: a|${expectation}${told("a")}${received}`,
        ]);
        await assertNeverReused(await rig.client());
      });
    }

    test(`close-delimited, to a request with ${upload}: the client gets it and a close`, async () => {
      rig.backend.script = answerHead(wire("HTTP/1.1 413 Too Large||no"), (connection) =>
        connection.socket.end(),
      );
      const client = await postSlowly(head, first, rest);
      assert.equal(client.error, null);
      assert.match(
        shown(client.text),
        /^HTTP\/1\.1 413 Too Large\|Transfer-Encoding: chunked\|Connection: close\|\|2\|no\|0\|\|$/u,
      );
      await assertNeverReused(await rig.client());
    });

    test(`with a reset behind it, to a request with ${upload}: the client gets the answer`, async () => {
      rig.backend.script = answerHead(wire("HTTP/1.1 413 Too Large|Content-Length: 2||no"), (connection) => {
        connection.socket.destroySoon();
        void settle().then(() => connection.socket.resetAndDestroy());
      });
      const client = await postSlowly(head, first, rest);
      assert.equal(shown(client.text), "HTTP/1.1 413 Too Large|Content-Length: 2|Connection: close||no");
    });
  }

  test("the body goes on to the backend while the answer comes, and the answer is whole", async () => {
    // An echo: each piece of the body comes back as a chunk before the next one is sent.
    const expected = `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 10||`;
    rig.backend.script = (connection) => {
      if (connection.answered === 0) connection.send(wire("HTTP/1.1 200 OK|Transfer-Encoding: chunked||"));
      const body = connection.text.slice(wire(expected).length);
      if (connection.answered === 0) connection.answered = 1;
      const fresh = body.slice(connection.answered - 1);
      if (fresh !== "") connection.send(wire(`${fresh.length.toString(16)}|${fresh}|`));
      connection.answered = body.length + 1;
      if (body.length === 10) connection.send(wire("0||"));
    };
    const client = await rig.client();
    client.send(wire("POST / HTTP/1.1|Host: a|Content-Length: 10||"));
    await until(
      () => "the head",
      () => client.text.includes("\r\n\r\n"),
    );
    for (const letter of "0123456789") {
      client.send(letter);
      await until(
        () => `${letter} (got ${shown(client.text)})`,
        () => client.text.includes(`1\r\n${letter}\r\n`),
      );
    }
    await until(
      () => "the end",
      () => client.hasEnded,
    );
    const echo = "0123456789"
      .split("")
      .map((letter) => `1|${letter}|`)
      .join("");
    assert.equal(
      shown(client.text),
      `HTTP/1.1 200 OK|Transfer-Encoding: chunked|Connection: close||${echo}0||`,
    );
    assert.deepEqual(rig.backend.received, [`${expected}0123456789`]);
  });

  test("a bad chunk after the answer has begun cuts the client", async () => {
    rig.backend.script = answerHead(wire("HTTP/1.1 200 OK|Transfer-Encoding: chunked||1|x|"));
    const client = await rig.client();
    client.send(wire("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||1|y|"));
    await until(
      () => "the first chunk",
      () => client.text.endsWith("x\r\n"),
    );
    client.send("-1\r\n");
    await until(
      () => "the cut",
      () => client.hasClosed,
    );
    assert.equal(isWhole(client.text), false);
    await until(
      () => "dropped",
      () => rig.backend.connections.every(({ isOver }) => isOver),
    );
    assert.equal(rig.backend.received.join("").endsWith("1|y|"), true);
  });
});

const EVIL = "HTTP/1.1 200 OK|Content-Length: 4||evil";

const EXTRA: readonly (readonly [what: string, method: string, answer: string, passed: string])[] = [
  ["a length", "GET", "HTTP/1.1 200 OK|Content-Length: 2||ok", "HTTP/1.1 200 OK|Content-Length: 2||ok"],
  ["a length of zero", "GET", "HTTP/1.1 200 OK|Content-Length: 0||", "HTTP/1.1 200 OK|Content-Length: 0||"],
  [
    "chunks",
    "GET",
    "HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ok|0||",
    "HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ok|0||",
  ],
  ["HEAD", "HEAD", "HTTP/1.1 200 OK|Content-Length: 2||", "HTTP/1.1 200 OK|Content-Length: 2||"],
  ["204", "GET", "HTTP/1.1 204 No Content||", "HTTP/1.1 204 No Content||"],
  ["304", "GET", "HTTP/1.1 304 Not Modified||", "HTTP/1.1 304 Not Modified||"],
];

describe("RFC 9112 6.3: bytes behind a response belong to nobody, and that connection is never used again", () => {
  for (const [what, method, answer, passed] of EXTRA) {
    for (const [extra, bytes] of [
      ["a response", EVIL],
      ["one byte", "x"],
      ["an empty line", "|"],
    ] as const) {
      test(`${extra} behind ${what}, at once`, async () => {
        rig.backend.script = answerHead(wire(answer + bytes));
        const client = await rig.client();
        client.send(wire(`${method} / HTTP/1.1|Host: a||`));
        await until(
          () => passed,
          () => client.text.length >= wire(passed).length,
        );
        await settle();
        assert.equal(shown(client.text), passed);
        await assertNeverReused(client);
      });

      test(`${extra} behind ${what}, while the connection is idle`, async () => {
        rig.backend.script = answerHead(
          "",
          (connection) => void sendPieces(connection, [wire(answer), wire(bytes)]),
        );
        const client = await rig.client();
        client.send(wire(`${method} / HTTP/1.1|Host: a||`));
        await until(
          () => passed,
          () => client.text.length >= wire(passed).length,
        );
        await until(
          () => "dropped",
          () => rig.backend.connections[0]?.isOver === true,
        );
        assert.equal(shown(client.text), passed);
        await assertNeverReused(client);
      });
    }
  }

  test("a pipelined request that waits does not meet them", async () => {
    rig.backend.script = (connection: Recorded) => {
      if (connection === rig.backend.connections[0])
        connection.send(wire(`HTTP/1.1 200 OK|Content-Length: 2||ok${EVIL}`));
      else connection.send(wire("HTTP/1.1 200 OK|Content-Length: 4||good"));
    };
    const client = await rig.client();
    client.send(GET + get("/next"));
    await until(
      () => "two answers",
      () => client.text.endsWith("good") || client.text.includes("evil"),
    );
    assert.equal(
      shown(client.text),
      "HTTP/1.1 200 OK|Content-Length: 2||okHTTP/1.1 200 OK|Content-Length: 4||good",
    );
    assert.equal(rig.backend.received.length, 2);
  });
});

describe("RFC 9110 7.8: a 101", () => {
  const UPGRADE = wire("GET / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket, echo||");

  for (const [what, fields] of [
    ["without Upgrade", ""],
    ["to another protocol", "Upgrade: h2c|"],
    ["to one more protocol than was asked for", "Upgrade: echo, h2c|"],
    ["to nothing", "Upgrade:|"],
  ] as const) {
    test(`${what} makes no tunnel`, async () => {
      rig.backend.script = answerHead(
        wire(`HTTP/1.1 101 Switching Protocols|Connection: Upgrade|${fields}|raw`),
      );
      const client = await rig.client();
      client.send(UPGRADE);
      await until(
        () => `502 (got ${shown(client.text)})`,
        () => client.text.endsWith("502 Bad Gateway\n"),
      );
      assert.match(client.text, /^HTTP\/1\.1 502 /u);
      await assertNeverReused(client);
    });
  }

  test("to a request with a body of no bytes makes a tunnel", async () => {
    rig.backend.script = answerHead(
      wire("HTTP/1.1 101 Switching Protocols|Connection: upgrade|Upgrade: echo||raw"),
    );
    const client = await rig.client();
    client.send(
      wire("POST / HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: echo|Content-Length: 0||GET / HTTP/1.1|"),
    );
    await until(
      () => "raw",
      () => client.text.endsWith("raw"),
    );
    const head = `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 0|Connection: Upgrade|Upgrade: echo||`;
    await until(
      () => "what came behind the head",
      () => rig.backend.received.join("").endsWith("HTTP/1.1|") && rig.backend.received.join("") !== head,
    );
    assert.deepEqual(rig.backend.received, [`${head}GET / HTTP/1.1|`]);
  });

  test("to what was asked for makes a tunnel for all that follows", async () => {
    rig.backend.script = answerHead(
      wire("HTTP/1.1 101 Switching Protocols|Connection: upgrade|Upgrade: Echo|Content-Length: 3||raw"),
    );
    const client = await rig.client();
    client.send(`${UPGRADE}early`);
    await until(
      () => "raw",
      () => client.text.endsWith("raw"),
    );
    client.send("\0late");
    await until(
      () => "late",
      () => rig.backend.received.join("").endsWith("late"),
    );
    assert.equal(
      shown(client.text),
      "HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: Echo||raw",
    );
    assert.deepEqual(rig.backend.received, [
      `GET / HTTP/1.1|Host: a|${told("a")}Connection: Upgrade|Upgrade: websocket, echo||early\0late`,
    ]);
  });
});
