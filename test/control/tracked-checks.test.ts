import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { TrackedCheckConfig } from "../../src/config/config.ts";
import { TrackedChecks, type TrackedCheckChange } from "../../src/control/tracked-checks.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import type { Log } from "../../src/system/log.ts";
import { isAlive } from "../support/vipair-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const WAIT_MS = 10_000;
const IS_ROOT = process.getuid?.() === 0;
const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };

interface Tracked {
  readonly checks: TrackedChecks;
  readonly changes: readonly TrackedCheckChange[];
  /** Of the only check. */
  readonly state: () => "unknown" | "good" | "failing";
}

function track(
  t: TestContext,
  check: TrackedCheckConfig["check"],
  options: Partial<TrackedCheckConfig> & { readonly configDir?: string } = {},
): Tracked {
  const { configDir = "/", ...config } = options;
  const changes: TrackedCheckChange[] = [];
  const checks = new TrackedChecks({
    checks: [
      {
        name: "uplink",
        check,
        intervalMs: 10,
        timeoutMs: 2000,
        rise: 2,
        fall: 3,
        effect: { kind: "fault" },
        ...config,
      },
    ],
    configDir,
    clock: monotonicClock,
    random: () => 0.5,
    log: QUIET,
    onChange: (change) => {
      changes.push(change);
    },
  });
  t.after(() => {
    checks.stop();
  });
  checks.start();
  const state = () => {
    const failing = checks.status()[0]?.failing ?? null;
    return failing === null ? "unknown" : failing ? "failing" : "good";
  };
  return { checks, changes, state };
}

