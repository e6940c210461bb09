// One machine without a pair, and what every command says about it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Status } from "../../src/protocol/status.ts";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import { LAUNCHER, runVipair } from "../support/vipair-process.ts";

const ROOT = join(import.meta.dirname, "../..");
const NOBODY = { uid: 65_534, gid: 65_534 };
const isRoot = process.getuid?.() === 0;

function configAlone({ address, backend }: { readonly address: string; readonly backend: string }): object {
  return {
    listeners: [{ name: "web", bind: `${address}:${String(PORT)}`, pool: "web" }],
    pools: { web: { backends: [backend], health: { kind: "none" } } },
    workers: 1,
  };
}

/**
 * A launcher that nobody may run: the checkout's, or that of a copy when the checkout lies in a directory that is
 * closed to others, as one made by mktemp is.
 */
function launcherForNobody(site: Site): string {
  const { status } = spawnSync("/bin/sh", [LAUNCHER, "--version"], { ...NOBODY, timeout: 10_000 });
  if (status === 0) return LAUNCHER;
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { readonly dev?: boolean }>;
  };
  const needed = Object.keys(packages).filter((path) => path !== "" && packages[path]?.dev !== true);
  const copy = site.directory("checkout");
  for (const path of ["src", "scripts", "package.json", ...needed]) {
    // A runtime for another machine is in the list, and not installed.
    if (existsSync(join(ROOT, path))) cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  }
  assert.equal(spawnSync("chmod", ["-R", "a+rX", copy]).status, 0);
  return join(copy, "scripts/vipair");
}

