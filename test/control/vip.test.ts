import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { Vip, Vips, hookProblem } from "../../src/control/vip.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import { startLauncher, stopLauncher } from "../../src/system/launcher.ts";
import type { Log } from "../../src/system/log.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };
const CLAIM = { epoch: 7, handover: false, probe: false };

/** A hook made of shell text; `journal` has one line per `note` it made. */
function hookOf(t: TestContext, script: string): { path: string; dir: string; journal: () => string[] } {
  const dir = mkdtempSync(join(tmpdir(), "vipair-vip-test-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, "hook");
  writeFileSync(join(dir, "journal"), "");
  writeFileSync(path, `#!/bin/sh\nnote() { echo "$*" >>"${dir}/journal"; }\n${script}\n`);
  chmodSync(path, 0o755);
  return {
    path,
    dir,
    journal: () =>
      readFileSync(join(dir, "journal"), "utf8")
        .split("\n")
        .filter((line) => line !== ""),
  };
}

function vipOf(hook: string, options: { address?: string; leaseMs?: number; log?: Log } = {}): Vip {
  return new Vip({
    address: {
      address: options.address ?? "192.0.2.50",
      prefixLength: 24,
      interface: "eth0",
      group: "default",
    },
    self: { name: "pi-a", address: "192.0.2.1", priority: 150 },
    peer: () => ({ name: "pi-b", address: "192.0.2.2", priority: 100 }),
    hook,
    leaseMs: options.leaseMs ?? 2000,
    clock: monotonicClock,
    log: options.log ?? QUIET,
  });
}

async function eventually(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 3000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, "did not become true within 3 s");
    // oxlint-disable-next-line no-await-in-loop -- polls until the deadline above
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a hook is told the address, the lease, the epoch and both nodes", async (t) => {
  const hook = hookOf(
    t,
    `[ "$1" = claim ] || exit 0; note "$1"; env | grep ^VIPAIR_ | sort >>"\${0%/*}/journal"`,
  );
  const result = await vipOf(hook.path).claim({ epoch: 7, handover: true, probe: true });
  assert.equal(result.kind, "done");
  assert.deepEqual(hook.journal(), [
    "claim",
    "VIPAIR_ADDRESS=192.0.2.50",
    "VIPAIR_EPOCH=7",
    "VIPAIR_HANDOVER=1",
    "VIPAIR_INTERFACE=eth0",
    "VIPAIR_LEASE_SECONDS=2",
    "VIPAIR_NODE=pi-a",
    "VIPAIR_PEER=pi-b",
    "VIPAIR_PEER_ADDRESS=192.0.2.2",
    "VIPAIR_PREFIX_LENGTH=24",
    "VIPAIR_PROBE=1",
  ]);
});

test("a claim that is neither probed nor a handover does not say so, and a renewal keeps the claim's epoch", async (t) => {
  const hook = hookOf(t, `note "$1 $VIPAIR_EPOCH \${VIPAIR_PROBE-no} \${VIPAIR_HANDOVER-no}"`);
  const vip = vipOf(hook.path);
  await vip.claim(CLAIM);
  await vip.renew();
  assert.deepEqual(hook.journal(), ["claim 7 no no", "renew 7 no no"]);
});

test("of a claim that asks the network first, which takes a second, the lease counts from a renewal right after it", async (t) => {
  const hook = hookOf(t, `note "$1"; [ "$1" != claim ] || sleep 0.3`);
  const before = monotonicClock();
  const result = await vipOf(hook.path, { leaseMs: 1000 }).claim({ ...CLAIM, probe: true });
  assert.ok(result.kind === "done");
  assert.ok(result.startedAtMs >= before + 300, `${String(result.startedAtMs - before)} ms`);
  assert.deepEqual(hook.journal(), ["claim", "renew"]);
});

