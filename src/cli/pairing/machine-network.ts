// What this machine's network looks like to `init` and `join`: read from the kernel's files, so that it costs nothing and
// needs neither root nor a program.

import { readFileSync, readdirSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { defaultGateways, readKernelRoutes } from "../../system/kernel-routes.ts";
import { isOwnAddress } from "../../system/own-addresses.ts";

const INTERFACES_DIR = "/sys/class/net";
/** linux/if.h */
const UP = 0x1;
const LOOPBACK = 0x8;

export interface OwnAddress {
  /** In canonical form. */
  readonly address: string;
  readonly prefixLength: number;
  readonly family: "ipv4" | "ipv6";
}

export interface MachineInterface {
  readonly name: string;
  readonly state: "up" | "no-carrier" | "down";
  readonly isLoopback: boolean;
  readonly addresses: readonly OwnAddress[];
}

export interface MachineNetwork {
  readonly interfaces: readonly MachineInterface[];
  /** Preferred ones first. */
  readonly gateways: readonly { readonly interface: string; readonly address: string }[];
  /** Whether it has this address; also on an interface without a carrier, of which `interfaces` does not tell the addresses. */
  readonly has: (address: string) => boolean;
}

export function readMachineNetwork(): MachineNetwork {
  const known = networkInterfaces();
  const names = readdirSync(INTERFACES_DIR).filter((name) => readFlags(name) !== undefined);
  const interfaces = names.map((name): MachineInterface => {
    const flags = readFlags(name) ?? 0;
    return {
      name,
      state: readState(name, flags),
      isLoopback: (flags & LOOPBACK) !== 0,
      addresses: (known[name] ?? []).map(({ address, cidr, family }) => ({
        address,
        prefixLength: Number(cidr?.split("/")[1] ?? (family === "IPv4" ? 32 : 128)),
        family: family === "IPv4" ? "ipv4" : "ipv6",
      })),
    };
  });
  const gateways = defaultGateways(readKernelRoutes() ?? [], names);
  return {
    interfaces,
    gateways: gateways.map(({ interface: name, gateway }) => ({ interface: name, address: gateway })),
    // Where the kernel does not tell, the node that needs the address will.
    has: (address) => isOwnAddress(address) !== false,
  };
}

function readState(name: string, flags: number): MachineInterface["state"] {
  if ((flags & UP) === 0) return "down";
  return readFile(name, "carrier") === "0" ? "no-carrier" : "up";
}

/** undefined: it is none (`bonding_masters` is a file there). */
function readFlags(name: string): number | undefined {
  const text = readFile(name, "flags");
  return text === undefined ? undefined : Number(text);
}

function readFile(name: string, file: string): string | undefined {
  try {
    return readFileSync(`${INTERFACES_DIR}/${name}/${file}`, "utf8").trim();
  } catch {
    return undefined;
  }
}
