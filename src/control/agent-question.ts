// One question to the agent of a backend: connect, perhaps say something, and read a line. What the line means is
// decided in routing/agent.ts.

import { connect } from "node:net";
import type { AgentConfig } from "../config/check-config.ts";
import { lookUpName } from "../system/name-lookup.ts";
import { bad, probeOver } from "./probe.ts";
import type { Target } from "./tcp-probe.ts";

/** An agent says a few words. */
const LINE_BYTES_MAX = 1024;

export type AgentAnswer =
  | { readonly kind: "line"; readonly line: string }
  /** It could not be heard, which says nothing about its backend. */
  | { readonly kind: "silent"; readonly reason: string };

/** Asks once. What an aborted question finds means nothing. Never rejects. */
export async function askAgent(
  { host, port }: Target,
  { send, timeoutMs }: Pick<AgentConfig, "send" | "timeoutMs">,
  abort: AbortSignal,
): Promise<AgentAnswer> {
  let line: string | undefined;
  const result = await probeOver({ timeoutMs, abort }, (finish) => {
    const socket = connect({ host, port, lookup: lookUpName });
    if (send !== "") socket.write(send, "latin1");
    let said = Buffer.alloc(0);
    const take = (bytes: number) => {
      line = said.toString("utf8", 0, bytes);
      finish({ kind: "good" });
    };
    socket.on("data", (bytes: Buffer) => {
      said = Buffer.concat([said, bytes], Math.min(LINE_BYTES_MAX, said.length + bytes.length));
      const end = said.findIndex((byte) => byte === 0x0a || byte === 0x0d);
      if (end !== -1) take(end);
      else if (said.length === LINE_BYTES_MAX) finish(bad("its line has no end"));
    });
    socket.on("end", () => {
      // The line feed may be left out, as in HAProxy.
      if (said.length > 0) take(said.length);
      else finish(bad("it said nothing"));
    });
    return socket;
  });
  if (line !== undefined) return { kind: "line", line };
  return { kind: "silent", reason: result.kind === "bad" ? result.reason : "it said nothing" };
}
