// Each mistake in how the nodes reach each other and their arbiter, one a row: what is changed in a good file, and the error for it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { changed, errorsOf, expectConfig, expectEach, PAIR_YAML } from "./pair-yaml.ts";

describe("arbiter", () => {
  expectEach(PAIR_YAML, [
    [
      "  secret:",
      "  arbiter: gateway\n  secret:",
      '5:12  pair.arbiter: "gateway" is text. Write a map with a kind, such as { kind: gateway }.',
    ],
    [
      "  secret:",
      "  arbiter: 192.168.1.1\n  secret:",
      '5:12  pair.arbiter: "192.168.1.1" is text. Write a map with a kind, such as { kind: gateway }.',
    ],
    [
      "  secret:",
      "  arbiter: { kind: router }\n  secret:",
      '5:20  pair.arbiter.kind: "router" is not known here. Use gateway or none.',
    ],
    [
      "  secret:",
      "  arbiter: { address: 192.168.1.1 }\n  secret:",
      "5:3  pair.arbiter.kind: Missing. Write gateway or none.",
    ],
    [
      "  secret:",
      "  arbiter: { kind: gateway, address: router.lan }\n  secret:",
      '5:38  pair.arbiter.address: "router.lan" is not an IP address. Use the one of a router, such as 192.168.1.1.',
    ],
    [
      "  secret:",
      "  arbiter: { kind: gateway, address: 192.168.1.1/24 }\n  secret:",
      '5:38  pair.arbiter.address: "192.168.1.1/24" is not an IP address. Use the one of a router, such as 192.168.1.1.',
    ],
    [
      "  secret:",
      "  arbiter: { kind: gateway, address: 0.0.0.0 }\n  secret:",
      '5:38  pair.arbiter.address: "0.0.0.0" is not the address of one machine. Use the one of a router.',
    ],
    [
      "  secret:",
      "  arbiter: { kind: gateway, address: '::1' }\n  secret:",
      '5:38  pair.arbiter.address: "::1" is the node itself, and always answers. Use the address of a router.',
    ],
    [
      "  secret:",
      "  arbiter: { kind: gateway, address: 192.168.1.11 }\n  secret:",
      '5:38  pair.arbiter.address: "192.168.1.11" is an address of node pi-a itself. Use a third machine that both nodes reach, such as the router.',
    ],
    [
      "  secret:",
      "  arbiter: { kind: gateway, address: 192.168.1.50 }\n  secret:",
      '5:38  pair.arbiter.address: "192.168.1.50" moves between the nodes: it is virtualAddresses[0].address. Use a third machine that both nodes reach, such as the router.',
    ],
    [
      "  secret:",
      "  arbiter: { kind: none, address: 192.168.1.1 }\n  secret:",
      "5:26  pair.arbiter.address: Unknown key. Known here: kind.",
    ],
    [
      "  secret:",
      "  arbitrator: { kind: none }\n  secret:",
      "5:3  pair.arbitrator: Unknown key. Known here: nodes, secret, secretFile, port, acceptConfig, advertisementInterval, preempt, preemptDelay, claim, lease, hook, arbiter, paths, roleChangesPerMinute, track, vitals, notify.",
    ],
    [
      "  secret:",
      "  gateway: 192.168.1.1\n  secret:",
      "5:3  pair.gateway: Unknown key. Write arbiter: { kind: gateway, address: ADDRESS }.",
    ],
    [
      "  secret:",
      "  arbiter: { kind: gateway, address: 10.0.0.2 }\n  paths: [{ pi-a: 10.0.0.1, pi-b: 10.0.0.2 }]\n  secret:",
      '5:38  pair.arbiter.address: "10.0.0.2" is an address of node pi-b itself. Use a third machine that both nodes reach, such as the router.',
    ],
  ]);
});

