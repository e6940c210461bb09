// A process for the workers of a whole test file: a worker's start costs a sixth of a second of a processor, and to
// prove that it has forgotten everybody costs more. So engines.ts runs one engine after another, for each test its own;
// what an engine holds in sockets, timers and bytes is looked at after its test, and once, at the end of the file, whether all of them
// together still hold a single object: nothing could let go of one in between, as nothing happens in an engine any more.

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { after } from "node:test";
import type { FromCensus } from "./census.ts";

const CENSUS = new URL("census.ts", import.meta.url);
const ENGINES = new URL("engines.ts", import.meta.url);
const WAIT_MS = 10_000;

/** Processes whose last test is over and left nothing behind. */
const idle: ChildProcess[] = [];
/** A file that was started by itself, and a program that is no test, have no end that could be waited for. */
const hasEnd = process.env["NODE_TEST_CONTEXT"] !== undefined;

/** A process of a worker, with Node's own account of it (census.ts). */
export function forkWorker(entry: URL, env: Readonly<Record<string, string>> = {}): ChildProcess {
  return fork(entry, [], {
    execPath: process.execPath,
    execArgv: ["--import", CENSUS.href],
    serialization: "advanced",
    silent: true,
    env: { ...process.env, ...env },
  });
}

/** null: nothing can be shared here. */
export function takeSharedProcess(): ChildProcess | null {
  return hasEnd ? (idle.pop() ?? forkWorker(ENGINES)) : null;
}

/** Its engine must be empty. */
export function giveBack(shared: ChildProcess): void {
  idle.push(shared);
}

/** Fails when an engine of any test of this file still holds an object of an exchange. */
async function endProcess(shared: ChildProcess): Promise<void> {
  const exited = once(shared, "exit", { signal: AbortSignal.timeout(WAIT_MS) });
  const end = performance.now() + WAIT_MS;
  let left = await countObjects(shared);
  while (Object.values(left).some((count) => count > 0) && performance.now() < end)
    left = await countObjects(shared);
  shared.disconnect();
  await exited;
  for (const count of Object.values(left))
    assert.equal(count, 0, `a test of ${process.argv[1] ?? ""} left objects: ${JSON.stringify(left)}`);
}

async function countObjects(shared: ChildProcess): Promise<Readonly<Record<string, number>>> {
  shared.send({ kind: "census" });
  for (;;) {
    const [message] = (await once(shared, "message", { signal: AbortSignal.timeout(WAIT_MS) })) as [
      FromCensus,
    ];
    if (message.kind === "census") return message.census.objects;
  }
}

if (hasEnd) {
  after(async () => {
    await Promise.all(idle.map(endProcess));
  });
}
