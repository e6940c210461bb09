// Traffic must never cost the role: two pairs, one at the default interval and one at 50 ms, share this machine's
// processors with clients that take all the rest of them, for a minute.

import assert from "node:assert/strict";
import { cpus } from "node:os";
import { after, before, test } from "node:test";
import { text } from "node:stream/consumers";
import { join } from "node:path";
import { tellFailures } from "./failures.ts";
import { Lab, NODES } from "./lab.ts";
import { VIP } from "./lab-config.ts";
import type { LoadReport } from "./load.ts";
import { labIsMissing } from "./requirements.ts";
import { Witness } from "./witness.ts";

const SECONDS = 60;
const CONNECTIONS = 32;
/** Saturated: the processors rest for at most this share of the time. */
const IDLE_MAX = 0.05;
/**
 * A processor that is not there for the active-down interval, less the interval since the last advertisement, makes the
 * node on it silent for the other one, and rightly so. Traffic takes none away: see witness.ts.
 */
const ABSENCE_MS_MAX = { "200 ms": 722 - 200, "50 ms": 181 - 50 } as const;
const LINES_TOLD = 6;

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

/** The last that the nodes said of a role, in few words: of a failure on another machine often nothing else is left. */
function whatMoved(lab: Lab): string {
  const said = NODES.flatMap((node) => lab.logOf(node))
    // The last line may be being written.
    .filter((line) => line.endsWith("}"))
    .map((line) => JSON.parse(line) as Record<string, string | number | undefined>)
    .filter(({ msg }) => /stalled|claiming|yielding|isolated|lease may|fault/.test(String(msg)))
    .map(({ time, node, msg, lateMs, epoch, reason }) => ({
      time: String(time).slice(17, 23),
      what: [node, msg, lateMs, epoch, reason].filter((word) => word !== undefined).join(" "),
    }));
  const last = said.toSorted((left, right) => left.time.localeCompare(right.time)).slice(-LINES_TOLD);
  return last.map(({ time, what }) => `${time} ${what}`).join("; ");
}

test(
  `both intervals: no role changes while traffic takes all processors for ${String(SECONDS)} s`,
  { skip },
  async (t) => {
    const pairs = [];
    for (const interval of ["200 ms", "50 ms"] as const)
      pairs.push({ interval, lab: labs[interval], ...(await labs[interval].settle()) });
    const epochs = await Promise.all(pairs.map(async ({ lab, active }) => (await lab.status(active))?.epoch));
    const atMs = performance.now();
    const witness = new Witness();
    const begin = processorTime();
    const reports = await Promise.all(pairs.map(async ({ lab }) => saturate(lab)));
    const end = processorTime();
    const absenceMs = await witness.end();
    const idle = (end.idle - begin.idle) / (end.total - begin.total);
    t.diagnostic(
      `idle ${String(Math.round(idle * 1000) / 10)} %, a processor was away for ${String(absenceMs)} ms`,
    );

    const moved: string[] = [];
    for (const [index, { interval, lab, active, standby }] of pairs.entries()) {
      const answered = (reports[index] ?? []).reduce((sum, report) => sum + report.answered, 0);
      const failed = (reports[index] ?? []).reduce((sum, report) => sum + report.failed, 0);
      const stalls = NODES.flatMap((node) => lab.logOf(node)).filter((line) => line.includes("stalled"));
      t.diagnostic(
        `${interval}: ${String(answered)} answered, ${String(failed)} failed, ${String(stalls.length)} stalls logged`,
      );
      assert.ok(answered > 0, `${interval}: the traffic went through the address`);
      const [a, b] = await Promise.all([lab.status(active), lab.status(standby)]);
      const claims = lab.watch.claimsSince(atMs);
      const what = `${interval}: ${String(failed)} failed; ${whatMoved(lab)}`;
      const hasMoved = a?.epoch !== epochs[index] || claims.length > 0;
      if (hasMoved && absenceMs > ABSENCE_MS_MAX[interval]) {
        moved.push(what);
        continue;
      }
      assert.deepEqual([a?.role, b?.role], ["active", "standby"], what);
      assert.equal(a?.epoch, epochs[index], what);
      assert.deepEqual(claims, [], what);
      const heldSince = lab.watch.heldSince(active);
      assert.ok(heldSince !== null && heldSince < atMs, `the address never left; ${what}`);
      assert.equal(failed, 0, `requests failed; ${what}`);
    }
    assert.ok(idle <= IDLE_MAX, `the processors rested for ${String(idle)} of the time`);
    // Never on a machine that was there all the time: then the assertions above have failed.
    if (moved.length > 0)
      t.skip(
        `this machine stood still for ${String(absenceMs)} ms, which proves nothing: ${moved.join("; ")}`,
      );
  },
);
