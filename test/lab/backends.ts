// The two backends of the lab, each on a machine of its own.

import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { waitUntil } from "../support/wait-until.ts";
import { BACKEND_PORT, BACKENDS } from "./lab-config.ts";
import type { Network } from "./network.ts";

const BACKEND = join(import.meta.dirname, "../support/backend.ts");

/** Starts them; resolves when they listen. They write into the folder, and end with the network. */
export async function startBackends(network: Network, folder: string): Promise<void> {
  await Promise.all(
    BACKENDS.map(async (machine) => {
      const file = join(folder, `${machine}.log`);
      const log = openSync(file, "w");
      const argv = [process.execPath, BACKEND, machine, "::", String(BACKEND_PORT)];
      network.spawn(machine, argv, { stdio: ["ignore", log, log] });
      closeSync(log);
      await waitUntil(() => readFileSync(file, "utf8").includes("listens"), {
        what: `${machine} to listen`,
        withinMs: 10_000,
      });
    }),
  );
}
