// What `vipair init` finds out by itself, on a network of three machines: interface, addresses, gateway, and whether the
// virtual address is free; and how it says no.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { TestContext } from "node:test";
import { parseConfig } from "../../src/config/parse.ts";
import { LAUNCHER } from "../support/vipair-process.ts";
import { Network, execute, whyNotHere } from "./namespaces.ts";
import type { Output } from "./namespaces.ts";

const network = new Network();

const VIP = { VIPAIR_ADDRESS: "10.99.0.100", VIPAIR_PREFIX_LENGTH: "24" };

function folder(t: TestContext): string {
  const path = mkdtempSync("/run/vipair-init-");
  t.after(() => {
    rmSync(path, { recursive: true });
  });
  return path;
}

/** On machine a, to its end: only for what is refused. */
function init(directory: string, ...args: readonly string[]): Output {
  const config = join(directory, "vipair.yaml");
  const places = ["--config", config, "--runtime-dir", join(directory, "run")];
  const output = execute(["ip", "netns", "exec", network.nameOf("a"), LAUNCHER, "init", ...places, ...args]);
  assert.equal(output.stdout, "");
  assert.ok(!existsSync(config));
  assert.equal(output.code, 1, output.stderr);
  return output;
}

describe("vip probe", { skip: whyNotHere() }, () => {
  before(() => network.open());
  after(() => network.close());

  for (const [address, prefix, family] of [
    ["10.99.0.100", "24", "IPv4"],
    ["fd99::100", "64", "IPv6"],
  ] as const) {
    test(`is done when nobody has the address, and claims nothing (${family})`, () => {
      const env = { VIPAIR_ADDRESS: address, VIPAIR_PREFIX_LENGTH: prefix };
      assert.deepEqual([network.hook("a", "probe", env).code, network.hook("a", "status", env).code], [0, 1]);
    });

    test(`fails with 3 and says by whose MAC when somebody has it (${family})`, (t) => {
      network.on("c", `ip addr add ${address}/${prefix} dev eth0${family === "IPv6" ? " nodad" : ""}`);
      t.after(() => network.on("c", `ip addr del ${address}/${prefix} dev eth0`));
      const env = { VIPAIR_ADDRESS: address, VIPAIR_PREFIX_LENGTH: prefix };
      const { code, stderr } = network.hook("a", "probe", env);
      assert.equal(code, 3);
      assert.equal(stderr.toLowerCase(), `${address} is in use: ${network.mac("c")} answers for it\n`);
    });
  }

  test("fails with 1 when the interface is not there", () => {
    const { code, stderr } = network.hook("a", "probe", { ...VIP, VIPAIR_INTERFACE: "eth7" });
    assert.deepEqual([code, stderr], [1, "interface eth7 does not exist\n"]);
  });
});

describe("vipair init on a network", { skip: whyNotHere() }, () => {
  before(() => {
    network.open();
    network.on("a", "ip route add default via 10.99.0.3");
  });
  after(() => network.close());

  test("finds interface, prefix length, own address and gateway, and writes a good configuration and a secret", async (t) => {
    const directory = folder(t);
    const config = join(directory, "vipair.yaml");
    const args = ["init", "--vip", "10.99.0.100", "--name", "pi-a", "--backend", "10.99.0.3:8080"];
    const places = ["--config", config, "--runtime-dir", join(directory, "run")];
    const command = ["netns", "exec", network.nameOf("a"), LAUNCHER, ...args, ...places];
    const child = spawn("ip", command, { stdio: ["ignore", "pipe", "pipe"] });
    t.after(() => child.kill());
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { value: line } = await lines.next();
    assert.match(String(line), /^sudo vipair join 10\.99\.0\.1 [0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/, said);

    const parsed = parseConfig(readFileSync(config, "utf8"), config);
    assert.ok(parsed.kind === "config", JSON.stringify(parsed));
    const { pair, virtualAddresses, pools } = parsed.config;
    assert.deepEqual(pair?.nodes, [{ name: "pi-a", address: "10.99.0.1", priority: 150 }]);
    assert.deepEqual(pair.arbiter, { kind: "gateway" });
    const [virtual] = virtualAddresses;
    assert.deepEqual(
      [virtual?.address, virtual?.prefixLength, virtual?.interface],
      ["10.99.0.100", 24, "eth0"],
    );
    assert.equal(pools[0]?.backends[0]?.name, "10.99.0.3:8080");
    assert.match(readFileSync(join(directory, "secret"), "utf8"), /^[\w-]{43}\n$/);
    assert.match(said, /the gateway 10\.99\.0\.3/);
  });

  test("says by whose MAC the address is taken", (t) => {
    network.on("b", "ip addr add 10.99.0.101/24 dev eth0");
    t.after(() => network.on("b", "ip addr del 10.99.0.101/24 dev eth0"));
    const { stderr } = init(folder(t), "--vip", "10.99.0.101", "--name", "pi-a");
    assert.match(
      stderr.toLowerCase(),
      new RegExp(`10\\.99\\.0\\.101 is in use: ${network.mac("b")} answers for it`),
    );
  });

  const refusals: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["its own address", ["--vip", "10.99.0.1"], /this machine's own address on eth0/],
    ["the gateway's", ["--vip", "10.99.0.3"], /is the gateway on eth0/],
    [
      "an address of another network",
      ["--vip", "10.98.0.50"],
      /in no network of this machine, which has 10\.99\.0\.1\/24 on eth0/,
    ],
    [
      "an interface that is not there",
      ["--vip", "10.99.0.100", "--interface", "eth1"],
      /no interface "eth1".*Did you mean eth0\?/,
    ],
    [
      "a name that cannot be one",
      ["--vip", "10.99.0.100", "--name", "pi a"],
      /"pi a" is not a name.*--name pi-a/,
    ],
    ["to ask when nobody can answer", ["--yes"], /--vip 192\.168\.1\.50/],
  ];
  for (const [name, args, problem] of refusals) {
    test(`refuses ${name}`, (t) => {
      const named = args.includes("--name") ? args : [...args, "--name", "pi-a"];
      assert.match(init(folder(t), ...named).stderr, problem);
    });
  }

  test("refuses an interface without carrier", (t) => {
    network.onSwitch("ip link set pa down");
    t.after(() => network.onSwitch("ip link set pa up"));
    assert.match(init(folder(t), "--vip", "10.99.0.100", "--name", "pi-a").stderr, /eth0 has no carrier/);
  });

  test("says what is missing when it cannot ask the network", (t) => {
    // A machine with nothing in its PATH but what the launcher needs.
    const directory = folder(t);
    const config = join(directory, "vipair.yaml");
    const command = [
      "ip",
      "netns",
      "exec",
      network.nameOf("a"),
      "env",
      `PATH=${directory}`,
      process.execPath,
    ];
    const main = join(import.meta.dirname, "../../src/main.ts");
    const { code, stderr } = execute([
      ...command,
      main,
      "init",
      "--vip",
      "10.99.0.100",
      "--name",
      "pi-a",
      "--config",
      config,
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /cannot find out whether 10\.99\.0\.100 is free on eth0: .*not found/);
    assert.ok(!existsSync(config));
  });
});
