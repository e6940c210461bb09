// Clients' connections in sockets of ours and, where Node's handles are not as expected, in those that Node makes: the
// same promises hold. And what a client that asked for the close is owed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, Server, Socket, connect } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AcceptedSocket, areHandlesKnown, takeConnections } from "../../src/proxy/accepted-socket.ts";
import { LIMITS } from "./harness.ts";
import { type Script, answerHead, openRig, settle, told, until, wire } from "./strict-rig.ts";

const OK = wire("HTTP/1.1 200 OK|Content-Length: 2||ok");

const answerAll: Script = (connection) => {
  while (connection.text.split("\r\n\r\n").length - 1 > connection.answered) {
    connection.answered += 1;
    connection.send(OK);
  }
};

test("the handles of the pinned Node are as expected", () => {
  assert.equal(areHandlesKnown(), true);
});

for (const [what, read] of [
  ["fails on", () => assert.fail("no handles here")],
  ["does not read from", () => null],
] as const) {
  test(`a Node whose Socket ${what} our handle is found out`, (t) => {
    t.mock.method(Socket.prototype, "read", read);
    assert.equal(areHandlesKnown(), false);
  });
}

test("a server without a handle of the kind expected keeps its connection events", async (t) => {
  const server = new Server((socket) => socket.end("from Node"));
  takeConnections(server, () => assert.fail("there was nothing to take from"));
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
  const [bytes] = (await once(client, "data")) as [Buffer];
  client.destroy();
  assert.equal(bytes.toString(), "from Node");
});

test("an accepted socket that is closed at once tells its owner once, and keeps what was written", async (t) => {
  const closed: (Error | null)[] = [];
  const server = new Server();
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  takeConnections(server, (socket) => {
    assert.ok(socket instanceof AcceptedSocket);
    socket.setOwner({
      receiveBytes: () => {
        socket.write("answer");
        assert.equal(socket.closeAtOnce(), true);
        assert.equal(socket.closeAtOnce(), false);
        socket.destroy();
      },
      receiveEnd: () => undefined,
      becomeWritable: () => undefined,
      streamClosed: (error) => closed.push(error),
    });
  });
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
  let text = "";
  client.on("data", (bytes) => (text += bytes.toString()));
  client.write("?");
  await once(client, "close");
  await settle();
  assert.equal(text, "answer");
  assert.deepEqual(closed, [null]);
});

