import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { RE2JS } from "re2js";
import type { TcpDialogue } from "../../src/config/check-config.ts";
import { tcpProber } from "../../src/control/tcp-probe.ts";
import { accept, HOST, lookOnce, refusedPort } from "./probe-rig.ts";

async function look(port: number, dialogue?: TcpDialogue, timeoutMs = 5_000): Promise<string> {
  return lookOnce(tcpProber({ host: HOST, port }, dialogue === undefined ? {} : { dialogue }, timeoutMs));
}

const contains = (text: string, send = ""): TcpDialogue => ({ send, expect: { kind: "text", text } });
const matches = (regex: string, send = ""): TcpDialogue => ({ send, expect: { kind: "regex", regex } });

/** A backend that answers PING with +PONG, as Redis does, and everything else with -ERR. */
const pong = (socket: Socket) => {
  socket.on("data", (bytes: Buffer) => {
    socket.write(bytes.toString("latin1") === "PING\r\n" ? "+PONG\r\n" : "-ERR\r\n");
  });
};

test("without a dialogue a connection is enough", async (t) => {
  assert.equal(await look(await accept(t, () => undefined)), "good");
  assert.equal(await look(await refusedPort()), "bad: connect refused");
});

test("its own port is asked in place of the backend's", async (t) => {
  const port = await accept(t, () => undefined);
  const prober = tcpProber({ host: HOST, port: await refusedPort() }, { port }, 5_000);
  assert.equal(await lookOnce(prober), "good");
});

test("what is expected is looked for in the answer to what is sent", async (t) => {
  const port = await accept(t, pong);
  assert.equal(await look(port, contains("+PONG", "PING\r\n")), "good");
  assert.equal(await look(port, matches(String.raw`^\+PONG\r\n$`, "PING\r\n")), "good");
  assert.equal(await look(port, contains("+PONG", "HELLO\r\n"), 150), "bad: no answer within 150 ms");
});

test("a backend that speaks first needs nothing sent", async (t) => {
  const port = await accept(t, (socket) => socket.write("220 mail ESMTP\r\n"));
  assert.equal(await look(port, matches("^220 ")), "good");
});

test("bytes are bytes, in what is sent, in what is expected and to an expression", async (t) => {
  const seen: Buffer[] = [];
  const port = await accept(t, (socket) => {
    socket.once("data", (bytes: Buffer) => {
      seen.push(bytes);
      socket.write(Buffer.from([0x00, 0xff, 0x80, 0x0a]));
    });
  });
  assert.equal(await look(port, contains("\u{ff}\u{80}", "\u{c3}\u{a9}\0")), "good");
  assert.equal(await look(port, matches(String.raw`^\x00[\xf0-\xff]\x80`, "x")), "good");
  assert.deepEqual(seen[0], Buffer.from("é\0"));
});

test("an answer that comes byte by byte is an answer", async (t) => {
  const port = await accept(t, (socket) => {
    socket.setNoDelay(true);
    const bytes = "it is READY now".split("");
    const timer = setInterval(() => {
      const byte = bytes.shift();
      if (byte === undefined) clearInterval(timer);
      else socket.write(byte);
    }, 2);
    socket.on("close", () => {
      clearInterval(timer);
    });
  });
  assert.equal(await look(port, contains("READY")), "good");
});

test("a backend that hangs up is judged by what it said", async (t) => {
  const bye = await accept(t, (socket) => socket.end("bye"));
  assert.equal(await look(bye, contains("bye")), "good");
  assert.equal(await look(bye, contains("hello")), 'bad: its answer "bye" does not contain "hello"');
  assert.equal(await look(bye, matches("^hel+o$")), 'bad: its answer "bye" does not match "^hel+o$"');
  const mute = await accept(t, (socket) => socket.end());
  assert.equal(await look(mute, contains("hello")), "bad: it closed the connection without a word");
  const rude = await accept(t, (socket) => socket.resetAndDestroy());
  assert.match(await look(rude, contains("hello")), /^bad: /);
});

test("what a backend says cannot move the cursor of whoever reads the reason", async (t) => {
  const port = await accept(t, (socket) => socket.end("\u009b2J\u001b[1m\u0085", "latin1"));
  const reason = await look(port, contains("hello"));
  assert.equal(reason, String.raw`bad: its answer "?2J\u001b[1m?" does not contain "hello"`);
});

test("of an endless answer 16 KiB are looked at", async (t) => {
  let written = 0;
  const port = await accept(t, (socket) => {
    const pour = () => {
      while (!socket.destroyed && written < 1e9) {
        written += 8_192;
        if (!socket.write("x".repeat(8_192))) {
          socket.once("drain", pour);
          return;
        }
      }
    };
    pour();
  });
  assert.match(await look(port, contains("hello")), /^bad: its answer "x+…" does not contain "hello"$/);
  assert.ok(written < 1e8, `${String(written)} bytes`);
});

test("an answer in thousands of pieces is not searched from its start for each of them", async (t) => {
  const search = t.mock.method(RE2JS.prototype, "matcher");
  let pieces = 0;
  const port = await accept(t, (socket) => {
    socket.setNoDelay(true);
    const drip = () => {
      if (socket.destroyed) return;
      pieces += 1;
      socket.write("ab", () => setImmediate(drip));
    };
    drip();
  });
  assert.match(await look(port, matches("[cd]$"), 30_000), /^bad: its answer "(ab)+…" does not match/);
  assert.ok(pieces > 2_000, `${String(pieces)} pieces`);
  const searches = search.mock.callCount();
  assert.ok(searches > 32 && searches < 50, `${String(searches)} searches`);
});
