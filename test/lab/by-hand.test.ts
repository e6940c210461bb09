// scripts/lab as a person uses it: each command in a process of its own, and nothing left at the end.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { waitUntil } from "../support/wait-until.ts";
import { ByHand } from "./by-hand.ts";
import { Lab, type Node } from "./lab.ts";
import { labIsMissing } from "./requirements.ts";

const SCRIPT = join(import.meta.dirname, "../../scripts/lab");
const NAME = "vl-hand";

/** The same lab, from this process. */
const hand = new ByHand(new Lab({ name: NAME }));

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

/** Until `scripts/lab status` would say this of the node. */
async function isNow(node: Node, expected: string): Promise<void> {
  await waitUntil(async () => (await hand.describe(node)) === expected, {
    what: `${node} to be: ${expected}`,
    withinMs: 10_000,
    everyMs: 50,
  });
}

/** The line of a node in `scripts/lab status`. */
async function statusLine(node: Node): Promise<string> {
  const { stdout } = await lab("status");
  return stdout.split("\n").find((line) => line.startsWith(`${node} `)) ?? "";
}

/** Every process in the lab. */
function processes(): string[] {
  return namespaces().flatMap((line) => {
    const [name = ""] = line.split(" ");
    const { stdout } = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" });
    return stdout.split("\n").filter(Boolean);
  });
}

/** It fails, says this and nothing else. */
async function refuses(command: string, sentence: string): Promise<void> {
  const { code, stdout, stderr } = await lab(...command.split(" ").filter(Boolean));
  assert.deepEqual(
    { command, code, stdout, stderr },
    { command, code: 1, stdout: "", stderr: `lab: ${sentence}\n` },
  );
}

/** What a command would do; in this process, which is faster. */
async function wouldRefuse(act: Promise<void>, sentence: string): Promise<void> {
  await assert.rejects(act, { message: sentence });
}

async function does(...command: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await lab(...command);
  assert.deepEqual({ command, code, stdout, stderr }, { command, code: 0, stdout: "", stderr: "" });
}

test("commands before up, unknown ones and unknown nodes say what to do", { skip }, async () => {
  const notUp = "the lab is not up; scripts/lab up builds it";
  for (const command of ["status", "pull a", "down"]) await refuses(command, notUp);
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
    await refuses("up", "the lab is up already; scripts/lab down ends it");
    await refuses("pull x", "which node? a or b");
    await refuses("pull a b", "one node at a time; too much: b");
    await refuses("part a", "too much: a");
    await refuses("gateway", "off or on?");
    await refuses("gateway off b", "too much: b");
    const which =
      "which command? status, role, switchover, standby, resume, drain, ready, maintenance or weight";
    // The last two ask no node.
    for (const command of ["vipair a", "vipair a check", "vipair a route"]) await refuses(command, which);
    await refuses("thaw a", "a is not frozen");
    await wouldRefuse(hand.gateway("on"), "the gateway is on already");
    await wouldRefuse(hand.plug("a"), "the cable of a is plugged in, and its port is not silent");
    await wouldRefuse(hand.join(), "the nodes are not parted");
    await wouldRefuse(hand.start("a"), "vipair runs on a already");
    await wouldRefuse(hand.on("a"), "a is on already");
    await wouldRefuse(hand.delete(standby), `10.77.0.100 is not on ${standby}`);

    await does("pull", active);
    await isNow(standby, "active");
    await isNow(active, "fault");
    assert.match(await statusLine(active), /fault.*no carrier.*cable pulled/);
    await wouldRefuse(hand.pull(active), `the cable of ${active} is pulled already`);
    await wouldRefuse(hand.silence(active), `the cable of ${active} is pulled: scripts/lab plug ${active}`);
    await does("plug", active);
    await isNow(active, "standby");

    await does("freeze", standby);
    await isNow(standby, "frozen");
    await isNow(active, "active");
    await wouldRefuse(hand.freeze(standby), `${standby} is frozen already`);
    await wouldRefuse(hand.start(standby), `${standby} is frozen: scripts/lab thaw ${standby}`);
    await wouldRefuse(
      hand.stop(standby),
      `${standby} is frozen and would not notice: scripts/lab thaw ${standby}`,
    );
    await does("thaw", standby);
    await isNow(standby, "standby");

    await does("kill", active);
    await isNow(active, "no vipair runs");
    await isNow(standby, "active");
    assert.match(await statusLine(standby), /active.*holds/);
    const notRunning = `no vipair runs on ${active}: scripts/lab start ${active}`;
    await refuses(`freeze ${active}`, notRunning);
    await refuses(`kill ${active}`, `nothing runs on ${active}`);
    await wouldRefuse(hand.thaw(active), notRunning);
    await wouldRefuse(hand.stop(active), notRunning);
    await wouldRefuse(
      hand.on(active),
      `${active} is on already; scripts/lab start ${active} starts its vipair`,
    );
    const config = `/run/vipair-lab-${NAME}/vipair.yaml`;
    const good = readFileSync(config, "utf8");
    writeFileSync(config, "pools: none\n");
    const broken = await lab("start", active);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /^lab: vipair on [ab] ended at once:\n(.*\n)*.*pools/);
    writeFileSync(config, good);
    await does("start", active);
    await isNow(active, "standby");

    await does("silence", standby);
    await isNow(active, "active");
    assert.match(await statusLine(standby), /port silenced/);
    await wouldRefuse(hand.silence(standby), `the port of ${standby} is silent already`);
    await does("plug", standby);
    await isNow(standby, "standby");

    await does("off", standby);
    await isNow(standby, "off");
    const isOff = `${standby} is off: scripts/lab on ${standby}`;
    await refuses(`start ${standby}`, isOff);
    await wouldRefuse(hand.off(standby), isOff);
    await wouldRefuse(hand.plug(standby), isOff);
    await wouldRefuse(hand.kill(standby), `nothing runs on ${standby}`);
    await does("on", standby);
    await isNow(standby, "standby");

    await does("gateway", "off");
    assert.match((await lab("status")).stdout, /^the gateway is off$/m);
    await wouldRefuse(hand.gateway("off"), "the gateway is off already");
    await does("gateway", "on");
    await does("part");
    assert.match(await statusLine(standby), /parted/);
    await wouldRefuse(hand.part(), "the nodes are parted already");
    await does("join");

    await does("stop", standby);
    await isNow(standby, "no vipair runs");
    await isNow(active, "active");

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
