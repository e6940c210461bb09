// A pair of one node that gets its second: the address is served all the time, whichever of the two hears of the other
// first, and it never has two holders.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OpenLoopClient } from "../../src/cli/open-loop-client.ts";
import { PORT, Site, type PairSite } from "../support/site.ts";
import type { VipairProcess } from "../support/vipair-process.ts";

/** Whether requests fail is the question here, and not how long they take on a busy machine. */
const TIMEOUT_MS = 2_000;
/** Of the site's interval of 100 ms. */
const ACTIVE_DOWN_MS = 400;

/** What differs while node a has no second node. */
function alone(pair: PairSite, more: Readonly<Record<string, unknown>> = {}) {
  return { pair: { nodes: { a: { address: pair.addresses.a, priority: 150 } }, ...more } };
}

/** Node a reads a file that has this. */
async function reload(pair: PairSite, a: VipairProcess, changes: Parameters<PairSite["content"]>[0]) {
  pair.site.config(pair.content(changes), "a.yaml");
  const since = a.lines.length;
  a.signal("SIGHUP");
  await a.logged("the reload", ({ msg }) => msg === "configuration reloaded", { since });
}

/** What became of the address, by node. */
function movesOf(pair: PairSite): readonly string[] {
  return pair
    .hookCalls()
    .filter(({ action, stage }) => stage === "done" && (action === "claim" || action === "release"))
    .map(({ node, action }) => `${node} ${action}`);
}

describe("a pair whose second node has not come yet", { concurrency: 3 }, () => {
  test("holds the address, says what is missing, and can be told to stop", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const a = pair.start("a", { changes: alone(pair) });
    const { peer, reason, groups, virtualAddresses } = await a.becomes("active");
    assert.equal(peer, null);
    assert.equal(reason, "no second node yet: run `sudo vipair invite`");
    assert.deepEqual(
      groups.map(({ name, role, peerRole }) => [name, role, peerRole]),
      [["default", "active", "unknown"]],
    );
    assert.deepEqual(
      virtualAddresses.map(({ held }) => held),
      [true],
    );
    const { stdout } = await a.command("status");
    assert.match(stdout, /^peer +none yet$/m);
    for (const [command, why] of [
      [["switchover"], /no second node yet/],
      [["standby"], /no second node yet; --force/],
      [["standby", "b"], /no node "b"/i],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one command after the other
      const { code, stderr } = await a.command(...command);
      assert.equal(code, 1);
      assert.match(stderr, why);
    }
    a.signal("SIGTERM");
    assert.deepEqual(await a.exit(), { code: 0, signal: null });
    assert.equal(movesOf(pair).at(-1), "a release");
  });

  test("claims with `claim: safe` and with no arbiter, too", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ pair: { claim: "safe", arbiter: { kind: "none" } } });
    await pair.start("a", { changes: alone(pair) }).becomes("active");
  });

  for (const [order, startsFirst] of [
    ["the file names it, then it starts", false],
    ["it starts, then the file names it", true],
  ] as const) {
    test(`gets its second without a lost request: ${order}`, async (t) => {
      const site = Site.open(t);
      // The newcomer is the preferred one, so that nothing but what it hears keeps it from claiming.
      const nodes = {
        a: { address: "", priority: 100 },
        b: { address: "", priority: 200 },
      };
      const pair = await site.pair();
      nodes.a.address = pair.addresses.a;
      nodes.b.address = pair.addresses.b;
      const a = pair.start("a", { changes: { pair: { nodes: { a: nodes.a } } } });
      const { epoch, since } = await a.becomes("active");
      const client = new OpenLoopClient({ host: pair.virtualAddress, port: PORT, timeoutMs: TIMEOUT_MS });
      client.start();
      t.after(() => client.stop());
      const start = () => pair.start("b", { changes: { pair: { nodes } } });
      let b: VipairProcess | undefined;
      if (startsFirst) {
        b = start();
        const before = await b.until(
          "in touch",
          ({ role, peer }) => role === "standby" && peer?.role === "active",
        );
        assert.equal(before.peer?.configMatches, false);
        // Long enough to claim, if it would.
        await sleep(4 * ACTIVE_DOWN_MS);
        assert.equal((await b.status()).role, "standby");
        await a.logged("the newcomer", ({ msg }) => /second node is in touch/.test(msg));
      }
      await reload(pair, a, { pair: { nodes } });
      b ??= start();
      await pair.isWell(b);
      const after = await a.until(
        "in touch with a standby",
        ({ peer }) => peer?.role === "standby" && peer.connected && peer.configMatches === true,
      );
      assert.deepEqual([after.role, after.epoch, after.since, after.reason], ["active", epoch, since, null]);
      await sleep(ACTIVE_DOWN_MS);
      const moves = movesOf(pair).filter((move) => move !== "b release");
      assert.deepEqual(moves.slice(moves.indexOf("a claim")), ["a claim"]);
      const { total, outcomes } = await client.stop();
      assert.deepEqual(outcomes, { ok: total });
      assert.ok(total > 50, String(total));

      await a.kill();
      assert.equal((await b.becomes("active")).epoch, epoch + 1);
    });
  }

  test("a newcomer that this node's file does not name yet takes over when this node dies, and keeps the address when it is back", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const a = pair.start("a", { changes: alone(pair) });
    await a.becomes("active");
    const b = pair.start("b");
    await pair.isWell(b);
    await a.kill();
    const { epoch } = await b.becomes("active");
    const again = pair.start("a", { changes: alone(pair) });
    await again.until(
      "a standby",
      ({ role, groups }) => role === "standby" && groups[0]?.peerRole === "active",
    );
    await sleep(4 * ACTIVE_DOWN_MS);
    assert.deepEqual([(await b.status()).role, (await b.status()).epoch], ["active", epoch]);
    assert.equal((await again.status()).role, "standby");
    await reload(pair, again, {});
    await pair.isSettled(b, again);
  });

  test("a reload takes over the second node, and nothing else of the pair; what else there is waits for a restart", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const a = pair.start("a", { changes: alone(pair) });
    const { epoch } = await a.becomes("active");
    await reload(pair, a, { pair: { lease: "5s" } });
    const both = await a.status();
    assert.equal(both.peer?.node, "b");
    assert.match(both.reason ?? "", /restart to apply what was changed in pair/);
    assert.deepEqual([both.role, both.epoch], ["active", epoch]);

    await reload(pair, a, {});
    assert.equal((await a.status()).reason, null);

    // The second node is not removed by a reload.
    await reload(pair, a, alone(pair));
    const still = await a.status();
    assert.equal(still.peer?.node, "b");
    assert.match(still.reason ?? "", /restart to apply what was changed in pair/);
    const b = pair.start("b");
    await pair.isWell(b);
  });

  test("a second node without the secret hears nothing, and claims nothing while this one answers", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const a = pair.start("a", { changes: alone(pair) });
    await a.becomes("active");
    site.file("other-secret", "another-secret-of-the-same-length\n");
    const b = pair.start("b", { changes: { pair: { secretFile: "other-secret" } } });
    await b.until("estranged", ({ peer }) => /does not have our secret/.test(peer?.problem ?? ""));
    await sleep(4 * ACTIVE_DOWN_MS);
    assert.equal((await b.status()).role, "standby");
  });
});
