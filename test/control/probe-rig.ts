// Backends on loopback that a probe looks at, each gone after its test.

import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import type { RequestListener } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import type { TestContext } from "node:test";
import type { ProbeResult, Prober } from "../../src/control/probe.ts";

export const HOST = "127.0.0.1";

/** Listens until the test ends; the port. */
export async function listen(t: TestContext, server: Server, port = 0, host = HOST): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen({ host, port });
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

export async function serve(t: TestContext, answer: RequestListener): Promise<number> {
  return listen(t, createHttpServer(answer));
}

/** A backend that does this with each connection. */
export async function accept(t: TestContext, talk: (socket: Socket) => void): Promise<number> {
  return listen(t, createServer(talk));
}

/** A backend that waits for a request and answers with these bytes. */
export async function speak(t: TestContext, bytes: string, { end }: { end: boolean }): Promise<number> {
  return accept(t, (socket) => {
    socket.once("data", () => (end ? socket.end(bytes, "latin1") : socket.write(bytes, "latin1")));
  });
}

/** A port on which nobody listens. */
export async function refusedPort(): Promise<number> {
  const server = createServer();
  server.listen({ host: HOST, port: 0 });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** One look, in a line: `good 200`, `bad 503: status 503`. */
export async function lookOnce(prober: Prober): Promise<string> {
  return inWords(await prober(new AbortController().signal));
}

function inWords(result: ProbeResult): string {
  const code = result.code === undefined ? "" : ` ${String(result.code)}`;
  if (result.kind === "bad") return `bad${code}: ${result.reason}`;
  const degraded = result.degraded === undefined ? "" : `, degraded: ${result.degraded}`;
  return `good${code}${degraded}${result.doubt === undefined ? "" : `, doubt: ${result.doubt}`}`;
}