/** A program whose runs are counted in `runs`; fails while a file `bad` is beside it. */
function program(t: TestContext, script: string) {
  const folder = mkdtempSync(join(tmpdir(), "vipair-track-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const path = join(folder, "check");
  writeFileSync(path, `#!/bin/sh\ncd "${folder}"\necho run >>runs\n${script}\n`);
  chmodSync(path, 0o755);
  return {
    folder,
    path,
    runs: () =>
      existsSync(join(folder, "runs")) ? readFileSync(join(folder, "runs"), "utf8").length / 4 : 0,
    setBad: (bad: boolean) => {
      if (bad) writeFileSync(join(folder, "bad"), "");
      else rmSync(join(folder, "bad"));
    },
  };
}

function exec(...command: readonly string[]): TrackedCheckConfig["check"] {
  return { kind: "exec", command };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  await waitUntil(holds, { what, withinMs: WAIT_MS, everyMs: 2 });
}

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  t.after(() => {
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test("a check that has not answered yet is unknown, tells nothing, and counts no failure", async (t) => {
  const { path, runs } = program(t, "sleep 60");
  const { state, changes } = track(t, exec(path));
  await until("a run", () => runs() === 1);
  assert.equal(state(), "unknown");
  assert.deepEqual(changes, []);
});

test("a check fails after `fall` failures in a row from the start, and is good again after `rise` good ones", async (t) => {
  const { path, runs, setBad } = program(t, `[ ! -e bad ] || { echo "no route" >&2; exit 2; }`);
  setBad(true);
  const { changes, state } = track(t, exec(path), { intervalMs: 150 });
  await until("a failing check", () => changes.length === 1);
  assert.equal(runs(), 3);
  assert.deepEqual(changes, [{ name: "uplink", failing: true, detail: "exit 2: no route" }]);
  assert.equal(state(), "failing");
  setBad(false);
  await until("a good check", () => changes.length === 2);
  assert.deepEqual(changes[1], { name: "uplink", failing: false, detail: "" });
  assert.equal(state(), "good");
});

test("fewer failures than `fall` are told to nobody, and status shows the last", async (t) => {
  const { path, runs } = program(t, `[ $(($(wc -l <runs) % 3)) = 0 ] || { echo flaky; exit 1; }`);
  const { changes, checks } = track(t, exec(path));
  const details = new Set<string | undefined>();
  await until("many runs", () => {
    details.add(checks.status()[0]?.detail);
    return runs() > 12;
  });
  assert.deepEqual(changes, []);
  assert.ok(details.has("exit 1: flaky"));
});

test("a check never overlaps itself, however slow it is", async (t) => {
  const { path, runs, folder } = program(t, "mkdir busy || echo overlap >>overlaps; sleep 0.05; rmdir busy");
  track(t, exec(path), { intervalMs: 1 });
  await until("several runs", () => runs() >= 5);
  assert.equal(existsSync(join(folder, "overlaps")), false);
});

test("a program that hangs is killed with everything it started, and has failed", async (t) => {
  const { path, folder } = program(t, "sleep 60 & echo $! >pid; wait");
  const { changes } = track(t, exec(path), { timeoutMs: 200, fall: 1 });
  await until("a failing check", () => changes.length === 1);
  assert.match(changes[0]?.detail ?? "", /^killed after \d+ ms without an end$/);
  const child = Number(readFileSync(join(folder, "pid"), "utf8"));
  await until("the end of what it started", () => !isAlive(child));
});

test("stop ends the program that runs", async (t) => {
  const { path, folder, runs } = program(t, "echo $$ >pid; sleep 60");
  const { checks, changes } = track(t, exec(path));
  const pid = () => Number(existsSync(join(folder, "pid")) ? readFileSync(join(folder, "pid"), "utf8") : 0);
  await until("a run", () => pid() > 0);
  checks.stop();
  await until("its end", () => !isAlive(pid()));
  assert.equal(runs(), 1);
  assert.deepEqual(changes, []);
});

test("a program gets its arguments as they are, without a shell, and no environment but PATH", async (t) => {
  const { path, folder } = program(t, `echo "$1|$2" >arguments; env | cut -d= -f1 | sort >names`);
  process.env["VIPAIR_TEST_LEAK"] = "leaked";
  const { state } = track(t, exec(path, "a b; exit 3", "$HOME"), { intervalMs: 60_000 });
  await until("a good check", () => state() === "good");
  delete process.env["VIPAIR_TEST_LEAK"];
  assert.equal(readFileSync(join(folder, "arguments"), "utf8"), "a b; exit 3|$HOME\n");
  const names = readFileSync(join(folder, "names"), "utf8").trim().split("\n");
  // PWD and the like are the shell's own.
  assert.deepEqual(
    names.filter((name) => !["PWD", "OLDPWD", "SHLVL", "_"].includes(name)),
    ["PATH"],
  );
});

test("a relative program stands beside the configuration; one that is missing fails with its path", async (t) => {
  const { folder } = program(t, "exit 0");
  const relative = track(t, exec("./check"), { configDir: folder });
  const missing = track(t, exec("no-such-program"), { configDir: folder, fall: 1 });
  await until("answers", () => relative.state() === "good" && missing.state() === "failing");
  assert.equal(missing.changes[0]?.detail, `${join(folder, "no-such-program")} does not exist`);
});

test(
  "rule 14: a program that others can write is not run, and the check fails with the reason",
  { skip: IS_ROOT ? false : "needs root" },
  async (t) => {
    const { path, runs } = program(t, "exit 0");
    chmodSync(path, 0o777);
    const { changes } = track(t, exec(path));
    await until("a failing check", () => changes.length === 1);
    assert.equal(runs(), 0);
    assert.match(
      changes[0]?.detail ?? "",
      new RegExp(`${path} can be written by everybody. Run chmod go-w ${path}`),
    );
  },
);

test("a TCP check is good while something accepts", async (t) => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end();
  });
  const port = await listen(t, server);
  const { state, changes } = track(t, { kind: "tcp", host: "127.0.0.1", port });
  await until("a good check", () => state() === "good");
  server.close();
  await until("a failing check", () => state() === "failing");
  assert.equal(changes[0]?.detail, "connect refused");
});

test("an HTTP check is good with 2xx and 3xx, and names any other status", async (t) => {
  let status = 204;
  const asked: (string | undefined)[] = [];
  const server = createHttpServer((request, response) => {
    asked.push(request.url, request.headers.host);
    response.writeHead(status, { location: "/elsewhere" }).end();
  });
  const port = await listen(t, server);
  const url = `http://127.0.0.1:${String(port)}/health?deep=1`;
  const { state, changes } = track(t, { kind: "http", url });
  await until("a good check", () => state() === "good");
  assert.deepEqual(asked.slice(0, 2), ["/health?deep=1", `127.0.0.1:${String(port)}`]);
  status = 404;
  await until("a failing check", () => state() === "failing");
  assert.equal(changes[0]?.detail, "status 404");
  status = 301;
  await until("a good check", () => state() === "good");
});
