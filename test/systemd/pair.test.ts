// The story of two machines, from the package to the purge, with real systemd, real backends and a client that asks all the
// time. One story, because each chapter begins where the one before has left the machines, as in life.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, describe, it } from "node:test";
import type { OpenLoopReport } from "../../src/cli/open-loop-client.ts";
import { ipv4Of } from "../lab/network.ts";
import { BACKEND_PORT, BACKENDS, VIP } from "../lab/lab-config.ts";
import { assertNoneFailed, assertOutageAtMost, describeReport, type Meter } from "../lab/meter.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Machines } from "./machines.ts";
import { makePackages, type Packages } from "./packages.ts";
import { startProbe } from "./probe.ts";
import { machinesAreMissing } from "./requirements.ts";
import { install, installByApt, restarted, says, statusText } from "./service.ts";
import { tellOfTwoProtocols } from "./two-protocols.ts";
import { tellOfUpgrades } from "./upgrades.ts";

/** What the issue of this story promises. */
const OUTAGE_MS_MAX = 1000;
const TARGETS_SWAP_MS_MAX = 2000;
/** For targets that somebody else has started to be put right, on a busy machine. */
const TARGETS_CHECKED_MS_MAX = 10_000;
const CONTROL_RSS_MIB_MAX = 80;
const WORKER_RSS_MIB_MAX = 70;
const REQUEST_EVERY_MS = 10;
/** Of requests that an outage has held up, and nothing else. */
const WAIT_MS_MIN = 300;

/** What is there is on a disk of its own, where there is no room for one byte more. */
const FILL_ETC_VIPAIR = `
cp -a /etc/vipair /root/etc-vipair
mount -t tmpfs -o size=32k,mode=755 tmpfs /etc/vipair
cp -a /root/etc-vipair/secret /root/etc-vipair/vipair.yaml /etc/vipair/
! cat /dev/zero > /etc/vipair/filling 2>/dev/null`;

const ACCESS_LOG = "/var/log/vipair/access.log";

/** For three seconds or more, which is longer than a try and the pause behind it. */
const LOOK_AT_STATUS = `
for look in $(seq 30); do
  systemctl show --property=SubState,StatusText vipair | paste -sd ' '
  sleep 0.1
done`;

const FILES =
  "find / -xdev -not -path '/var/log/*' -not -path '/root/*' -not -path '/proc/*' -not -path '/tmp/*' | sort";

