// A command at a terminal of its own, and the person who sits there: what they see and what they type. script(1) has the terminal, since Node has
// none to give.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { waitUntil } from "./wait-until.ts";

const WITHIN_MS = 20_000;
const CTRL_C = "\x03";
const CTRL_D = "\x04";

export class TerminalSession {
  readonly #script: ChildProcess;
  readonly #exit: Promise<number | null>;
  #shown = "";
  /** Up to there it has been looked at. */
  #seen = 0;

  constructor(command: readonly string[]) {
    const line = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const script = spawn("script", ["--quiet", "--return", "--flush", "--command", line, "/dev/null"], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, SHELL: "/bin/sh", TERM: "dumb" },
    });
    script.stdout.on("data", (bytes: Buffer) => (this.#shown += bytes.toString().replaceAll("\r", "")));
    // It may end while somebody types.
    script.stdin.on("error", () => undefined);
    this.#script = script;
    this.#exit = once(script, "close").then(([code]) => code as number | null);
  }

  /** All that has been on the screen. */
  get shown(): string {
    return this.#shown;
  }

  /** Waits for it to appear behind what was waited for before. */
  async sees(text: string): Promise<void> {
    await waitUntil(
      async () => {
        const at = this.#shown.indexOf(text, this.#seen);
        if (at === -1) return false;
        this.#seen = at + text.length;
        return true;
      },
      { what: `"${text}" on the screen`, withinMs: WITHIN_MS },
    ).catch((error: unknown) => {
      throw new Error(`on the screen:\n${this.#shown}`, { cause: error });
    });
  }

  types(line: string): void {
    this.#script.stdin?.write(`${line}\r`);
  }

  pressesCtrlC(): void {
    this.#script.stdin?.write(CTRL_C);
  }

  pressesCtrlD(): void {
    this.#script.stdin?.write(CTRL_D);
  }

  /** The exit code of the command; 128 and the signal's number when one ended it. */
  exit(): Promise<number | null> {
    return this.#exit;
  }

  /** The terminal goes, and with it what runs there. */
  async close(): Promise<void> {
    this.#script.kill("SIGKILL");
    await this.#exit;
  }
}
