// A pool that is empty gets its first backend, and loses it again, while the node serves.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import { runVipair } from "../support/vipair-process.ts";

test("requests get 503 while a pool is empty, and an answer as soon as `vipair backend add` has ended", async (t) => {
  const site = Site.open(t);
  const [host, backend] = [await site.address(), await site.backend("one")];
  const config = site.config(`\
listeners: [{ name: web, bind: "${host}:${String(PORT)}", pool: web }]
pools: # ours
  web: { backends: [], health: { kind: none } }
workers: 1
`);
  const runtimeDir = join(site.folder, "run");
  const vipair = site.start({ config, runtimeDir });
  await vipair.isReady();
  assert.equal((await ask({ host })).status, 503);

  const places = ["--config", config, "--runtime-dir", runtimeDir];
  const added = await runVipair(["backend", "add", "web", backend.address, ...places]);
  assert.equal(added.code, 0, added.stderr);
  assert.match(added.stderr, /the node runs with configuration [0-9a-f]{12} now\n$/);
  const { status, body } = await ask({ host });
  assert.deepEqual([status, body], [200, "one"]);

  const removed = await runVipair(["backend", "remove", "web", backend.address, "--force", ...places]);
  assert.equal(removed.code, 0, removed.stderr);
  assert.equal((await ask({ host })).status, 503);
});
