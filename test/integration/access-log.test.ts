// The access log of a node: on its standard output beside the events, or in a file; as a reload, logrotate and a
// stop find it.

import assert from "node:assert/strict";
import { chmodSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, describe, test } from "node:test";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import type { VipairProcess } from "../support/vipair-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const WITHIN_MS = 20_000;
const IS_ROOT = process.getuid?.() === 0;

async function reload(vipair: VipairProcess): Promise<void> {
  const since = vipair.lines.length;
  vipair.signal("SIGHUP");
  await vipair.logged("the reload", ({ msg }) => msg === "configuration reloaded", { since });
  // A worker that answers has read its new configuration.
  await vipair.status();
}

async function start(t: TestContext, access: unknown) {
  const site = Site.open(t);
  const host = await site.address();
  const backend = await site.backend("one");
  const configure = (value: unknown): string =>
    site.config({
      listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
      pools: { web: { backends: [backend.address], health: { kind: "none" } } },
      workers: 1,
      shutdownGrace: "2s",
      ...(value === undefined ? {} : { logging: { access: value } }),
    });
  const vipair = site.start({ config: configure(access), runtimeDir: join(site.folder, "run") });
  await vipair.isReady();
  return { site, host, vipair, configure };
}

function targets(lines: readonly { readonly [field: string]: unknown }[]): unknown[] {
  return lines.filter(({ msg }) => msg === "request").map(({ target }) => target);
}

describe("the access log of a node", { concurrency: 3 }, () => {
  test("stands on the standard output unless the configuration says otherwise, and a reload switches it", async (t) => {
    const { host, vipair, configure } = await start(t, undefined);
    await ask({ host, path: "/on" });
    const line = await vipair.logged("the request", ({ msg }) => msg === "request");
    assert.deepEqual([line["target"], line["status"], line["end"], line["pool"]], ["/on", 200, "ok", "web"]);
    configure(false);
    await reload(vipair);
    assert.equal((await vipair.status()).reason?.includes("restart"), false);
    await ask({ host, path: "/off" });
    configure(true);
    await reload(vipair);
    await ask({ host, path: "/on-again" });
    await vipair.logged("the request", ({ target }) => target === "/on-again");
    assert.deepEqual(targets(vipair.lines), ["/on", "/on-again"]);
  });

  test("is written to its end when vipair is stopped", async (t) => {
    const { host, vipair } = await start(t, true);
    await ask({ host, path: "/last" });
    vipair.signal("SIGTERM");
    await vipair.exit();
    assert.deepEqual(targets(vipair.lines), ["/last"]);
  });

  test("goes to a file beside the configuration, which is opened anew at a reload", async (t) => {
    const { site, host, vipair, configure } = await start(t, false);
    // Workers of root are nobody, who must be able to come here.
    chmodSync(site.folder, 0o755);
    const file = join(site.folder, "access.log");
    const written = (): string[] =>
      targets(
        readFileSync(file, "latin1")
          .split("\n")
          .slice(0, -1)
          .map((line) => JSON.parse(line) as Record<string, unknown>),
      ).map(String);
    configure({ file: "access.log" });
    await reload(vipair);
    await ask({ host, path: "/1" });
    await waitUntil(() => written().length === 1, { what: "a line in the file", withinMs: WITHIN_MS });
    if (IS_ROOT) assert.equal(statSync(file).uid, 65_534);
    assert.equal(statSync(file).mode & 0o777, 0o640);
    renameSync(file, `${file}.1`);
    await reload(vipair);
    await ask({ host, path: "/2" });
    await waitUntil(() => written().length === 1, { what: "a line in the new file", withinMs: WITHIN_MS });
    assert.deepEqual(written(), ["/2"]);
    assert.deepEqual(targets(vipair.lines), []);
  });

  test("that cannot be written is an error in the log of events, and requests are answered", async (t) => {
    const { host, vipair } = await start(t, { file: "/nowhere/access.log" });
    const line = await vipair.logged(
      "the problem",
      ({ level, file }) => level === "error" && file !== undefined,
    );
    assert.match(String(line["problem"]), /ENOENT/u);
    assert.equal((await ask({ host })).status, 200);
  });
});
