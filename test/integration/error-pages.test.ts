// Error pages with real processes: read by the control process, shown by workers that may not read them, read anew by
// SIGHUP. (What pages look like on the wire is in test/proxy/error-pages.test.ts.)

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import { runVipair } from "../support/vipair-process.ts";

describe("error pages", { concurrency: 2 }, () => {
  test("are shown by unprivileged workers from a file that only the owner may read; SIGHUP reads it anew", async (t) => {
    const site = Site.open(t);
    const host = await site.address();
    site.file("down.html", "<h1>Zurück um acht</h1>");
    const config = site.config({
      listeners: [
        { name: "web", bind: `${host}:${String(PORT)}`, pool: "web", errorPages: { 503: "down.html" } },
      ],
      pools: { web: { backends: [`${await site.address()}:9`], health: { kind: "none" } } },
      workers: 1,
    });
    const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
    const { configHash } = await vipair.isReady();
    const before = await ask({ host });
    assert.equal(before.status, 503);
    assert.equal(before.body, "<h1>Zurück um acht</h1>");
    assert.equal(before.headers["content-type"], "text/html; charset=utf-8");

    site.file("down.html", "<h1>Zurück um neun</h1>");
    assert.equal((await ask({ host })).body, "<h1>Zurück um acht</h1>");
    let since = vipair.lines.length;
    vipair.signal("SIGHUP");
    await vipair.logged("the reload", ({ msg }) => msg === "configuration reloaded", { since });
    assert.equal((await ask({ host })).body, "<h1>Zurück um neun</h1>");
    // The file is the same, so the peer need not be told of a difference.
    assert.equal((await vipair.status()).configHash, configHash);

    site.file("down.html", "<".repeat(65_537));
    since = vipair.lines.length;
    vipair.signal("SIGHUP");
    const { problems } = await vipair.logged("why not", ({ msg }) => /not used/.test(msg), { since });
    const place = "listeners[0].errorPages.503";
    const [problem = ""] = problems as string[];
    assert.match(problem, /vipair\.yaml:8:\d+ {2}/);
    assert.ok(
      problem.endsWith(`${place}: ${site.folder}/down.html is larger than 64 KiB. Make the page smaller.`),
    );
    assert.equal((await ask({ host })).body, "<h1>Zurück um neun</h1>");
  });

  test("that are not there are refused by check and at the start, with the line", async (t) => {
    const site = Site.open(t);
    const config = site.config(`
listeners:
  - name: web
    bind: 127.0.0.1:80
    pool: web
    errorPages:
      404: { body: here }
      503: pages/503.html
pools:
  web: { backends: ["127.0.0.1:81"] }
`);
    const said = `${config}:8:12  listeners[0].errorPages.503: ${site.folder}/pages/503.html does not exist.\n`;
    const checked = await runVipair(["check", "--config", config]);
    assert.deepEqual({ code: checked.code, stderr: checked.stderr }, { code: 1, stderr: said });
    const ran = await runVipair(["run", "--config", config, "--runtime-dir", join(site.folder, "run")]);
    assert.deepEqual({ code: ran.code, stderr: ran.stderr }, { code: 1, stderr: said });
    site.directory("pages");
    site.file("pages/503.html", "later");
    assert.equal((await runVipair(["check", "--config", config])).code, 0);
  });
});
