// `vipair probe` on a third machine that has the package's files: what docs/raspberry-pi.md tells people to look at while they pull the plug.

import { once } from "node:events";
import { VIP } from "../lab/lab-config.ts";
import type { Network } from "../lab/network.ts";
import { waitUntil } from "../support/wait-until.ts";

/** There is another client, and two cores for all. */
const INTERVAL = "50ms";
const BEGINS_WITHIN_MS = 20_000;

export interface Probe {
  /** Ctrl-C; resolves to all that it has said. */
  readonly end: () => Promise<string>;
}

/** Resolves when it gets answers. */
export async function startProbe(network: Network, program: string): Promise<Probe> {
  const probe = network.spawn("client", [program, "probe", `http://${VIP}/`, "--interval", INTERVAL], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(probe, "close");
  let said = "";
  probe.stdout?.on("data", (bytes: Buffer) => (said += bytes.toString()));
  await waitUntil(() => /^[\d:]+ {2}up {3}/m.test(said), {
    what: "the probe to begin",
    withinMs: BEGINS_WITHIN_MS,
  });
  return {
    end: async () => {
      probe.kill("SIGINT");
      await closed;
      return said;
    },
  };
}