describe("paths", () => {
  expectEach(PAIR_YAML, [
    [
      "  secret:",
      "  paths: { pi-a: 10.0.0.1, pi-b: 10.0.0.2 }\n  secret:",
      "5:3  pair.paths: This is a map. Write a list of paths, such as { pi-a: 10.0.0.1, pi-b: 10.0.0.2 }.",
    ],
    [
      "  secret:",
      "  paths: [[10.0.0.1, 10.0.0.2]]\n  secret:",
      "5:11  pair.paths[0]: This is a list. Write the addresses by the names of the nodes, such as { pi-a: 10.0.0.1, pi-b: 10.0.0.2 }.",
    ],
    [
      "  secret:",
      "  paths: [10.0.0.1]\n  secret:",
      '5:11  pair.paths[0]: "10.0.0.1" is text. Write the addresses by the names of the nodes, such as { pi-a: 10.0.0.1, pi-b: 10.0.0.2 }.',
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1 }]\n  secret:",
      "5:11  pair.paths[0]: There is no address for pi-b. A path has one for each node.",
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1, pi-c: 10.0.0.2 }]\n  secret:",
      '5:29  pair.paths[0].pi-c: There is no node "pi-c". Did you mean "pi-b"?',
    ],
    [
      "  secret:",
      "  paths: [{}]\n  secret:",
      "5:11  pair.paths[0]: There is no address for pi-a and pi-b. A path has one for each node.",
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1, pi-b: 10.0.0.1 }]\n  secret:",
      '5:35  pair.paths[0].pi-b: "10.0.0.1" is pair.paths[0].pi-a too. Each node needs its own.',
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1, pi-b: 192.168.1.11 }]\n  secret:",
      '5:35  pair.paths[0].pi-b: "192.168.1.11" is pair.nodes.pi-a.address already. Each path has addresses of its own; those in pair.nodes are the first path.',
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1, pi-b: 10.0.0.2 }, { pi-a: 10.0.1.1, pi-b: 10.0.0.2 }]\n  secret:",
      '5:71  pair.paths[1].pi-b: "10.0.0.2" is pair.paths[0].pi-b already. Each path has addresses of its own; those in pair.nodes are the first path.',
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1, pi-b: 192.168.1.50 }]\n  secret:",
      '5:35  pair.paths[0].pi-b: "192.168.1.50" moves between the nodes: it is virtualAddresses[0].address. Use an address that stays on its node.',
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1, pi-b: 'fd00::2' }]\n  secret:",
      '5:35  pair.paths[0].pi-b: "fd00::2" is IPv6, and pi-a has an IPv4 address here. Use the same kind for both nodes.',
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1/24, pi-b: 10.0.0.2 }]\n  secret:",
      '5:19  pair.paths[0].pi-a: "10.0.0.1/24" is not an IP address. Use IPv4 or IPv6, such as 192.168.1.11 or fd00::11.',
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1, pi-b: 10.0.0.2:7946 }]\n  secret:",
      '5:35  pair.paths[0].pi-b: "10.0.0.2:7946" is not an IP address. Use IPv4 or IPv6, such as 192.168.1.11 or fd00::11.',
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1, pi-b: 10.0.0.2, pi-c: 10.0.0.3 }]\n  secret:",
      '5:45  pair.paths[0].pi-c: There is no node "pi-c". Use pi-a or pi-b.',
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: { address: 10.0.0.1 }, pi-b: 10.0.0.2 }]\n  secret:",
      "5:13  pair.paths[0].pi-a: This is a map. Write an IP address, such as 192.168.1.11.",
    ],
    [
      "192.168.1.12",
      "fd00::12",
      '4:22  pair.nodes.pi-b.address: "fd00::12" is IPv6, and pi-a has an IPv4 address here. Use the same kind for both nodes.',
    ],
    [
      "192.168.1.12",
      "fe80::12",
      '4:22  pair.nodes.pi-b.address: "fe80::12" is link-local: without its interface it names no machine. Use another one of the node, such as fd00::11.',
    ],
    [
      "  secret:",
      "  paths: [{ pi-a: 10.0.0.1, pi-b: 'fe80::2' }]\n  secret:",
      '5:35  pair.paths[0].pi-b: "fe80::2" is link-local: without its interface it names no machine. Use another one of the node, such as fd00::11.',
    ],
  ]);
});

const withPaths = (...paths: readonly string[]): string =>
  changed(PAIR_YAML, ["  secret:", `  paths: [${paths.join(", ")}]\n  secret:`]);

const numbered = (count: number): readonly string[] =>
  Array.from(
    { length: count },
    (_, index) => `{ pi-a: 10.0.${String(index)}.1, pi-b: 10.0.${String(index)}.2 }`,
  );

describe("paths, with more than one mistake", () => {
  test("a stranger that is not like the missing node does not hide that it is missing", () => {
    assert.deepEqual(errorsOf(withPaths("{ pi-a: 10.0.0.1, peer: 10.0.0.2 }")), [
      "5:11  pair.paths[0]: There is no address for pi-b. A path has one for each node.",
      '5:29  pair.paths[0].peer: There is no node "peer". Use pi-a or pi-b.',
    ]);
  });

  test("one misspelt node is not both of them", () => {
    assert.deepEqual(errorsOf(withPaths("{ pi-c: 10.0.0.2 }")), [
      "5:11  pair.paths[0]: There is no address for pi-a and pi-b. A path has one for each node.",
      '5:13  pair.paths[0].pi-c: There is no node "pi-c". Use pi-a or pi-b.',
    ]);
  });

  test("who repeats a path is told of both addresses", () => {
    const already = "already. Each path has addresses of its own; those in pair.nodes are the first path.";
    assert.deepEqual(errorsOf(withPaths("{ pi-a: 192.168.1.11, pi-b: 192.168.1.12 }")), [
      `5:19  pair.paths[0].pi-a: "192.168.1.11" is pair.nodes.pi-a.address ${already}`,
      `5:39  pair.paths[0].pi-b: "192.168.1.12" is pair.nodes.pi-b.address ${already}`,
    ]);
  });

  test("four further paths are possible", () => {
    assert.equal(expectConfig(withPaths(...numbered(4))).pair?.paths.length, 5);
  });

  test("five further paths are too many, whatever else is wrong with them", () => {
    assert.deepEqual(errorsOf(withPaths(...numbered(4), "{ pi-a: 10.0.4.1, pi-b: 5 }")), [
      "5:3  pair.paths: 5 further paths stand here. Use at most 4.",
      "5:179  pair.paths[4].pi-b: 5 is a number. Write an IP address, such as 192.168.1.11.",
    ]);
  });
});

describe("listeners beside paths", () => {
  expectEach(changed(PAIR_YAML, ["  secret:", "  paths: [{ pi-a: 10.0.0.1, pi-b: 10.0.0.2 }]\n  secret:"]), [
    [
      "vip:80",
      "10.0.0.2:7946",
      "11:11  listeners[0].bind: Port 7946 is the port of the peer link. Use another one, or set pair.port.",
    ],
  ]);
});
