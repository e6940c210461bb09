// Which interface, network and own address follow from what a machine has, and what is said when nothing does.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MachineInterface, MachineNetwork } from "../../../src/cli/pairing/machine-network.ts";
import { choosePairNetwork } from "../../../src/cli/pairing/pair-network.ts";
import type { NetworkWishes } from "../../../src/cli/pairing/pair-network.ts";

/** "eth0: 192.168.1.11/24 fd00::11/64", with "(down)" or "(no-carrier)" behind the name. */
function place(line: string): MachineInterface {
  const [, name = "", state = "up", addresses = ""] = /^(\S+?)(?:\((\S+)\))?: ?(.*)$/.exec(line) ?? [];
  return {
    name,
    state: state as MachineInterface["state"],
    isLoopback: name === "lo",
    addresses: addresses
      .split(" ")
      .filter(Boolean)
      .map((text) => {
        const [address = "", length] = text.split("/");
        return { address, prefixLength: Number(length), family: address.includes(":") ? "ipv6" : "ipv4" };
      }),
  };
}

/** `gateways`: "eth0 192.168.1.1". */
function machine(lines: readonly string[], gateways: readonly string[] = []): MachineNetwork {
  const interfaces = ["lo: 127.0.0.1/8 ::1/128", ...lines].map(place);
  return {
    interfaces,
    has: (wanted) => interfaces.some(({ addresses }) => addresses.some(({ address }) => address === wanted)),
    gateways: gateways.map((text) => {
      const [name = "", address = ""] = text.split(" ");
      return { interface: name, address };
    }),
  };
}

const PI = machine(
  ["eth0: 192.168.1.11/24 fd00::11/64 fe80::1/64", "wlan0: 192.168.1.12/24"],
  ["eth0 192.168.1.1", "wlan0 192.168.1.1"],
);

const CHOSEN = {
  kind: "network",
  vip: "192.168.1.50",
  prefixLength: 24,
  interface: "eth0",
  isLoopback: false,
  address: "192.168.1.11",
  gateway: "192.168.1.1",
};

function expectProblem(
  of: MachineNetwork,
  wishes: NetworkWishes,
  problem: RegExp,
  options: { readonly ours?: readonly string[] } = {},
): void {
  const chosen = choosePairNetwork(of, wishes, options);
  assert.equal(chosen.kind, "problem", JSON.stringify(chosen));
  if (chosen.kind !== "problem") return;
  assert.match(chosen.problem, problem);
  assert.doesNotMatch(chosen.problem, /\.$/);
}

describe("the network of a virtual address", () => {
  test("is the one that contains it, and of two the one with the default route", () => {
    assert.deepEqual(choosePairNetwork(PI, { vip: "192.168.1.50" }), CHOSEN);
  });

  test("is on another interface when that is wanted", () => {
    const { interface: name, address, ...rest } = CHOSEN;
    const chosen = choosePairNetwork(PI, { vip: "192.168.1.50", interface: "wlan0" });
    assert.deepEqual(chosen, { ...rest, interface: "wlan0", address: "192.168.1.12" });
    assert.notDeepEqual([name, address], ["wlan0", "192.168.1.12"]);
  });

  test("is asked for when several would do and none leads to the Internet", () => {
    const two = machine(["eth0: 10.0.0.1/24", "eth1: 10.0.0.2/24"]);
    assert.deepEqual(choosePairNetwork(two, { vip: "10.0.0.50" }), {
      kind: "ambiguous",
      interfaces: ["eth0", "eth1"],
    });
  });

  test("may be one of IPv6; the own address is of it, too, and in canonical form", () => {
    const chosen = choosePairNetwork(PI, { vip: "FD00:0::50" });
    assert.ok(chosen.kind === "network");
    assert.deepEqual(
      [chosen.vip, chosen.prefixLength, chosen.address, chosen.gateway],
      ["fd00::50", 64, "fd00::11", null],
    );
  });

  test("has the prefix length that was given, and the own address that was given", () => {
    const two = machine(["eth0: 192.168.1.11/24", "eth1: 10.0.0.1/30"], ["eth0 192.168.1.1"]);
    const chosen = choosePairNetwork(two, { vip: "192.168.1.50/25", address: "10.0.0.1" });
    assert.deepEqual(chosen, { ...CHOSEN, prefixLength: 25, address: "10.0.0.1" });
  });

  test("is not that of an address that is held: it has no network around it", () => {
    const holding = machine(["eth0: 192.168.1.50/32 192.168.1.11/24"], ["eth0 192.168.1.1"]);
    assert.deepEqual(choosePairNetwork(holding, { vip: "192.168.1.50" }, { ours: ["192.168.1.50"] }), CHOSEN);
  });
});

