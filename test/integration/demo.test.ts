// The demo as a person or a build machine starts it: it must show that the pair recovers, and be gone
// without a trace afterwards, however it ends.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { waitUntil } from "../support/wait-until.ts";

const DEMO = join(import.meta.dirname, "../../scripts/demo.sh");
const SCRIPT_LIMIT_MS = 30_000;

/** Two nodes, three backends, and the guard that cleans up after a demo that was killed. */
const SESSIONS_MIN = 6;

/** The demo by script; or, with a terminal of its own, as a person starts it. */
class DemoRun {
  readonly child: ChildProcess;
  readonly closed: Promise<unknown>;
  output = "";

  constructor(context: TestContext, { terminal = false } = {}) {
    // script(1) gives it a pseudo-terminal. From another folder, as a person may.
    const [command, args] = terminal
      ? (["script", ["-qec", DEMO, "/dev/null"]] as const)
      : ([DEMO, ["--script"]] as const);
    this.child = spawn(command, args, { cwd: tmpdir(), stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdout?.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
    this.child.stderr?.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
    this.closed = once(this.child, "close");
    context.after(async () => {
      this.child.kill("SIGTERM");
      await this.closed;
    });
  }

  /** Waits until the output matches; ends early when the demo does. */
  async untilSays(pattern: RegExp, withinMs: number): Promise<RegExpExecArray> {
    return waitUntil(
      () => {
        const match = pattern.exec(this.output);
        if (match === null && this.child.exitCode !== null) throw new Error(`it ended:\n${this.output}`);
        return match ?? undefined;
      },
      { what: `the demo to say ${String(pattern)}`, withinMs },
    );
  }

  press(key: string): void {
    this.child.stdin?.write(key);
  }

  get folder(): string {
    const folder = /^ *files +(\S+)/m.exec(this.output)?.[1];
    assert.ok(folder !== undefined, this.output);
    return folder;
  }
}

interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  readonly command: string;
}

function processes(): ProcessInfo[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
        // pid (command) state ppid pgrp session: the command may hold anything, even parentheses.
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        const [state, parent, , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        if (state === "Z") return [];
        return [{ pid: Number(name), parent: Number(parent), session: Number(session), command }];
      } catch {
        return [];
      }
    });
}

/** The sessions of the demo's nodes, of its backends, and of its guard: each is a child and the head of a session. */
function sessionsOf({ folder }: DemoRun): ReadonlySet<number> {
  const all = processes();
  // Only the guard has the bare folder among its arguments.
  const guard = all.find(({ command }) => command.split(" ").includes(folder));
  const heads = all.filter(({ pid, parent, session }) => parent === guard?.parent && session === pid);
  return new Set(heads.map(({ session }) => session));
}

async function untilAllRun(demo: DemoRun): Promise<ReadonlySet<number>> {
  await demo.untilSays(/^ *files /m, SCRIPT_LIMIT_MS);
  return waitUntil(
    () => {
      const sessions = sessionsOf(demo);
      return sessions.size >= SESSIONS_MIN && sessions;
    },
    { what: "all processes to be there", withinMs: 10_000 },
  );
}

function leftoversOf(sessions: ReadonlySet<number>): ProcessInfo[] {
  return processes().filter(({ session }) => sessions.has(session));
}

/** What a short excerpt of the report should begin with. */
function stepsThatFailed({ output }: DemoRun): string {
  return [...output.matchAll(/^FAILED.*\n(?: +.*\n)*/gm)].join("");
}

test("the demo's script recovers in every step and leaves nothing behind", async (context) => {
  const demo = new DemoRun(context);
  const sessions = await untilAllRun(demo);
  await waitUntil(() => demo.child.exitCode !== null, { what: "the end", withinMs: SCRIPT_LIMIT_MS });
  await demo.closed;

  assert.equal(demo.child.exitCode, 0, stepsThatFailed(demo) + demo.output);
  for (const step of ["kill", "return", "switchover", "backend loss", "backend return", "freeze", "thaw"]) {
    assert.match(demo.output, new RegExp(`^ok +${step} `, "m"));
  }
  // The demo holds itself to it, but for the time that its request loop was held up.
  assert.match(demo.output, /pi-[ab] killed .*\n.*, limit 300 ms/);
  // Stopped workers of the frozen node that were left in the group of listeners would cost requests until then.
  assert.match(/pi-[ab] thawed .*\n.*/.exec(demo.output)?.[0] ?? "", /\n +no outage/);
  assert.match(demo.output, /^7 steps, every one recovered/m);
  assert.equal(existsSync(demo.folder), false);
  assert.deepEqual(leftoversOf(sessions), []);
});

test("the demo leaves nothing behind when it is ended by SIGTERM", async (context) => {
  const demo = new DemoRun(context);
  const sessions = await untilAllRun(demo);
  await demo.untilSays(/started .*active: pi-[ab]/, SCRIPT_LIMIT_MS);
  await endsWithoutTrace(demo, "SIGTERM", sessions);
});

for (const signal of ["SIGHUP", "SIGKILL"] as const) {
  test(`the demo leaves nothing behind when it is ended by ${signal} while it starts`, async (context) => {
    const demo = new DemoRun(context);
    const sessions = await untilAllRun(demo);
    await endsWithoutTrace(demo, signal, sessions);
  });
}

async function endsWithoutTrace(demo: DemoRun, signal: NodeJS.Signals, sessions: ReadonlySet<number>) {
  demo.child.kill(signal);
  await demo.closed;
  await waitUntil(() => leftoversOf(sessions).length === 0 && !existsSync(demo.folder), {
    what: "processes and folder to be gone",
    withinMs: 5_000,
  });
}

const noTerminal = spawnSync("script", ["--version"]).status !== 0 && "script(1) is not installed";

test(
  "at the keys: k kills the active and tells the outage, the node returns, q leaves nothing behind",
  { skip: noTerminal },
  async (context) => {
    const demo = new DemoRun(context, { terminal: true });
    const sessions = await untilAllRun(demo);
    // Without a word at its end about what is under way.
    await demo.untilSays(/loop +[1-9]\d* requests, 0 failed, median \S+ ms\r?\n/, SCRIPT_LIMIT_MS);
    assert.match(demo.output, /pi-a +(active|standby) +priority 150 +backends 3\/3 up +\d+ requests\/s/);
    demo.press("k");
    await demo.untilSays(/> pi-[ab] killed .*: outage \d+ ms .*active: pi-[ab]/, 10_000);
    demo.press("r");
    await demo.untilSays(/> pi-[ab] returned: .*active: pi-[ab]/, 10_000);
    demo.press("q");
    await demo.closed;
    assert.equal(demo.child.exitCode, 0);
    assert.equal(existsSync(demo.folder), false);
    assert.deepEqual(leftoversOf(sessions), []);
  },
);

test("the demo takes other ports when the usual ones are busy, and says so", async (context) => {
  const occupant = createServer();
  const port = 8080;
  const isOurs = await new Promise<boolean>((resolve) => {
    occupant.once("error", () => {
      resolve(false);
    });
    occupant.listen({ host: "127.0.0.100", port }, () => {
      resolve(true);
    });
  });
  // Somebody else's occupation serves as well.
  context.after(() => {
    if (isOurs) occupant.close();
  });
  const demo = new DemoRun(context);
  await demo.untilSays(/port 8080 on 127\.0\.0\.100 is busy: the virtual address uses \d+ instead/, 10_000);
  await demo.untilSays(/started .*active: pi-[ab]/, SCRIPT_LIMIT_MS);
});