test("a claim that asked the network first and whose address has gone by then has failed", async (t) => {
  const hook = hookOf(t, `[ "$1" != renew ] || { echo "it is gone" >&2; exit 4; }`);
  const result = await vipOf(hook.path).claim({ ...CLAIM, probe: true });
  assert.ok(result.kind === "failed");
  assert.deepEqual([result.failure, result.reason], ["gone", "renew hook: exit 4: it is gone"]);
});

/** A claim that asks the network and whose hook has ended and nobody has read that yet: with the launcher, as in the control process. */
async function claimUnread(t: TestContext, stillMs: number) {
  startLauncher(() => undefined);
  t.after(stopLauncher);
  const hook = hookOf(t, `note "$1"`);
  const vip = vipOf(hook.path, { leaseMs: 1000 });
  await vip.status();
  const claim = vip.claim({ ...CLAIM, probe: true });
  // The order leaves this process in the next turn of its event loop.
  await new Promise((resolve) => setImmediate(resolve));
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  for (let waits = 0; waits < 500 && !hook.journal().includes("claim"); waits += 1) {
    Atomics.wait(nobody, 0, 0, 10);
  }
  Atomics.wait(nobody, 0, 0, stillMs);
  return { vip, claim, journal: hook.journal };
}

suite("a process that stands still while its claim asks the network", () => {
  test("rule 4: renews nothing when the lease may have ended", async (t) => {
    const { claim, journal } = await claimUnread(t, 1500);
    const result = await claim;
    assert.ok(result.kind === "done");
    assert.ok(monotonicClock() - result.startedAtMs >= 1500, "as old as it is");
    assert.deepEqual(journal(), ["status", "claim"]);
  });

  test("renews nothing that was given up meanwhile", async (t) => {
    const { vip, claim, journal } = await claimUnread(t, 500);
    const release = vip.release();
    assert.deepEqual(await claim, { kind: "superseded" });
    assert.equal((await release).kind, "done");
    assert.deepEqual(journal(), ["status", "claim", "release"]);
  });

  test("starts no hook when the process ends", async (t) => {
    const { vip, claim, journal } = await claimUnread(t, 500);
    vip.abandon();
    assert.deepEqual(await claim, { kind: "superseded" });
    await vip.status();
    assert.deepEqual(journal(), ["status", "claim", "status"]);
  });
});

test("the lease counts from the start of the claim and ends by itself", async (t) => {
  const hook = hookOf(t, "sleep 0.1");
  const vip = vipOf(hook.path, { leaseMs: 1000 });
  const stopwatch = new Stopwatch(t);
  const before = monotonicClock();
  const result = await vip.claim(CLAIM);
  assert.ok(result.kind === "done");
  assert.ok(result.startedAtMs >= before && result.finishedAtMs - result.startedAtMs >= 100);
  assert.ok(vip.isHeld());
  await eventually(() => !vip.isHeld());
  const elapsed = monotonicClock() - result.startedAtMs;
  assert.ok(elapsed >= 1000, `held for ${String(elapsed)} ms`);
  stopwatch.assertBelow(1100, elapsed);
});

test("hooks of one address never overlap and run in the order asked for", async (t) => {
  const hook = hookOf(t, `note "+$1"; sleep 0.05; note "-$1"`);
  const vip = vipOf(hook.path);
  await Promise.all([vip.claim(CLAIM), vip.announce(), vip.renew(), vip.status()]);
  // The renewal goes before the announcement that waits.
  assert.deepEqual(hook.journal(), [
    "+claim",
    "-claim",
    "+renew",
    "-renew",
    "+announce",
    "-announce",
    "+status",
    "-status",
  ]);
});

