// What groups of virtual addresses mean, and each mistake in them, one a row: what is changed in a good file, and the error for it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ALONE_YAML, changed, errorsOf, expectConfig, expectEach, PAIR_YAML } from "./pair-yaml.ts";

const ADDRESS = "  - { address: 192.168.1.50/24, interface: eth0 }\n";
const TWO_GROUPS = changed(PAIR_YAML, [
  ADDRESS,
  `\
  - { group: web, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }
  - { group: mail, priorities: { pi-b: 200 }, addresses: [{ address: 192.168.1.51/24, interface: eth0 }] }
`,
]);

describe("what groups mean", () => {
  test("addresses without groups are one group, with the priorities of the nodes", () => {
    const config = expectConfig(changed(PAIR_YAML, [ADDRESS, ADDRESS + ADDRESS.replace(".50", ".51")]));
    assert.deepEqual(config.groups, [
      { name: "default", priorities: { "pi-a": 150, "pi-b": 100 }, preempt: false },
    ]);
    assert.deepEqual(
      config.virtualAddresses.map(({ address, group }) => [address, group]),
      [
        ["192.168.1.50", "default"],
        ["192.168.1.51", "default"],
      ],
    );
  });

  test("each group has its own priorities, and those of the nodes where it names none", () => {
    assert.deepEqual(expectConfig(TWO_GROUPS).groups, [
      { name: "web", priorities: { "pi-a": 150, "pi-b": 100 }, preempt: false },
      { name: "mail", priorities: { "pi-a": 150, "pi-b": 200 }, preempt: false },
    ]);
  });

  test("a group preempts as the pair does unless it says otherwise", () => {
    const yaml = changed(
      TWO_GROUPS,
      ["  secret:", "  preempt: true\n  secret:"],
      ["group: mail", "group: mail, preempt: false"],
    );
    assert.deepEqual(
      expectConfig(yaml).groups.map(({ name, preempt }) => [name, preempt]),
      [
        ["web", true],
        ["mail", false],
      ],
    );
  });

  test("nodes may have equal priorities in a group", () => {
    const yaml = changed(TWO_GROUPS, ["{ pi-b: 200 }", "{ pi-a: 100, pi-b: 100 }"]);
    assert.deepEqual(expectConfig(yaml).groups[1]?.priorities, { "pi-a": 100, "pi-b": 100 });
  });

  test("nodes may be named like what every object has", () => {
    const yaml = TWO_GROUPS.replaceAll("pi-b", "constructor");
    assert.deepEqual(expectConfig(yaml).groups[0]?.priorities, { "pi-a": 150, constructor: 100 });
  });

  test("a node that balances alone has no groups", () => {
    assert.deepEqual(expectConfig(ALONE_YAML).groups, []);
  });

  test("the pair's own listener is known as such on the address of a group too", () => {
    assert.deepEqual(errorsOf(changed(TWO_GROUPS, ["192.168.1.21:8080", "192.168.1.51:80"])), [
      "15:16  pools.web.backends[0]: This is the pair's own listener: requests would go round for ever. Use a backend's address.",
    ]);
  });
});