describe("alone", { concurrency: 3 }, () => {
  test("a configuration without a pair runs one balancer, without root above port 1024", async (t) => {
    const site = Site.open(t);
    const address = await site.address();
    const backend = await site.backend("one");
    const config = site.config(configAlone({ address, backend: backend.address }));
    const runtimeDir = site.directory("run");
    if (isRoot) {
      chmodSync(site.folder, 0o755);
      chownSync(runtimeDir, NOBODY.uid, NOBODY.gid);
    }
    const vipair = site.start({
      config,
      runtimeDir,
      ...(isRoot ? { user: NOBODY, launcher: launcherForNobody(site) } : {}),
    });
    await vipair.isReady();

    assert.equal((await ask({ host: address })).body, "one");
    assert.match(readFileSync(`/proc/${String(vipair.pid)}/status`, "utf8"), /^Uid:\t(?!0\t)/m);
    const status = await vipair.status();
    assert.equal(status.role, "active");
    assert.equal(status.peer, null);
    assert.match(status.reason ?? "", /no standby/);
    const printed = await vipair.command("status");
    assert.match(printed.stdout, /no standby/);
    vipair.signal("SIGTERM");
    assert.deepEqual(await vipair.exit(), { code: 0, signal: null });
  });

  test("role prints the role and exits 0 while a node runs, and 3 when none does", async (t) => {
    const site = Site.open(t);
    const address = await site.address();
    const config = site.config(configAlone({ address, backend: `${address}:9` }));
    const runtimeDir = join(site.folder, "run");
    const before = await runVipair(["role", "--runtime-dir", runtimeDir]);
    assert.equal(before.code, 3);
    assert.equal(before.stdout, "");
    assert.match(before.stderr, /no vipair runs/);

    const vipair = site.start({ config, runtimeDir });
    await vipair.isReady();
    assert.deepEqual(await vipair.command("role"), { code: 0, stdout: "active\n", stderr: "" });

    // The socket of a dead process is no vipair.
    await vipair.kill();
    assert.ok(existsSync(join(runtimeDir, "admin.sock")));
    const codes = ["role", "status", "switchover"].map(
      async (command) => (await vipair.command(command)).code,
    );
    assert.deepEqual(await Promise.all(codes), [3, 3, 3]);
  });

  test("nodes with different runtime directories run on one machine; a second one in the same is refused", async (t) => {
    const site = Site.open(t);
    const addresses = [await site.address(), await site.address(), await site.address()];
    const [first, second, intruder] = addresses.map((address, place) =>
      site.config(configAlone({ address, backend: `${address}:9` }), `${String(place)}.yaml`),
    );
    assert.ok(first !== undefined && second !== undefined && intruder !== undefined);
    const here = site.start({ config: first, runtimeDir: join(site.folder, "here") });
    const there = site.start({ config: second, runtimeDir: join(site.folder, "there") });
    await Promise.all([here.isReady(), there.isReady()]);

    const refused = site.start({ config: intruder, runtimeDir: here.runtimeDir });
    assert.equal((await refused.exit()).code, 1);
    assert.match(refused.rawLines.join("\n"), new RegExp(`another vipair runs.*pid ${String(here.pid)}`));
    assert.equal((await here.status()).listeners[0]?.bind, `${addresses[0] ?? ""}:${String(PORT)}`);
    assert.equal((await there.status()).role, "active");
  });

  test("what only a pair can do is refused with the reason on a node alone", async (t) => {
    const site = Site.open(t);
    const address = await site.address();
    const vipair = site.start({
      config: site.config(configAlone({ address, backend: `${address}:9` })),
      runtimeDir: join(site.folder, "run"),
    });
    await vipair.isReady();
    for (const command of ["switchover", "standby", "resume"]) {
      const { code, stderr } = await vipair.command(command);
      assert.equal(code, 1);
      assert.match(stderr, /no pair/);
    }
  });

  test("a node that the pair does not know is told the names that it knows", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const config = site.config(pair.content());
    const vipair = site.start({ config, node: "c", runtimeDir: join(site.folder, "c") });
    assert.equal((await vipair.exit()).code, 1);
    assert.match(vipair.stderr, /"c".*a, b/);
    assert.ok(!existsSync(join(site.folder, "c")));
  });

  test("status --json has exactly the keys and types that are promised", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const { b } = await pair.startBoth();
    const { stdout, code } = await b.command("status", "--json");
    assert.equal(code, 0);
    const status = JSON.parse(stdout) as Status;
    assert.deepEqual(shapeOf(status), [
      "arbiter.address: null",
      "arbiter.lastAnswerMs: null",
      "arbiter.method: null",
      "arbiter.problem: string",
      "configHash: string",
      "epoch: number",
      "groups[].damped: boolean",
      "groups[].effectivePriority: number",
      "groups[].epoch: number",
      "groups[].name: string",
      "groups[].peerRole: string",
      "groups[].priority: number",
      "groups[].reason: null",
      "groups[].role: string",
      "groups[].since: string",
      "groups[].virtualAddresses[].address: string",
      "groups[].virtualAddresses[].held: boolean",
      "groups[].virtualAddresses[].interface: string",
      "listeners[].bind: string",
      "listeners[].name: string",
      "listeners[].open: boolean",
      "listeners[].problem: null",
      "mirrors.dropped: number",
      "mirrors.sent: number",
      "node: string",
      "peer.configMatches: boolean",
      "peer.connected: boolean",
      "peer.lastHeardMs: number",
      "peer.newerFile: string",
      "peer.node: string",
      "peer.paths[].connected: boolean",
      "peer.paths[].lastHeardMs: number",
      "peer.paths[].peer: string",
      "peer.paths[].problem: null",
      "peer.paths[].self: string",
      "peer.problem: null",
      "peer.role: string",
      "pools[].backends[].activeConnections: number",
      "pools[].backends[].address: string",
      "pools[].backends[].agent: null",
      "pools[].backends[].breaker: null",
      "pools[].backends[].degraded: null",
      "pools[].backends[].ejection: null",
      "pools[].backends[].failures: number",
      "pools[].backends[].lastCheck: null",
      "pools[].backends[].name: string",
      "pools[].backends[].order: null",
      "pools[].backends[].reason: null",
      "pools[].backends[].requests: number",
      "pools[].backends[].state: string",
      "pools[].backends[].weight: number",
      "pools[].backends[].weightPercent: number",
      "pools[].name: string",
      "pools[].overflows: number",
      "pools[].panic: null",
      "pools[].queued: number",
      "pools[].reconnects: number",
      "pools[].retries: number",
      "pools[].retriesRefused: number",
      "priority: number",
      "reason: null",
      "refusedConnections: number",
      "requests: number",
      "role: string",
      "since: string",
      "uptimeMs: number",
      "version: string",
      "virtualAddresses[].address: string",
      "virtualAddresses[].held: boolean",
      "virtualAddresses[].interface: string",
      "workers[].connections: number",
      "workers[].pid: number",
      "workers[].uptimeMs: number",
    ]);
    assert.equal(status.node, "b");
    assert.equal(status.priority, 100);
    assert.equal(status.peer?.node, "a");
    assert.match(status.configHash, /^[0-9a-f]{12}$/);
    assert.ok(Math.abs(Date.now() - Date.parse(status.since)) < 60_000, status.since);
    assert.match(status.since, /Z$/);
    const { version } = JSON.parse(readFileSync(join(LAUNCHER, "../../package.json"), "utf8")) as {
      version: string;
    };
    assert.equal(status.version, version);
  });
});

/** Every leaf as "path: type", sorted; the members of a list count as one. */
function shapeOf(value: unknown, path = ""): string[] {
  const leaves = new Set<string>();
  if (Array.isArray(value)) {
    for (const member of value) for (const leaf of shapeOf(member, `${path}[]`)) leaves.add(leaf);
  } else if (typeof value === "object" && value !== null) {
    for (const [key, member] of Object.entries(value))
      for (const leaf of shapeOf(member, path === "" ? key : `${path}.${key}`)) leaves.add(leaf);
  } else {
    leaves.add(`${path}: ${value === null ? "null" : typeof value}`);
  }
  return [...leaves].toSorted();
}
