// The times of a pair are changed on one node after the other, as an operator would: between the two restarts the
// files differ. That is an alarm, and no role moves (rule 11).

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OpenLoopClient } from "../../src/cli/open-loop-client.ts";
import { activeDownMs } from "../../src/election/timing.ts";
import { PORT, Site } from "../support/site.ts";

const INTERVAL_MS = 300;
/** Whether requests fail is the question here, and not how long they take on a busy machine. */
const TIMEOUT_MS = 2_000;

describe("rule 11: files that differ in interval and lease", { concurrency: false }, () => {
  test("a standby that is restarted with other times is in touch, alarmed, and moves nothing", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair({
      pair: { advertisementInterval: `${String(INTERVAL_MS)}ms`, lease: "3s" },
    });
    const nodes = await pair.startBoth();
    const { epoch } = await nodes.a.status();
    for (const [advertisementInterval, lease] of [
      // By this one alone the active would be silent after 181 ms, between two of its words.
      ["50ms", "1s"],
      ["1s", "10s"],
    ] as const) {
      // oxlint-disable no-await-in-loop -- one life of the standby after the other
      const client = new OpenLoopClient({ host: pair.virtualAddress, port: PORT, timeoutMs: TIMEOUT_MS });
      client.start();
      t.after(() => client.stop());
      await nodes.b.kill();
      nodes.b = pair.start("b", { changes: { pair: { advertisementInterval, lease } } });
      await nodes.b.until("a standby in touch with an active peer", ({ role, peer }) => {
        return role === "standby" && peer?.role === "active" && peer.connected;
      });
      const since = { a: nodes.a.lines.length, b: nodes.b.lines.length };
      await sleep(3 * activeDownMs(100, INTERVAL_MS));
      const [a, b] = [await nodes.a.status(), await nodes.b.status()];
      assert.deepEqual([a.role, a.epoch, b.role, b.epoch], ["active", epoch, "standby", epoch]);
      assert.deepEqual([a.peer?.configMatches, b.peer?.configMatches], [false, false]);
      assert.deepEqual([a.peer?.connected, b.peer?.connected], [true, true]);
      for (const name of ["a", "b"] as const) {
        const news = nodes[name].lines.slice(since[name]).map(({ msg }) => msg);
        assert.ok(!news.includes("claiming") && !news.includes("yielding"), news.join("; "));
      }
      const { total, outcomes } = await client.stop();
      assert.deepEqual(outcomes, { ok: total });
      t.diagnostic(`${String(total)} requests while the standby had ${advertisementInterval} and ${lease}`);
      // oxlint-enable no-await-in-loop
    }
  });
});
