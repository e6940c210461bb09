// An operator takes a node out of service and back, with real processes: where the order is kept, what the
// clients see of it, and who may end it.

import assert from "node:assert/strict";
import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { activeDownMs } from "../../src/election/timing.ts";
import { ask } from "../support/http-client.ts";
import { Site } from "../support/site.ts";
import { SparedClient } from "../support/spared-client.ts";
import type { VipairProcess } from "../support/vipair-process.ts";

const INTERVAL_MS = 100;

/** Both nodes know that these are out of service, and say so. */
async function isKnown(nodes: readonly VipairProcess[], maintenance: readonly string[]): Promise<void> {
  for (const node of nodes) {
    const what = `maintenance of ${maintenance.join(" and ") || "nobody"}`;
    const status = await node.until(
      what,
      (now) => String(now.maintenance.toSorted()) === String(maintenance),
    );
    assert.deepEqual(status.maintenance.toSorted(), maintenance);
  }
}

function storedChanges(node: VipairProcess): { readonly atMs: number; readonly text: string } {
  const path = join(node.runtimeDir, "changes.json");
  return { atMs: statSync(path).mtimeMs, text: readFileSync(path, "utf8") };
}

describe("maintenance", { concurrency: false }, () => {
  test("the life of a maintenance", async (whole) => {
    const site = Site.open(whole);
    const pair = await site.pair();
    const nodes = await pair.startBoth();

    await whole.test(
      "rule 12: `vipair standby` on the active is stored before the role moves, and no request fails",
      async (t) => {
        const client = new SparedClient(t, pair);
        const { code, stdout, stderr } = await nodes.a.command("standby");
        assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
        assert.equal(stdout, "a is in maintenance; `vipair resume` ends it\n");
        assert.deepEqual(
          [(await nodes.a.status()).role, (await nodes.b.status()).role],
          ["standby", "active"],
        );
        t.diagnostic(await client.stop());

        const { atMs, text } = storedChanges(nodes.a);
        assert.match(text, /maintenance\/a/);
        const claim = pair.hookCalls().find(({ node, action }) => node === "b" && action === "claim");
        assert.ok(claim !== undefined && atMs <= claim.atMs, "stored first");
        // The peer has it on its disk, too, before the operator is told that all is done.
        assert.match(storedChanges(nodes.b).text, /maintenance\/a/);
      },
    );

    await whole.test("status says it on both nodes", async () => {
      await isKnown([nodes.a, nodes.b], ["a"]);
      await nodes.a.until("the reason", ({ reason }) => /in maintenance: `vipair resume`/.test(reason ?? ""));
      assert.match((await nodes.b.command("status")).stdout, /^maintenance +a$/m);
    });

    await whole.test("a switchover to the node in maintenance is refused with the reason", async () => {
      for (const node of [nodes.a, nodes.b]) {
        const { code, stderr } = await node.command("switchover");
        assert.equal(code, 1);
        assert.match(stderr, /in maintenance/);
      }
    });

    await whole.test("`vipair standby` of the other node is refused then, from either node", async () => {
      for (const [node, ...args] of [
        [nodes.b, "standby"],
        [nodes.a, "standby", "b"],
      ] as const) {
        const { code, stdout, stderr } = await node.command(...args);
        assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
        assert.match(stderr, /^vipair: a is in maintenance/);
        await isKnown([nodes.a, nodes.b], ["a"]);
      }
      assert.equal((await nodes.b.status()).role, "active");
    });

    await whole.test("rule 12: a node that was killed in maintenance comes back in maintenance", async () => {
      await nodes.a.kill();
      nodes.a = pair.start("a");
      await nodes.a.until("a standby in maintenance", ({ role, reason, peer }) => {
        return role === "standby" && /in maintenance/.test(reason ?? "") && peer?.role === "active";
      });
      await isKnown([nodes.a, nodes.b], ["a"]);
    });

    await whole.test("the death of the peer does not make a node in maintenance claim", async () => {
      await nodes.b.kill();
      await nodes.a.logged("the death", ({ msg }) => msg === "the peer's process is dead");
      await sleep(2 * activeDownMs(150, INTERVAL_MS));
      const { role, maintenance } = await nodes.a.status();
      assert.deepEqual({ role, maintenance }, { role: "standby", maintenance: ["a"] });
      assert.ok(!nodes.a.lines.some(({ msg }) => msg === "claiming"));
    });

    await whole.test("rule 12: `vipair resume` ends it even while the peer is dead", async () => {
      const { code, stdout } = await nodes.a.command("resume");
      assert.equal(code, 0);
      assert.match(stdout, /^a is back in service \(the other node is not in touch/);
      await nodes.a.becomes("active");
      assert.equal((await ask({ host: pair.virtualAddress })).body, "one");
    });

    await whole.test("the peer learns of it when it is back", async () => {
      nodes.b = pair.start("b");
      await pair.isWell(nodes.b);
      await isKnown([nodes.a, nodes.b], []);
    });

    await whole.test(
      "`vipair standby NODE` takes the other node out of service, without a failed request",
      async (t) => {
        const client = new SparedClient(t, pair);
        const { code, stdout, stderr } = await nodes.b.command("standby", "a");
        assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
        assert.match(stdout, /^a is in maintenance/);
        assert.deepEqual(
          [(await nodes.a.status()).role, (await nodes.b.status()).role],
          ["standby", "active"],
        );
        t.diagnostic(await client.stop());
        await isKnown([nodes.a, nodes.b], ["a"]);
      },
    );

    await whole.test("rule 12: either node ends it", async () => {
      const { code, stdout } = await nodes.b.command("resume", "a");
      assert.deepEqual({ code, stdout }, { code: 0, stdout: "a is back in service\n" });
      await pair.isWell(nodes.a);
      await isKnown([nodes.a, nodes.b], []);
      // Nothing moves back.
      assert.equal((await nodes.b.status()).role, "active");
    });

    await whole.test("`vipair resume` of a node that is in service says so", async () => {
      for (const node of ["a", "b"]) {
        const { code, stdout } = await nodes.b.command("resume", node);
        assert.deepEqual({ code, stdout }, { code: 0, stdout: `${node} was not in maintenance\n` });
      }
    });

    await whole.test("a node that is not in the configuration is refused by name", async () => {
      for (const command of ["standby", "resume"]) {
        const { code, stderr } = await nodes.b.command(command, "c");
        assert.equal(code, 1);
        assert.match(stderr, /there is no node "c", only a and b/);
      }
    });
  });
});

describe("orders of maintenance that are refused", { concurrency: 2 }, () => {
  test("rule 12: an order that cannot be stored is refused, and nothing moves", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const stateDir = join(site.folder, "state");
    const a = pair.start("a", { env: { STATE_DIRECTORY: stateDir } });
    await a.becomes("active");
    const b = pair.start("b");
    await pair.isWell(b);
    // Root could write to a directory whatever its mode.
    rmSync(stateDir, { recursive: true, force: true });
    site.file("state", "no directory");
    for (const args of [["standby"], ["standby", "--force"], ["drain", `web/${pair.backend.address}`]]) {
      const { code, stdout, stderr } = await a.command(...args);
      assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
      assert.match(stderr, /ENOTDIR|EEXIST/);
    }
    assert.deepEqual((await b.status()).maintenance, []);
    assert.equal((await a.status()).role, "active");
    assert.ok(!b.lines.some(({ msg }) => msg === "claiming"));
    // Resuming what was never ordered needs no disk.
    assert.equal((await a.command("resume")).code, 0);
  });

  test("rule 12: maintenance can be left though the disk takes nothing, and the command says what that means", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const stateDir = join(site.folder, "state");
    const a = pair.start("a", { env: { STATE_DIRECTORY: stateDir } });
    await a.becomes("active");
    assert.equal((await a.command("standby", "--force")).code, 0);
    // Root could write to a directory whatever its mode.
    rmSync(stateDir, { recursive: true, force: true });
    site.file("state", "no directory");
    const { code, stdout, stderr } = await a.command("resume");
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(
      stdout,
      /^a is back in service.*, but .* a restart .*cannot store run-time changes in .*: E/s,
    );
    await a.becomes("active");
    assert.deepEqual((await a.status()).maintenance, []);
  });

  test("without a peer that can take over, `vipair standby` is refused with the reason, and --force lets go", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const a = pair.start("a");
    await a.becomes("active");

    const refused = await a.command("standby");
    assert.deepEqual({ code: refused.code, stdout: refused.stdout }, { code: 1, stdout: "" });
    assert.match(refused.stderr, /^vipair: b is not in touch; --force takes a out of service all the same$/m);
    const { role, maintenance } = await a.status();
    assert.deepEqual({ role, maintenance }, { role: "active", maintenance: [] });

    const forced = await a.command("standby", "--force");
    assert.equal(forced.code, 0, forced.stderr);
    const alone = await a.status();
    assert.deepEqual(
      [alone.role, alone.maintenance, alone.virtualAddresses[0]?.held],
      ["standby", ["a"], false],
    );
    await assert.rejects(ask({ host: pair.virtualAddress }), /ECONNREFUSED/);

    assert.equal((await a.command("resume")).code, 0);
    await a.becomes("active");
    assert.equal((await ask({ host: pair.virtualAddress })).body, "one");
  });

  test("claim: safe: the only node that is about to serve does not go into maintenance without --force", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({ pair: { claim: "safe", lease: "6s" } });
    const { a, b } = await pair.startBoth();
    await a.kill();
    await b.until("the wait for the lease of a", ({ reason }) => /lease to end/.test(reason ?? ""));
    const { code, stderr } = await b.command("standby");
    assert.equal(code, 1);
    assert.match(stderr, /^vipair: a is not in touch; --force takes b out of service all the same$/m);
    await b.becomes("active");
  });

  test("`vipair standby NODE --force` lets the other node go at once, though nobody can take over", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const { a, b } = await pair.startBoth();
    assert.equal((await b.command("standby")).code, 0);

    const refused = await b.command("standby", "a");
    assert.deepEqual({ code: refused.code, stdout: refused.stdout }, { code: 1, stdout: "" });
    assert.match(refused.stderr, /^vipair: b is in maintenance itself; --force takes a out of service/m);
    const forced = await b.command("standby", "a", "--force");
    assert.deepEqual({ code: forced.code, stderr: forced.stderr }, { code: 0, stderr: "" });
    await isKnown([a, b], ["a", "b"]);
    const gone = await a.until("a standby without its address", ({ role }) => role === "standby");
    assert.equal(gone.virtualAddresses[0]?.held, false);
    await assert.rejects(ask({ host: pair.virtualAddress }), /ECONNREFUSED/);

    assert.equal((await b.command("resume", "a")).code, 0);
    await a.becomes("active");
    await isKnown([a, b], ["b"]);
  });
});
