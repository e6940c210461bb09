// Where a run takes place: a temporary folder, two processor cores, the processes it started and their ends. Apart
// because everything that starts a process must be able to rely on its end.

import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const OPEN_MS_MAX = 10_000;
const END_MS_MAX = 3000;

export class Site {
  readonly folder = mkdtempSync(join(tmpdir(), "vipair-bench-"));
  /** The core of the proxy that is measured. */
  readonly proxyCpu = 0;
  /** The core of its clients and backends. */
  readonly loadCpu = 1;
  private readonly children: ChildProcess[] = [];

  /** Starts a program on a core; its output goes to a file of that name in the folder. */
  start(name: string, cpu: number, command: readonly string[]): ChildProcess {
    const output = openSync(this.outputFile(name), "a");
    return this.spawn(cpu, command, ["ignore", output, output]);
  }

  /** Runs a program on the load's core and gives what it printed. `untilMs`: when to interrupt it. */
  async run(command: readonly string[], untilMs: number): Promise<string> {
    const child = this.spawn(this.loadCpu, command, ["ignore", "pipe", "inherit"]);
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (part: string) => (text += part));
    const timer = setTimeout(() => child.kill("SIGINT"), untilMs);
    await once(child, "close");
    clearTimeout(timer);
    this.children.splice(this.children.indexOf(child), 1);
    return text;
  }

  /** Waits until the program that was started by that name accepts connections. */
  async untilOpen(name: string, port: number): Promise<void> {
    await this.untilTrue(`listen on port ${String(port)}`, name, async () => {
      const socket = connect({ host: "127.0.0.1", port });
      const isOpen = await new Promise<boolean>((resolve) => {
        socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      });
      socket.destroy();
      return isOpen;
    });
  }

  /** The same of a proxy: until it answers. A vipair opens a port for a moment to see whether it is free. */
  async untilAnswering(name: string, port: number): Promise<void> {
    await this.untilTrue(`answer on port ${String(port)}`, name, async () => {
      const asked = get({ host: "127.0.0.1", port, path: "/small", agent: false });
      return new Promise<boolean>((resolve) => {
        asked.once("response", (response) => response.resume().once("close", () => resolve(true)));
        // Not once: an answer may be cut off after its head.
        asked.on("error", () => resolve(false));
      });
    });
  }

  private async untilTrue(what: string, name: string, isTrue: () => Promise<boolean>): Promise<void> {
    for (let waitedMs = 0; waitedMs < OPEN_MS_MAX; waitedMs += 50) {
      if (await isTrue()) return;
      await sleep(50);
    }
    const output = readFileSync(this.outputFile(name), "utf8");
    throw new Error(`${name} does not ${what}. It said:\n${output}`);
  }

  /** Ends what was started, by pid, and removes the folder. */
  async close(): Promise<void> {
    const running = this.children.filter(isRunning);
    for (const child of running) child.kill("SIGTERM");
    await Promise.race([Promise.all(running.map((child) => once(child, "exit"))), sleep(END_MS_MAX)]);
    for (const child of running.filter(isRunning)) child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  private outputFile(name: string): string {
    return join(this.folder, `${name.replaceAll("/", "-")}.out`);
  }

  private spawn(cpu: number, command: readonly string[], stdio: StdioOptions): ChildProcess {
    const child = spawn("taskset", ["--cpu-list", String(cpu), ...command], { stdio, cwd: this.folder });
    this.children.push(child);
    return child;
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** A TCP port of loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
