// Sticky clients of a real pair: a cookie of one node is good on the other.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ask } from "../support/http-client.ts";
import { Site } from "../support/site.ts";

test("a client keeps its backend through a failover, and through a reload", async (t) => {
  const site = Site.open(t);
  const backends = await Promise.all(["one", "two", "three"].map(async (name) => site.backend(name)));
  const pool = {
    backends: backends.map(({ name, address }) => ({ name, address })),
    health: { kind: "none" },
    sticky: {},
  };
  const pair = await site.pair({ top: { pools: { web: pool } } });
  const { a, b } = await pair.startBoth();
  const host = pair.virtualAddress;

  // The first goes to "one", the second to "two": no worker would choose that one first.
  await ask({ host });
  const first = await ask({ host });
  assert.equal(first.body, "two");
  const cookie = String(first.headers["set-cookie"]).split(";")[0] ?? "";
  const comesBack = async (): Promise<void> => {
    for (let i = 0; i < 5; i += 1) {
      const answer = await ask({ host, headers: { cookie } });
      assert.equal(answer.body, "two");
      assert.equal(answer.headers["set-cookie"], undefined);
    }
  };
  await comesBack();

  a.signal("SIGHUP");
  await a.logged("the reload", ({ msg }) => msg === "configuration reloaded");
  await comesBack();

  await a.kill();
  await b.becomes("active");
  await comesBack();
});
