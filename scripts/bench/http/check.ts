// Looks whether a proxy does what it is measured for, before it is measured: the answers are byte for byte what the
// backends sent, bodies arrive, the forwarded fields are told, both backends take turns, their connections are kept.

import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { WebSocket } from "ws";
import type { Case } from "./cases.ts";

interface Answer {
  readonly status: number;
  readonly fields: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** Throws an AssertionError with what is wrong. */
export async function checkAnswers(port: number, each: Case): Promise<void> {
  if (each.kind === "websocket") {
    await checkEcho(port, each);
    return;
  }
  for (let turn = 0; turn < 2; turn += 1) {
    const { status, body } = await ask(port, each);
    assert.equal(status, 200);
    assert.ok(
      body.equals(each.answer),
      `${String(body.length)} bytes came, and they are not those of the backend`,
    );
  }
  if (each.body !== "") {
    const { fields } = await ask(port, { ...each, path: `${each.path}/seen` });
    assert.equal(fields["x-body"], each.body);
  }
}

/** Throws an AssertionError with what is wrong. */
export async function checkFeatures(port: number, each: Case): Promise<void> {
  // Some proxies tell backends to close when the client does.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const seen: string[][] = [];
  for (let turn = 0; turn < 4; turn += 1) {
    const { body } = await ask(port, { ...each, method: "GET", path: "/seen", body: "", fields: {} }, agent);
    seen.push(body.toString("latin1").split("\n"));
  }
  agent.destroy();
  const host = `127.0.0.1:${String(port)}`;
  for (const [, , forwardedFor, proto, forwardedHost, realIp, forwarded] of seen) {
    assert.deepEqual([forwardedFor, proto, realIp], ["127.0.0.1", "http", "127.0.0.1"]);
    assert.ok(forwardedHost === host, `X-Forwarded-Host is ${String(forwardedHost)}`);
    assert.equal(forwarded, `for=127.0.0.1;host="${host}";proto=http`);
  }
  assert.equal(new Set(seen.map(([backend]) => backend)).size, 2, "one backend gets everything");
  const isKept = seen.some(([, requests]) => Number(requests) > 1);
  assert.ok(isKept, "connections to the backends are not kept");
}

async function ask(
  port: number,
  { method, path, fields, body }: Case,
  agent: Agent | false = false,
): Promise<Answer> {
  const asked = request({ host: "127.0.0.1", port, method, path, headers: { ...fields }, agent });
  asked.end(body === "" ? undefined : body);
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return { status: response.statusCode ?? 0, fields: response.headers, body: Buffer.concat(parts) };
}

async function checkEcho(port: number, { path, answer }: Case): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${String(port)}${path}`, { perMessageDeflate: false });
  await once(socket, "open");
  socket.send(answer);
  const [message] = (await once(socket, "message")) as [Buffer];
  assert.ok(answer.equals(message), "the echo differs");
  socket.close();
  await once(socket, "close");
}