describe("two machines with systemd", { skip: machinesAreMissing() }, () => {
  const machines = new Machines();
  const folder = mkdtempSync(join(tmpdir(), "vipair-packages-"));
  let packages: Packages;
  let meter: Meter;
  /** Of pi-a, before anything was installed. */
  let filesBefore: string[];

  before(async () => {
    packages = await makePackages(folder);
    await machines.up();
  });

  after(async () => {
    (meter as Meter | undefined)?.close();
    await machines.down();
    rmSync(folder, { recursive: true, force: true });
  });

  afterEach(async (t) => {
    if ("passed" in t && !t.passed) console.log(await machines.journals());
  });

  /** What the client sees from here on, when `act` has been done and the pair is at rest again. */
  async function outageOf(label: string, act: () => Promise<void>): Promise<OpenLoopReport> {
    await meter.mark(label);
    await act();
    await machines.settle();
    return seenSince(label);
  }

  async function seenSince(label: string): Promise<OpenLoopReport> {
    const report = await meter.outageSince(label);
    console.log(`${label}: ${describeReport(report)}`);
    return report;
  }

  const [first, second] = [() => machines.both[0], () => machines.both[1]];

  describe("installed", () => {
    it("half: it says what to finish, and writes nothing that would be in the way of that", async () => {
      await second().run("dpkg", "--unpack", second().copyIn(packages.current));
      const { status, stderr } = await second().attempt("vipair", "init", "--vip", VIP, "--yes");
      assert.equal(status, 1);
      assert.match(stderr, /half installed.*dpkg --configure/);
      await second().run("dpkg", "--configure", "vipair");
    });

    it("by apt or by dpkg, it waits, and says that it is not configured", async () => {
      filesBefore = (await first().run("sh", "-c", FILES)).split("\n");
      await Promise.all([installByApt(first(), packages.current), install(second(), packages.current)]);
      for (const machine of machines.both) {
        assert.equal(await machine.isActive("vipair.service"), true, await machine.journal());
        assert.match(await statusText(machine), /not configured.*vipair init/);
        assert.equal(await machine.isActive("vipair-active.target"), false);
        assert.equal(await machine.isActive("vipair-standby.target"), false);
      }
    });
  });

  describe("paired by init and join", () => {
    it("init refuses an address that somebody has, and says who by the MAC", async () => {
      await machines.network.ip("client", `addr add ${VIP}/24 dev eth0`);
      const [link] = JSON.parse(await machines.network.ip("client", "-json link show dev eth0")) as {
        address: string;
      }[];
      const { status, stderr } = await first().attempt("vipair", "init", "--vip", VIP, "--yes");
      await machines.network.ip("client", `addr del ${VIP}/24 dev eth0`);
      assert.notEqual(status, 0);
      assert.match(stderr, new RegExp(String(link?.address), "i"));
    });

    it("one line on each makes a pair", async () => {
      const backends = BACKENDS.flatMap((machine) => [
        "--backend",
        `${ipv4Of(machine)}:${String(BACKEND_PORT)}`,
      ]);
      const init = first().start("vipair", "init", "--vip", VIP, ...backends, "--yes");
      let said = "";
      init.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
      const ended = new Promise<number | null>((resolve) => init.once("close", resolve));
      const line = await new Promise<string>((resolve, reject) => {
        if (init.stdout !== null) createInterface({ input: init.stdout }).once("line", resolve);
        init.once("close", () => {
          reject(new Error(`init ended: ${said}`));
        });
      });
      assert.match(line, /^sudo vipair join 10\.77\.0\.2 [0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/);

      // Before there is a second machine the first one serves alone, at the address of the pair.
      await waitUntil(() => machines.watch.soleHolderSince("pi-a") !== null, {
        what: "pi-a to hold the address alone",
        withinMs: 20_000,
      });

      // Faults follow each other faster here than in life, and lines of requests are not for the journal; the rest of the file is as init wrote it.
      const edits = [
        "s/^pair:.*/&\\n  roleChangesPerMinute: 1000/",
        `$a logging: { access: { file: ${ACCESS_LOG} } }`,
      ];
      await first().run("sed", "-i", ...edits.flatMap((edit) => ["-e", edit]), "/etc/vipair/vipair.yaml");
      await first().run("systemctl", "restart", "vipair");

      const refused = await second().attempt("vipair", "join", ipv4Of("a"), "0000-0000-0000", "--yes");
      assert.notEqual(refused.status, 0);
      assert.match(refused.stderr, /code/);

      await second().run(...(line.split(" ").slice(1) as [string, ...string[]]), "--yes");
      assert.equal(await ended, 0, said);
      const { active, standby } = await machines.settle();
      assert.deepEqual([active.name, standby.name], ["pi-a", "pi-b"]);
      for (const machine of machines.both) {
        const modes = await machine.run(
          "stat",
          "-c",
          "%a %U",
          "/etc/vipair/secret",
          "/etc/vipair/vipair.yaml",
        );
        assert.equal(modes, "600 root\n644 root\n");
      }
    });
  });

  describe("at rest", () => {
    it("systemctl status tells role, address, peer and backends on both", async () => {
      const { active, standby } = await machines.settle();
      await says(
        active,
        /^active since \d\d:\d\d:\d\d, holds 10\.77\.0\.100; peer pi-\w standby, heard \d+ m?s ago; backends 2\/2 up$/,
      );
      await says(
        standby,
        /^standby since \d\d:\d\d:\d\d; peer pi-\w active, heard \d+ m?s ago; backends 2\/2 up$/,
      );
      assert.match(await active.run("systemctl", "status", "vipair"), /Status: "active since/);
    });

    it("who is in the group adm, and nobody else, reads the access log", async () => {
      const { active } = await machines.settle();
      const stat = await active.run("stat", "-c", "%a %U:%G", "/var/log/vipair", ACCESS_LOG);
      assert.equal(stat, "2750 vipair:adm\n640 vipair:adm\n");
      const reads = async (groups: string) =>
        active.attempt("setpriv", "--reuid=nobody", "--regid=nogroup", groups, "test", "-r", ACCESS_LOG);
      assert.equal((await reads("--groups=adm")).status, 0);
      assert.equal((await reads("--clear-groups")).status, 1);
    });

    it("a unit that is wanted by the target of the active runs there and nowhere else", async () => {
      const unit =
        "[Unit]\nBindsTo=vipair-active.target\nAfter=vipair-active.target\n[Service]\nExecStart=/bin/sleep 100000\n[Install]\nWantedBy=vipair-active.target\n";
      for (const machine of machines.both) {
        machine.write("etc/systemd/system/role-follower.service", unit);
        await machine.run("systemctl", "daemon-reload");
        await machine.run("systemctl", "enable", "role-follower.service");
      }
      const { active, standby } = await machines.settle();
      await active.run("systemctl", "start", "role-follower.service");
      await active.run("vipair", "switchover");
      const followed = async () =>
        (await standby.isActive("role-follower.service")) &&
        !(await active.isActive("role-follower.service"));
      await waitUntil(followed, {
        what: "the follower to move with the role",
        withinMs: TARGETS_SWAP_MS_MAX,
      });

      // It is bound to the target, so that it brings it along.
      await active.run("systemctl", "start", "role-follower.service");
      assert.equal(await active.isActive("vipair-active.target"), true);
      await waitUntil(
        async () =>
          (await machines.targetsFollow({ active: standby, standby: active })) &&
          !(await active.isActive("role-follower.service")),
        { what: "the targets to follow the role again", withinMs: TARGETS_CHECKED_MS_MAX },
      );
      for (const machine of machines.both) {
        await machine.run("systemctl", "disable", "--now", "role-follower.service");
      }
      await machines.settle();
    });

    it("control process and workers fit into the memory of a small Pi", async () => {
      for (const machine of machines.both) {
        const main = await machine.property("vipair.service", "MainPID");
        const control = rssMiB(await machine.run("grep", "VmRSS", `/proc/${main}/status`));
        const pids = ((await machines.status(machine))?.workers ?? []).map(
          ({ pid }) => `/proc/${String(pid)}/status`,
        );
        const workers = rssMiB(await machine.run("grep", "VmRSS", ...pids));
        console.log(`${machine.name}: control ${control.join()} MiB, workers ${workers.join()} MiB`);
        assert.ok(Math.max(...control) <= CONTROL_RSS_MIB_MAX, `control process: ${control.join()} MiB`);
        assert.ok(workers.length >= 2, "there are workers");
        assert.ok(Math.max(...workers) <= WORKER_RSS_MIB_MAX, `workers: ${workers.join()} MiB`);
      }
    });

    it("workers run as the user vipair", async () => {
      const pids = ((await machines.status(first()))?.workers ?? []).map(({ pid }) => String(pid));
      assert.ok(pids.length >= 2);
      const users = await first().run("ps", "-o", "user=", "-p", pids.join());
      assert.deepEqual(new Set(users.trim().split("\n")), new Set(["vipair"]));
    });
  });

  describe("the cable", () => {
    before(async () => {
      meter = await machines.startMeter(REQUEST_EVERY_MS);
    });

    it("pulled from the active: the targets swap within 2 s, the client waits 1 s at most, and probe says so", async () => {
      const { active, standby } = await machines.settle();
      const probe = await startProbe(machines.network, packages.program);
      await meter.mark("cable");
      const atMs = performance.now();
      await machines.network.pullCable(active.place);
      const swapped = async () =>
        (await standby.isActive("vipair-active.target")) &&
        !(await standby.isActive("vipair-standby.target")) &&
        !(await active.isActive("vipair-active.target"));
      await waitUntil(swapped, { what: "the targets to swap", withinMs: TARGETS_SWAP_MS_MAX });
      console.log(`targets swapped after ${(performance.now() - atMs).toFixed(0)} ms`);
      const report = await seenSince("cable");
      const said = await probe.end();
      // Before anything else is said: later chapters need the cable.
      const plugged = await outageOf("cable plugged in again", () =>
        machines.network.plugCable(active.place),
      );
      assertOutageAtMost(OUTAGE_MS_MAX, report);
      // On a machine that is busy they may all have been late and none have failed.
      const longestWaitMs = report.failed > 0 ? Infinity : (report.latencyMs?.max ?? 0);
      assert.ok(longestWaitMs > WAIT_MS_MIN, "the cable carried the requests");
      const [, longestMs] = /^(?:\d+ outages?, the longest (\d+) ms|no outage)$/m.exec(said) ?? [said];
      assert.ok(Number(longestMs ?? 0) <= OUTAGE_MS_MAX + report.stalledMs, said);
      assertNoneFailed(plugged);
      const now = await machines.settle();
      assert.equal(now.active.name, standby.name, "the one that returns stays standby");
    });
  });

  describe("the service on the active", () => {
    it("stopped: nobody notices, the address goes and so do the targets", async () => {
      const { active, standby } = await machines.settle();
      await meter.mark("stop");
      await active.run("systemctl", "stop", "vipair");
      assert.equal(machines.watch.heldSince(active.name), null);
      assert.equal(await active.isActive("vipair-active.target"), false);
      assert.equal(await active.isActive("vipair-standby.target"), false);
      await waitUntil(() => standby.isActive("vipair-active.target"), {
        what: "the other one's target",
        withinMs: TARGETS_SWAP_MS_MAX,
      });
      await active.run("systemctl", "start", "vipair");
      assert.equal((await machines.settle()).active.name, standby.name);
      assertNoneFailed(await seenSince("stop"));
    });

    it("restarted: nobody notices", async () => {
      const { active } = await machines.settle();
      const report = await outageOf("restart", async () => {
        await active.run("systemctl", "restart", "vipair");
      });
      assertNoneFailed(report);
    });

    it("its main process killed: the peer takes over, systemd starts it again", async () => {
      const { active, standby } = await machines.settle();
      const pid = await active.property("vipair.service", "MainPID");
      const report = await outageOf("kill -9 of the main process", async () => {
        await active.signal("KILL", pid);
        await restarted(active, pid);
      });
      assertOutageAtMost(OUTAGE_MS_MAX, report);
      assert.equal((await machines.settle()).active.name, standby.name);
    });

    it("a worker killed: the role stays", async () => {
      const { active } = await machines.settle();
      const [worker] = (await machines.status(active))?.workers ?? [];
      const report = await outageOf("kill -9 of a worker", async () => {
        await active.signal("KILL", String(worker?.pid));
      });
      assertOutageAtMost(OUTAGE_MS_MAX, report);
      assert.equal((await machines.settle()).active.name, active.name);
    });

    it("its main process stopped: the address is gone long before the watchdog starts it again", async () => {
      const { active, standby } = await machines.settle();
      const pid = await active.property("vipair.service", "MainPID");
      let restartedAtMs = 0;
      const report = await outageOf("SIGSTOP of the main process", async () => {
        await active.signal("STOP", pid);
        await restarted(active, pid);
        restartedAtMs = performance.now();
      });
      assertOutageAtMost(OUTAGE_MS_MAX, report);
      const soleSinceMs = machines.watch.soleHolderSince(standby.name);
      assert.ok(soleSinceMs !== null && soleSinceMs < restartedAtMs - 1000, "gone long before");
      assert.match(await active.journal(200), /[Ww]atchdog/);
    });

    it("its configuration broken: a reload keeps what it had, and says so", async () => {
      const { active } = await machines.settle();
      await active.run("cp", "/etc/vipair/vipair.yaml", "/root/good.yaml");
      active.write("etc/vipair/vipair.yaml", "pools: 3\n");
      const { status } = await active.attempt("systemctl", "reload", "vipair");
      await active.run("cp", "/root/good.yaml", "/etc/vipair/vipair.yaml");
      assert.notEqual(status, 0, "the reload is told to have failed");
      assert.equal((await machines.settle()).active.name, active.name);
    });

    it("its configuration broken at a start: the status says why all the time, between the tries and during them", async () => {
      const { standby } = await machines.settle();
      await standby.run("cp", "/etc/vipair/vipair.yaml", "/root/good.yaml");
      standby.write("etc/vipair/vipair.yaml", "pools: 3\n");
      assert.notEqual((await standby.attempt("systemctl", "restart", "vipair")).status, 0);
      const looks = (await standby.run("sh", "-c", LOOK_AT_STATUS)).trim().split("\n");
      await standby.run("cp", "/root/good.yaml", "/etc/vipair/vipair.yaml");
      await standby.run("systemctl", "restart", "vipair");
      const explained = looks.filter((look) => look.includes("cannot start: /etc/vipair/vipair.yaml:1:"));
      const states = new Set(looks.map((look) => /\bSubState=(\S+)/.exec(look)?.[1]));
      assert.ok(states.has("start") && states.has("auto-restart"), [...states].join());
      // What is missing at most is the moment before the program is there.
      assert.ok(explained.length >= 0.9 * looks.length, looks.join("\n"));
      await machines.settle();
    });
  });

  describe("the machine", () => {
    it("shut down and started again: the peer serves, and goes on serving", async () => {
      const { active, standby } = await machines.settle();
      const report = await outageOf("reboot", async () => {
        await active.shutDown();
        await machines.boot(active);
      });
      assertOutageAtMost(OUTAGE_MS_MAX, report);
      assert.equal((await machines.settle()).active.name, standby.name);
    });

    it("its plug pulled", async () => {
      const { active, standby } = await machines.settle();
      const report = await outageOf("power cut", async () => {
        await machines.cutPower(active);
        await machines.network.plugCable(active.place);
        await machines.boot(active);
      });
      assertOutageAtMost(OUTAGE_MS_MAX, report);
      assert.equal((await machines.settle()).active.name, standby.name);
    });

    it("systemd-networkd restarts and sets the interface up anew: the address survives", async () => {
      const { active } = await machines.settle();
      const report = await outageOf("networkd", async () => {
        await active.run("systemctl", "restart", "systemd-networkd");
        await active.run("networkctl", "reload");
        await active.run("networkctl", "reconfigure", "eth0");
      });
      assertOutageAtMost(OUTAGE_MS_MAX, report);
      assert.equal((await machines.settle()).active.name, active.name);
    });
  });

  describe("the configuration", () => {
    it("a backend added on one node goes to the other by a push, and comments stay", async () => {
      const { active, standby } = await machines.settle();
      await active.run("sed", "-i", "1i # a comment of the operator", "/etc/vipair/vipair.yaml");
      const report = await outageOf("config push", async () => {
        const added = `${ipv4Of("gateway")}:${String(BACKEND_PORT)}`;
        await active.run("vipair", "backend", "add", "web", added, "--backup");
        await waitUntil(async () => (await machines.status(active))?.peer?.configMatches === false, {
          what: "the drift to be seen",
          withinMs: 5000,
        });
        const diff = await active.attempt("vipair", "config", "diff");
        assert.equal(diff.status, 1);
        assert.match(diff.stdout, new RegExp(`^\\+.*${added}`, "m"));
        await active.run("vipair", "backend", "remove", "web", added);
        await active.run("vipair", "config", "push");
        assert.equal((await active.attempt("vipair", "config", "diff")).status, 0);
      });
      assertNoneFailed(report);
      const files = await Promise.all(
        [active, standby].map((machine) => machine.run("cat", "/etc/vipair/vipair.yaml")),
      );
      assert.equal(files[0], files[1]);
      assert.match(String(files[1]), /# a comment of the operator/);
      assert.equal((await machines.settle()).active.name, active.name);
    });
  });

  describe("a disk that is full", () => {
    it("refuses a change of the configuration and leaves it whole", async () => {
      const { active } = await machines.settle();
      const config = await active.run("cat", "/etc/vipair/vipair.yaml");
      await active.run("sh", "-ec", FILL_ETC_VIPAIR);
      const { status, stderr } = await active.attempt("vipair", "backend", "add", "web", "10.77.0.99:8080");
      const left = await active.run("cat", "/etc/vipair/vipair.yaml");
      const files = await active.run("ls", "/etc/vipair");
      await active.run("umount", "/etc/vipair");
      assert.notEqual(status, 0);
      assert.match(stderr, /the disk is full/);
      assert.equal(left, config);
      assert.deepEqual(files.split("\n").filter(Boolean), ["filling", "secret", "vipair.yaml"]);
    });
  });

  tellOfUpgrades({ machines, packages: () => packages, outageOf });

  tellOfTwoProtocols({ machines, meter: () => meter, seenSince });

  describe("made anew", () => {
    it("under another name: the service runs as that", async () => {
      // As DHCP would leave it.
      const own = `addr change ${ipv4Of("a")}/24 dev eth0 valid_lft 3600 preferred_lft 3600`;
      await first().run("ip", ...own.split(" "));
      // It waits for a second node as long as it may.
      const init = "echo $$ > /run/init.pid; exec vipair init --force --yes --vip $0 --name pi-z";
      const started = first().start("sh", "-c", init, VIP);
      let said = "";
      started.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
      const ended = once(started, "close");
      await waitUntil(async () => (await machines.status(first()))?.node === "pi-z", {
        what: "a node called pi-z",
        withinMs: 30_000,
      });
      await first().run("sh", "-c", "kill -INT $(cat /run/init.pid)");
      await ended;
      assert.match(said, /for a time only \(DHCP\).*reserve it/);
    });
  });

  describe("purged", () => {
    it("leaves nothing, also where the service was just starting, or could not", async () => {
      second().write("etc/vipair/vipair.yaml", "pools: 3\n");
      assert.notEqual((await second().attempt("systemctl", "restart", "vipair")).status, 0);
      await first().run("systemctl", "--no-block", "restart", "vipair");
      for (const machine of [second(), first()]) {
        await machine.run("dpkg", "--purge", "vipair");
        assert.equal((await machine.attempt("systemctl", "is-active", "vipair")).stdout, "inactive\n");
        assert.equal((await machine.attempt("id", "vipair")).status, 1, "the user has gone");
      }
      assert.equal(machines.watch.heldSince("pi-a"), null);
      const known = new Set(filesBefore);
      const left = (await first().run("sh", "-c", FILES)).split("\n").filter((file) => !known.has(file));
      assert.deepEqual(
        left.filter((file) => /vipair/.test(file)),
        [],
      );
    });
  });
});

function rssMiB(text: string): number[] {
  return [...text.matchAll(/VmRSS:\s+(\d+) kB/g)].map(([, kib]) => Math.round(Number(kib) / 1024));
}
