// Looks at a backend over TCP: is there someone, and does it say what it should?

import { connect } from "node:net";
import type { Socket } from "node:net";
import type { TcpCheck } from "../config/check-config.ts";
import { quote } from "../config/reading.ts";
import { lookUpName } from "../system/name-lookup.ts";
import { bad, GOOD, probeOver } from "./probe.ts";
import type { ProbeResult, Prober } from "./probe.ts";
import { compileMatch } from "./text-match.ts";

/** A greeting is a line; of more than this nothing is looked at. */
const ANSWER_BYTES_MAX = 16_384;
/**
 * So many chunks are each looked at. A backend that comes byte by byte is from then on only looked at when its answer
 * has doubled, so that it costs no more than one that comes at once.
 */
const EAGER_LOOKS = 32;

export interface Target {
  readonly host: string;
  readonly port: number;
}

export function tcpProber(
  target: Target,
  { port = target.port, dialogue }: Omit<TcpCheck, "kind">,
  timeoutMs: number,
): Prober {
  const address = { host: target.host, port, lookup: lookUpName };
  if (dialogue === undefined) {
    return async (abort) =>
      probeOver({ timeoutMs, abort }, (finish) =>
        connect(address, () => {
          finish(GOOD);
        }),
      );
  }
  const { isIn, verb } = compileMatch(dialogue.expect);
  const judge = (answer: Buffer): ProbeResult => {
    const said = answer.toString("latin1");
    return isIn(said) ? GOOD : bad(`its answer ${quote(said)} does not ${verb}`);
  };
  return async (abort) =>
    probeOver({ timeoutMs, abort }, (finish) => {
      const socket = connect(address);
      if (dialogue.send !== "") socket.write(dialogue.send, "latin1");
      readAnswer(socket, judge, finish);
      return socket;
    });
}

/** Finishes as soon as the answer is good, and with what it was when it has ended or is too long. */
function readAnswer(
  socket: Socket,
  judge: (answer: Buffer) => ProbeResult,
  finish: (result: ProbeResult) => void,
): void {
  let answer = Buffer.alloc(0);
  let looks = 0;
  let lookAgainAt = 0;
  socket.on("data", (bytes: Buffer) => {
    answer = Buffer.concat([answer, bytes], Math.min(ANSWER_BYTES_MAX, answer.length + bytes.length));
    const isFull = answer.length === ANSWER_BYTES_MAX;
    if (!isFull && looks >= EAGER_LOOKS && answer.length < lookAgainAt) return;
    looks += 1;
    lookAgainAt = answer.length * 2;
    const result = judge(answer);
    if (result.kind === "good" || isFull) finish(result);
  });
  socket.on("end", () => {
    finish(answer.length === 0 ? bad("it closed the connection without a word") : judge(answer));
  });
}