describe("groups", () => {
  expectEach(PAIR_YAML, [
    [
      "  secret:",
      "  virtualAddresses: []\n  secret:",
      "5:3  pair.virtualAddresses: Unknown key. It stands at the top of the file, beside pair.",
    ],
    [
      "  secret:",
      "  groups: []\n  secret:",
      "5:3  pair.groups: Unknown key. Groups stand in virtualAddresses. Write the list as groups: - { group: NAME, priorities: { NODE: 150 }, addresses: [{ address: …, interface: … }] }.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n  - { address: 192.168.1.51/24, interface: eth0 }\n",
      "8:5  virtualAddresses[1]: This address is in no group, and others are. Put it into one: { group: NAME, addresses: [{ address: …, interface: … }] }.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { address: 192.168.1.50/24, interface: eth0 }\n  - { group: web, addresses: [{ address: 192.168.1.51/24, interface: eth0 }] }\n",
      "7:5  virtualAddresses[0]: This address is in no group, and others are. Put it into one: { group: NAME, addresses: [{ address: …, interface: … }] }.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: '', addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      '7:14  virtualAddresses[0].group: "" is not a name. Use up to 64 letters, digits, ".", "_" and "-", the first a letter or digit.',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, addresses: [] }\n",
      "7:19  virtualAddresses[0].addresses: The list is empty. Add an address, such as { address: 192.168.1.50/24, interface: eth0 }.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web }\n",
      "7:5  virtualAddresses[0].addresses: Missing. Write a list of virtual addresses.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { name: web, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      '7:7  virtualAddresses[0].name: Unknown key. Did you mean "group"?',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { name: web, group: web, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      "7:7  virtualAddresses[0].name: Unknown key. Known here: group, priorities, preempt, addresses.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      "7:5  virtualAddresses[0].group: Missing. Write a name, such as web.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n  - { group: web, addresses: [{ address: 192.168.1.51/24, interface: eth0 }] }\n",
      '8:14  virtualAddresses[1].group: "web" is virtualAddresses[0].group already. Use another name, or put the addresses into one group.',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n  - { group: mail, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      '8:43  virtualAddresses[1].addresses[0].address: "192.168.1.50" is virtualAddresses[0].addresses[0].address already. Remove one.',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, priorities: { pi-c: 3 }, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      '7:33  virtualAddresses[0].priorities.pi-c: There is no node "pi-c". Use pi-a or pi-b.',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, priorities: { primary: 3 }, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      '7:33  virtualAddresses[0].priorities.primary: There is no node "primary". Use pi-a or pi-b.',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, priorities: { pi-a: 255 }, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      "7:39  virtualAddresses[0].priorities.pi-a: 255 is not a priority. Use 1 to 254.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, priorities: { pi-a: 0 }, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      "7:39  virtualAddresses[0].priorities.pi-a: 0 is not a priority. Use 1 to 254.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, priorities: 100, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      "7:31  virtualAddresses[0].priorities: 100 is a number. Write the priorities by the names of the nodes, such as { pi-a: 150, pi-b: 100 }.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, priorities: [100, 50], addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      "7:19  virtualAddresses[0].priorities: This is a list. Write the priorities by the names of the nodes, such as { pi-a: 150, pi-b: 100 }.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, priority: 100, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      '7:19  virtualAddresses[0].priority: Unknown key. Did you mean "priorities"?',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, preempt: yes, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      '7:28  virtualAddresses[0].preempt: "yes" is text. Write true or false.',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, prempt: true, addresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      '7:19  virtualAddresses[0].prempt: Unknown key. Did you mean "preempt"?',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, adresses: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      '7:19  virtualAddresses[0].adresses: Unknown key. Did you mean "addresses"?',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, addresses: [{ address: 192.168.1.11/24, interface: eth0 }] }\n",
      '7:42  virtualAddresses[0].addresses[0].address: "192.168.1.11" is the own address of node pi-a. Use one that no machine has.',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, addresses: [192.168.1.50/24] }\n",
      '7:31  virtualAddresses[0].addresses[0]: "192.168.1.50/24" is text. Write a map of settings (address, interface).',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, addresses: 192.168.1.50/24 }\n",
      '7:30  virtualAddresses[0].addresses: "192.168.1.50/24" is text. Write a list of virtual addresses.',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { address: 192.168.1.50/24, interface: eth0, group: web }\n",
      "7:50  virtualAddresses[0].group: An address has no group of its own. Write the list as groups: - { group: NAME, priorities: { NODE: 150 }, addresses: [{ address: …, interface: … }] }.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { address: 192.168.1.50/24, interface: eth0, priority: 200 }\n",
      "7:50  virtualAddresses[0].priority: An address has no priority of its own. Write the list as groups: - { group: NAME, priorities: { NODE: 150 }, addresses: [{ address: …, interface: … }] }.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { address: 192.168.1.50/24, interface: eth0, preempt: true }\n",
      "7:50  virtualAddresses[0].preempt: An address has no preempt of its own. Write the list as groups: - { group: NAME, priorities: { NODE: 150 }, addresses: [{ address: …, interface: … }] }.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - 192.168.1.50/24\n",
      '7:5  virtualAddresses[0]: "192.168.1.50/24" is text. Write a map, such as { address: 192.168.1.50/24, interface: eth0 }.',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  web: { addresses: [] }\n",
      "6:1  virtualAddresses: This is a map. Write a list of virtual addresses.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, address: 192.168.1.50/24, interface: eth0 }\n",
      "7:7  virtualAddresses[0].group: An address has no group of its own. Write the list as groups: - { group: NAME, priorities: { NODE: 150 }, addresses: [{ address: …, interface: … }] }.",
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, address: [{ address: 192.168.1.50/24, interface: eth0 }] }\n",
      '7:19  virtualAddresses[0].address: Unknown key. Did you mean "addresses"?',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, addresses: [{ address: 192.168.1.50, interface: eth0 }] }\n",
      '7:42  virtualAddresses[0].addresses[0].address: "192.168.1.50" has no prefix length. Write it as 192.168.1.50/24, with the prefix length of the network.',
    ],
    [
      "  - { address: 192.168.1.50/24, interface: eth0 }\n",
      "  - { group: web, addresses: [{ address: 192.168.1.50/24, interface: eth0, group: x }] }\n",
      "7:76  virtualAddresses[0].addresses[0].group: An address has no group of its own. Write the list as groups: - { group: NAME, priorities: { NODE: 150 }, addresses: [{ address: …, interface: … }] }.",
    ],
    [
      "listeners:",
      "groups: []\nlisteners:",
      "8:1  groups: Unknown key. Groups stand in virtualAddresses. Write the list as groups: - { group: NAME, priorities: { NODE: 150 }, addresses: [{ address: …, interface: … }] }.",
    ],
  ]);
});

