// Whoever reads the access log may stand still: traffic goes on, memory does not grow, lines that are lost are
// counted, and the worker can end.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  OK,
  type RawPeer,
  type TestWorker,
  answering,
  eventually,
  get,
  inTime,
  openClient,
  serve,
} from "./harness.ts";

/** A line of them is more than a kilobyte. */
const LONG_TARGET = `/${"x".repeat(1000)}`;
/** Twice what a worker keeps, and what the socket between it and its reader holds. */
const MANY = 3000;

interface Flooded {
  readonly worker: TestWorker;
  readonly client: RawPeer;
  /** Sends a request and waits for its answer. */
  readonly ask: () => Promise<void>;
}

/** A worker that has answered many requests while nobody read its lines. */
async function flood(t: TestContext): Promise<Flooded> {
  const { worker, port } = await serve(t, {
    backends: [answering(OK)],
    accessLog: { file: null },
    isAlone: true,
  });
  const client = await openClient(t, port);
  worker.process.stdout?.pause();
  const answers = () => client.text.split("\r\n\r\nok").length - 1;
  for (let sent = 0; sent < MANY; sent += 50) {
    client.forget();
    client.send(get(LONG_TARGET).repeat(50));
    await eventually("answers though nobody reads the log", () => answers() === 50);
  }
  const ask = async (): Promise<void> => {
    client.forget();
    client.send(get("/"));
    await eventually("an answer", () => answers() === 1);
  };
  return { worker, client, ask };
}

test("a reader that stands still slows nothing down, and finds out how much it missed", async (t) => {
  const { worker, ask } = await flood(t);
  worker.process.stdout?.resume();
  const isTold = async (): Promise<boolean> => {
    // The next line that has room says so first.
    await ask();
    return worker.output.includes('"lost":');
  };
  await eventually("the word of lost lines", isTold);
  const { requests: asked } = await worker.counters();
  const lines = (): Record<string, unknown>[] =>
    worker.output
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const lost = (): number => lines().reduce((sum, line) => sum + Number(line["lost"] ?? 0), 0);
  const requests = (): number => lines().filter(({ msg }) => msg === "request").length;
  await eventually(
    () => `${String(asked)} requests: ${String(requests())} lines, ${String(lost())} lost`,
    () => requests() + lost() === asked,
  );
  assert.ok(lost() > 0);
});

test("a worker whose lines nobody reads can end", async (t) => {
  const { worker, client } = await flood(t);
  client.close();
  worker.process.disconnect();
  await inTime("the end of the worker", worker.exited);
});
