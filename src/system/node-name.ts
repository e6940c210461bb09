// What this node is called, in a file of its own beside the configuration, because the configuration is the same on both
// nodes. Pairing writes it, so that a node stays who it is when somebody renames the machine, and two machines
// that are both called "raspberrypi" can make a pair.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A name has 64 characters at most; more than this is no name. */
const BYTES_MAX = 256;

export function nodeNameFile(configPath: string): string {
  return join(dirname(configPath), "node");
}

/** undefined: nobody has given it one. */
export function readNodeName(configPath: string): string | undefined {
  try {
    const text = readFileSync(nodeNameFile(configPath), "utf8").slice(0, BYTES_MAX).trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}
