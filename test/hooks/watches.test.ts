// InterfaceWatch and Arbiter on a real network: node a runs them, c is its gateway.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { Network, execute, whyNotHere } from "./namespaces.ts";

const FIXTURE = join(import.meta.dirname, "fixtures/watch.ts");
const VIRTUAL = { address: "10.99.0.100", interface: "eth0" };
const VIRTUAL6 = { address: "fd99::100", interface: "eth0" };
/** Comes and goes until the watch has noticed. */
const BELL = { address: "10.99.0.99", interface: "eth0" };
/** Behind the gateway. */
const FAR = "10.98.0.1";
const FAR6 = "fd98::1";

interface Told {
  readonly event: string;
  readonly detail: unknown;
  /** Of the wall clock, in ms. */
  readonly at: number;
}

const network = new Network();
const watchers: Watcher[] = [];

/** A process on node a; what it told is in `told`. */
class Watcher {
  readonly told: Told[] = [];
  hasRung = false;
  readonly #child: ChildProcess;

  constructor(wanted: object) {
    const command = ["netns", "exec", network.nameOf("a"), process.execPath, FIXTURE, JSON.stringify(wanted)];
    const child = spawn("ip", command, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const told = JSON.parse(line) as Told;
      if (isDeepStrictEqual(told.detail, BELL)) this.hasRung = true;
      else this.told.push(told);
    });
    // It may have been killed.
    child.stdin.on("error", () => undefined);
    watchers.push(this);
  }

  count(event: string): number {
    return this.told.filter((told) => told.event === event).length;
  }

  details(event: string): unknown[] {
    return this.told.filter((told) => told.event === event).map(({ detail }) => detail);
  }

  async status(): Promise<{ address: string | null; method: string | null; problem: string | null }> {
    const count = this.count("status");
    this.#child.stdin?.write("status\n");
    await eventually(() => this.count("status") > count, "a status");
    return this.details("status").at(-1) as Awaited<ReturnType<Watcher["status"]>>;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Politely; resolves when it has gone. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return resolve();
      this.#child.once("exit", () => resolve());
      this.#child.stdin?.end("exit\n");
    });
  }
}

async function eventually(holds: () => boolean, what: string, limitMs = 5000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `${what}: not within ${String(limitMs)} ms`);
    // oxlint-disable-next-line no-await-in-loop -- polls until the deadline above
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Processes in the namespace of node a. */
function pidsOnA(): number[] {
  const { stdout } = execute(["ip", "netns", "pids", network.nameOf("a")]);
  return stdout.split(/\s+/).filter(Boolean).map(Number);
}

/** A watch that does not poll, as soon as its monitor tells it what happens. */
async function watching(): Promise<Watcher> {
  const watcher = new Watcher({ watch: { addresses: [VIRTUAL, VIRTUAL6, BELL], pollMs: 600_000 } });
  await eventually(() => {
    network.on("a", "ip addr add 10.99.0.99/32 dev eth0");
    network.on("a", "ip addr del 10.99.0.99/32 dev eth0");
    return watcher.hasRung;
  }, "the first event");
  return watcher;
}

describe("watches on a real network", { skip: whyNotHere() }, () => {
  before(() => {
    network.open();
    network.on("c", `ip addr add ${FAR}/32 dev lo`);
    network.on("c", `ip addr add ${FAR6}/128 dev lo nodad`);
  });
  after(() => network.close());
  afterEach(async () => {
    await Promise.all(watchers.splice(0).map((watcher) => watcher.end()));
    assert.deepEqual(pidsOnA(), []);
    network.on("a", "ip route flush default");
    network.on("a", "ip -6 route flush default");
    execute(["ip", "-n", network.nameOf("a"), "addr", "del", "10.99.0.100/32", "dev", "eth0"]);
    execute(["ip", "-n", network.nameOf("a"), "addr", "del", "fd99::100/128", "dev", "eth0"]);
    network.onSwitch("ip link set pa up");
    network.on("c", "ip link set eth0 up");
    // An interface that is taken down loses its IPv6 addresses.
    network.on("a", "ip addr replace fd99::1/64 dev eth0 nodad");
    network.on("c", "ip addr replace fd99::3/64 dev eth0 nodad");
  });

  describe("InterfaceWatch", () => specifyInterfaceWatch());
  describe("Arbiter", () => specifyArbiter());
});

