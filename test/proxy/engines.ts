// The entry of a process that workers of several tests share: what src/proxy/worker.ts does, apart from privileges and
// signals, for one engine after another. Engines of tests that are over are kept, so that what one has not let go of
// is found.

import type { FromWorker, ToWorker } from "../../src/protocol/worker.ts";
import { areHandlesKnown } from "../../src/proxy/accepted-socket.ts";
import { Engine } from "../../src/proxy/engine.ts";
import { createLog } from "../../src/system/log.ts";

const REPORT_INTERVAL_MS = 1000;
const LAST_LINES_MS = 100;

const engines: Engine[] = [];

function createWorkerLog(level: string) {
  return createLog({ level, subject: { worker: process.pid } });
}

function addEngine(): void {
  const engine = new Engine({
    createLog: createWorkerLog,
    // What an engine says when its test is over would be taken for the word of the next one.
    tell: (message: FromWorker) => {
      if (engines.at(-1) === engine) process.send?.(message, undefined, undefined, () => undefined);
    },
    ownsSockets: areHandlesKnown(),
    onDrained: () => {
      process.disconnect();
    },
  });
  engines.push(engine);
  process.send?.({ kind: "ready" } satisfies FromWorker);
}

async function leave(code: number): Promise<void> {
  await Promise.all(engines.map((engine) => engine.closeLogs({ withinMs: LAST_LINES_MS })));
  process.exit(code);
}

process.on("message", (message: ToWorker | { readonly kind: "next" }, handle: unknown) => {
  if (message.kind === "next") addEngine();
  else engines.at(-1)?.obey(message, handle);
});
process.on("uncaughtException", (error) => {
  console.error(error);
  void leave(1);
});
process.on("disconnect", () => void leave(0));
setInterval(() => {
  engines.at(-1)?.reportChanges();
}, REPORT_INTERVAL_MS);
