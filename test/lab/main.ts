// scripts/lab: the network and the faults of the tests, for a person. Each command finds the lab that an earlier
// one built by its name, so there is no state beside the namespaces, the processes in them, and the lab's folder.

import { once } from "node:events";
import { join } from "node:path";
import { ByHand } from "./by-hand.ts";
import { Lab, NODES, type Node } from "./lab.ts";
import { VIP } from "./lab-config.ts";
import { ipv4Of } from "./network.ts";
import { labIsMissing } from "./requirements.ts";

const VIPAIR = join(import.meta.dirname, "../../scripts/vipair");
/** The vipair commands that ask a running node, and so take the option that says which. */
const ASKING = "status, role, switchover, standby, resume, drain, ready, maintenance or weight".split(
  /, | or /,
);
const lab = new Lab({ name: "vl-hand" });
const hand = new ByHand(lab);

interface Command {
  /** As the usage shows it, after the command. */
  readonly usage: string;
  readonly what: string;
  readonly run: (args: readonly string[]) => Promise<void>;
}

/** For one of the nodes. */
function onNode(what: string, act: (node: Node) => Promise<void>): Command {
  return {
    usage: "a|b",
    what,
    run: async (args) => {
      const [name, ...rest] = args;
      const node = nodeOf(name);
      if (rest.length > 0) throw new Error(`one node at a time; too much: ${rest.join(" ")}`);
      await act(node);
    },
  };
}

function nodeOf(name: string | undefined): Node {
  const node = NODES.find((candidate) => candidate === name);
  if (node === undefined) throw new Error(`which node? ${NODES.join(" or ")}`);
  return node;
}

const forAll = (what: string, act: () => Promise<void>): Command => ({
  usage: "",
  what,
  run: async (args) => {
    refuseMore(args);
    await act();
  },
});

function refuseMore(args: readonly string[]): void {
  if (args.length > 0) throw new Error(`too much: ${args.join(" ")}`);
}

const COMMANDS: Readonly<Record<string, Command>> = {
  up: forAll("build the network, start both nodes, wait until one is active", up),
  status: forAll("what runs, what is plugged in, who holds the address", printStatus),
  pull: onNode("pull the cable of a node", (node) => hand.pull(node)),
  silence: onNode("the switch port of a node passes nothing, its carrier stays up", (node) =>
    hand.silence(node),
  ),
  plug: onNode("undo pull and silence", (node) => hand.plug(node)),
  part: forAll("the nodes do not reach each other, but everybody else", () => hand.part()),
  join: forAll("undo part", () => hand.join()),
  gateway: {
    usage: "off|on",
    what: "the default gateway of both nodes",
    run: async ([state, ...rest]) => {
      refuseMore(rest);
      await hand.gateway(state);
    },
  },
  freeze: onNode("SIGSTOP to everything on a node", (node) => hand.freeze(node)),
  thaw: onNode("SIGCONT to everything on a node", (node) => hand.thaw(node)),
  kill: onNode("SIGKILL to everything on a node", (node) => hand.kill(node)),
  stop: onNode("SIGTERM to the vipair of a node, and wait until it has ended", (node) => hand.stop(node)),
  start: onNode("start vipair on a node", (node) => hand.start(node)),
  off: onNode("cut the power of a node", (node) => hand.off(node)),
  on: onNode("a node boots, and its vipair with it", (node) => hand.on(node)),
  delete: onNode("delete the virtual address from a node, as another program might", (node) =>
    hand.delete(node),
  ),
  vipair: {
    usage: "a|b COMMAND...",
    what: `a vipair command on a node: ${ASKING.join(", ")}`,
    run: async ([name, ...command]) => {
      const node = nodeOf(name);
      if (!ASKING.includes(command[0] ?? "")) {
        throw new Error(`which command? ${ASKING.slice(0, -1).join(", ")} or ${ASKING.slice(-1).join("")}`);
      }
      await runHere(node, [VIPAIR, ...command, "--runtime-dir", lab.nodes[node].runtimeFolder]);
    },
  },
  probe: {
    usage: "[OPTION...]",
    what: "vipair probe from the client, until Ctrl-C",
    run: (options) => runHere("client", [VIPAIR, "probe", `http://${VIP}/`, ...options]),
  },
  down: forAll("end every process of the lab and remove the network", () => lab.down()),
};

async function up(): Promise<void> {
  try {
    await lab.up();
    const { active } = await lab.settle();
    console.log(`${active} is active; http://${VIP}/ is answered. In another terminal: scripts/lab probe`);
  } catch (error) {
    await lab.down();
    throw error;
  }
}

async function printStatus(): Promise<void> {
  const holders = await lab.holders();
  for (const node of NODES) {
    const status = await lab.status(node);
    const pid = lab.nodes[node].controlPid();
    const facts = [
      `${node}  ${ipv4Of(node).padEnd(11)}  ${await hand.describe(node)}`,
      pid === undefined ? "" : `pid ${String(pid)}`,
      status?.reason ?? "",
      ...(await lab.network.portTroubles(node)),
      holders.includes(node) ? `holds ${VIP}` : "",
    ];
    console.log(facts.filter((fact) => fact !== "").join(", "));
  }
  if ((await lab.network.portTroubles("gateway")).length > 0) console.log("the gateway is off");
  console.log(`logs: ${lab.folder}/a.log, b.log`);
}

/** With this terminal; its exit code becomes ours. */
async function runHere(machine: Node | "client", argv: readonly string[]): Promise<void> {
  const child = lab.network.spawnHere(machine, argv);
  // Ctrl-C is for the program, which reports before it ends.
  process.on("SIGINT", () => undefined);
  const [code] = (await once(child, "exit")) as [number | null];
  process.exitCode = code ?? 1;
}

function usage(): string {
  const lines = Object.entries(COMMANDS).map(
    ([name, command]) => `  ${`${name} ${command.usage}`.padEnd(24)}${command.what}`,
  );
  return ["usage: scripts/lab COMMAND", ...lines].join("\n");
}

async function main([name = "", ...args]: readonly string[]): Promise<void> {
  const command = COMMANDS[name];
  if (command === undefined) {
    console.error(usage());
    process.exitCode = 2;
    return;
  }
  const missing = labIsMissing();
  if (missing !== false) throw new Error(missing);
  if (name === "up" && lab.network.exists())
    throw new Error("the lab is up already; scripts/lab down ends it");
  if (name !== "up" && !lab.network.exists()) {
    throw new Error("the lab is not up; scripts/lab up builds it");
  }
  await command.run(args);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`lab: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
