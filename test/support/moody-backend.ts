// A backend in a process of its own, which a test can kill, freeze and start again, and whose mood it sets: how long an
// answer takes and what status it has. It answers with its name, in one write; GET /health is answered at once, with 200.
//   node test/support/moody-backend.ts NAME HOST PORT

import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { Site } from "./site.ts";

export interface Mood {
  readonly delayMs?: number;
  readonly status?: number;
}

const PORT = 9000;
const START_MS_MAX = 20_000;

export class MoodyBackend {
  readonly name: string;
  readonly address: string;
  readonly #host: string;
  #mood: Mood = {};
  #child: ChildProcess | undefined;

  private constructor(name: string, host: string) {
    this.name = name;
    this.#host = host;
    this.address = `${host}:${String(PORT)}`;
  }

  /** Runs until the test ends, or it is killed. */
  static async start(site: Site, name: string, mood: Mood = {}): Promise<MoodyBackend> {
    const backend = new MoodyBackend(name, await site.address());
    backend.#mood = mood;
    site.atEnd(() => backend.kill());
    await backend.restart();
    return backend;
  }

  /** For a pool. */
  get entry(): { readonly name: string; readonly address: string } {
    return { name: this.name, address: this.address };
  }

  /** Ends when it has taken on that mood: requests that come later find it so. */
  async feel(mood: Mood): Promise<void> {
    this.#mood = mood;
    const child = this.#child;
    if (child === undefined) return;
    const heard = once(child, "message");
    child.send(mood);
    await heard;
  }

  /** It answers nobody and keeps its connections: the kernel goes on accepting for it. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  /** It goes on where it was. */
  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  /** Ends when the process has gone, and its connections with it. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  /** Starts it where it was, in the mood that it had. Ends when it accepts connections. */
  async restart(): Promise<void> {
    await this.kill();
    const child = fork(import.meta.filename, [this.name, this.#host, String(PORT)], { execArgv: [] });
    this.#child = child;
    const signal = AbortSignal.timeout(START_MS_MAX);
    await once(child, "message", { signal });
    await this.feel(this.#mood);
  }
}

if (import.meta.main) {
  const [name = "moody", host = "127.0.0.1", port = "0"] = process.argv.slice(2);
  let mood: Mood = {};
  process.on("message", (next: Mood) => {
    mood = next;
    process.send?.("heard");
  });
  process.on("disconnect", () => process.exit());
  const server = createServer((request, response) => {
    request.resume();
    const { delayMs = 0, status = 200 } = mood;
    const answer = (): void => {
      response.writeHead(request.url === "/health" ? 200 : status, { "content-type": "text/plain" });
      response.end(`${name}\n`);
    };
    if (delayMs === 0 || request.url === "/health") answer();
    else setTimeout(answer, delayMs);
  });
  // As many proxies expect it: the balancer closes idle connections first.
  server.keepAliveTimeout = 60_000;
  server.listen(Number(port), host, () => process.send?.("listening"));
}
