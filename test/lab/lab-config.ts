// What stands in the lab's folder before a node starts: the configuration that both share, the secret, and the
// hooks. The folder is root's alone down to the root of the file system, because vipair refuses secrets and
// hooks that others could write; a checkout need not be.

import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directIpv4Of, ipv4Of } from "./network.ts";

export const VIP = "10.77.0.100";
/** Of the second group in an active/active pair. */
export const VIP_TWO = "10.77.0.101";
export const VIP6 = "fd77::100";

export const BACKENDS = ["backend1", "backend2"] as const;
export const BACKEND_PORT = 8080;

const HOOKS = join(import.meta.dirname, "../../scripts/hooks");
/** By the names that configurations give them: programs of the lab's own, which Lab.tellHook() tells what to do. */
const OWN_PROGRAMS = {
  mischief: "mischief.sh",
  check: "tracked-check.sh",
  "on-active": "notify.sh",
  "on-standby": "notify.sh",
  "on-fault": "notify.sh",
};

export interface LabConfig {
  /** That have joined; absent: both. */
  readonly nodes?: readonly ("a" | "b")[];
  /** In CIDR form; absent: VIP alone. */
  readonly virtualAddresses?: readonly string[];
  /** Instead: by the node that is preferred, the address of a group. Groups are named after their nodes. */
  readonly groups?: Readonly<Record<"a" | "b", string>>;
  readonly bind?: string;
  /** A second path between the nodes that does not go through the switch. */
  readonly directCable?: boolean;
  /** Absent: 1000, because in most tests faults follow each other faster than in life. */
  readonly roleChangesPerMinute?: number;
  /** Lines under `pair:`, indented by two: what a test changes from the defaults. */
  readonly pair?: string;
  /** Further lines of the file, not indented. */
  readonly more?: string;
  /** The hook obeys Lab.tellHook(). */
  readonly mischief?: boolean;
}

/** The file alone: a node reads it when it starts, and at a reload. */
export function rewriteConfig(folder: string, config: LabConfig): void {
  writeFileSync(join(folder, "vipair.yaml"), configOf(config), { mode: 0o600 });
}

export function writeConfig(folder: string, config: LabConfig): void {
  rewriteConfig(folder, config);
  writeFileSync(join(folder, "secret"), "the secret of the lab, known to all\n", { mode: 0o600 });
  mkdirSync(join(folder, "hooks"), { mode: 0o755 });
  for (const name of ["vip", "announce"]) copyProgram(join(HOOKS, name), join(folder, "hooks", name));
  for (const [name, file] of Object.entries(OWN_PROGRAMS)) {
    copyProgram(join(import.meta.dirname, file), join(folder, "hooks", name));
  }
}

function copyProgram(from: string, to: string): void {
  copyFileSync(from, to);
  chmodSync(to, 0o755);
}

const addressLine = (address: string) => `  - { address: "${address}", interface: eth0 }`;

const groupLine = ([node, address]: readonly [string, string]) =>
  `  - { group: of-${node}, priorities: { ${node}: 150, ${node === "a" ? "b" : "a"}: 100 }, addresses: [{ address: "${address}", interface: eth0 }] }`;

const PRIORITIES = { a: 150, b: 100 };

function configOf({
  nodes = ["a", "b"],
  virtualAddresses = [`${VIP}/24`],
  groups,
  bind = "0.0.0.0:80",
  directCable = false,
  roleChangesPerMinute = 1000,
  pair = "",
  more = "",
  mischief = false,
}: LabConfig): string {
  return `
pair:
  nodes:
${nodes.map((node) => `    ${node}: { address: ${ipv4Of(node)}, priority: ${String(PRIORITIES[node])} }`).join("\n")}
  secretFile: secret
  hook: hooks/${mischief ? "mischief" : "vip"}
  roleChangesPerMinute: ${String(roleChangesPerMinute)}
  paths: [${directCable ? `{ a: ${directIpv4Of("a")}, b: ${directIpv4Of("b")} }` : ""}]
${pair}
${more}
virtualAddresses:
${(groups === undefined ? virtualAddresses.map(addressLine) : Object.entries(groups).map(groupLine)).join("\n")}
listeners:
  - name: web
    bind: "${bind}"
    routes: [{ pool: web }]
# The lines of a failed test are to be those that tell of it.
logging: { access: false }
pools:
  web:
    backends: [${BACKENDS.map((machine) => `"${ipv4Of(machine)}:${String(BACKEND_PORT)}"`).join(", ")}]
    health: { kind: http, path: /health }
`;
}