for (const ownsSockets of [true, false]) {
  const whose = ownsSockets ? "ours" : "Node's";

  describe(`in a socket of ${whose}`, () => {
    const rig = openRig({ ownsSockets });

    test("requests on one connection are answered, and the backend is told of the client", async () => {
      rig.backend.script = answerAll;
      const client = await rig.client();
      client.send(wire("GET /1 HTTP/1.1|Host: a||"));
      await until(
        () => client.text,
        () => client.text.endsWith("ok"),
      );
      client.send(wire("GET /2 HTTP/1.1|Host: a||"));
      await until(
        () => client.text,
        () => client.text.split("200 OK").length === 3,
      );
      assert.equal(client.hasEnded, false);
      assert.deepEqual(rig.backend.received, [
        `GET /1 HTTP/1.1|Host: a|${told("a")}|GET /2 HTTP/1.1|Host: a|${told("a")}|`,
      ]);
    });

    test("a client that asked for the close gets its answer and an end", async () => {
      rig.backend.script = answerHead(OK);
      const client = await rig.client();
      client.send(wire("GET / HTTP/1.1|Host: a|Connection: close||"));
      await until(
        () => client.text,
        () => client.hasEnded,
      );
      assert.ok(client.text.endsWith("||ok".replaceAll("|", "\r\n")), client.text);
      assert.equal(client.error, null);
    });

    test("a client that has ended gets its answer and an end", async () => {
      rig.backend.script = answerHead(OK);
      const client = await rig.client();
      client.socket.end(wire("GET / HTTP/1.1|Host: a||"));
      await until(
        () => client.text,
        () => client.hasClosed,
      );
      assert.ok(client.text.endsWith("ok"), client.text);
      assert.equal(client.error, null);
    });

    test("bytes behind a request that asked for the close do not destroy the answer", async () => {
      rig.backend.script = answerHead(OK);
      const client = await rig.client();
      client.send(wire("GET / HTTP/1.1|Host: a|Connection: close||GET /late HTTP/1.1|Host: a||"));
      await until(
        () => client.text,
        () => client.hasEnded,
      );
      assert.ok(client.text.endsWith("ok"), client.text);
      // Our end is a FIN; what the client sends on is read and thrown away, not answered with a reset.
      client.send("x".repeat(1000));
      await settle(10);
      // A socket that has read the end hears of a reset when it writes once more.
      client.send("x");
      await settle(10);
      assert.equal(client.error, null);
      assert.equal(client.hasClosed, false);
    });

    for (const [what, request] of [
      ["asked in HTTP/1.0", "POST / HTTP/1.0|Host: a|Content-Length: 2||hi"],
      ["asked for the close", "GET / HTTP/1.1|Host: a|Connection: close||"],
      [
        "asked for the close behind a body",
        "POST / HTTP/1.1|Host: a|Connection: close|Content-Length: 2||hi",
      ],
    ] as const) {
      test(`an empty line from a client that ${what} does not destroy a long answer`, async () => {
        const body = "x".repeat(1_000_000);
        rig.backend.script = answerHead(
          wire(`HTTP/1.1 200 OK|Content-Length: ${String(body.length)}||${body}`),
        );
        const client = await rig.client();
        client.socket.pause();
        client.send(wire(request));
        // All of it is on its way, most of it in the kernel on the worker's side.
        await until(
          () => "the worker lets the backend go",
          () => rig.backend.connections[0]?.socket.writableLength === 0,
        );
        await sleep(100);
        client.send("\r\n");
        await sleep(50);
        client.socket.resume();
        await until(
          () => String(client.received.length),
          () => client.hasEnded || client.hasClosed,
        );
        assert.equal(client.error, null);
        assert.equal(client.received.length - client.received.indexOf("\r\n\r\n") - 4, body.length);
      });
    }

    for (const [what, request] of [
      ["asked in HTTP/1.0", "GET / HTTP/1.0|Host: a||"],
      [
        "asked for the close behind a body",
        "POST / HTTP/1.1|Host: a|Connection: close|Content-Length: 2||hi",
      ],
    ] as const) {
      test(`an empty line from a client that ${what} is no reason for a reset`, async () => {
        rig.backend.script = answerHead(OK);
        const client = await rig.client();
        client.send(wire(request));
        await until(
          () => client.text,
          () => client.hasEnded,
        );
        client.send("\r\n");
        await settle(10);
        client.send("\r\n");
        await settle(10);
        assert.ok(client.text.endsWith("ok"), client.text);
        assert.equal(client.error, null);
      });
    }

    test("a body that still comes behind its early answer does not destroy the answer", async () => {
      rig.backend.script = answerHead(wire("HTTP/1.1 413 No|Content-Length: 2||no"));
      const client = await rig.client();
      client.send(wire("POST / HTTP/1.1|Host: a|Connection: close|Content-Length: 9||abc"));
      await until(
        () => client.text,
        () => client.hasEnded,
      );
      client.send("def");
      await settle(10);
      assert.ok(client.text.endsWith("no"), client.text);
      assert.equal(client.error, null);
      assert.equal(client.hasClosed, false);
    });
  });

  describe(`one too many in a socket of ${whose}`, () => {
    const rig = openRig({ ownsSockets, listener: { limits: { ...LIMITS, connections: 1 } } });

    test("is refused, and the place is free again when the first has closed", async () => {
      rig.backend.script = answerAll;
      const first = await rig.client();
      const second = await rig.client();
      await until(
        () => second.text,
        () => second.hasEnded,
      );
      assert.match(second.text, /^HTTP\/1\.1 503 /u);
      first.send(wire("GET / HTTP/1.1|Host: a|Connection: close||"));
      await until(
        () => first.text,
        () => first.hasEnded,
      );
      first.socket.end();
      await until(
        () => first.text,
        () => first.hasClosed,
      );
      const third = await rig.client();
      third.send(wire("GET / HTTP/1.1|Host: a|Connection: close||"));
      await until(
        () => third.text,
        () => third.hasEnded,
      );
      assert.match(third.text, /^HTTP\/1\.1 200 /u);
    });
  });
}
