// What the operator's own programs are told of a fault and of a failover, with real processes. Their order, and
// what becomes of one that hangs or fails, is in test/control/notifier.test.ts.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { type NodeName, type PairSite, Site } from "../support/site.ts";
import { waitUntil } from "../support/wait-until.ts";

const HANGS_MS = 25_000;

interface Told {
  readonly role: string | undefined;
  readonly previous: string | undefined;
  readonly epoch: number;
  readonly reason: string | undefined;
  readonly rest: string;
}

interface Journal {
  readonly pair: PairSite;
  /** What the hooks of this node were told so far, in order. */
  readonly told: (node: NodeName) => readonly Told[];
  /** Waits until there are so many. */
  readonly has: (node: NodeName, count: number) => Promise<readonly Told[]>;
}

async function pairThatTells(t: TestContext): Promise<Journal> {
  const site = Site.open(t);
  const script = [
    "#!/bin/sh",
    // One write, so that a reader sees whole lines.
    `echo "$(basename "$0")|$VIPAIR_ROLE|$VIPAIR_PREVIOUS_ROLE|$VIPAIR_EPOCH|$VIPAIR_REASON|` +
      `$VIPAIR_NODE to $VIPAIR_PEER, $VIPAIR_GROUP: $VIPAIR_ADDRESSES" >>"$(dirname "$0")/told.$VIPAIR_NODE"`,
  ].join("\n");
  const names = ["on-active", "on-standby", "on-fault"];
  for (const name of names) writeFileSync(join(site.folder, name), `${script}\n`, { mode: 0o755 });
  const pair = await site.pair({ pair: { notify: Object.fromEntries(names.map((name) => [name, name])) } });
  const told = (node: NodeName) => {
    let text: string;
    try {
      text = readFileSync(join(site.folder, `told.${node}`), "utf8");
    } catch {
      // No hook has run yet.
      return [];
    }
    return text
      .trim()
      .split("\n")
      .map((line): Told => {
        const [hook, role, previous, epoch, reason, rest = ""] = line.split("|");
        assert.equal(hook, `on-${String(role)}`);
        return { role, previous, epoch: Number(epoch), reason, rest };
      });
  };
  const has = async (node: NodeName, count: number) => {
    await waitUntil(() => told(node).length >= count, { what: `${String(count)} calls`, withinMs: 10_000 });
    return told(node);
  };
  return { pair, told, has };
}

const changes = (told: readonly Told[]) =>
  told.map(({ previous, role }) => `${String(previous)}>${String(role)}`);

describe("notify hooks", { concurrency: 3 }, () => {
  test("the survivor of a failover tells that it is active, in the epoch of its claim", async (t) => {
    const { pair, told, has } = await pairThatTells(t);
    const { a, b } = await pair.startBoth();
    assert.deepEqual(changes(await has("a", 2)), [">standby", "standby>active"]);
    assert.deepEqual(changes(await has("b", 1)), [">standby"]);
    a.signalAll("SIGKILL");
    await b.becomes("active");
    const calls = await has("b", 2);
    assert.deepEqual(changes(calls), [">standby", "standby>active"]);
    assert.deepEqual(
      calls.map(({ rest }) => rest),
      calls.map(() => `b to a, default: ${pair.virtualAddress}`),
    );
    const { epoch } = await b.status();
    assert.equal(calls[1]?.epoch, epoch);
    assert.ok((told("a").at(-1)?.epoch ?? 0) < epoch);
  });

  test("a fault is told with its reason, and so is its end", async (t) => {
    const { pair, told, has } = await pairThatTells(t);
    const { a, b } = await pair.startBoth();
    const repair = pair.sabotage("a", "renew", "fails");
    await b.becomes("active");
    const hasFailed = () => told("a").some(({ role }) => role === "fault");
    await waitUntil(hasFailed, { what: "a call about the fault", withinMs: 10_000 });
    const calls = told("a");
    assert.deepEqual(changes(calls).slice(0, 2), [">standby", "standby>active"]);
    // On a machine that pauses the lease may be old before it is known that its renewal failed: then a claims once more.
    assert.equal(changes(calls).at(-1), "active>fault");
    assert.match(calls.at(-1)?.reason ?? "", /^renewal: the lease could not be renewed/);
    repair();
    await pair.isWell(a);
    assert.deepEqual(changes(await has("a", calls.length + 1)).slice(calls.length), ["fault>standby"]);
    assert.deepEqual(changes(told("b")), [">standby", "standby>active"]);
  });

  test("a hook that hangs delays no claim; what comes after waits for it", async (t) => {
    const { pair, told } = await pairThatTells(t);
    const begun = () => existsSync(join(pair.site.folder, "hangs.b"));
    writeFileSync(
      join(pair.site.folder, "on-standby"),
      `#!/bin/sh\ntouch "$(dirname "$0")/hangs.$VIPAIR_NODE"\nsleep ${String(HANGS_MS / 1_000)}\n`,
      { mode: 0o755 },
    );
    const { a, b } = await pair.startBoth();
    await waitUntil(begun, { what: "a hook that hangs", withinMs: 10_000 });
    const killedAtMs = performance.now();
    a.signalAll("SIGKILL");
    const { readAtMs } = await b.logged("active", ({ msg }) => msg === "active");
    t.diagnostic(`active after ${(readAtMs - killedAtMs).toFixed(0)} ms`);
    assert.ok(readAtMs - killedAtMs < HANGS_MS / 10);
    assert.deepEqual(told("b"), []);
    // Nor does it hold up the end.
    b.signal("SIGTERM");
    assert.deepEqual(await b.exit({ withinMs: HANGS_MS / 2 }), { code: 0, signal: null });
  });
});
