// A client for a role that moves by plan: whatever a node takes is answered.
//
// On loopback both nodes listen on the same address, so the kernel spreads new connections over both until the
// old one closes its socket. Who comes in the 30 microseconds between its last look into the accept queue and the
// close is reset by the kernel, unseen by any node (decision 0002). That is one client at the most, it never
// reaches the backend, and on a network it does not exist: there new connections go to the new node
// long before, and test/lab requires that none fails.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { OpenLoopClient } from "../../src/cli/open-loop-client.ts";
import { PORT, type PairSite } from "./site.ts";

/** Whether requests fail is the question here, and not how long they take on a busy machine. */
const TIMEOUT_MS = 2_000;

export class SparedClient {
  readonly #client: OpenLoopClient;
  readonly #backend: PairSite["backend"];
  readonly #requestsBefore: number;

  /** Starts asking; at the end of the test it asks no more, also when the test has failed. */
  constructor(t: TestContext, pair: PairSite) {
    this.#backend = pair.backend;
    this.#requestsBefore = pair.backend.requests();
    this.#client = new OpenLoopClient({ host: pair.virtualAddress, port: PORT, timeoutMs: TIMEOUT_MS });
    this.#client.start();
    t.after(() => this.#client.stop());
  }

  /** Judges what it saw, and says it in a line. */
  async stop(): Promise<string> {
    const { total, outcomes } = await this.#client.stop();
    const { ok = 0, reset = 0, ...others } = outcomes;
    const taken = this.#backend.requests() - this.#requestsBefore;
    assert.ok(reset <= 1, `${String(reset)} of ${String(total)} connections were reset`);
    assert.deepEqual({ others, answered: ok }, { others: {}, answered: taken });
    return `${String(total)} requests, ${String(reset)} reset`;
  }
}
