// The entry of a worker process, forked by the control process: drops privileges, says `ready`, obeys
// messages (protocol/worker.ts). It lives and dies with the IPC channel; signals that reach the whole
// process group are the control process's to judge.

import { flushCompileCache } from "node:module";
import type { FromWorker, ToWorker } from "../protocol/worker.ts";
import { type Log, createLog } from "../system/log.ts";
import { nameProcess } from "../system/process-name.ts";
import { areHandlesKnown } from "./accepted-socket.ts";
import { Engine } from "./engine.ts";
import { dropPrivileges } from "./privileges.ts";

const REPORT_INTERVAL_MS = 1000;
/** How long the last lines of the access log may take: the listening sockets are still open. */
const LAST_LINES_MS = 100;

function runWorker(): void {
  nameProcess("vipair-worker");
  const log = createWorkerLog("info");
  const ownsSockets = areHandlesKnown();
  if (!ownsSockets) log.warn({ node: process.versions.node }, "this Node is not the one expected: slower");
  const engine = new Engine({
    createLog: createWorkerLog,
    tell,
    ownsSockets,
    // Messages on their way are written first; then `disconnect` ends the process.
    onDrained: () => process.disconnect(),
  });
  process.on("uncaughtException", (error) => {
    // What the engine believes can no longer be trusted; a new worker is up within 300 ms.
    log.error({ error: error.stack ?? error.message }, "worker failed");
    void leave(engine, 1);
  });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, ignoreSignal);
  process.on("disconnect", () => void leave(engine, 0));

  // All is loaded. A compile cache, if there is one, must be written before: nobody may not.
  flushCompileCache();
  dropPrivileges(process.env);
  process.on("message", (message: ToWorker, handle: unknown) => {
    engine.obey(message, handle);
  });
  setInterval(() => {
    engine.reportChanges();
  }, REPORT_INTERVAL_MS);
  tell({ kind: "ready" });
}

async function leave(engine: Engine, code: number): Promise<void> {
  if (await engine.closeLogs({ withinMs: LAST_LINES_MS })) process.exit(code);
  // An exit waits for the thread that hangs in a write, for as long as nobody reads.
  process.kill(process.pid, "SIGKILL");
}

function createWorkerLog(level: string): Log {
  return createLog({ level, subject: { worker: process.pid } });
}

function tell(message: FromWorker): void {
  // A channel that closes meanwhile ends this process anyway.
  process.send?.(message, undefined, undefined, ignoreError);
}

function ignoreSignal(): void {
  // The control process decides.
}

function ignoreError(): void {
  // See tell.
}

runWorker();
