// What makes a pair, key by key: the nodes, how they watch each other and themselves, and the addresses
// that move between them. A part of schema.ts with a file of its own, because a node that balances alone
// needs nothing of it.

import { z } from "zod";
import { INTERVAL_MS, LEASE_MS, SECRET_LENGTH_MIN } from "./config.ts";
import * as address from "./address.ts";
import { byNode, choice, commandLine, count, duration, either, file, kindOf, list } from "./fields.ts";
import { name, named, port, section, text, trueOnly, yesOrNo } from "./fields.ts";
import { readHookFile, readProgram } from "./file-values.ts";
import { readCheckUrl } from "./http-values.ts";
import { invalid, ok } from "./reading.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Defaults that the cross-checks need where the file is silent. */
export const PAIR_DEFAULTS = { peerPort: 7946 };
export const TRACK_DEFAULTS = { interval: "1s", timeout: "1s" };

/** Each path has a connection of its own, and each group an election. */
export const FURTHER_PATHS_MAX = 4;
export const GROUPS_MAX = 16;

const SECRET_CHARACTERS = { min: SECRET_LENGTH_MIN, max: 512 };
/** A lower priority never becomes 0, which says that a node resigns: 254 - 253 = 1. */
const WEIGHT_MAX = 253;

const GROUP_FORM =
  "Write the list as groups: - { group: NAME, priorities: { NODE: 150 }, addresses: [{ address: …, interface: … }] }.";
/** For a key `groups`, wherever it is looked for. */
export const GROUPS_HINT = `Unknown key. Groups stand in virtualAddresses. ${GROUP_FORM}`;

const nodeAddress = () =>
  text({
    title: "IPv4 or IPv6 address",
    write: "an IP address, such as 192.168.1.11",
    read: address.readIpAddress,
  });
const priority = () => count({ from: 1, to: 254, noun: "a priority" });
const weight = ({ from }: { readonly from: 0 | 1 }) => count({ from, to: WEIGHT_MAX, noun: "a weight" });

const node = section({
  address: nodeAddress().describe("Where this node's peer link listens; the other node connects to it."),
  priority: priority()
    .prefault(100)
    .describe("The node with the higher priority is preferred when both could be active."),
});

const arbiter = kindOf(
  [
    section({
      kind: z.literal("gateway").describe("A router is asked, all the time, whether it hears this node."),
      address: z
        .exactOptional(
          text({
            title: "IPv4 or IPv6 address",
            write: "an IP address, such as 192.168.1.1",
            read: address.readArbiterAddress,
          }),
        )
        .describe(
          "Which machine is asked: one that both nodes reach as their clients do, and that is neither of the two. The default gateway when absent; where there is none, nobody is asked, and `vipair status` says so.",
        ),
    }),
    section({
      kind: z
        .literal("none")
        .describe("Nobody is asked: when the nodes no longer hear each other, both hold the addresses."),
    }),
  ],
  { example: "{ kind: gateway }" },
);

const notify = section({
  "on-active": z.exactOptional(hookFile()).describe("Run when this node has become active."),
  "on-standby": z.exactOptional(hookFile()).describe("Run when this node has become standby."),
  "on-fault": z.exactOptional(hookFile()).describe("Run when this node may no longer hold addresses."),
});

const track = section(
  {
    name: name().describe("Names the check in logs and status."),
    exec: z
      .exactOptional(
        commandLine({
          title: "path of a program, or a list: program and arguments",
          write: "the path of a program, or a list of program and arguments, such as [/usr/bin/pgrep, named]",
          read: readProgram,
        }),
      )
      .describe(
        "A program; good when it ends with 0. A list when it has arguments. No shell is involved. A name without a slash is looked for in PATH; any other relative path is relative to the configuration file. When it ends or its time is over, what it left running in its process group is killed; what went into a session of its own (`setsid`) is not, and stays with each check.",
      ),
    tcp: z
      .exactOptional(
        text({
          title: "address:port",
          write: "address and port, such as 127.0.0.1:53",
          read: address.readCheckAddress,
        }),
      )
      .describe("Address and port; good when a connection is accepted."),
    http: z
      .exactOptional(
        text({ title: "URL", write: "a URL, such as http://127.0.0.1:8080/health", read: readCheckUrl }),
      )
      .describe("A URL; good when a GET is answered with a status of 200 to 399."),
    interval: duration({ fromMs: 100, toMs: HOUR })
      .prefault(TRACK_DEFAULTS.interval)
      .describe("From one check to the next."),
    timeout: duration({ fromMs: 10, toMs: MINUTE })
      .prefault(TRACK_DEFAULTS.timeout)
      .describe("A check that has not ended by then has failed. At most the interval."),
    rise: count({ from: 1, to: 100 }).prefault(2).describe("Good checks in a row that end the failure."),
    fall: count({ from: 1, to: 100 }).prefault(2).describe("Bad checks in a row that make a failure."),
    weight: z
      .exactOptional(weight({ from: 1 }))
      .describe("How much the priority of this node falls while the check fails. Either this or `fault`."),
    fault: z
      .exactOptional(trueOnly({ advice: "Write fault: true, or a weight in its place." }))
      .describe("`true`: while the check fails, this node may not hold addresses. Either this or `weight`."),
  },
  { hints: { kind: "Unknown key. Write exec, tcp or http in its place, such as tcp: 127.0.0.1:53." } },
).meta({
  allOf: [
    { oneOf: [{ required: ["exec"] }, { required: ["tcp"] }, { required: ["http"] }] },
    { oneOf: [{ required: ["weight"] }, { required: ["fault"] }] },
  ],
});

