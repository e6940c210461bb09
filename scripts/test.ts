// `npm test`: every check and every layer of tests, and at the end one plain line with the sum. First come the layers
// that hold nothing to figures, several files at once; what only computes runs beside them at the lowest priority, and has
// ended before the first file that measures time begins. Each check counts as one item beside the tests. Nothing can hang
// for ever: a layer that takes longer than its limit is ended and counted as failed, and so is a layer in which no test
// ran, because a suite that silently does not run looks exactly like one that passes.

import { spawn, type StdioOptions } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onOneLine, type TestResult } from "../test/support/reporter.ts";

interface Layer {
  readonly name: string;
  readonly globs: readonly string[];
  /** `background`: it only computes, and runs beside the calm ones. `measuring`: nothing runs beside it. */
  readonly kind: "background" | "calm" | "measuring";
  /** Test files at once. Those that hold vipair to figures run alone. */
  readonly concurrency: number;
  readonly limitMs: number;
}

const CHECKS = ["types", "lint", "format", "unused"] as const;
/** What the processes of all layers compile is compiled once; a vipair starts with it in half the time. */
process.env["NODE_COMPILE_CACHE"] ??= join(process.cwd(), "node_modules/.cache/vipair");

const CHECK_LIMIT_MS = 300_000;
/** Between the polite and the hard end of a layer that takes too long. */
const GRACE_MS = 5_000;

/**
 * Runs a command so that it takes only what others leave of the processors. Where the kernel groups processes by
 * session (sched(7), autogroup), niceness counts within a session only, so that of the session is set as well.
 */
const IN_BACKGROUND = ["sh", "-c", 'echo 19 2>/dev/null >/proc/self/autogroup; exec nice -n 19 "$@"', "sh"];
/** Makes the Debian of the booted machines, if need be; their tests would wait a minute for it. */
const PREPARE_MACHINES = [process.execPath, "test/systemd/prepare.ts"];
const PREPARE_LIMIT_MS = 600_000;

/** Folders of test/ that are layers of their own; the others mirror src/ and make the unit layer. */
const NOT_UNIT: ReadonlySet<string> = new Set([
  "sim",
  "integration",
  "load",
  "hooks",
  "lab",
  "package",
  "systemd",
]);

/** Files of test/integration that hold vipair to no tight figures and count no request that a moving role fails: two at a time. */
const CALM: ReadonlySet<string> = new Set([
  "access-log.test.ts",
  "alone.test.ts",
  "backend-edit.test.ts",
  "backend-orders.test.ts",
  "bad-input.test.ts",
  "error-pages.test.ts",
  "health.test.ts",
  "no-root.test.ts",
  "notify.test.ts",
  "package.test.ts",
  "passive.test.ts",
  "pairing.test.ts",
  "reload.test.ts",
  "replication.test.ts",
  "secrecy.test.ts",
  "service.test.ts",
  "sticky.test.ts",
  "strangers.test.ts",
  "terminal.test.ts",
  "timings.test.ts",
  "trust.test.ts",
]);

/** The same of test/lab and test/hooks. */
const WAITING: ReadonlySet<string> = new Set([
  "busy-port.test.ts",
  "by-hand.test.ts",
  "damping.test.ts",
  "direct-cable.test.ts",
  "ipv6.test.ts",
  "loopback.test.ts",
  "maintenance.test.ts",
  "notify.test.ts",
  "pairing.test.ts",
  "plumbing.test.ts",
  "probe.test.ts",
  "taken-address.test.ts",
  "watches.test.ts",
  "safe-groups.test.ts",
]);

function glob(folder: string): string {
  return `test/${folder}/**/*.test.ts`;
}

/** The test files of a folder that are among the chosen ones, or those that are not. */
function files(folder: string, chosen: ReadonlySet<string>, areChosen: boolean): string[] {
  return readdirSync(`test/${folder}`)
    .filter((name) => name.endsWith(".test.ts") && chosen.has(name) === areChosen)
    .map((name) => `test/${folder}/${name}`);
}

