// Each mistake an operator can make in what makes a pair, one a row: what is changed in a good file, and the error for it.

import { describe } from "node:test";
import { PAIR_YAML, expectEach } from "./pair-yaml.ts";

describe("pair", () => {
  expectEach(PAIR_YAML, [
    [
      "192.168.1.11",
      "pi-a.lan",
      '3:22  pair.nodes.pi-a.address: "pi-a.lan" is not an IP address. Use IPv4 or IPv6, such as 192.168.1.11 or fd00::11.',
    ],
    [
      "192.168.1.11",
      "0.0.0.0",
      '3:22  pair.nodes.pi-a.address: "0.0.0.0" means every address. Use the one that the peer connects to.',
    ],
    [
      "192.168.1.11",
      "224.0.0.18",
      '3:22  pair.nodes.pi-a.address: "224.0.0.18" is a multicast address. Use the node\'s own one.',
    ],
    [
      "192.168.1.11",
      "192.168.01.11",
      '3:22  pair.nodes.pi-a.address: "192.168.01.11" is not an IP address. Use IPv4 or IPv6, such as 192.168.1.11 or fd00::11.',
    ],
    [
      "192.168.1.12",
      "192.168.1.11",
      '4:22  pair.nodes.pi-b.address: "192.168.1.11" is the address of pair.nodes.pi-a.address too. Each node needs its own.',
    ],
    [
      "192.168.1.12",
      "fe80::1%eth0",
      '4:22  pair.nodes.pi-b.address: "fe80::1%eth0" is not an IP address. Use IPv4 or IPv6, such as 192.168.1.11 or fd00::11.',
    ],
    [
      "priority: 150",
      "priority: 255",
      "3:46  pair.nodes.pi-a.priority: 255 is not a priority. Use 1 to 254.",
    ],
    ["priority: 150", "priority: 0", "3:46  pair.nodes.pi-a.priority: 0 is not a priority. Use 1 to 254."],
    [
      "priority: 150",
      "priority: 1.5",
      "3:46  pair.nodes.pi-a.priority: 1.5 is not a priority. Use 1 to 254.",
    ],
    ["priority: 150", "prio: 150", '3:36  pair.nodes.pi-a.prio: Unknown key. Did you mean "priority"?'],
    [
      "    pi-a: { address: 192.168.1.11, priority: 150 }\n    pi-b: { address: 192.168.1.12 }\n",
      "    {}\n",
      "2:3  pair.nodes: A pair has two nodes, or one until the second has joined; 0 stand here.",
    ],
    [
      "    pi-b:",
      "    pi-c: { address: 192.168.1.13 }\n    pi-b:",
      "2:3  pair.nodes: A pair has two nodes, or one until the second has joined; 3 stand here.",
    ],
    [
      "pi-b:",
      "pi b:",
      '4:5  pair.nodes["pi b"]: "pi b" is not a name. Use up to 64 letters, digits, ".", "_" and "-", the first a letter or digit.',
    ],
    [
      "pi-b:",
      "-b:",
      '4:5  pair.nodes.-b: "-b" is not a name. Use up to 64 letters, digits, ".", "_" and "-", the first a letter or digit.',
    ],
    [
      "  secret: a secret of the pair\n",
      "",
      "1:1  pair: The pair has no secret. Add secretFile: FILE, or secret: TEXT, the same on both nodes.",
    ],
    [
      "  secret:",
      "  secretFile: s\n  secret:",
      "5:3  pair.secretFile: There is a secret as well. Keep one of the two.",
    ],
    [
      "secret: a secret of the pair",
      "secret: 'too short'",
      "5:11  pair.secret: The secret is too short. Use at least 16 characters.",
    ],
    [
      "secret: a secret of the pair",
      "secret:",
      "5:3  pair.secret: Empty. Write a text of at least 16 characters.",
    ],
    ["secret: a secret of the pair", "secretFile: ''", "5:15  pair.secretFile: Write the path of a file."],
    ["  secret:", "  port: 80800\n  secret:", "5:9  pair.port: 80800 is not a port. Use 1 to 65535."],
    [
      "  secret:",
      "  port: '7946'\n  secret:",
      '5:9  pair.port: "7946" is text. Write a whole number, 1 to 65535.',
    ],
    [
      "  secret:",
      "  advertisementInterval: 10ms\n  secret:",
      '5:26  pair.advertisementInterval: "10ms" is too small. Use 20ms to 10s.',
    ],
    [
      "  secret:",
      "  advertisementInterval: 11s\n  secret:",
      '5:26  pair.advertisementInterval: "11s" is too large. Use 20ms to 10s.',
    ],
    [
      "  secret:",
      "  advertisementInterval: 200\n  secret:",
      "5:26  pair.advertisementInterval: 200 is a number. Write a duration with a unit, such as 5s.",
    ],
    [
      "  secret:",
      "  advertisementInterval: 0.2s\n  secret:",
      '5:26  pair.advertisementInterval: "0.2s" is not a duration. Write a whole number and a unit: 200ms, 5s, 1m or 1h.',
    ],
    [
      "  secret:",
      "  advertisment_interval: 1s\n  secret:",
      '5:3  pair.advertisment_interval: Unknown key. Did you mean "advertisementInterval"?',
    ],
    ["  secret:", "  preempt: yes\n  secret:", '5:12  pair.preempt: "yes" is text. Write true or false.'],
    [
      "  secret:",
      "  claim: slow\n  secret:",
      '5:10  pair.claim: "slow" is not known here. Use fast or safe.',
    ],
    [
      "  secret:",
      "  claim: Fast\n  secret:",
      '5:10  pair.claim: "Fast" is not known here. Did you mean fast? Use fast or safe.',
    ],
    [
      "  secret:",
      "  lease: 1500ms\n  secret:",
      "5:10  pair.lease: The kernel counts leases in whole seconds. Use 1s to 1m.",
    ],
    ["  secret:", "  lease: 500ms\n  secret:", '5:10  pair.lease: "500ms" is too small. Use 1s to 1m.'],
    ["  secret:", "  lease: 2m\n  secret:", '5:10  pair.lease: "2m" is too large. Use 1s to 1m.'],
    [
      "  secret:",
      "  quorum: 2\n  secret:",
      "5:3  pair.quorum: Unknown key. Known here: nodes, secret, secretFile, port, acceptConfig, advertisementInterval, preempt, preemptDelay, claim, lease, hook, arbiter, paths, roleChangesPerMinute, track, vitals, notify.",
    ],
  ]);
});

