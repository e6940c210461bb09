// A node as a service: what systemd hears of it over the socket that it hands out, what the targets of the role are told, and the configuration
// that nobody has written yet.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "../support/http-client.ts";
import { NotifySocket } from "../support/notify-socket.ts";
import { PORT, Site } from "../support/site.ts";
import { runVipair, type VipairProcess } from "../support/vipair-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const WATCHDOG_MS = 2000;
/** A machine that is busy with other tests. */
const WITHIN = { withinMs: 20_000 };

interface Service {
  readonly site: Site;
  readonly socket: NotifySocket;
  /** What a service of systemd has in its environment, and a systemctl that only writes down what it is told. */
  readonly env: Readonly<Record<string, string>>;
  readonly orders: () => readonly string[];
}

async function openService(t: TestContext): Promise<Service> {
  const site = Site.open(t);
  const socket = await NotifySocket.open(join(site.folder, "notify"));
  site.atEnd(() => {
    socket.close();
  });
  const orders = join(site.folder, "orders");
  const bin = site.directory("bin");
  // Questions it does not answer.
  const systemctl = `#!/bin/sh\n[ "$1" = is-active ] || echo "$@" >> ${orders}\n`;
  writeFileSync(join(bin, "systemctl"), systemctl, { mode: 0o755 });
  return {
    site,
    socket,
    env: {
      NOTIFY_SOCKET: socket.path,
      WATCHDOG_USEC: String(1000 * WATCHDOG_MS),
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
    },
    orders: () => (existsSync(orders) ? readFileSync(orders, "utf8").split("\n").filter(Boolean) : []),
  };
}

async function balancesAlone(site: Site): Promise<{ readonly host: string; readonly content: object }> {
  const host = await site.address();
  const backend = await site.backend("one");
  return {
    host,
    content: {
      listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
      pools: { web: { backends: [backend.address] } },
      workers: 1,
    },
  };
}

function environmentOf(pid: number): string {
  return readFileSync(`/proc/${String(pid)}/environ`, "latin1");
}

/** What top calls it. */
function commOf(pid: number): string {
  return readFileSync(`/proc/${String(pid)}/comm`, "utf8").trim();
}

async function becomes(what: string, holds: () => boolean): Promise<void> {
  await waitUntil(async () => holds(), { what, ...WITHIN });
}