function layers(): Layer[] {
  const units = readdirSync("test", { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !NOT_UNIT.has(entry.name))
    .map((entry) => entry.name);
  const labFiles = (areWaiting: boolean) => [
    ...files("hooks", WAITING, areWaiting),
    ...files("lab", WAITING, areWaiting),
  ];
  const emulated = new Set(["arm64.test.ts"]);
  return [
    { name: "sim", kind: "background", globs: [glob("sim")], concurrency: 2, limitMs: 1_200_000 },
    {
      name: "package",
      kind: "background",
      globs: files("package", emulated, true),
      concurrency: 1,
      limitMs: 1_200_000,
    },
    // Most of them wait for something most of the time.
    { name: "unit", kind: "calm", globs: units.map(glob), concurrency: 3, limitMs: 900_000 },
    {
      name: "integration",
      kind: "calm",
      globs: files("integration", CALM, true),
      concurrency: 2,
      limitMs: 900_000,
    },
    {
      name: "package",
      kind: "calm",
      globs: files("package", emulated, false),
      concurrency: 2,
      limitMs: 600_000,
    },
    {
      name: "integration",
      kind: "measuring",
      globs: files("integration", CALM, false),
      concurrency: 1,
      limitMs: 600_000,
    },
    { name: "load", kind: "measuring", globs: [glob("load")], concurrency: 1, limitMs: 480_000 },
    // In this order: two at once must not be the first on a machine to make a network namespace, because iproute2 sets up
    // /run/netns then, without a lock.
    { name: "lab", kind: "measuring", globs: labFiles(false), concurrency: 1, limitMs: 1_200_000 },
    { name: "lab", kind: "measuring", globs: labFiles(true), concurrency: 2, limitMs: 600_000 },
    { name: "systemd", kind: "measuring", globs: [glob("systemd")], concurrency: 1, limitMs: 900_000 },
  ];
}

/** Runs a command in a process group of its own; past the limit the whole group is ended. */
async function run(
  argv: readonly string[],
  { limitMs, stdio }: { readonly limitMs: number; readonly stdio: StdioOptions },
): Promise<{ readonly code: number | null; readonly output: string; readonly timedOut: boolean }> {
  const [command = "", ...args] = argv;
  const child = spawn(command, args, { stdio, detached: true });
  const endGroup = (signal: NodeJS.Signals) => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      // The group has gone by itself.
    }
  };
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const timedOut = { value: false };
  const limit = new AbortController();
  const guard = async () => {
    await sleep(limitMs, undefined, { signal: limit.signal });
    timedOut.value = true;
    endGroup("SIGTERM");
    await sleep(GRACE_MS, undefined, { signal: limit.signal });
    endGroup("SIGKILL");
  };
  guard().catch(() => {
    // Ended in time.
  });
  const interrupt = (signal: NodeJS.Signals) => {
    endGroup(signal);
    process.exitCode = 1;
  };
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  const code = await new Promise<number | null>((resolve) => {
    child.once("error", (error) => {
      output += error.message;
      resolve(null);
    });
    child.once("close", resolve);
  });
  limit.abort();
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  return { code, output, timedOut: timedOut.value };
}