describe("virtual addresses", () => {
  expectEach(PAIR_YAML, [
    [
      "192.168.1.50/24",
      "192.168.1.50",
      '7:16  virtualAddresses[0].address: "192.168.1.50" has no prefix length. Write it as 192.168.1.50/24, with the prefix length of the network.',
    ],
    [
      "192.168.1.50/24",
      "192.168.1.50/33",
      '7:16  virtualAddresses[0].address: "33" is not a prefix length. Use 0 to 32.',
    ],
    [
      "192.168.1.50/24",
      "192.168.1.0/24",
      '7:16  virtualAddresses[0].address: "192.168.1.0/24" is the network itself. Use an address inside it.',
    ],
    [
      "192.168.1.50/24",
      "192.168.1.255/24",
      '7:16  virtualAddresses[0].address: "192.168.1.255/24" is the broadcast address of its network. Use another address inside it.',
    ],
    [
      "192.168.1.50/24",
      "192.168.1.11/24",
      '7:16  virtualAddresses[0].address: "192.168.1.11" is the own address of node pi-a. Use one that no machine has.',
    ],
    [
      "192.168.1.50/24",
      "10.0.0.1/0",
      '7:16  virtualAddresses[0].address: "10.0.0.1/0" covers all addresses. Use a prefix length of 1 to 32.',
    ],
    [
      "192.168.1.50/24",
      "224.0.0.1/24",
      '7:16  virtualAddresses[0].address: "224.0.0.1/24" cannot stand on an interface. Use a unicast address.',
    ],
    [
      "eth0",
      "a-very-long-name0",
      '7:44  virtualAddresses[0].interface: "a-very-long-name0" is not the name of a network interface. Use one that "ip link" shows, such as eth0.',
    ],
    [
      "eth0",
      "eth 0",
      '7:44  virtualAddresses[0].interface: "eth 0" is not the name of a network interface. Use one that "ip link" shows, such as eth0.',
    ],
    [
      "eth0",
      "'../x'",
      '7:44  virtualAddresses[0].interface: "../x" is not the name of a network interface. Use one that "ip link" shows, such as eth0.',
    ],
    [
      ", interface: eth0",
      "",
      "7:5  virtualAddresses[0].interface: Missing. Write the name of a network interface, such as eth0.",
    ],
    [
      "interface: eth0 }",
      "interface: eth0 }\n  - { address: 192.168.1.50/32, interface: eth1 }",
      '8:16  virtualAddresses[1].address: "192.168.1.50" is virtualAddresses[0].address already. Remove one.',
    ],
  ]);
});

describe("listeners and pools of a pair", () => {
  expectEach(PAIR_YAML, [
    [
      "vip:80",
      "0.0.0.0:7946",
      "10:11  listeners[0].bind: Port 7946 is the port of the peer link. Use another one, or set pair.port.",
    ],
    [
      "vip:80",
      "192.168.1.12:7946",
      "10:11  listeners[0].bind: Port 7946 is the port of the peer link. Use another one, or set pair.port.",
    ],
    [
      "192.168.1.21:8080",
      "192.168.1.50:80",
      "14:16  pools.web.backends[0]: This is the pair's own listener: requests would go round for ever. Use a backend's address.",
    ],
    [
      "name: web",
      "name: a web",
      '9:11  listeners[0].name: "a web" is not a name. Use up to 64 letters, digits, ".", "_" and "-", the first a letter or digit.',
    ],
    ["name: web\n    bind", "bind", "9:5  listeners[0].name: Missing. Write a name, such as web."],
    [
      "pools:\n  web:\n    backends: [192.168.1.21:8080, 192.168.1.22:8080]\n",
      "pools: [web]",
      "12:1  pools: This is a list. Write a map of pools, each under its name.",
    ],
  ]);
});
