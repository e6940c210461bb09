// scripts/lab as a person uses it: each command in a process of its own, and nothing left at the end.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { waitUntil } from "../support/wait-until.ts";
import { labIsMissing } from "./requirements.ts";

const SCRIPT = join(import.meta.dirname, "../../scripts/lab");
const NAME = "vl-hand";

const isTaken = () => namespaces().length > 0;
/** A person's lab is not ours to take down. */
const skip = labIsMissing() || (isTaken() && "scripts/lab is up on this machine");

after(async () => {
  if (skip === false) await lab("down");
});

function namespaces(): string[] {
  const { stdout } = spawnSync("ip", ["netns", "list"], { encoding: "utf8" });
  return stdout.split("\n").filter((line) => line.startsWith(`${NAME}-`));
}

async function lab(...args: readonly string[]) {
  const child = spawn(SCRIPT, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return { code: child.exitCode, stdout, stderr };
}

/** The line of a node in `scripts/lab status`, as soon as it matches. */
async function statusOf(node: "a" | "b", pattern: RegExp): Promise<string> {
  return waitUntil(
    async () => {
      const { stdout } = await lab("status");
      const line = stdout.split("\n").find((candidate) => candidate.startsWith(`${node} `)) ?? "";
      return pattern.test(line) && line;
    },
    { what: `${node}: ${String(pattern)}`, withinMs: 10_000, everyMs: 100 },
  );
}

/** Every process in the lab. */
function processes(): string[] {
  return namespaces().flatMap((line) => {
    const [name = ""] = line.split(" ");
    const { stdout } = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" });
    return stdout.split("\n").filter(Boolean);
  });
}

test("commands before up, unknown ones and unknown nodes say what to do", { skip }, async () => {
  assert.match((await lab("status")).stderr, /not up; scripts\/lab up/);
  const unknown = await lab("explode");
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /usage: scripts\/lab/);
});

test(
  "up, probe, pull, plug, freeze, thaw, kill, start, silence, down: the pair follows, nothing is left",
  { skip },
  async () => {
    const built = await lab("up");
    assert.equal(built.code, 0, built.stderr);
    const again = await lab("up");
    assert.deepEqual(
      [again.code, again.stderr],
      [1, "lab: the lab is up already; scripts/lab down ends it\n"],
    );
    assert.match((await lab("pull", "x")).stderr, /which node\?/);

    const { stdout } = await lab("status");
    const [active, standby] = /^a .*holds/m.test(stdout) ? (["a", "b"] as const) : (["b", "a"] as const);
    const probe = await lab("probe", "--for", "500ms");
    assert.equal(probe.code, 0, probe.stderr);

    await lab("pull", active);
    await statusOf(standby, /active.*holds/);
    await statusOf(active, /fault.*cable pulled/);
    await lab("plug", active);
    await statusOf(active, /standby/);

    await lab("freeze", standby);
    await statusOf(standby, /does not answer/);
    await statusOf(active, /active.*holds/);
    await lab("thaw", standby);
    await statusOf(standby, /standby/);

    await lab("kill", active);
    await statusOf(active, /no vipair runs/);
    await statusOf(standby, /active.*holds/);
    await lab("start", active);
    await statusOf(active, /standby/);

    await lab("silence", standby);
    await statusOf(active, /active.*holds/);
    await statusOf(standby, /port silenced/);
    await lab("plug", standby);
    await statusOf(standby, /standby/);

    const pids = processes();
    assert.ok(pids.length > 4, "two nodes with workers, two backends");
    const ended = await lab("down");
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(namespaces(), []);
    assert.ok(!existsSync(`/run/vipair-lab-${NAME}`));
    await waitUntil(() => pids.every((pid) => !existsSync(`/proc/${pid}`)), {
      what: "every process of the lab to end",
      withinMs: 3000,
    });
  },
);
