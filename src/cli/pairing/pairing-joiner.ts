// The side of the node that joins: connects, shows the code, says who it is, and gets a configuration and a secret. What
// it does with them is the caller's: it writes them before it says so, and takes them back when the other node
// then does not enter it in its own.

import { connect } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { TcpNetConnectOpts } from "node:net";
import { OFFER_BYTES_MAX, parseHostMessage, parsePairingHint } from "../../protocol/pairing.ts";
import type { HostMessage, JoinerMessage } from "../../protocol/pairing.ts";
import { PSK_TLS, isWrongKey } from "../../system/psk-tls.ts";
import { LineChannel } from "./line-channel.ts";
import { JOINER_IDENTITY } from "./pairing-host.ts";

const CONNECT_MS = 5000;
const HANDSHAKE_MS = 10_000;
/** The other node looks at two texts. */
const OFFER_MS = 30_000;
/** It writes one, and takes it over, or even restarts. */
const CONFIRM_MS = 150_000;

export interface JoinTarget {
  /** Of the node that waits. */
  readonly address: string;
  readonly port: number;
  /** Of the join code. */
  readonly key: Buffer;
  /** Our own, when it must be a certain one. */
  readonly from?: string;
}

export type OfferMessage = Extract<HostMessage, { kind: "offer" }>;

/** A sentence that says what to do, without a full stop. */
export interface JoinProblem {
  readonly kind: "problem";
  readonly problem: string;
}

/** A connection on which the code was right. */
export interface JoinSession {
  readonly kind: "session";
  /** Our own address on it. */
  readonly localAddress: string;
  readonly ask: (self: {
    readonly name: string;
    readonly address: string;
    readonly protocol: number;
    readonly version: string;
  }) => Promise<OfferMessage | JoinProblem>;
  /** Says that all is written, and hears whether it counts. `unclear`: the other node may have entered us or not. */
  readonly confirm: () => Promise<{ readonly kind: "done" } | JoinProblem | { readonly kind: "unclear" }>;
  /** Says that it cannot be written here. */
  readonly giveUp: (problem: string) => void;
}

/** Ends in a session, or in why there is none. */
export async function connectToHost(target: JoinTarget): Promise<JoinSession | JoinProblem> {
  const opened = await openTls(target);
  if (opened.kind === "problem") return opened;
  const { socket } = opened;
  const channel = new LineChannel(socket, { bytesMax: OFFER_BYTES_MAX });
  const send = (message: JoinerMessage) => channel.send(message);
  const receive = async (withinMs: number) => {
    const received = await channel.receive({ withinMs });
    return received.kind === "line" ? parseHostMessage(received.line) : undefined;
  };
  return {
    kind: "session",
    localAddress: (socket.localAddress ?? "").replace(/^::ffff:/, ""),
    ask: async (self) => {
      send({ kind: "join", ...self });
      const answer = await receive(OFFER_MS);
      if (answer?.kind === "offer") return answer;
      channel.close();
      if (answer?.kind === "refused") return problemOf(`${target.address} refuses: ${answer.problem}`);
      return problemOf(
        `${target.address} ended the connection. Look at what is written there, and try again`,
      );
    },
    confirm: async () => {
      send({ kind: "written" });
      const answer = await receive(CONFIRM_MS);
      channel.close();
      if (answer?.kind === "done") return { kind: "done" };
      if (answer?.kind === "refused") return problemOf(`${target.address} refuses: ${answer.problem}`);
      return { kind: "unclear" };
    },
    giveUp: (problem) => {
      send({ kind: "failed", problem });
      socket.end();
    },
  };
}

type Opened = { readonly kind: "open"; readonly socket: TLSSocket } | JoinProblem;

function openTls({ address, port, key, from }: JoinTarget): Promise<Opened> {
  return new Promise((resolve) => {
    let hint: string | null | undefined;
    let isConnected = false;
    // tls.connect() hands localAddress on to net.connect(), which its types do not say.
    const options: ConnectionOptions & Pick<TcpNetConnectOpts, "localAddress"> = {
      host: address,
      port,
      ...(from === undefined ? {} : { localAddress: from }),
      ...PSK_TLS,
      pskCallback: (given) => {
        hint = given;
        return parsePairingHint(given) === undefined ? null : { psk: key, identity: JOINER_IDENTITY };
      },
      // With this cipher there is no certificate; the key has proven who answers.
      checkServerIdentity: () => undefined,
    };
    const where = `${address}, port ${String(port)}`;
    const socket = connect(options);
    const finish = (outcome: Opened) => {
      clearTimeout(timer);
      socket.removeAllListeners("close");
      if (outcome.kind === "problem") socket.destroy();
      resolve(outcome);
    };
    const silent = `${where} does not answer. Is it the right address, is the machine on, and does no firewall stand between?`;
    let timer = setTimeout(() => finish(problemOf(silent)), CONNECT_MS);
    socket.once("connect", () => {
      isConnected = true;
      clearTimeout(timer);
      timer = setTimeout(() => finish(problemOf(`${where} takes too long. Try again`)), HANDSHAKE_MS);
    });
    // Later errors end in "close", which the channel sees.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      finish(
        problemOf(
          isConnected ? explainHandshake(error.code ?? "", { where, hint }) : explainConnect(error, where),
        ),
      );
    });
    socket.once("close", () => finish(problemOf(`${where} closed the connection. Try again`)));
    socket.once("secureConnect", () => finish({ kind: "open", socket }));
  });
}

function problemOf(problem: string): JoinProblem {
  return { kind: "problem", problem };
}

const NEW_CODE = "`sudo vipair invite` on the other node makes a new one";

function explainConnect(error: NodeJS.ErrnoException, where: string): string {
  if (error.code === "ECONNREFUSED") {
    return `nobody waits on ${where}. Is it the address of the first node? The code may also have expired, be used, or have had three wrong tries: ${NEW_CODE}`;
  }
  return `${where} cannot be reached (${error.code ?? error.message}). Is it the right address, and the same network?`;
}

function explainHandshake(
  code: string,
  { where, hint }: { readonly where: string; readonly hint: string | null | undefined },
): string {
  const waiting = parsePairingHint(hint ?? null);
  if (waiting === undefined) {
    return hint?.startsWith("vipair pairing ") === true
      ? `${where} pairs in another version of vipair. Install the same version on both nodes`
      : `what listens on ${where} is not a vipair that waits for a node (${code})`;
  }
  if (isWrongKey(code)) {
    // Somebody who stands between the two nodes and does not know the code looks the same.
    const left = waiting.triesLeft - 1;
    if (left <= 0) return `the code is wrong, and that was the last try. ${NEW_CODE}`;
    return `the code is wrong; ${String(left)} ${left === 1 ? "try is" : "tries are"} left`;
  }
  if (code.includes("PSK_IDENTITY")) return `${where} is busy with another try. Try again`;
  return `the handshake with ${where} failed (${code}). Try again`;
}
