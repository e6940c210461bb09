// What an operator's notify hooks see of real failovers: every role, in order, one hook at a time; and that a hook which hangs is
// its own problem, not the clients'.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { waitUntil } from "../support/wait-until.ts";
import { tellFailures } from "./failures.ts";
import { Lab, type Node } from "./lab.ts";
import { assertOutageAtMost, describeReport, type Meter, ms } from "./meter.ts";
import { labIsMissing } from "./requirements.ts";

const WITHIN_MS = 10_000;

const skip = labIsMissing();
const lab = new Lab({
  pair: "  notify: { on-active: hooks/on-active, on-standby: hooks/on-standby, on-fault: hooks/on-fault }",
});
let meter: Meter;

before(async () => {
  if (skip !== false) return;
  await lab.up();
  await lab.settle();
  meter = await lab.startMeter();
});
after(() => lab.down());
tellFailures(lab);

interface Entry {
  readonly moment: string;
  readonly hook: string;
  /** From the previous role to the new one: `standby>active`. */
  readonly change: string;
  readonly epoch: number;
}

/** What the hooks of a node wrote, from entry number `since` on. */
function journal(node: Node, since = 0): Entry[] {
  const lines = readFileSync(join(lab.folder, "hooks", `told.${node}`), "utf8").split("\n");
  return lines
    .filter((line) => line !== "")
    .slice(since)
    .map((line) => {
      const [moment = "", hook = "", change = "", epoch] = line.split(" ");
      return { moment, hook, change, epoch: Number(epoch) };
    });
}

const changes = (entries: readonly Entry[]) =>
  entries.filter(({ moment }) => moment === "begin").map(({ change }) => change);

/** Until all hooks that began have ended and these were the last changes; then no two ran at once. */
async function wasTold(node: Node, since: number, expected: readonly string[]): Promise<Entry[]> {
  const what = `${node} to tell of ${expected.join(", ")}`;
  await waitUntil(
    () => changes(journal(node, since)).length >= expected.length && journal(node).at(-1)?.moment === "end",
    { what, withinMs: WITHIN_MS },
  );
  const entries = journal(node, since);
  assert.deepEqual(changes(entries), expected);
  for (const [index, { moment, hook, change }] of entries.entries()) {
    assert.equal(hook, `on-${change.split(">")[1] ?? ""}`);
    assert.equal(moment, index % 2 === 0 ? "begin" : "end", JSON.stringify(entries));
  }
  return entries;
}

test("from the boot on each node tells of its roles, in order", { skip }, async () => {
  const { active, standby } = await lab.settle();
  await wasTold(active, 0, [">standby", "standby>active"]);
  await wasTold(standby, 0, [">standby"]);
});

test(
  "a failover and the return: on-fault and on-standby here, on-active there, in the epoch of the claim",
  { skip },
  async (t) => {
    const { active, standby } = await lab.settle();
    const seen = { a: journal("a").length, b: journal("b").length };
    await lab.pullCable(active);
    await lab.waitForRole(active, "fault", { withinMs: WITHIN_MS });
    await lab.waitForRole(standby, "active", { withinMs: WITHIN_MS });
    await lab.plugCable(active);
    const rest = await lab.settle();
    assert.deepEqual(rest, { active: standby, standby: active });
    const told = await wasTold(active, seen[active], ["active>fault", "fault>standby"]);
    const claimed = await wasTold(standby, seen[standby], ["standby>active"]);
    const status = await lab.status(standby);
    assert.equal(claimed[0]?.epoch, status?.epoch);
    assert.ok((told[0]?.epoch ?? Infinity) < (claimed[0]?.epoch ?? 0));
    t.diagnostic(`epoch ${String(claimed[0]?.epoch)}`);
  },
);

test("a hook that hangs delays no failover; what came meanwhile is told after it", { skip }, async (t) => {
  const { active, standby } = await lab.settle();
  lab.tellHook(standby, "notify", "hang");
  await lab.killEverything(standby);
  const seen = journal(standby).length;
  lab.startNode(standby);
  await waitUntil(() => journal(standby, seen).length > 0, {
    what: "a hook that hangs",
    withinMs: WITHIN_MS,
  });
  await lab.settle();

  await meter.mark("kill");
  const atMs = await lab.killEverything(active);
  await lab.waitForRole(standby, "active", { withinMs: 3000 });
  const [claim] = lab.watch.claimsSince(atMs);
  const report = await meter.outageSince("kill");
  t.diagnostic(`claimed ${ms((claim?.atMs ?? NaN) - atMs)} after the kill: ${describeReport(report)}`);
  assertOutageAtMost(300, report);
  const whileItHangs = journal(standby, seen);
  assert.deepEqual(
    whileItHangs.map(({ moment, change }) => `${moment} ${change}`),
    ["begin >standby"],
    "the hook still hangs, and nothing runs beside it",
  );
  lab.tellHook(standby, "notify", "work");
  await wasTold(standby, seen, [">standby", "standby>active"]);
});
