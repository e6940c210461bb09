// scripts/lab as a person uses it: each command in a process of its own, and nothing left at the end.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
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
  // Nothing is left to do unless a test has failed.
  if (skip === false && isTaken()) await lab("down");
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

/** Each of these commands has nothing to do here: it fails and says so, and changes nothing. */
async function refuses(refusals: Readonly<Record<string, string>>): Promise<void> {
  await Promise.all(
    Object.entries(refusals).map(async ([command, sentence]) => {
      const { code, stdout, stderr } = await lab(...command.split(" "));
      assert.deepEqual(
        { command, code, stdout, stderr },
        { command, code: 1, stdout: "", stderr: `lab: ${sentence}\n` },
      );
    }),
  );
}

async function does(...command: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await lab(...command);
  assert.deepEqual({ command, code, stdout, stderr }, { command, code: 0, stdout: "", stderr: "" });
}

test("commands before up, unknown ones and unknown nodes say what to do", { skip }, async () => {
  const notUp = "the lab is not up; scripts/lab up builds it";
  await refuses({ status: notUp, "pull a": notUp, down: notUp });
  const unknown = await lab("explode");
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /usage: scripts\/lab/);
});

test(
  "up, probe and every fault: the pair follows, what changes nothing fails with a sentence, down leaves nothing",
  { skip },
  async () => {
    const built = await lab("up");
    assert.equal(built.code, 0, built.stderr);
    const { stdout } = await lab("status");
    const [active, standby] = /^a .*holds/m.test(stdout) ? (["a", "b"] as const) : (["b", "a"] as const);
    const probe = await lab("probe", "--for", "500ms");
    assert.equal(probe.code, 0, probe.stderr);
    await refuses({
      up: "the lab is up already; scripts/lab down ends it",
      pull: "which node? a or b",
      "pull x": "which node? a or b",
      "pull a b": "which node? a or b",
      "part a": "too much: a",
      "gateway away": "off or on?",
      "gateway on": "the gateway is on already",
      "plug a": "the cable of a is plugged in, and its port is not silent",
      join: "the nodes are not parted",
      "thaw a": "a is not frozen",
      "start a": "vipair runs on a already",
      "on a": "a is on already",
      [`delete ${standby}`]: `10.77.0.100 is not on ${standby}`,
    });

    await does("pull", active);
    await statusOf(standby, /active.*holds/);
    await statusOf(active, /fault.*cable pulled/);
    await refuses({
      [`pull ${active}`]: `the cable of ${active} is pulled already`,
      [`silence ${active}`]: `the cable of ${active} is pulled: scripts/lab plug ${active}`,
    });
    await does("plug", active);
    await statusOf(active, /standby/);

    await does("freeze", standby);
    await statusOf(standby, /frozen/);
    await statusOf(active, /active.*holds/);
    await refuses({
      [`freeze ${standby}`]: `${standby} is frozen already`,
      [`stop ${standby}`]: `${standby} is frozen and would not notice: scripts/lab thaw ${standby}`,
      [`start ${standby}`]: `${standby} is frozen: scripts/lab thaw ${standby}`,
    });
    await does("thaw", standby);
    await statusOf(standby, /standby/);

    await does("kill", active);
    await statusOf(active, /no vipair runs/);
    await statusOf(standby, /active.*holds/);
    const notRunning = `no vipair runs on ${active}: scripts/lab start ${active}`;
    await refuses({
      [`kill ${active}`]: `nothing runs on ${active}`,
      [`freeze ${active}`]: notRunning,
      [`thaw ${active}`]: notRunning,
      [`stop ${active}`]: notRunning,
      [`on ${active}`]: `${active} is on already; scripts/lab start ${active} starts its vipair`,
    });
    const config = `/run/vipair-lab-${NAME}/vipair.yaml`;
    const good = readFileSync(config, "utf8");
    writeFileSync(config, "pools: none\n");
    const { code, stderr } = await lab("start", active);
    assert.equal(code, 1);
    assert.match(stderr, /^lab: vipair on [ab] ended at once:\n(.*\n)*.*pools/);
    writeFileSync(config, good);
    await does("start", active);
    await statusOf(active, /standby/);

    await does("silence", standby);
    await statusOf(active, /active.*holds/);
    await statusOf(standby, /port silenced/);
    await refuses({ [`silence ${standby}`]: `the port of ${standby} is silent already` });
    await does("plug", standby);
    await statusOf(standby, /standby/);

    await does("off", standby);
    await statusOf(standby, /off, cable pulled/);
    const isOff = `${standby} is off: scripts/lab on ${standby}`;
    await refuses({
      [`off ${standby}`]: isOff,
      [`start ${standby}`]: isOff,
      [`plug ${standby}`]: isOff,
      [`kill ${standby}`]: `nothing runs on ${standby}`,
    });
    await does("on", standby);
    await statusOf(standby, /standby/);

    await does("gateway", "off");
    assert.match((await lab("status")).stdout, /^the gateway is off$/m);
    await refuses({ "gateway off": "the gateway is off already" });
    await does("gateway", "on");
    await does("part");
    await statusOf(standby, /parted/);
    await refuses({ part: "the nodes are parted already" });
    await does("join");
    await statusOf(active, /active|standby/);

    await does("stop", standby);
    await statusOf(standby, /no vipair runs/);
    await statusOf(active, /active.*holds/);
    await does("start", standby);

    const pids = processes();
    assert.ok(pids.length > 4, "two nodes with workers, two backends");
    await does("down");
    assert.deepEqual(namespaces(), []);
    assert.ok(!existsSync(`/run/vipair-lab-${NAME}`));
    await waitUntil(() => pids.every((pid) => !existsSync(`/proc/${pid}`)), {
      what: "every process of the lab to end",
      withinMs: 3000,
    });
  },
);
