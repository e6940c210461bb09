// Two groups of addresses, each with an election of its own: active/active.

import assert from "node:assert/strict";
import { test } from "node:test";
import { OpenLoopClient } from "../../src/cli/open-loop-client.ts";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";

test("two groups make an active/active pair: each fails over by itself", async (t) => {
  const site = Site.open(t);
  const pair = await site.pair({ pair: { advertisementInterval: "500ms" } });
  const second = await site.address();
  const virtualAddresses = [
    { group: "east", addresses: [{ address: `${pair.virtualAddress}/8`, interface: "lo" }] },
    {
      group: "west",
      priorities: { a: 100, b: 150 },
      preempt: true,
      addresses: [{ address: `${second}/8`, interface: "lo" }],
    },
  ];
  const start = (node: "a" | "b") => pair.start(node, { changes: { top: { virtualAddresses } } });
  let a = start("a");
  const b = start("b");
  const rolesOf = async (node: typeof a) =>
    (await node.status()).groups.map(({ name, role }) => `${name} ${role}`);
  const isSpread = async () => {
    await a.until(
      "a is active in east alone",
      ({ groups }) =>
        groups[0]?.role === "active" && groups[1]?.role === "standby" && groups[1].peerRole === "active",
    );
    await b.until(
      "b is active in west alone",
      ({ groups }) =>
        groups[0]?.role === "standby" && groups[0].peerRole === "active" && groups[1]?.role === "active",
    );
  };
  await isSpread();
  for (const host of [pair.virtualAddress, second]) assert.equal((await ask({ host })).body, "one");
  assert.equal((await a.command("role")).stdout.trim(), "active");
  assert.equal((await b.command("role")).stdout.trim(), "active");
  assert.match((await a.command("status")).stdout, /^groups +east +active .*\n +west +standby /m);

  const west = new OpenLoopClient({ host: second, port: PORT });
  west.start();
  t.after(() => west.stop());
  a.signalAll("SIGKILL");
  await a.exit();
  await b.until("b is active in both", ({ groups }) => groups.every(({ role }) => role === "active"));
  assert.equal((await ask({ host: pair.virtualAddress })).body, "one");
  const { total, outcomes } = await west.stop();
  assert.deepEqual(outcomes, { ok: total }, "the group that did not move lost no request");

  a = start("a");
  await a.until(
    "a is a standby in both",
    ({ groups, peer }) =>
      peer?.role === "active" && groups.every(({ role, reason }) => role === "standby" && reason === null),
  );
  const unnamed = await b.command("switchover");
  assert.equal(unnamed.code, 1);
  assert.match(unnamed.stderr, /say which group: --group east, west/);
  const moved = await b.command("switchover", "--group", "east");
  assert.deepEqual({ code: moved.code, stderr: moved.stderr }, { code: 0, stderr: "" });
  assert.match(moved.stdout, /^active is now a /);
  await isSpread();

  a.signal("SIGTERM");
  assert.deepEqual(await a.exit(), { code: 0, signal: null });
  await b.until("b has taken east over", ({ groups }) => groups.every(({ role }) => role === "active"));
  assert.deepEqual(await rolesOf(b), ["east active", "west active"]);
});
