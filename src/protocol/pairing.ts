// What two nodes say to each other while the second one joins: JSON, one message in a line, over TLS whose key is
// the join code. Both sides read what they get with the functions here and believe nothing else.
//
//   joining node                       node that waits (vipair init, vipair invite)
//     join      name, address  ---->
//               <----  offer           its configuration with the new node in it, and the secret
//     (writes both)                    or refused, with the reason
//     written                  ---->
//                                      (writes its own configuration)
//               <----  done            or refused: then the joining node takes back what it wrote

/** Grows when the messages change. The PSK identity has it, so that others fail before anything is said. */
const PAIRING_VERSION = 1;

export const PAIRING_PORT = 7948;

/** What a joining node says is short. */
export const JOIN_BYTES_MAX = 4096;
/** A configuration has 1 MiB at most, and as JSON twice that in the worst case that anybody would write. */
export const OFFER_BYTES_MAX = 4 * 1024 * 1024;

/** Characters of a text that is shown. */
const SHOWN_MAX = 1000;

export interface JoinMessage {
  readonly kind: "join";
  /** Of the peer link: nodes that differ could not talk afterwards. */
  readonly protocol: number;
  /** Of vipair, for the message. */
  readonly version: string;
  readonly name: string;
  readonly address: string;
}

export type JoinerMessage =
  | JoinMessage
  | { readonly kind: "written" }
  /** It could not; `problem` is for the other node's terminal. */
  | { readonly kind: "failed"; readonly problem: string };

export type HostMessage =
  | {
      readonly kind: "offer";
      /** The node that waits. */
      readonly name: string;
      /** The text of the file. */
      readonly config: string;
      /** Of the secret file; null: the configuration has it inside. */
      readonly secret: string | null;
    }
  | { readonly kind: "refused"; readonly problem: string }
  | { readonly kind: "done" };

/** undefined: it is no message of this version. */
export function parseJoinerMessage(line: string): JoinerMessage | undefined {
  const message = parseObject(line);
  if (message === undefined) return undefined;
  const { kind, protocol, version, name, address, problem } = message;
  if (kind === "written") return { kind };
  if (kind === "failed" && typeof problem === "string") return { kind, problem: printable(problem) };
  if (kind !== "join" || typeof protocol !== "number" || typeof version !== "string") return undefined;
  if (typeof name !== "string" || typeof address !== "string") return undefined;
  return {
    kind,
    protocol,
    version: printable(version),
    name: printable(name),
    address: printable(address),
  };
}

/** undefined: it is no message of this version. */
export function parseHostMessage(line: string): HostMessage | undefined {
  const message = parseObject(line);
  if (message === undefined) return undefined;
  const { kind, name, config, secret, problem } = message;
  if (kind === "done") return { kind };
  if (kind === "refused" && typeof problem === "string") return { kind, problem: printable(problem) };
  if (kind !== "offer" || typeof name !== "string" || typeof config !== "string") return undefined;
  if (typeof secret !== "string" && secret !== null) return undefined;
  return { kind, name: printable(name), config, secret };
}

/** What the waiting node tells everybody before the handshake (RFC 4279 5.2): how many wrong codes it still bears. */
export function formatPairingHint({ triesLeft }: { readonly triesLeft: number }): string {
  return `vipair pairing ${String(PAIRING_VERSION)} tries ${String(triesLeft)}`;
}

/** undefined: it is no vipair that waits for a node, or one of another version. */
export function parsePairingHint(hint: string | null): { readonly triesLeft: number } | undefined {
  const [, version, tries] = /^vipair pairing (\d{1,3}) tries (\d)$/.exec(hint ?? "") ?? [];
  return Number(version) === PAIRING_VERSION ? { triesLeft: Number(tries) } : undefined;
}

/** It is shown on a terminal, where control characters could do more than be read. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, " ").slice(0, SHOWN_MAX);
}

function parseObject(line: string): Partial<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
