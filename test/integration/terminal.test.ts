// What a person at a terminal is asked by `vipair init` and `join`, what becomes of their answers, and what is left when they go.

import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { labIsMissing } from "../lab/requirements.ts";
import { Site } from "../support/site.ts";
import { TerminalSession } from "../support/terminal-session.ts";
import { LAUNCHER, runVipair } from "../support/vipair-process.ts";

const ASKS_ADDRESS = "Virtual address, which no machine has yet (such as 192.168.1.50): ";
const ASKS_NAME = "Name of this node (such as pi-a): ";
const SIGINT_EXIT = 128 + 2;

interface Desk {
  readonly directory: string;
  readonly places: readonly string[];
  readonly sits: (...command: readonly string[]) => TerminalSession;
}

/** A machine that is not a node yet, and a terminal there. */
function desk(site: Site): Desk {
  const directory = site.directory("machine");
  return {
    directory,
    places: ["--config", join(directory, "vipair.yaml"), "--runtime-dir", join(directory, "run")],
    sits: (...command) => {
      const session = new TerminalSession(command);
      site.atEnd(() => session.close());
      return session;
    },
  };
}

describe("a person at a terminal", { concurrency: 2 }, () => {
  test("is asked for address and name, and again when an answer will not do", async (t) => {
    const site = Site.open(t);
    const { directory, places, sits } = desk(site);
    const [address, vip] = [await site.address(), await site.address()];
    // What a machine was called before may be no name now.
    writeFileSync(join(directory, "node"), "pi a\n");
    const session = sits(LAUNCHER, "init", "--interface", "lo", "--address", address, ...places);
    await session.sees('"pi a" is not a name');
    await session.sees(ASKS_NAME);
    session.types("pi b");
    await session.sees('"pi b" is not a name');
    await session.sees(ASKS_NAME);
    session.types("  pi-a ");

    await session.sees(ASKS_ADDRESS);
    session.types("");
    await session.sees(ASKS_ADDRESS);
    session.types("0.0.0.0");
    await session.sees('"0.0.0.0" means every address');
    await session.sees(ASKS_ADDRESS);
    session.types("203.0.113.50");
    await session.sees("203.0.113.50 is in no network of lo");
    await session.sees(ASKS_ADDRESS);
    assert.deepEqual(readdirSync(directory), ["node"]);
    session.types(`${vip}/8`);
    await session.sees(`virtual address  ${vip}/8 on lo`);
    await session.sees(`this node        pi-a at ${address}`);
    await session.sees(`sudo vipair join ${address} `);
    assert.equal(readFileSync(join(directory, "node"), "utf8"), "pi-a\n");

    // Nobody has joined by then: the code is good no more, and all else stays.
    session.pressesCtrlC();
    assert.equal(await session.exit(), SIGINT_EXIT);
    assert.deepEqual(readdirSync(directory).toSorted(), ["node", "secret", "vipair.yaml"]);
    const invite = sits(LAUNCHER, "invite", ...places);
    await invite.sees(`sudo vipair join ${address} `);
  });

  test("leaves nothing behind with Ctrl-C or Ctrl-D at a question, and hears that", async (t) => {
    const site = Site.open(t);
    const { directory, places, sits } = desk(site);
    const address = await site.address();
    for (const key of ["pressesCtrlC", "pressesCtrlD"] as const) {
      const session = sits(
        LAUNCHER,
        "init",
        "--interface",
        "lo",
        "--address",
        address,
        "--name",
        "pi-a",
        ...places,
      );
      // oxlint-disable-next-line no-await-in-loop -- one person
      await session.sees(ASKS_ADDRESS);
      session[key]();
      // oxlint-disable-next-line no-await-in-loop -- one person
      assert.equal(await session.exit(), 1);
      assert.match(session.shown, /\nvipair: stopped, and nothing was written\n$/);
      assert.deepEqual(readdirSync(directory), []);
    }
    writeFileSync(join(directory, "node"), "pi a\n");
    const joining = sits(LAUNCHER, "join", "127.0.0.1", "0000-0000-0000", ...places);
    await joining.sees(ASKS_NAME);
    joining.pressesCtrlC();
    assert.equal(await joining.exit(), 1);
    assert.match(joining.shown, /\nvipair: stopped, and nothing was written\n$/);
    assert.deepEqual(readdirSync(directory), ["node"]);
  });

  test("is asked nothing with --yes, nor where nobody sits: what is missing is named with its option", async (t) => {
    const site = Site.open(t);
    const { directory, places, sits } = desk(site);
    const missing = "vipair: which address shall the pair have? --vip 192.168.1.50\n";
    const session = sits(LAUNCHER, "init", "--yes", "--name", "pi-a", ...places);
    assert.equal(await session.exit(), 1);
    assert.equal(session.shown, missing);
    const { code, stderr } = await runVipair(["init", "--name", "pi-a", ...places]);
    assert.deepEqual([code, stderr], [1, missing]);
    assert.deepEqual(readdirSync(directory), []);
  });

  test(
    "chooses among interfaces that would all do, and is asked again for one that is none",
    { skip: labIsMissing() },
    async (t) => {
      const site = Site.open(t);
      const { directory, places, sits } = desk(site);
      const network = `
set -eu
mount -t sysfs sysfs /sys
ip link set lo up
for number in 0 1; do
  ip link add eth$number type veth peer name far$number
  ip link set eth$number up
  ip link set far$number up
  ip addr add 10.9.0.1$number/24 dev eth$number
done
until [ "$(cat /sys/class/net/eth0/operstate /sys/class/net/eth1/operstate | uniq)" = up ]; do sleep 0.02; done
exec "$@"`;
      const init = [LAUNCHER, "init", "--vip", "10.9.0.50", "--name", "pi-a", ...places];
      const session = sits("unshare", "--net", "--mount", "sh", "-c", network, "sh", ...init);
      const question = "10.9.0.50 could be on eth0, eth1. Which one? ";
      await session.sees(question);
      session.types("");
      await session.sees(question);
      session.types("eht1");
      await session.sees('no interface "eht1"');
      await session.sees(question);
      session.types("eth1");
      await session.sees("virtual address  10.9.0.50/24 on eth1, free");
      await session.sees("this node        pi-a at 10.9.0.11");
      assert.match(readFileSync(join(directory, "vipair.yaml"), "utf8"), /interface: eth1/);
    },
  );
});
