import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { Network, execute, whyNotHere } from "./namespaces.ts";
import type { Machine, Output } from "./namespaces.ts";

interface Family {
  readonly name: string;
  readonly vip: string;
  readonly env: Record<string, string>;
  readonly hosts: Record<Machine, string>;
  readonly gateway: string;
}

const FAMILIES: readonly Family[] = [
  {
    name: "IPv4",
    vip: "10.99.0.100",
    env: { VIPAIR_ADDRESS: "10.99.0.100", VIPAIR_PREFIX_LENGTH: "24" },
    hosts: { a: "10.99.0.1", b: "10.99.0.2", c: "10.99.0.3" },
    gateway: "10.99.0.3",
  },
  {
    name: "IPv6",
    vip: "fd99::100",
    env: { VIPAIR_ADDRESS: "fd99::100", VIPAIR_PREFIX_LENGTH: "64" },
    hosts: { a: "fd99::1", b: "fd99::2", c: "fd99::3" },
    gateway: "fd99::3",
  },
];

const CONNECTIONS = join(import.meta.dirname, "fixtures/connections.ts");

async function eventually(holds: () => boolean, limitMs = 3000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `did not become true within ${String(limitMs)} ms`);
    // oxlint-disable-next-line no-await-in-loop -- polls until the deadline above
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function assertDone(output: Output): void {
  assert.deepEqual([output.code, output.stderr], [0, ""]);
}

const network = new Network();

describe("scripts/hooks/vip", { skip: whyNotHere() }, () => {
  before(() => network.open());
  after(() => network.close());
  for (const family of FAMILIES) describe(family.name, () => specify(family));
});

