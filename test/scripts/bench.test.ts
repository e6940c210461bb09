// The command lines of the benchmarks: people type them rarely, and from memory.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const BENCH = join(import.meta.dirname, "../../scripts/bench");

function bench(script: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(BENCH, script), ...args], {
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, stdout, stderr };
}

test("what a benchmark does not understand is answered by one sentence and exit 2, and nothing is measured", () => {
  const http = "; scripts/bench/http.sh --help lists the options";
  const mistakes: readonly (readonly [string, readonly string[], string])[] = [
    ["http/main.ts", ["--cases", "small,smal"], `there is no case "smal", only small, `],
    ["http/main.ts", ["--proxies", "nope"], `there is no proxy "nope", only vipair, `],
    ["http/main.ts", ["--sead", "1"], `Unknown option '--sead'${http}`],
    ["http/main.ts", ["quick"], "Unexpected argument 'quick'"],
    ["http/main.ts", ["--rounds", "x"], `--rounds x: write a whole number above 0${http}`],
    ["http/main.ts", ["--rounds", "1.5"], `--rounds 1.5: write a whole number above 0${http}`],
    ["http/main.ts", ["--seconds", "0"], `--seconds 0: write a number above 0${http}`],
    ["http/main.ts", ["--rate=-5"], `--rate -5: write a number above 0${http}`],
    ["failover.ts", ["x"], "failover.ts x: write how often, a whole number above 0"],
    ["failover.ts", ["3", "50ms"], "failover.ts 3 50ms: write how often, a whole number above 0"],
  ];
  for (const [script, args, sentence] of mistakes) {
    const { status, stdout, stderr } = bench(script, ...args);
    assert.deepEqual({ args, status, stdout }, { args, status: 2, stdout: "" });
    assert.ok(stderr.includes(sentence), stderr);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
  }
});

test("scripts/bench/http.sh --help names every option and every case", () => {
  const { status, stdout, stderr } = bench("http/main.ts", "--help");
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  for (const word of [
    "--cases",
    "--proxies",
    "--rounds",
    "--seconds",
    "--rate",
    "--quick",
    "--write",
    "websocket",
  ]) {
    assert.ok(stdout.includes(word), word);
  }
});
