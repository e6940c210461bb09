// The lab measures the pair; this measures the lab: that its cables can be pulled, its kills kill, its watch sees.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { waitUntil } from "../support/wait-until.ts";
import { Lab } from "./lab.ts";
import { VIP } from "./lab-config.ts";
import { Meter } from "./meter.ts";
import { ipv4Of, ipv6Of } from "./network.ts";
import { labIsMissing } from "./requirements.ts";

const skip = labIsMissing();
const lab = new Lab();

before(() => (skip === false ? lab.up() : undefined));
after(() => lab.down());

test("machines reach each other over IPv4 and IPv6", { skip }, async () => {
  for (const host of [ipv4Of("backend1"), ipv6Of("backend1")]) {
    const meter = await Meter.start(lab.network, "client", { host, port: 8080 });
    const report = await meter.stop();
    meter.close();
    assert.deepEqual(report.backends, { backend1: report.total });
    assert.ok(report.total > 0);
  }
});

test(
  "a pulled cable takes the carrier away and stops the traffic, a plugged one brings both back",
  { skip },
  async () => {
    const carrier = async () => (await lab.network.exec("a", ["cat", "/sys/class/net/eth0/carrier"])).trim();
    const ping = () => lab.network.exec("client", ["ping", "-c", "1", "-W", "1", ipv4Of("a")]);
    await ping();
    await lab.pullCable("a");
    assert.equal(await carrier(), "0");
    await assert.rejects(ping());
    await lab.plugCable("a");
    await waitUntil(async () => (await carrier()) === "1", { what: "the carrier", withinMs: 2000 });
    await ping();
  },
);

test("the watch sees who holds the address, until the kernel takes it away", { skip }, async () => {
  const begin = performance.now();
  await lab.network.ip("a", `addr add ${VIP}/24 dev eth0 valid_lft 1 preferred_lft 1`);
  await waitUntil(() => lab.watch.holdersAt(performance.now()).length === 1, {
    what: "a claim",
    withinMs: 500,
  });
  await lab.network.ip("b", `addr add ${VIP}/24 dev eth0`);
  assert.deepEqual(await lab.holders(), ["a", "b"]);
  await waitUntil(() => lab.watch.soleHolderSince("b") !== null, {
    what: "the lease to end",
    withinMs: 2500,
  });
  assert.deepEqual(await lab.holders(), ["b"]);
  const alone = lab.watch.soleHolderSince("b");
  assert.ok(alone !== null && alone - begin > 900, `b alone after ${String(alone)}`);
  const overlap = lab.watch.overlapMs(begin);
  assert.ok(overlap > 500 && overlap < 2000, `overlap ${String(overlap)}`);
  assert.equal(lab.watch.claimsSince(begin).length, 2);
  await lab.network.ip("b", `addr del ${VIP}/24 dev eth0`);
});

test("killing everything on a node leaves no process there but the watch", { skip }, async () => {
  const child = lab.network.spawn("a", ["sh", "-c", "sleep 100 & sleep 100"], { stdio: "ignore" });
  await waitUntil(async () => (await lab.network.pids("a")).length === 4, {
    what: "two sleeps",
    withinMs: 2000,
  });
  const exit = once(child, "exit");
  await lab.killEverything("a");
  await exit;
  await waitUntil(async () => (await lab.network.pids("a")).every((pid) => lab.watch.pids.has(pid)), {
    what: "the processes to go",
    withinMs: 2000,
  });
  assert.ok(lab.watch.pids.size === 2);
});

test("a lab that is taken down leaves no namespace and no process", { skip }, async () => {
  const other = new Lab();
  await other.up();
  const pids = await other.network.pids("backend1");
  assert.equal(pids.length, 1);
  await other.down();
  assert.ok(
    !spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout.includes(`${other.network.name}-`),
  );
  await waitUntil(() => spawnSync("kill", ["-0", String(pids[0])]).status !== 0, {
    what: "the backend to end",
    withinMs: 2000,
  });
});