function specify({ name, vip, env, hosts, gateway }: Family): void {
  const hook = (machine: "a" | "b", action: string, more: Record<string, string> = {}): Output =>
    network.hook(machine, action, {
      ...env,
      VIPAIR_PEER_ADDRESS: hosts[machine === "a" ? "b" : "a"],
      ...more,
    });
  const holds = (machine: "a" | "b"): boolean => hook(machine, "status").code === 0;

  afterEach(() => {
    hook("a", "release");
    hook("b", "release");
    for (const machine of ["a", "b", "c"] as const) network.on(machine, "ip neigh flush dev eth0");
  });

  test("a claimed address disappears by itself when its lease ends, and no earlier", async () => {
    const claimedAt = performance.now();
    assertDone(hook("a", "claim", { VIPAIR_LEASE_SECONDS: "1" }));
    assert.ok(holds("a"));
    await eventually(() => !holds("a"));
    const heldMs = performance.now() - claimedAt;
    assert.ok(heldMs >= 950 && heldMs < 1500, `held for ${String(heldMs)} ms`);
  });

  test("a renewal extends the lease; status tells what is left", async () => {
    hook("a", "claim", { VIPAIR_LEASE_SECONDS: "1" });
    assertDone(hook("a", "renew", { VIPAIR_LEASE_SECONDS: "30" }));
    assert.match(hook("a", "status").stdout, new RegExp(`^${vip} on eth0, (29|30)sec left\n$`));
  });

  test("rule 4: a renewal never brings the address back: it fails with 4", () => {
    const { code, stderr } = hook("a", "renew");
    assert.deepEqual([code, stderr], [4, `${vip} is gone from eth0\n`]);
    assert.ok(!holds("a"));
  });

  test("a claim gives a leftover address that would stay for ever a lease", async () => {
    network.on("a", `ip addr add ${vip}/${env["VIPAIR_PREFIX_LENGTH"] ?? ""} dev eth0`);
    assertDone(hook("a", "claim"));
    assert.match(hook("a", "status").stdout, /, [12]sec left/);
    await eventually(() => !holds("a"));
    assert.ok(network.on("a", `ip route get ${gateway}`).includes(`src ${hosts.a} `));
  });

  if (name === "IPv4") {
    // What a person or a network manager adds has no lease, and would outlive every release, freeze and crash.
    test("an address that somebody adds beside ours with another prefix gets a lease at each renewal, and goes with the release", async () => {
      const beside = () =>
        network.on("a", `ip addr add ${vip}/${env["VIPAIR_PREFIX_LENGTH"] ?? ""} dev eth0`);
      hook("a", "claim", { VIPAIR_LEASE_SECONDS: "30" });
      beside();
      assertDone(hook("a", "release"));
      assert.ok(!holds("a"), network.on("a", "ip addr show dev eth0"));

      hook("a", "claim", { VIPAIR_LEASE_SECONDS: "1" });
      beside();
      assertDone(hook("a", "renew", { VIPAIR_LEASE_SECONDS: "1" }));
      await eventually(() => !holds("a"));

      beside();
      network.on("a", `ip addr add ${vip}/32 dev eth0`);
      assertDone(hook("a", "claim", { VIPAIR_LEASE_SECONDS: "1" }));
      await eventually(() => !holds("a"));
    });
  }

  test("a release removes the virtual address only, and is done when it is not there", () => {
    hook("a", "claim");
    assertDone(hook("a", "release"));
    assert.ok(!holds("a"));
    assert.ok(addresses("a").includes(`${hosts.a}/`));
    assertDone(hook("a", "release"));
    assertDone(hook("a", "release", { VIPAIR_INTERFACE: "eth9" }));
  });

  test("what the node begins itself has its own address as source while it holds the virtual one", () => {
    hook("a", "claim");
    assert.ok(network.on("a", `ip route get ${gateway}`).includes(`src ${hosts.a} `));
  });

  test("the node's own address, lost and set again meanwhile, outlives the virtual one", async () => {
    hook("a", "claim", { VIPAIR_LEASE_SECONDS: "1" });
    const own = `${hosts.a}/${env["VIPAIR_PREFIX_LENGTH"] ?? ""}`;
    network.on("a", `ip addr del ${own} dev eth0`);
    network.on("a", `ip addr add ${own} dev eth0${name === "IPv6" ? " nodad" : ""}`);
    await eventually(() => !holds("a"));
    assert.ok(addresses("a").includes(own));
  });

  test("a claim on a missing interface, one that is down and one without carrier says so", async () => {
    const missing = hook("a", "claim", { VIPAIR_INTERFACE: "eth9" });
    assert.deepEqual([missing.code, missing.stderr], [1, "interface eth9 does not exist\n"]);
    network.on("a", "ip link add spare0 type veth peer name spare1");
    try {
      const down = hook("a", "claim", { VIPAIR_INTERFACE: "spare0" });
      assert.deepEqual([down.code, down.stderr], [1, "interface spare0 is down: ip link set spare0 up\n"]);
    } finally {
      network.on("a", "ip link del spare0");
    }
    network.onSwitch("ip link set pa down");
    try {
      await eventually(() => network.on("a", "ip -o link show eth0").includes("NO-CARRIER"));
      const unplugged = hook("a", "claim");
      assert.equal(unplugged.code, 1);
      assert.match(unplugged.stderr, /^interface eth0 has no carrier/);
      assert.ok(!holds("a"));
    } finally {
      network.onSwitch("ip link set pa up");
    }
    await eventually(() => !network.on("a", "ip -o link show eth0").includes("NO-CARRIER"));
  });

  test("a claim that probes yields to who answers for the address, and names its MAC", () => {
    hook("b", "claim", { VIPAIR_LEASE_SECONDS: "30" });
    const { code, stderr } = hook("a", "claim", { VIPAIR_PROBE: "1" });
    assert.equal(code, 3);
    assert.equal(stderr.toLowerCase(), `${vip} is in use: ${network.mac("b")} answers for it\n`);
    assert.ok(!holds("a"));
  });

  test("a claim that probes takes an address that nobody answers for, within its time limit", () => {
    const output = hook("a", "claim", { VIPAIR_PROBE: "1" });
    assertDone(output);
    assert.ok(holds("a"));
    assert.ok(output.tookMs < 1800, `took ${String(output.tookMs)} ms`);
  });

  test("rule 3: an announcement moves the address in a client's neighbour table", async (t) => {
    hook("a", "claim");
    network.on("c", `ping -c 1 -W 1 ${vip}`);
    assert.equal(network.neighbourMac("c", vip), network.mac("a"));
    hook("b", "claim");
    assert.equal(network.neighbourMac("c", vip), network.mac("a"));
    const output = hook("b", "announce");
    assertDone(output);
    await eventually(() => network.neighbourMac("c", vip) === network.mac("b"), 1000);
    t.diagnostic(`announced in ${output.tookMs.toFixed(0)} ms`);
  });

  test("an address that is not held is not announced", () => {
    hook("b", "claim");
    network.on("c", `ping -c 1 -W 1 ${vip}`);
    assert.equal(hook("a", "announce").code, 1);
    assert.equal(network.neighbourMac("c", vip), network.mac("b"));
  });

  test("a handover without knowing the peer's MAC goes on and says what is missing", () => {
    const output = hook("a", "claim", { VIPAIR_HANDOVER: "1", VIPAIR_PEER_ADDRESS: "192.0.2.77" });
    assert.equal(output.code, 0);
    assert.match(output.stderr, /^handover without forwarding: the MAC of 192\.0\.2\.77 on eth0 is unknown/);
    assert.ok(holds("a"));
  });

  test("the handover's rules go with the release, and with the next claim", () => {
    network.on("a", `ping -c 1 -W 1 ${hosts.b}`);
    const claim = { VIPAIR_HANDOVER: "1" };
    assertDone(hook("a", "claim", claim));
    assert.match(tables("a"), /table netdev vipair_/);
    assertDone(hook("a", "release"));
    assert.doesNotMatch(tables("a"), /vipair/);
    assertDone(hook("a", "claim", claim));
    assert.match(tables("a"), /table netdev vipair_/);
    assertDone(hook("a", "claim"));
    assert.doesNotMatch(tables("a"), /vipair/);
  });

  test("connections that straddle the announcement fail without a handover and live with one", async (t) => {
    const counts = { without: await straddle({}), with: await straddle({ VIPAIR_HANDOVER: "1" }) };
    t.diagnostic(JSON.stringify(counts));
    for (const count of Object.values(counts)) {
      assert.ok((count["a"] ?? 0) > 10 && (count["b"] ?? 0) > 10, JSON.stringify(count));
    }
    assert.ok((counts.without["ECONNRESET"] ?? 0) > 0, "the fault must show without the cure");
    assert.deepEqual(Object.keys(counts.with).toSorted(byName), ["a", "b"]);
  });

  /** How connections ended while the address moved from a to b in the middle of them. */
  async function straddle(claim: Record<string, string>): Promise<Record<string, number>> {
    const children: ChildProcess[] = [];
    try {
      for (const machine of ["a", "b"] as const) {
        const server = startIn(machine, ["serve", "80", machine]);
        children.push(server);
        // oxlint-disable-next-line no-await-in-loop -- two starts, in order
        await untilPrinted(server);
      }
      hook("b", "release");
      assertDone(hook("a", "claim", { VIPAIR_LEASE_SECONDS: "10" }));
      hook("a", "announce");
      network.on("b", `ping -c 1 -W 1 ${hosts.a}`);
      const client = startIn("c", ["connect", vip, "80", "1200"]);
      children.push(client);
      const report = untilPrinted(client);
      await new Promise((resolve) => setTimeout(resolve, 600));
      assertDone(hook("b", "claim", { ...claim, VIPAIR_LEASE_SECONDS: "10" }));
      assertDone(hook("b", "announce"));
      return JSON.parse(await report) as Record<string, number>;
    } finally {
      for (const child of children) child.kill("SIGKILL");
    }
  }
}

function addresses(machine: "a" | "b"): string {
  return network.on(machine, "ip -o addr show dev eth0");
}

function tables(machine: "a" | "b"): string {
  return network.on(machine, "nft list tables");
}

function startIn(machine: Machine, args: readonly string[]): ChildProcess {
  const command = ["netns", "exec", network.nameOf(machine), process.execPath, CONNECTIONS, ...args];
  return spawn("ip", command, { stdio: ["ignore", "pipe", "inherit"] });
}

async function untilPrinted(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  const [data] = (await once(child.stdout, "data", { signal: AbortSignal.timeout(10_000) })) as [Buffer];
  return data.toString();
}

function byName(a: string, b: string): number {
  return a < b ? -1 : 1;
}

test("an unknown action is refused", () => {
  const hook = join(import.meta.dirname, "../../scripts/hooks/vip");
  const { code, stderr } = execute([hook, "dance"], { VIPAIR_ADDRESS: "10.0.0.1", VIPAIR_INTERFACE: "lo" });
  assert.equal(code, 2);
  assert.match(stderr, /^usage: /);
});
