// A person's first five minutes, on a network of three machines with the hook that moves real addresses: two nodes that wait
// for a configuration, one command on each, and a pair. What systemd adds is in test/systemd.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { LAUNCHER, VipairProcess, runVipair } from "../support/vipair-process.ts";
import { Network, whyNotHere } from "./namespaces.ts";
import type { Machine } from "./namespaces.ts";

const VIP = "10.99.0.100";
const skip = whyNotHere();
const network = new Network();

before(() => {
  if (skip !== false) return;
  network.open();
  for (const node of ["a", "b"] as const) network.on(node, "ip route add default via 10.99.0.3");
});
after(() => {
  if (skip === false) network.close();
});

test(
  "two nodes that wait become a pair by init and join, one holds the address, and a reload moves nothing",
  { skip },
  async (t) => {
    const folder = mkdtempSync("/run/vipair-pairing-");
    const running: { kill: () => unknown }[] = [];
    t.after(async () => {
      for (const one of running) {
        // oxlint-disable-next-line no-await-in-loop -- a node has processes of its own to end
        await one.kill();
      }
      rmSync(folder, { recursive: true });
    });
    const [a, b] = (["a", "b"] as const).map((machine) => {
      const directory = join(folder, machine);
      mkdirSync(directory);
      const config = join(directory, "vipair.yaml");
      writeFileSync(config, "# as the package installs it\n");
      const launcher = join(directory, "vipair");
      writeFileSync(launcher, `#!/bin/sh\nexec ip netns exec ${network.nameOf(machine)} ${LAUNCHER} "$@"\n`, {
        mode: 0o755,
      });
      const runtimeDir = join(directory, "run");
      const node = new VipairProcess({ config, runtimeDir, launcher });
      running.push(node);
      return { config, launcher, node, places: ["--config", config, "--runtime-dir", runtimeDir] };
    });
    assert.ok(a !== undefined && b !== undefined);
    for (const { node } of [a, b])
      await node.logged("the wait", ({ msg }) => /waits for a configuration/.test(msg));

    const init = spawn(
      a.launcher,
      ["init", "--vip", VIP, "--name", "pi-a", "--listen", "8080", ...a.places],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    running.push(init);
    let said = "";
    init.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
    const { value: line } = await createInterface({ input: init.stdout })[Symbol.asyncIterator]().next();
    assert.match(String(line), /^sudo vipair join 10\.99\.0\.1 /, said);
    const alone = await a.node.becomes("active");
    assert.ok(holds("a") && !holds("b"));

    const [, , , ...target] = String(line).split(" ");
    const ended = new Promise((resolve) => init.once("close", resolve));
    const joined = await runVipair(["join", ...target, "--name", "pi-b", ...b.places], {
      launcher: b.launcher,
    });
    assert.equal(joined.code, 0, joined.stderr);
    assert.match(joined.stderr, /in touch with pi-a; pi-b is standby\n$/);
    assert.equal(await ended, 0, said);
    assert.match(said, /10\.99\.0\.100\/24 on eth0, free\n/);
    assert.match(said, /\npi-a is active\n/);
    assert.match(said, /pi-b at 10\.99\.0\.2 has joined\n/);
    assert.equal(readFileSync(a.config, "utf8"), readFileSync(b.config, "utf8"));

    const standby = await b.node.until(
      "a standby that is in touch",
      ({ peer, role }) => role === "standby" && peer?.role === "active",
    );
    assert.deepEqual([standby.node, standby.peer?.node, standby.peer?.configMatches], ["pi-b", "pi-a", true]);
    const active = await a.node.status();
    assert.deepEqual([active.role, active.epoch, active.since], ["active", alone.epoch, alone.since]);
    assert.ok(holds("a") && !holds("b"));

    await a.node.kill();
    await b.node.becomes("active");
    assert.ok(holds("b"));

    // The address answers, as it should.
    const anew = spawn(b.launcher, ["init", "--vip", VIP, "--force", "--name", "pi-b", ...b.places], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.push(anew);
    let saidAnew = "";
    anew.stderr.on("data", (bytes: Buffer) => (saidAnew += bytes.toString()));
    await createInterface({ input: anew.stdout })[Symbol.asyncIterator]().next();
    assert.match(saidAnew, /10\.99\.0\.100\/24 on eth0, this pair's already\n/);
  },
);

function holds(machine: Machine): boolean {
  return network.on(machine, `ip -o addr show dev eth0 to ${VIP}`) !== "";
}