test("a renewal does not wait for an announcement that takes its time; that runs again after it", async (t) => {
  const hook = hookOf(
    t,
    `[ ! -e "$0.again" ] || again=yes; : >"$0.again"; note "+$1"; [ "\${again-}" ] || sleep 60; note "-$1"`,
  );
  const vip = vipOf(hook.path, { leaseMs: 8000 });
  const announce = vip.announce();
  await eventually(() => hook.journal().includes("+announce"));
  const orderedAt = monotonicClock();
  const renewal = await vip.renew();
  assert.ok(renewal.kind === "done");
  // The lease is set at once: the announcement alone would have 2 s.
  assert.ok(renewal.finishedAtMs - orderedAt < 1_000);
  assert.equal((await announce).kind, "done");
  assert.deepEqual(hook.journal(), ["+announce", "+renew", "-renew", "+announce", "-announce"]);
});

test("an announcement that hangs has a quarter of the lease in all, whatever renewals take its turn", async (t) => {
  const hook = hookOf(t, `note "+$1"; [ "$1" = renew ] || sleep 60`);
  const vip = vipOf(hook.path, { leaseMs: 2000 });
  const announce = vip.announce();
  for (let renewals = 1; renewals <= 3; renewals++) {
    await eventually(() => hook.journal().filter((line) => line === "+announce").length === renewals);
    await vip.renew();
  }
  const result = await announce;
  assert.ok(result.kind === "failed");
  assert.equal(result.failure, "timeout");
});

test("an announcement whose turn a renewal took is dropped by a release like all that waits", async (t) => {
  const hook = hookOf(t, `note "$1"; [ "$1" = release ] || sleep 60`);
  const vip = vipOf(hook.path);
  const announce = vip.announce();
  await eventually(() => hook.journal().includes("announce"));
  const renewal = vip.renew();
  const release = vip.release();
  assert.deepEqual(await announce, { kind: "superseded" });
  assert.deepEqual(await renewal, { kind: "superseded" });
  assert.equal((await release).kind, "done");
  assert.deepEqual(hook.journal(), ["announce", "release"]);
});

test("a release kills a claim that hangs, at once", async (t) => {
  const hook = hookOf(t, `note "+$1"; [ "$1" = release ] || sleep 60; note "-$1"`);
  const vip = vipOf(hook.path);
  const claim = vip.claim(CLAIM);
  await eventually(() => hook.journal().includes("+claim"));
  const orderedAt = monotonicClock();
  const release = await vip.release();
  assert.equal(release.kind, "done");
  // A hook is killed after 2 s anyway.
  assert.ok(monotonicClock() - orderedAt < 1_000);
  assert.deepEqual(await claim, { kind: "superseded" });
  assert.equal(vip.isHeld(), false);
  assert.deepEqual(hook.journal(), ["+claim", "+release", "-release"]);
});

test("the newest intent wins: what still waited is dropped", async (t) => {
  const hook = hookOf(t, `note "$1"; [ "$1" != claim ] || sleep 60`);
  const vip = vipOf(hook.path);
  const claim = vip.claim(CLAIM);
  const renew = vip.renew();
  const announce = vip.announce();
  const release = vip.release();
  assert.deepEqual(await Promise.all([claim, renew, announce]), [
    { kind: "superseded" },
    { kind: "superseded" },
    { kind: "superseded" },
  ]);
  assert.equal((await release).kind, "done");
  assert.ok(!hook.journal().includes("renew") && !hook.journal().includes("announce"));
});

test("a hook that hangs is killed after two seconds and says so", async (t) => {
  const hook = hookOf(t, "echo stuck >&2; sleep 60");
  const result = await vipOf(hook.path).claim(CLAIM);
  assert.ok(result.kind === "failed");
  assert.equal(result.failure, "timeout");
  assert.match(result.reason, /killed after [2-9]\d{3} ms .*stuck/);
});

test("a renewal that hangs leaves half the lease for another", async (t) => {
  const hook = hookOf(t, "sleep 60");
  const stopwatch = new Stopwatch(t);
  const result = await vipOf(hook.path, { leaseMs: 1000 }).renew();
  assert.ok(result.kind === "failed");
  assert.equal(result.failure, "timeout");
  stopwatch.assertBelow(700, result.finishedAtMs - result.startedAtMs);
});

