// Where everything of the demo is: addresses, ports, the configuration of the pair. Every 127.x address is
// local on Linux, so a pair with a virtual address fits on one machine without any rights.

import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { join } from "node:path";

/** Absolute; the checkout that the demo belongs to. */
export const ROOT = join(import.meta.dirname, "../..");

export const NODES = [
  { name: "pi-a", address: "127.0.0.11", priority: 150 },
  { name: "pi-b", address: "127.0.0.12", priority: 100 },
] as const;
export type NodeName = (typeof NODES)[number]["name"];

export const VIRTUAL_ADDRESS = "127.0.0.100";

const BACKENDS = [
  { name: "web-1", host: "127.0.0.21", port: 9001 },
  { name: "web-2", host: "127.0.0.22", port: 9002 },
  { name: "web-3", host: "127.0.0.23", port: 9003 },
] as const;

/** Tried in turn from the usual port upwards. */
const PORTS_TRIED = 50;

export interface BackendPlace {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export interface Layout {
  readonly listenPort: number;
  readonly peerPort: number;
  readonly backends: readonly BackendPlace[];
  /** Sentences about what is elsewhere than usual. */
  readonly remarks: readonly string[];
}

/** Finds free ports; the usual ones when they are. Throws when there are none. */
export async function planLayout(): Promise<Layout> {
  const remarks: string[] = [];
  const choose = async (what: string, hosts: readonly string[], usual: number) => {
    const port = await firstFreePort(hosts, usual);
    if (port !== usual) {
      remarks.push(
        `port ${String(usual)} on ${hosts.join(", ")} is busy: ${what} uses ${String(port)} instead`,
      );
    }
    return port;
  };
  const listenPort = await choose("the virtual address", [VIRTUAL_ADDRESS], 8080);
  const peerPort = await choose(
    "the peer link",
    NODES.map(({ address }) => address),
    7946,
  );
  const backends: BackendPlace[] = [];
  for (const backend of BACKENDS) {
    backends.push({ ...backend, port: await choose(backend.name, [backend.host], backend.port) });
  }
  return { listenPort, peerPort, backends, remarks };
}

async function firstFreePort(hosts: readonly string[], usual: number): Promise<number> {
  for (let port = usual; port < usual + PORTS_TRIED; port += 1) {
    const free = await Promise.all(hosts.map((host) => isFree(host, port)));
    if (!free.includes(false)) return port;
  }
  throw new Error(
    `no free port on ${hosts.join(", ")} from ${String(usual)} to ${String(usual + PORTS_TRIED - 1)}`,
  );
}

async function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => {
      resolve(false);
    });
    probe.listen({ host, port, exclusive: true }, () => {
      probe.close(() => {
        resolve(true);
      });
    });
  });
}

/** The file that both nodes read; `hook` is a path. */
export function configOf(
  { listenPort, peerPort, backends }: Layout,
  { hook }: { readonly hook: string },
): string {
  const nodes = NODES.map(
    ({ name, address, priority }) => `    ${name}: { address: ${address}, priority: ${String(priority)} }`,
  );
  const pool = backends.map(
    ({ name, host, port }) => `      - { name: ${name}, address: "${host}:${String(port)}" }`,
  );
  return `pair:
  nodes:
${nodes.join("\n")}
  secret: ${randomBytes(16).toString("hex")}
  port: ${String(peerPort)}
  hook: ${JSON.stringify(hook)}
virtualAddresses:
  - { address: ${VIRTUAL_ADDRESS}/8, interface: lo }
listeners:
  - { name: web, bind: "vip:${String(listenPort)}", pool: web }
pools:
  web:
    backends:
${pool.join("\n")}
    health: { kind: http, path: /health, interval: 500ms, timeout: 250ms }
workers: 2
shutdownGrace: 2s
# The screen shows what happens to the pair.
logging: { access: false }
`;
}