/** What may stand in a tracked check. */
export const TRACK_KEYS: readonly string[] = Object.keys(track.shape);

const vitals = section({
  interval: duration({ fromMs: SECOND, toMs: HOUR })
    .prefault("10s")
    .describe("From one look at the machine to the next."),
  temperature: vital({ from: 30, to: 120, above: 80, unit: "°C" }).describe(
    "The hottest sensor of the processor.",
  ),
  memory: vital({ from: 50, to: 100, above: 95, unit: "%" }).describe(
    "Memory in use; what the kernel can give back at once counts as free.",
  ),
  disk: vital({ from: 50, to: 100, above: 95, unit: "%" }).describe(
    "Space in use, as `df` shows it, on the root file system or on the one with vipair's own state: the fuller of the two.",
  ),
  underVoltage: section({ weight: vitalWeight() })
    .prefault({})
    .describe("A Raspberry Pi that gets too little power, or is throttled."),
});

export const pair = section(
  {
    nodes: named(node, "nodes")
      .meta({ minProperties: 1, maxProperties: 2 })
      .describe(
        "The two nodes, by name; one until the second has joined. A node finds its own entry by `--node`, by `$VIPAIR_NODE`, by the file `node` beside the configuration, which `vipair init` and `join` write, or by its host name.",
      ),
    secret: z
      .exactOptional(
        text({
          title: `text, ${String(SECRET_CHARACTERS.min)} to ${String(SECRET_CHARACTERS.max)} characters`,
          write: `a text of at least ${String(SECRET_CHARACTERS.min)} characters`,
          secret: true,
          read: (written) => {
            if (written.length < SECRET_CHARACTERS.min) {
              return invalid(
                `The secret is too short. Use at least ${String(SECRET_CHARACTERS.min)} characters.`,
              );
            }
            if (written.length > SECRET_CHARACTERS.max) {
              return invalid(
                `The secret is too long. Use at most ${String(SECRET_CHARACTERS.max)} characters.`,
              );
            }
            return ok(written);
          },
        }),
      )
      .describe(
        "Proves to each node that the other one is its peer, and encrypts the peer link. Either this or `secretFile`.",
      ),
    secretFile: z
      .exactOptional(file())
      .describe(
        "A file with the secret, so that the configuration can be shown around. Relative to the configuration file.",
      ),
    port: port().prefault(PAIR_DEFAULTS.peerPort).describe("TCP port of the peer link, on both nodes."),
    acceptConfig: yesOrNo()
      .prefault(true)
      .describe(
        "Whether `vipair config push` on the other node may replace this file. false: a copy comes by other ways only, so that whoever has one node does not have both.",
      ),
    advertisementInterval: duration({ fromMs: INTERVAL_MS.from, toMs: INTERVAL_MS.to })
      .prefault("200ms")
      .describe(
        "How often a node tells its peer that it lives. A peer that falls silent is judged dead after three to four of these; a peer whose process died is known at once.",
      ),
    preempt: yesOrNo()
      .prefault(false)
      .describe(
        "Whether a node with the higher priority takes the role back when it returns. false: it stays standby, and nothing moves twice.",
      ),
    preemptDelay: duration({ fromMs: 0, toMs: HOUR })
      .prefault("30s")
      .describe("How long a returned node must have been well before it preempts."),
    claim: choice(["fast", "safe"])
      .prefault("fast")
      .describe(
        "`fast` claims as soon as the peer is judged dead and lets the lease clear the address there. `safe` first waits until the peer's lease must have ended, so that two nodes never hold the address at once.",
      ),
    lease: duration({ fromMs: LEASE_MS.from, toMs: LEASE_MS.to })
      .refine((ms) => ms % SECOND === 0, {
        error: "The kernel counts leases in whole seconds. Use 1s to 1m.",
      })
      .prefault("2s")
      .describe(
        "After this time without renewal the kernel removes the address from a node by itself, even if vipair crashed or is frozen. Renewed four times in each lease, apart from advertisements. Whole seconds.",
      ),
    hook: z
      .exactOptional(file())
      .describe(
        "The program that adds and removes the addresses, in place of the one that comes with vipair. Relative to the configuration file.",
      ),
    arbiter: arbiter
      .prefault({ kind: "gateway" })
      .describe(
        "Who tells a node that hears its peer no more which of the two is cut off. The standby takes over only if the arbiter answers; an active that hears neither peer nor arbiter releases its addresses.",
      ),
    paths: list(
      byNode(nodeAddress(), {
        write: "the addresses by the names of the nodes, such as { pi-a: 10.0.0.1, pi-b: 10.0.0.2 }",
      }),
      "paths, such as { pi-a: 10.0.0.1, pi-b: 10.0.0.2 }",
    )
      .meta({ maxItems: FURTHER_PATHS_MAX })
      .prefault([])
      .describe(
        `Further ways for the peer link, such as a direct cable, at most ${String(FURTHER_PATHS_MAX)}: for each an address of either node, by the name of the node. The nodes' own addresses are the first path and do not stand here. The pair is in touch while any one works.`,
      ),
    roleChangesPerMinute: count({ from: 1, to: 1000 })
      .prefault(4)
      .describe(
        "A node that became active or ceased to be more often than this within a minute stays where it is, until a minute has passed without a change or `vipair resume` is typed. Changes that an operator ordered are not counted. Meanwhile facts still move the role (a process that died, a lost carrier, a peer that says that it does not serve, a lease that may have ended); a peer that is merely silent, tracked checks, vitals and preferences do not.",
      ),
    track: list(track, "checks")
      .prefault([])
      .describe("What must work on a node besides vipair. Each node checks itself."),
    vitals: vitals
      .prefault({})
      .describe(
        "The machine itself: a node that is not well has a lower priority, by the sum of its weights.",
      ),
    notify: notify
      .prefault({})
      .describe(
        "Programs to run when the role of this node has changed. They get no arguments; what happened is in their environment. They run one at a time and never delay a claim. A relative path is relative to the configuration file.",
      ),
  },
  {
    hints: {
      gateway: "Unknown key. Write arbiter: { kind: gateway, address: ADDRESS }.",
      groups: GROUPS_HINT,
      virtualAddresses: "Unknown key. It stands at the top of the file, beside pair.",
    },
  },
).meta({ oneOf: [{ required: ["secret"] }, { required: ["secretFile"] }] });