test("exit codes mean: 3 at a claim, taken by another; 4 at a renewal, gone; 1 at a status, not held", async (t) => {
  const hook = hookOf(
    t,
    `echo "the reason" >&2; case $1 in claim) exit 3;; renew) exit 4;; *) exit 1;; esac`,
  );
  const vip = vipOf(hook.path);
  const results = [await vip.claim(CLAIM), await vip.renew(), await vip.status(), await vip.release()];
  assert.deepEqual(
    results.map((result) => (result.kind === "failed" ? [result.failure, result.reason] : result.kind)),
    [
      ["taken", "claim hook: exit 3: the reason"],
      ["gone", "renew hook: exit 4: the reason"],
      ["not-held", "status hook: exit 1: the reason"],
      ["error", "release hook: exit 1: the reason"],
    ],
  );
});

test("a renewal that finds the address gone ends what we believed to hold", async (t) => {
  const hook = hookOf(t, `[ "$1" != renew ] || exit 4`);
  const vip = vipOf(hook.path);
  await vip.claim(CLAIM);
  assert.ok(vip.isHeld());
  await vip.renew();
  assert.equal(vip.isHeld(), false);
});

test("a missing hook and one without permission fail with what to do", async (t) => {
  const hook = hookOf(t, "exit 0");
  chmodSync(hook.path, 0o644);
  const results = [
    await vipOf("/nonexistent/vip").claim(CLAIM),
    await vipOf(hook.path).claim(CLAIM),
    await vipOf(hook.dir).claim(CLAIM),
  ];
  const reasons = results.map((result) => (result.kind === "failed" ? result.reason : result.kind));
  assert.equal(reasons[0], "the hook /nonexistent/vip does not exist");
  assert.equal(reasons[1], `the hook ${hook.path} is not executable: chmod +x it`);
  assert.equal(reasons[2], `the hook ${hook.dir} is not a file`);
  assert.equal(hookProblem("/bin/sh"), undefined);
});

test("what a hook says on stderr although it succeeded is logged", async (t) => {
  const lines: object[] = [];
  const log: Log = { ...QUIET, warn: (subject) => lines.push(subject) };
  const hook = hookOf(t, `echo "going on without nft" >&2`);
  const result = await vipOf(hook.path, { log }).claim(CLAIM);
  assert.ok(result.kind === "done");
  assert.equal(result.stderr, "going on without nft");
  assert.equal(lines.length, 1);
});

test("a claim that fails for one address yields all of them", async (t) => {
  const hook = hookOf(
    t,
    `note "$1 $VIPAIR_ADDRESS"; [ "$1 $VIPAIR_ADDRESS" != "claim 192.0.2.51" ] || exit 3`,
  );
  const first = vipOf(hook.path, { address: "192.0.2.50" });
  const second = vipOf(hook.path, { address: "192.0.2.51" });
  const vips = new Vips([first, second], monotonicClock);
  const result = await vips.claim(CLAIM);
  assert.ok(result.kind === "failed");
  assert.equal(result.failure, "taken");
  assert.match(result.reason, /^192\.0\.2\.51: claim hook: exit 3/);
  assert.ok(!first.isHeld() && !second.isHeld());
  assert.deepEqual(hook.journal().toSorted(), [
    "claim 192.0.2.50",
    "claim 192.0.2.51",
    "release 192.0.2.50",
    "release 192.0.2.51",
  ]);
});

test("the lease of several addresses counts from the earliest start", async (t) => {
  const hook = hookOf(t, "exit 0");
  const vips = new Vips([vipOf(hook.path), vipOf(hook.path, { address: "192.0.2.51" })], monotonicClock);
  const before = monotonicClock();
  const result = await vips.claim(CLAIM);
  assert.ok(result.kind === "done");
  assert.ok(result.startedAtMs >= before && result.startedAtMs <= result.finishedAtMs);
  assert.equal((await vips.renew()).kind, "done");
  assert.equal((await vips.announce()).kind, "done");
  assert.equal((await vips.release()).kind, "done");
});
