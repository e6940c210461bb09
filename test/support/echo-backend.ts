// A backend for bytes in bulk, on node:http. In a process of its own: node test/support/echo-backend.ts,
// which prints its port.
//
//   GET  /bytes/LENGTH/SEED[?chunked]   that content (content.ts)
//   POST /echo                          the body, as it comes, framed as it came
//   POST /keep                          the body again, once all of it is there
//   POST /hash                          SHA-256 of the body in hex, once all of it is there
//   with Upgrade: echo                  101, then every byte comes back
//
// `?slow` reads the body with pauses.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { contentOf } from "./content.ts";

const PAUSE_MS = 3;

export async function startEchoBackend(host = "127.0.0.1"): Promise<{
  readonly port: number;
  close(): void;
}> {
  const tunnels = new Set<Duplex>();
  const server: Server = createServer((request, response) => {
    // A client that is gone ends the answer; nobody waits for it.
    answer(request, response).catch(() => response.destroy());
  });
  // Longer than any proxy keeps an idle connection: no races here.
  server.keepAliveTimeout = 60_000;
  server.on("upgrade", (_request, socket, first: Buffer) => {
    tunnels.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => tunnels.delete(socket));
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    if (first.length > 0) socket.unshift(first);
    socket.pipe(socket);
  });
  server.listen(0, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const socket of tunnels) socket.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://backend");
  const isSlow = url.searchParams.has("slow");
  const [, what, length = "0", seed = "0"] = url.pathname.split("/");
  switch (what ?? "") {
    case "bytes":
      if (!url.searchParams.has("chunked")) response.setHeader("content-length", length);
      for (const piece of contentOf(Number(seed), Number(length))) await send(response, piece);
      break;
    case "echo":
      frameAs(request, response);
      for await (const bytes of request) {
        if (isSlow) await sleep(PAUSE_MS);
        await send(response, bytes as Buffer);
      }
      break;
    case "keep": {
      const pieces: Buffer[] = [];
      for await (const bytes of request) {
        if (isSlow) await sleep(PAUSE_MS);
        pieces.push(bytes as Buffer);
      }
      frameAs(request, response);
      for (const piece of pieces) await send(response, piece);
      break;
    }
    case "hash": {
      const hash = createHash("sha256");
      for await (const bytes of request) {
        if (isSlow) await sleep(PAUSE_MS);
        hash.update(bytes as Buffer);
      }
      response.setHeader("content-length", 64);
      await send(response, Buffer.from(hash.digest("hex")));
      break;
    }
    default:
      request.resume();
      response.statusCode = 404;
  }
  response.end();
}

/** With a length where there was one. */
function frameAs(request: IncomingMessage, response: ServerResponse): void {
  const length = request.headers["content-length"];
  if (length !== undefined) response.setHeader("content-length", length);
}

async function send(response: ServerResponse, bytes: Buffer): Promise<void> {
  if (response.destroyed) throw new Error("the client has gone");
  if (response.write(bytes)) return;
  const gone = new AbortController();
  const leave = (): void => {
    gone.abort();
  };
  response.once("close", leave);
  try {
    await once(response, "drain", { signal: gone.signal });
  } finally {
    response.off("close", leave);
  }
}

if (import.meta.main) {
  const backend = await startEchoBackend();
  console.log(String(backend.port));
}