describe("a service", { concurrency: 2 }, () => {
  test("it is ready when clients are served, lives, says how it is, and says that it goes", async (t) => {
    const { site, socket, env, orders } = await openService(t);
    const { host, content } = await balancesAlone(site);
    const vipair = site.start({ config: site.config(content), runtimeDir: join(site.folder, "run"), env });
    await becomes("ready", () => socket.newest("READY") === "1");
    assert.equal((await ask({ host })).body, "one");
    assert.match(
      socket.newest("STATUS") ?? "",
      /^active since \d\d:\d\d:\d\d \(balances alone.*\); backends 1\/1 up$/,
    );
    await becomes("a target", () => orders().length > 1);
    assert.deepEqual(orders(), [
      // Whatever an earlier life has left.
      "--no-block stop vipair-active.target vipair-standby.target",
      "--no-block start vipair-active.target",
    ]);

    // The spare worker may still be on its way.
    await becomes("names that people can read", () => {
      const names = [vipair.pid, ...vipair.children()].map((pid) => commOf(pid));
      return [...new Set(names)].toSorted().join() === "vipair,vipair-launcher,vipair-worker";
    });

    // Its own processes cannot speak for it.
    for (const pid of vipair.children()) assert.doesNotMatch(environmentOf(pid), /NOTIFY|WATCHDOG/);

    vipair.signal("SIGTERM");
    await becomes("stopping", () => socket.newest("STOPPING") === "1");
    assert.ok(Number(socket.newest("EXTEND_TIMEOUT_USEC")) >= 10_000_000);
    assert.deepEqual(await vipair.exit(), { code: 0, signal: null });
  });

  test("a process that hangs gives no sign of life", async (t) => {
    const { site, socket, env } = await openService(t);
    const { content } = await balancesAlone(site);
    const vipair = site.start({ config: site.config(content), runtimeDir: join(site.folder, "run"), env });
    const signs = () => socket.notices.filter((notice) => notice["WATCHDOG"] === "1").length;
    await becomes("several signs of life", () => socket.newest("READY") === "1" && signs() >= 3);
    vipair.signal("SIGSTOP");
    // What was sent before is read by then.
    await sleep(200);
    const before = signs();
    await sleep(2 * WATCHDOG_MS);
    assert.equal(signs(), before);
    vipair.signal("SIGCONT");
    await becomes("another sign of life", () => signs() > before);
  });

  test("both nodes of a pair tell their roles, and the targets follow them through a switchover", async (t) => {
    const services = { a: await openService(t), b: await openService(t) };
    const pair = await services.a.site.pair();
    const start = (node: "a" | "b"): VipairProcess => pair.start(node, { env: services[node].env });
    const statusOf = (node: "a" | "b") => services[node].socket.newest("STATUS") ?? "";
    const a = start("a");
    await a.becomes("active");
    const b = start("b");
    await pair.isSettled(a, b);
    await becomes("ready", () => services.b.socket.newest("READY") === "1");
    await becomes(
      "statuses",
      () => /^active .*; peer b standby/.test(statusOf("a")) && statusOf("b").startsWith("standby"),
    );
    assert.match(
      statusOf("a"),
      new RegExp(
        `^active since [0-9:]+, holds ${pair.virtualAddress}; peer b standby, heard \\d+ ms ago; backends 1/1 up$`,
      ),
    );
    assert.match(statusOf("b"), /^standby since [0-9:]+; peer a active, heard \d+ ms ago; backends 1\/1 up$/);
    const lastOrder = (node: "a" | "b") => services[node].orders().at(-1);
    await becomes("targets", () => lastOrder("b") === "--no-block start vipair-standby.target");
    assert.equal(lastOrder("a"), "--no-block start vipair-active.target");

    await a.command("switchover");
    const sinceMs = performance.now();
    await becomes(
      "the targets to swap",
      () =>
        lastOrder("a")?.includes("start vipair-standby") === true &&
        lastOrder("b")?.includes("start vipair-active") === true,
    );
    console.log(`the targets swapped within ${String(Math.round(performance.now() - sinceMs))} ms`);
    b.signal("SIGTERM");
    await b.exit();
    // Its unit stops both when it has ended; on its way out it is no standby.
    assert.equal(services.b.orders().filter((order) => order.includes("start vipair-standby")).length, 1);
  });

  test("without a configuration it waits and says so, and starts when there is one", async (t) => {
    const { site, socket, env, orders } = await openService(t);
    const { host, content } = await balancesAlone(site);
    const config = site.config("# nothing yet\n");
    const sentence = `not configured: run 'sudo vipair init' or edit ${config}, then 'systemctl reload vipair'`;
    const check = await runVipair(["check", "--config", config]);
    assert.deepEqual([check.code, check.stderr], [1, `${config}:1:1  ${sentence}.\n`]);

    const vipair = site.start({ config, runtimeDir: join(site.folder, "run"), env });
    await becomes("ready", () => socket.newest("READY") === "1");
    assert.equal(socket.newest("STATUS"), sentence);
    for (const command of ["status", "role", "switchover"]) {
      const { code, stderr } = await vipair.command(command);
      assert.deepEqual([code, stderr], [1, `vipair: ${sentence}\n`]);
    }
    await vipair.logged("what to do", ({ reason }) => reason === sentence);
    const early = await vipair.command("reload");
    assert.deepEqual([early.code, early.stderr], [1, `vipair: ${sentence}\n`]);

    site.config("pools: 5\n");
    assert.equal((await vipair.command("reload")).code, 1);
    site.config(content);
    const reload = await vipair.command("reload");
    assert.equal(reload.code, 0, reload.stderr);
    await vipair.isReady();
    assert.equal((await ask({ host })).body, "one");
    await becomes("the status of a node", () => socket.newest("STATUS")?.startsWith("active since") === true);
    await becomes("a target", () => orders().includes("--no-block start vipair-active.target"));

    // A file that somebody empties is no configuration, and changes nothing.
    site.config("# nothing\n");
    assert.equal((await vipair.command("reload")).code, 1);
    assert.equal((await ask({ host })).body, "one");
  });

  test("a configuration that cannot be used is the status of a service that does not start", async (t) => {
    const { site, socket, env } = await openService(t);
    const vipair = site.start({
      config: site.config("pools: 5\n"),
      runtimeDir: join(site.folder, "run"),
      env,
    });
    assert.equal((await vipair.exit()).code, 1);
    await becomes("a status", () => socket.newest("STATUS") !== undefined);
    assert.match(socket.newest("STATUS") ?? "", /^cannot start: .*vipair\.yaml:1:/);
  });

  test("until the next start has come to its own, its status is why the last one failed: systemd has forgotten that", async (t) => {
    const { site, socket, env } = await openService(t);
    const { content } = await balancesAlone(site);
    const runtimeDir = site.directory("run");
    const start = (config: object | string) => site.start({ config: site.config(config), runtimeDir, env });
    const said = () => socket.notices.flatMap(({ STATUS }) => (STATUS === undefined ? [] : [String(STATUS)]));
    await start("pools: 5\n").exit();
    const [reason = ""] = said();
    assert.match(reason, /^cannot start: .*vipair\.yaml:1:/);
    await start("pools: 5\n").exit();
    await becomes("both statuses of the second", () => said().length === 3);
    assert.deepEqual(said(), [reason, `trying again: ${reason}`, reason]);

    start(content);
    await becomes("ready", () => socket.newest("READY") === "1");
    assert.equal(said()[3], `trying again: ${reason}`);
    assert.match(socket.newest("STATUS") ?? "", /^active since/);
    assert.ok(!existsSync(join(runtimeDir, "cannot-start")));
  });
});