describe("a virtual address is refused", () => {
  const rows: readonly (readonly [name: string, NetworkWishes, RegExp])[] = [
    ["that is no address", { vip: "192.168.1.500" }, /^"192\.168\.1\.500" is not an IP address/],
    ["that is link-local", { vip: "fe80::50" }, /link-local.*such as fd00::50$/],
    [
      "that means every address",
      { vip: "0.0.0.0" },
      /^"0\.0\.0\.0" means every address\. Choose one of the network that no machine has, such as 192\.168\.1\.50$/,
    ],
    ["that means every address of IPv6", { vip: "::/64" }, /^"::" means every address\. Choose one/],
    [
      "that is a multicast address",
      { vip: "224.0.0.1" },
      /^"224\.0\.0\.1" is a multicast address\. Choose one/,
    ],
    ["that is the machine's own", { vip: "192.168.1.12" }, /own address on wlan0/],
    ["that is the gateway's", { vip: "192.168.1.1" }, /is the gateway on eth0/],
    ["that is the network", { vip: "192.168.1.0" }, /is the network itself/],
    ["that is the broadcast address", { vip: "192.168.1.255" }, /is the broadcast address/],
    [
      "in no network of the machine, with those that it has",
      { vip: "192.168.2.50" },
      /in no network of this machine, which has 192\.168\.1\.11\/24 on eth0, fd00::11\/64 on eth0, 192\.168\.1\.12\/24 on wlan0/,
    ],
    [
      "in no network of the interface",
      { vip: "fd00::50", interface: "wlan0" },
      /no network of wlan0, which has 192\.168\.1\.12\/24/,
    ],
    ["with a prefix length that is none", { vip: "192.168.1.50/33" }, /33/],
  ];
  for (const [name, wishes, problem] of rows) {
    test(name, () => {
      expectProblem(PI, wishes, problem);
    });
  }

  test("that the machine holds, unless its own pair does", () => {
    const holding = machine(["eth0: 192.168.1.11/24 192.168.1.50/32"]);
    expectProblem(holding, { vip: "192.168.1.50" }, /own address on eth0/);
    expectProblem(holding, { vip: "192.168.1.50" }, /own address on eth0/, { ours: ["192.168.1.51"] });
  });
});

describe("an interface is refused", () => {
  const wishes = { vip: "192.168.1.50" };
  test("that is not there, with the one that was meant", () => {
    expectProblem(
      PI,
      { ...wishes, interface: "eht0" },
      /no interface "eht0", only lo, eth0 and wlan0\. Did you mean eth0\?/,
    );
  });
  test("without a carrier, or that is down", () => {
    const dark = machine(["eth0(no-carrier): 192.168.1.11/24", "eth1(down):"]);
    expectProblem(dark, { ...wishes, interface: "eth0" }, /eth0 has no carrier/);
    expectProblem(dark, { ...wishes, interface: "eth1" }, /eth1 is down/);
    expectProblem(dark, wishes, /eth0 has no carrier/);
    const unplugged = machine(["eth0(no-carrier):"]);
    expectProblem(unplugged, wishes, /eth0 has no carrier: is the cable plugged in\?/);
  });
  test("an own address that the machine does not have", () => {
    expectProblem(
      PI,
      { ...wishes, address: "192.168.1.99" },
      /does not have the address 192\.168\.1\.99; it has 192/,
    );
  });
});
