// What every part of one worker's engine shares.

import type { HeadLimits } from "../http1/scan.ts";
import type { FromWorker } from "../protocol/worker.ts";
import type { Log } from "../system/log.ts";
import type { AccessLog } from "./access-log.ts";
import type { Pool } from "./pool.ts";
import type { RequestIds } from "./request-id.ts";
import type { Timers } from "./timers.ts";

export interface Context {
  /** Replaced when a configuration sets another level. */
  log: Log;
  /** Replaced at every reload; null: there is none, or it cannot be opened. */
  accessLog: AccessLog | null;
  /** This node's name, as the last configuration gave it. */
  node: string;
  /** How many share the connections, and so the limits on backends; as the last configuration gave it. */
  workers: number;
  readonly timers: Timers;
  readonly requestIds: RequestIds;
  readonly tally: Tally;
  /** For the heads of responses; those of requests are the listener's. */
  readonly responseHeadLimits: HeadLimits;
  readonly pools: ReadonlyMap<string, Pool>;
  /** Clients' connections get sockets of ours (accepted-socket.ts); else those that Node makes. */
  readonly ownsSockets: boolean;
  /** To the control process. */
  readonly tell: (message: FromWorker) => void;
}

/** Counters of the whole worker. */
export interface Tally {
  /** Client connections open now. */
  connections: number;
  /** Requests answered, by whomever. */
  requests: number;
  /** Client connections that a limit turned away. */
  refusedConnections: number;
  /** Of these, the ones that still have to close. */
  refusing: number;
  /** Requests whose copies went to a second pool. */
  mirrored: number;
  /** Those that should have and did not. */
  mirrorsDropped: number;
  /** Something counted since the last report. */
  hasChanged: boolean;
}

export function createTally(): Tally {
  return {
    connections: 0,
    requests: 0,
    refusedConnections: 0,
    refusing: 0,
    mirrored: 0,
    mirrorsDropped: 0,
    hasChanged: false,
  };
}