const withEntries = (...entries: readonly string[]): string =>
  changed(PAIR_YAML, [ADDRESS, entries.map((entry) => `  - ${entry}\n`).join("")]);

const numbered = (index: number): string =>
  `{ group: g${String(index)}, addresses: [{ address: 10.0.0.${String(index + 1)}/24, interface: eth0 }] }`;

const stray = (index: number): string => `{ address: 10.0.1.${String(index)}/24, interface: eth0 }`;

describe("groups, with more than one mistake", () => {
  test("each address without a group is a mistake when there are groups", () => {
    const yaml = withEntries(stray(1), numbered(1), stray(2), "{ adress: 10.0.1.3/24, interface: eth0 }");
    assert.deepEqual(
      errorsOf(yaml).map((error) => error.replace(/\. Put .*$/, "")),
      [
        "7:5  virtualAddresses[0]: This address is in no group, and others are",
        "9:5  virtualAddresses[2]: This address is in no group, and others are",
        "10:5  virtualAddresses[3]: This address is in no group, and others are",
        '10:7  virtualAddresses[3].adress: Unknown key. Did you mean "address"?',
      ],
    );
  });

  test("an address that was given a group of its own is told so once, beside groups too", () => {
    assert.deepEqual(
      errorsOf(withEntries(numbered(1), "{ group: web, address: 10.0.1.1/24, interface: eth0 }")),
      [
        "8:7  virtualAddresses[1].group: An address has no group of its own. Write the list as groups: - { group: NAME, priorities: { NODE: 150 }, addresses: [{ address: …, interface: … }] }.",
      ],
    );
  });

  test("sixteen groups are possible", () => {
    const yaml = withEntries(...Array.from({ length: 16 }, (_, index) => numbered(index)));
    assert.equal(expectConfig(yaml).groups.length, 16);
  });

  test("seventeen groups are too many, and many addresses are not", () => {
    const groups = Array.from({ length: 17 }, (_, index) => numbered(index));
    assert.deepEqual(errorsOf(withEntries(...groups)), [
      "6:1  virtualAddresses: 17 groups stand here. Use at most 16; a group may have many addresses.",
    ]);
    const addresses = groups.map(
      (_, index) => `{ address: 10.0.0.${String(index + 1)}/24, interface: eth0 }`,
    );
    assert.equal(expectConfig(withEntries(...addresses)).virtualAddresses.length, 17);
  });
});

describe("misplaced keys", () => {
  expectEach(PAIR_YAML, [
    ["listeners:", "track: []\nlisteners:", "8:1  track: Unknown key. It stands under pair."],
    ["listeners:", "preempt: true\nlisteners:", "8:1  preempt: Unknown key. It stands under pair."],
  ]);
});