function specifyInterfaceWatch(): void {
  test("a pulled cable is told by the event, and so is its return", async () => {
    const watcher = await watching();
    assert.deepEqual(watcher.details("carrier"), ["well"]);
    network.onSwitch("ip link set pa down");
    await eventually(() => watcher.count("carrier") === 2, "the pulled cable");
    network.onSwitch("ip link set pa up");
    await eventually(() => watcher.count("carrier") === 3, "the plugged cable");
    assert.deepEqual(watcher.details("carrier"), [
      "well",
      "no carrier on eth0: is the cable plugged?",
      "well",
    ]);
  });

  test("an interface that is taken down is told with the command that brings it up", async () => {
    const watcher = await watching();
    network.on("a", "ip link set eth0 down");
    await eventually(() => watcher.count("carrier") === 2, "the interface going down");
    network.on("a", "ip link set eth0 up");
    await eventually(() => watcher.count("carrier") >= 3, "the interface coming up");
    assert.equal(watcher.details("carrier")[1], "interface eth0 is down: ip link set eth0 up");
    await eventually(() => watcher.details("carrier").at(-1) === "well", "the carrier");
  });

  for (const { family, place, withPrefix } of [
    { family: "IPv4", place: VIRTUAL, withPrefix: "10.99.0.100/32" },
    { family: "IPv6", place: VIRTUAL6, withPrefix: "fd99::100/128" },
  ]) {
    test(`${family}: an address deleted by hand is told by the event, other addresses are not`, async () => {
      const watcher = await watching();
      network.on("a", `ip addr replace ${withPrefix} dev eth0`);
      network.on("a", "ip addr add 10.99.0.77/32 dev eth0");
      network.on("a", "ip addr del 10.99.0.77/32 dev eth0");
      network.on("a", `ip addr del ${withPrefix} dev eth0`);
      const deletedAt = performance.timeOrigin + performance.now();
      await eventually(() => watcher.count("gone") === 1, "the deletion");
      assert.deepEqual(watcher.details("gone"), [place]);
      const [gone] = watcher.told.filter(({ event }) => event === "gone");
      assert.ok(gone!.at - deletedAt < 200, `${String(gone!.at - deletedAt)} ms`);
    });
  }

  test("an address whose lease ends is told, and one that is renewed is not", async () => {
    const watcher = await watching();
    network.on("a", "ip addr replace 10.99.0.100/32 dev eth0 valid_lft 1 preferred_lft 1");
    network.on("a", "ip addr change 10.99.0.100/32 dev eth0 valid_lft 2 preferred_lft 2");
    const renewedAt = performance.timeOrigin + performance.now();
    await eventually(() => watcher.count("gone") === 1, "the end of the lease");
    const [gone] = watcher.told.filter(({ event }) => event === "gone");
    assert.ok(gone!.at - renewedAt > 1500, "not before the renewed lease ended");
  });

  test("a monitor that was killed is followed by another", async () => {
    const watcher = await watching();
    process.kill(monitors()[0]!, "SIGKILL");
    await eventually(() => watcher.count("log") === 1, "its end");
    await eventually(() => monitors().length === 1, "the next monitor");
    network.on("a", "ip addr replace 10.99.0.100/32 dev eth0");
    await eventually(() => {
      network.on("a", "ip addr replace 10.99.0.100/32 dev eth0");
      network.on("a", "ip addr del 10.99.0.100/32 dev eth0");
      return watcher.count("gone") >= 1;
    }, "the deletion");
    network.onSwitch("ip link set pa down");
    await eventually(() => watcher.count("carrier") === 2, "the pulled cable");
  });

  test("without a monitor everything is noticed all the same", async () => {
    network.on("a", "ip addr replace 10.99.0.100/32 dev eth0");
    const watcher = new Watcher({ watch: { addresses: [VIRTUAL], monitor: ["vipair-has-no-such-program"] } });
    await eventually(() => watcher.count("started") === 1, "the start");
    network.on("a", "ip addr del 10.99.0.100/32 dev eth0");
    await eventually(() => watcher.count("gone") === 1, "the deletion");
    network.onSwitch("ip link set pa down");
    await eventually(() => watcher.count("carrier") === 2, "the pulled cable");
    assert.equal(watcher.count("log"), 1);
  });

  test("nothing runs on after the process was killed", async () => {
    const watcher = await watching();
    assert.deepEqual([pidsOnA().length, monitors().length], [2, 1]);
    watcher.kill();
    await eventually(() => pidsOnA().length === 0, "the end of all");
  });
}

