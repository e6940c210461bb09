// argv -> command. A node is a command like the others, but what it is made of is loaded for it alone: whoever asks for a role
// each second must not start half a load balancer for it.

import { runCommandLine } from "./cli/program.ts";
import { PROTOCOL_VERSION } from "./control/peer-frame.ts";
import { nameProcess } from "./system/process-name.ts";

nameProcess("vipair");
process.exitCode = await runCommandLine({
  args: process.argv.slice(2),
  run: async (options) => {
    const { runNode } = await import("./node.ts");
    return runNode(options);
  },
  peerProtocol: PROTOCOL_VERSION,
});
