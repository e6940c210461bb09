// Large bodies through a worker, up and down, with a length and chunked: hashes of what arrived, and the most
// that the worker's memory grew meanwhile.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { join } from "node:path";
import { contentOf, hashOf } from "../support/content.ts";
import { residentBytes } from "../support/resident.ts";
import { type ReadResponse, ResponseReader } from "../support/response-reader.ts";

const SAMPLE_MS = 20;
const ECHO_BACKEND = join(import.meta.dirname, "../support/echo-backend.ts");

export interface Transfer {
  readonly direction: "up" | "down";
  readonly framing: "length" | "chunked";
  readonly bytes: number;
}

export interface TransferResult {
  /** The hash of what arrived is that of what was sent. */
  readonly isUnchanged: boolean;
  readonly grownBytes: number;
  readonly seconds: number;
}

/** An echo backend in a process of its own, so that it takes no time from whoever measures. */
export async function spawnEchoBackend(): Promise<{ readonly port: number; kill(): void }> {
  const child = spawn(process.execPath, [ECHO_BACKEND], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { port: Number(line.toString()), kill: () => child.kill("SIGKILL") };
}

/** Sends or fetches content number `seed`. */
export async function transfer(
  { direction, framing, bytes }: Transfer,
  { port, pid, seed }: { readonly port: number; readonly pid: number | undefined; readonly seed: number },
): Promise<TransferResult> {
  const before = residentBytes(pid);
  let peak = before;
  const sampling = setInterval(() => {
    peak = Math.max(peak, residentBytes(pid));
  }, SAMPLE_MS);
  const startedAt = performance.now();
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  try {
    const expected = hashOf(seed, bytes);
    const answer = nextResponse(socket);
    if (direction === "down") {
      const query = framing === "chunked" ? "?chunked" : "";
      socket.write(`GET /bytes/${String(bytes)}/${String(seed)}${query} HTTP/1.1\r\nHost: a\r\n\r\n`);
    } else {
      await upload(socket, { framing, bytes, seed });
    }
    const { hash, start, bodyBytes } = await answer;
    const isUnchanged = direction === "down" ? hash === expected && bodyBytes === bytes : start === expected;
    return { isUnchanged, grownBytes: peak - before, seconds: (performance.now() - startedAt) / 1000 };
  } finally {
    clearInterval(sampling);
    socket.destroy();
  }
}

function nextResponse(socket: Socket): Promise<ReadResponse> {
  return new Promise((resolve, reject) => {
    const reader = new ResponseReader(resolve);
    socket.on("data", (piece: Buffer) => {
      try {
        reader.read(piece);
      } catch (error) {
        reject(error);
      }
    });
    socket.on("error", reject);
    socket.on("close", () => {
      reject(new Error("closed"));
    });
  });
}

async function upload(
  socket: Socket,
  { framing, bytes, seed }: Pick<Transfer, "framing" | "bytes"> & { readonly seed: number },
): Promise<void> {
  const field = framing === "length" ? `Content-Length: ${String(bytes)}` : "Transfer-Encoding: chunked";
  socket.write(`POST /hash HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`);
  for (const piece of contentOf(seed, bytes)) {
    if (framing === "chunked") socket.write(`${piece.length.toString(16)}\r\n`);
    const hasRoom = socket.write(piece);
    if (framing === "chunked") socket.write("\r\n");
    if (!hasRoom) await once(socket, "drain");
  }
  if (framing === "chunked") socket.write("0\r\n\r\n");
}