function specifyArbiter(): void {
  for (const { name, route, address, method } of [
    { name: "IPv4", route: "ip route add default via 10.99.0.3", address: "10.99.0.3", method: "arp" },
    { name: "IPv6", route: "ip -6 route add default via fd99::3", address: "fd99::3", method: "ndp" },
  ]) {
    test(`${name}: the gateway answers on its link, is silent when it is gone, and answers when it is back`, async () => {
      network.on("a", route);
      const asker = arbiter();
      await eventually(() => asker.count("answer") >= 5, "answers");
      const { problem, ...who } = await asker.status();
      assert.deepEqual([who.address, who.method, problem], [address, method, null]);

      network.on("c", "ip link set eth0 down");
      await eventually(() => asker.details("log").some((line) => /is silent/.test(String(line))), "silence");
      const answers = asker.count("answer");
      assert.match((await asker.status()).problem ?? "", /does not answer/);
      network.on("c", "ip link set eth0 up");
      if (name === "IPv6") network.on("c", "ip addr replace fd99::3/64 dev eth0 nodad");
      await eventually(() => asker.count("answer") >= answers + 5, "answers after the return");
      assert.equal((await asker.status()).problem, null);
    });
  }

  test("a link-local gateway is asked on its interface", async () => {
    const linkLocal = /inet6 (fe80::\S+)\//.exec(network.on("c", "ip -6 addr show dev eth0 scope link"))?.[1];
    network.on("a", `ip -6 route add default via ${linkLocal!} dev eth0`);
    const asker = arbiter();
    await eventually(() => asker.count("answer") >= 3, "answers");
    assert.equal((await asker.status()).address, linkLocal);
  });

  test("a gateway that appears and changes is followed; when the route goes, the last one is asked on", async () => {
    const asker = arbiter();
    await eventually(() => asker.count("started") === 1, "the start");
    assert.match((await asker.status()).problem ?? "", /^no default gateway on eth0/);
    network.on("a", "ip route add default via 10.99.0.3");
    await eventually(() => asker.count("answer") >= 3, "answers of the first");
    network.on("a", "ip route replace default via 10.99.0.2");
    await eventually(
      () => asker.details("log").some((line) => /found.*10\.99\.0\.2/.test(String(line))),
      "the second",
    );
    const answers = asker.count("answer");
    await eventually(() => asker.count("answer") >= answers + 3, "answers of the second");
    network.on("a", "ip route del default");
    const isAskedOn = () => asker.details("log").some((line) => /asked on/.test(String(line)));
    await eventually(isAskedOn, "no gateway");
    const answersBefore = asker.count("answer");
    await eventually(() => asker.count("answer") >= answersBefore + 3, "answers without a route");
    assert.equal((await asker.status()).address, "10.99.0.2");
  });

  test("a named address behind the gateway is asked by ICMP, over IPv4 and IPv6", async () => {
    network.on("a", "ip route add default via 10.99.0.3");
    network.on("a", "ip -6 route add default via fd99::3");
    for (const address of [FAR, FAR6]) {
      const asker = arbiter({ address });
      await eventually(() => asker.count("answer") >= 3, `answers of ${address}`);
      assert.equal((await asker.status()).method, "icmp");
    }
  });

  test("an address that nobody has never answers", async () => {
    network.on("a", "ip route add default via 10.99.0.200");
    const asker = arbiter();
    await eventually(() => asker.details("log").some((line) => /is silent/.test(String(line))), "silence");
    assert.equal(asker.count("answer"), 0);
    assert.equal((await asker.status()).problem, "10.99.0.200 does not answer ARP on eth0");
  });

  test("the questions tell the gateway the node's own address and never the virtual one", async () => {
    // The virtual address as a full member of the subnet, the node's own one after it: the kernel would take it.
    network.on("a", "ip addr del 10.99.0.1/24 dev eth0");
    network.on("a", "ip addr add 10.99.0.100/24 dev eth0");
    network.on("c", "ip neigh flush dev eth0");
    network.on("a", "ip route add default via 10.99.0.3");
    try {
      const asker = arbiter();
      await eventually(() => asker.count("answer") >= 3, "answers");
      assert.equal(network.neighbourMac("c", "10.99.0.100"), undefined);

      network.on("a", "ip addr del 10.99.0.100/24 dev eth0");
      network.on("a", "ip addr add 10.99.0.1/24 dev eth0");
      network.on("a", "ip route add default via 10.99.0.3");
      await eventually(() => network.neighbourMac("c", "10.99.0.1") === network.mac("a"), "the own address");
      assert.equal(network.neighbourMac("c", "10.99.0.100"), undefined);
    } finally {
      execute(["ip", "-n", network.nameOf("a"), "addr", "del", "10.99.0.100/24", "dev", "eth0"]);
      network.on("a", "ip addr replace 10.99.0.1/24 dev eth0");
    }
  });

  test("the gateway answers again after the interface was taken down and its routes were lost", async () => {
    network.on("a", "ip route add default via 10.99.0.3");
    const asker = arbiter();
    await eventually(() => asker.count("answer") >= 3, "answers");
    network.on("a", "ip link set eth0 down");
    await eventually(() => asker.details("log").some((line) => /is silent/.test(String(line))), "silence");
    assert.equal((await asker.status()).problem, "cannot send to 10.99.0.3: Network is down");
    const answers = asker.count("answer");
    network.on("a", "ip link set eth0 up");
    await eventually(() => asker.count("answer") >= answers + 3, "answers after the return");
  });

  test("nothing runs on after the process was killed", async () => {
    network.on("a", "ip route add default via 10.99.0.3");
    const asker = arbiter();
    await eventually(() => asker.count("answer") > 0, "an answer");
    assert.equal(pidsOnA().length, 2);
    asker.kill();
    await eventually(() => pidsOnA().length === 0, "the end of all");
  });
}

/** The processes on node a that follow events. */
function monitors(): number[] {
  return pidsOnA().filter((pid) =>
    execute(["cat", `/proc/${String(pid)}/cmdline`]).stdout.includes("monitor"),
  );
}

function arbiter(config: { readonly address?: string } = {}): Watcher {
  return new Watcher({ arbiter: { config, virtualAddresses: [VIRTUAL, VIRTUAL6], intervalMs: 50 } });
}