const inGroup = (key: string) => `An address has no ${key} of its own. ${GROUP_FORM}`;

const virtualAddress = section(
  {
    address: text({
      title: "IPv4 or IPv6 address with prefix length",
      write: "an address with its prefix length, such as 192.168.1.50/24",
      read: address.readInterfaceAddress,
    }).describe("The address that clients use, with the prefix length of its network."),
    interface: text({
      title: "name of a network interface",
      write: "the name of a network interface, such as eth0",
      read: address.readInterfaceName,
    }).describe("The network interface that gets the address; the same name on both nodes."),
  },
  {
    hints: {
      group: inGroup("group"),
      priority: inGroup("priority"),
      priorities: inGroup("priorities"),
      preempt: inGroup("preempt"),
    },
  },
).meta({ title: "an address" });

const group = section(
  {
    group: name().describe("Names the group in logs and status."),
    priorities: byNode(priority(), {
      write: "the priorities by the names of the nodes, such as { pi-a: 150, pi-b: 100 }",
    })
      .prefault({})
      .describe(
        "The priorities of the nodes in this group, by the name of the node. A node that is not named has its own.",
      ),
    preempt: z
      .exactOptional(yesOrNo())
      .describe(
        "Whether a node with the higher priority takes this group back when it returns. As `pair.preempt` when absent.",
      ),
    addresses: list(virtualAddress, "virtual addresses")
      .min(1, {
        error: "The list is empty. Add an address, such as { address: 192.168.1.50/24, interface: eth0 }.",
      })
      .describe("The addresses of the group. They move together."),
  },
  { synonyms: { name: "group" } },
).meta({ title: "a group" });

/** Addresses, or groups of addresses; cross-checks.ts sees to it that the two are not mixed. */
export const virtualAddresses = list(
  either(virtualAddress, group, { write: "a map, such as { address: 192.168.1.50/24, interface: eth0 }" }),
  "virtual addresses",
);

function hookFile() {
  return text({ title: "path of a file", write: "the path of a file", read: readHookFile });
}

/** A threshold, and what passing it costs. */
function vital({
  from,
  to,
  above,
  unit,
}: {
  readonly from: number;
  readonly to: number;
  readonly above: number;
  readonly unit: string;
}) {
  return section({
    above: count({ from, to }).prefault(above).describe(`In ${unit}; more than this is not well.`),
    weight: vitalWeight(),
  }).prefault({});
}

function vitalWeight() {
  return weight({ from: 0 })
    .prefault(10)
    .describe("How much the priority of the node falls. 0: not looked at.");
}