async function runCheck(name: string): Promise<TestResult> {
  const begin = performance.now();
  const { code, output } = await run(["npm", "run", "--silent", `check:${name}`], {
    limitMs: CHECK_LIMIT_MS,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const passed = code === 0;
  console.log(`${passed ? "✔" : "✖"} ${name} (${String(Math.round(performance.now() - begin))}ms)`);
  if (!passed) console.log(output);
  return passed
    ? { outcome: "passed", name, file: "check", reason: null }
    : { outcome: "failed", name, file: "check", reason: onOneLine(output) };
}

async function runLayer(layer: Layer): Promise<TestResult[]> {
  const folder = mkdtempSync(join(tmpdir(), "vipair-test-"));
  const resultsFile = join(folder, "results");
  const isInBackground = layer.kind === "background";
  const argv = [
    ...(isInBackground ? IN_BACKGROUND : []),
    process.execPath,
    "--test",
    `--test-concurrency=${String(layer.concurrency)}`,
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    "--test-reporter=./test/support/reporter.ts",
    `--test-reporter-destination=${resultsFile}`,
    ...layer.globs,
  ];
  const { code, output, timedOut } = await run(argv, {
    limitMs: layer.limitMs,
    stdio: isInBackground ? ["ignore", "pipe", "pipe"] : ["ignore", "inherit", "inherit"],
  });
  if (isInBackground) console.log(`\n== ${layer.name}, beside the others\n${output}`);
  const results = readResults(resultsFile);
  rmSync(folder, { recursive: true });
  const failure = (name: string): TestResult => ({ outcome: "failed", name, file: layer.name, reason: null });
  if (timedOut) results.push(failure(`not ended within ${String(layer.limitMs / 1000)} s`));
  else if (results.length === 0) results.push(failure("no test ran"));
  else if (code !== 0 && !results.some((result) => result.outcome === "failed")) {
    results.push(failure(`node --test ended with ${String(code)}`));
  }
  return results;
}

/** Has no results: where it cannot be made, test/systemd says why. */
async function prepareMachines(): Promise<TestResult[]> {
  const argv = [...IN_BACKGROUND, ...PREPARE_MACHINES];
  await run(argv, { limitMs: PREPARE_LIMIT_MS, stdio: "ignore" });
  return [];
}

function readResults(file: string): TestResult[] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as TestResult);
  } catch {
    // The run ended before its reporter began; the caller counts that.
    return [];
  }
}

const parts = new Set(process.argv.slice(2));
const known = ["check", ...new Set(layers().map((layer) => layer.name))];
const unknown = [...parts].filter((part) => !known.includes(part));
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(", ")}; there are ${known.join(", ")}`);
  process.exit(2);
}
const isWanted = (part: string) => (parts.size === 0 || parts.has(part)) && process.exitCode === undefined;

/** Of all that has ended by now and was waited for (proc_pid_stat(5), fields 16 and 17), in seconds; 0 where there is no /proc. */
function processorSeconds(): number {
  const TICKS_PER_SECOND = 100;
  try {
    const stat = readFileSync("/proc/self/stat", "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

/** What the run cost, for whoever wants it to cost less. What runs in the background is counted where it ends. */
const costs: string[] = [];

async function counted(name: string, act: () => Promise<TestResult[]>): Promise<void> {
  const begin = { ms: performance.now(), processors: processorSeconds() };
  results.push(...(await act()));
  const seconds = (performance.now() - begin.ms) / 1000;
  const used = processorSeconds() - begin.processors;
  costs.push(`${name} ${seconds.toFixed(0)} s (${used.toFixed(0)} s of processors)`);
}

const results: TestResult[] = [];
if (isWanted("check")) {
  console.log("\n== check");
  await counted("check", async () => Promise.all(CHECKS.map(runCheck)));
}
const wanted = layers().filter(({ name }) => isWanted(name));
const background = Promise.all([
  ...wanted.filter(({ kind }) => kind === "background").map(runLayer),
  isWanted("systemd") ? prepareMachines() : [],
]);
for (const layer of wanted.filter(({ kind }) => kind !== "background")) {
  if (layer.kind === "measuring") await background;
  if (!isWanted(layer.name)) continue;
  console.log(`\n== ${layer.name}`);
  await counted(layer.name, async () => runLayer(layer));
}
results.push(...(await background).flat());

const having = (outcome: TestResult["outcome"]) => results.filter((result) => result.outcome === outcome);
for (const outcome of ["skipped", "failed"] as const) {
  for (const { file, name, reason } of having(outcome)) {
    console.log(`${outcome.padEnd(7)}  ${file}: ${name}${reason === null ? "" : `: ${reason}`}`);
  }
}
if (having("failed").length > 0) process.exitCode = 1;
console.log(`\ntook     ${costs.join(", ")}`);
console.log(
  `\n${String(having("passed").length)} passed, ${String(having("failed").length)} failed, ${String(having("skipped").length)} skipped`,
);
