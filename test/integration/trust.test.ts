// Rule 14: as root, vipair neither believes nor runs what others could write. Each test makes one file of a
// good site unsafe, in one of the ways in which that happens: wrong mode, wrong owner, wrong directory.

import assert from "node:assert/strict";
import { chmodSync, chownSync, copyFileSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import { runVipair } from "../support/vipair-process.ts";

const NEEDS_ROOT = process.getuid?.() === 0 ? false : "needs root";
const NOBODY = 65_534;

describe("what others can write", { concurrency: 4, skip: NEEDS_ROOT }, () => {
  test("rule 14: a configuration that everybody can write starts nothing, and check says why", async (t) => {
    const site = Site.open(t);
    const config = site.config({ listeners: [], pools: {} });
    chmodSync(config, 0o666);
    const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
    assert.deepEqual(await vipair.exit(), { code: 1, signal: null });
    assert.equal(
      vipair.stderr,
      `${config} could be changed by someone other than root: ${config} can be written by everybody. ` +
        `Run chmod go-w ${config}, or put it where only root can write\n`,
    );
    const check = await runVipair(["check", "--config", config]);
    assert.equal(check.code, 1);
    assert.match(check.stderr, /:1:1 .*could be changed by someone other than root.*chmod go-w/);
  });

  test("rule 14: a configuration behind a link that somebody else could turn is refused", async (t) => {
    const site = Site.open(t);
    const config = site.config({ listeners: [], pools: {} });
    const home = join(site.folder, "home");
    mkdirSync(home);
    symlinkSync(config, join(home, "link.yaml"));
    chownSync(home, NOBODY, NOBODY);
    const vipair = site.start({ config: join(home, "link.yaml"), runtimeDir: join(site.folder, "run") });
    assert.deepEqual(await vipair.exit(), { code: 1, signal: null });
    assert.match(vipair.stderr, new RegExp(`${home} belongs to uid 65534. Run chown root:root ${home},`));
  });

  test("rule 14: a configuration that has become unsafe is not used at a reload; the node goes on with what it has", async (t) => {
    const site = Site.open(t);
    const host = await site.address();
    const backend = await site.backend("one");
    const content = {
      listeners: [{ name: "web", bind: `${host}:${String(PORT)}`, pool: "web" }],
      pools: { web: { backends: [backend.address], health: { kind: "none" } } },
      workers: 1,
    };
    const config = site.config(content);
    const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
    await vipair.isReady();
    site.config({ ...content, listeners: [] });
    chownSync(config, NOBODY, 0);
    vipair.signal("SIGHUP");
    const line = await vipair.logged("the refusal", ({ msg }) => msg === "the new configuration is not used");
    assert.match(JSON.stringify(line["problems"]), /belongs to uid 65534/);
    assert.equal((await ask({ host })).body, "one");
  });

  test("rule 14: a hook that its group can write is a fault of the node, which ends with the chmod that it names", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const hook = join(site.folder, "hook");
    chmodSync(hook, 0o775);
    chownSync(hook, 0, NOBODY);
    const check = await runVipair(["check", "--config", site.config(pair.content(), "a.yaml")]);
    assert.match(check.stderr, /pair\.hook.*can be written by group 65534/);
    const a = pair.start("a");
    const { reason } = await a.becomes("fault");
    assert.match(reason ?? "", new RegExp(`the hook ${hook} could be changed.*Run chmod go-w ${hook},`));
    assert.deepEqual(
      pair.hookCalls().filter(({ action }) => action === "claim"),
      [],
    );
    chmodSync(hook, 0o755);
    await a.becomes("active");
  });

  test("rule 14: a hook that becomes anybody's while the node runs is not run any more, and the node is in fault until the chmod", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const hook = join(site.folder, "hook");
    const a = pair.start("a");
    await a.becomes("active");
    chmodSync(hook, 0o777);
    const opened = pair.hookCalls().length;
    const { reason } = await a.becomes("fault");
    assert.match(reason ?? "", new RegExp(`the hook ${hook} could be changed.*Run chmod go-w ${hook},`));
    const { virtualAddresses } = await a.until("the address gone", (now) => !now.virtualAddresses[0]?.held);
    assert.equal(virtualAddresses[0]?.held, false);
    // One that had begun before the chmod may have ended after it.
    assert.ok(pair.hookCalls().length <= opened + 1, JSON.stringify(pair.hookCalls().slice(opened)));
    chmodSync(hook, 0o755);
    await a.becomes("active");
  });

  test("a standby whose hook has gone is in fault, and says so before it is needed", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const a = pair.start("a");
    await a.becomes("active");
    const hook = join(site.folder, "hook-of-b");
    copyFileSync(join(site.folder, "hook"), hook);
    const b = pair.start("b", { changes: { pair: { hook } } });
    await pair.isWell(b);
    rmSync(hook);
    const { reason } = await b.becomes("fault");
    assert.match(reason ?? "", new RegExp(`the hook ${hook} does not exist`));
    assert.equal((await a.status()).role, "active");
    copyFileSync(join(site.folder, "hook"), hook);
    await b.becomes("standby");
  });

  test("rule 14: a secret that somebody else could write is not used; one that everybody can read is, with a warning", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const secret = join(site.folder, "secret");
    chownSync(secret, NOBODY, NOBODY);
    const check = await runVipair(["check", "--config", site.config(pair.content(), "a.yaml")]);
    assert.match(check.stderr, /pair\.secretFile.*belongs to uid 65534/);
    const a = pair.start("a");
    const { reason } = await a.becomes("fault");
    assert.match(
      reason ?? "",
      new RegExp(`the secret file ${secret} could be changed.*chown root:root ${secret}`),
    );
    chmodSync(secret, 0o644);
    chownSync(secret, 0, 0);
    const line = await a.logged("the warning", ({ msg }) => msg === "the secret is not safe");
    assert.match(
      String(line["reason"]),
      new RegExp(`every user .* can read the secret .*chmod 600 ${secret}`),
    );
    await a.becomes("active");
  });
});
