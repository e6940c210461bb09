// Traffic must never cost the role: two pairs, one at the default interval and one at 50 ms, share this machine's
// processors with clients that take all the rest of them, for a minute.

import assert from "node:assert/strict";
import { cpus } from "node:os";
import { after, before, test } from "node:test";
import { text } from "node:stream/consumers";
import { join } from "node:path";
import { tellFailures } from "./failures.ts";
import { Lab } from "./lab.ts";
import { VIP } from "./lab-config.ts";
import type { LoadReport } from "./load.ts";
import { labIsMissing } from "./requirements.ts";

const SECONDS = 60;
const CONNECTIONS = 32;
/** Saturated: the processors rest for at most this share of the time. */
const IDLE_MAX = 0.05;

const skip = labIsMissing();
const labs = {
  "200 ms": new Lab(),
  "50 ms": new Lab({ pair: "  advertisementInterval: 50ms" }),
};

before(async () => {
  if (skip !== false) return;
  for (const lab of Object.values(labs)) await lab.up();
});
after(async () => {
  for (const lab of Object.values(labs)) await lab.down();
});
for (const lab of Object.values(labs)) tellFailures(lab);

/** Of all processors since the boot, in milliseconds. */
function processorTime(): { readonly idle: number; readonly total: number } {
  const times = cpus().map((cpu) => cpu.times);
  const idle = times.reduce((sum, time) => sum + time.idle, 0);
  const total = times.reduce(
    (sum, { user, nice, sys, idle: rest, irq }) => sum + user + nice + sys + rest + irq,
    0,
  );
  return { idle, total };
}

/** As many clients as it takes to keep every processor busy. */
async function saturate(lab: Lab): Promise<LoadReport[]> {
  const program = join(import.meta.dirname, "load.ts");
  const argv = [process.execPath, program, VIP, String(CONNECTIONS), String(SECONDS)];
  const clients = Array.from({ length: Math.ceil(cpus().length / 2) }, () => {
    const { stdout } = lab.network.spawn("client", argv, { stdio: ["ignore", "pipe", "inherit"] });
    if (stdout === null) throw new Error("stdout is a pipe");
    return text(stdout);
  });
  return (await Promise.all(clients)).map((report) => JSON.parse(report) as LoadReport);
}

test(
  `both intervals: no role changes while traffic takes all processors for ${String(SECONDS)} s`,
  { skip },
  async (t) => {
    const pairs = [];
    for (const [interval, lab] of Object.entries(labs))
      pairs.push({ interval, lab, ...(await lab.settle()) });
    const epochs = await Promise.all(pairs.map(async ({ lab, active }) => (await lab.status(active))?.epoch));
    const atMs = performance.now();
    const begin = processorTime();
    const reports = await Promise.all(pairs.map(async ({ lab }) => saturate(lab)));
    const end = processorTime();
    const idle = (end.idle - begin.idle) / (end.total - begin.total);

    for (const [index, { interval, lab, active, standby }] of pairs.entries()) {
      const answered = (reports[index] ?? []).reduce((sum, report) => sum + report.answered, 0);
      const failed = (reports[index] ?? []).reduce((sum, report) => sum + report.failed, 0);
      const stalls = [...lab.logOf("a"), ...lab.logOf("b")].filter((line) => line.includes("stalled"));
      t.diagnostic(
        `${interval}: ${String(answered)} answered, ${String(failed)} failed, ` +
          `idle ${String(Math.round(idle * 1000) / 10)} %, ${String(stalls.length)} stalls logged`,
      );
      assert.ok(answered > 0, `${interval}: the traffic went through the address`);
      const [a, b] = await Promise.all([lab.status(active), lab.status(standby)]);
      assert.deepEqual([a?.role, b?.role], ["active", "standby"], interval);
      assert.equal(a?.epoch, epochs[index], `${interval}: nobody claimed`);
      assert.deepEqual(lab.watch.claimsSince(atMs), [], interval);
      const heldSince = lab.watch.heldSince(active);
      assert.ok(heldSince !== null && heldSince < atMs, `${interval}: the address never left`);
      assert.equal(failed, 0, `${interval}: requests failed`);
    }
    assert.ok(idle <= IDLE_MAX, `the processors rested for ${String(idle)} of the time`);
  },
);
