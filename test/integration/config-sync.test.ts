// The configuration file of one node on the other, by `vipair config diff` and `push`: what is copied, what is refused with which
// words, and that nothing of it moves a role or costs a heartbeat.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OpenLoopClient } from "../../src/cli/open-loop-client.ts";
import { ask } from "../support/http-client.ts";
import {
  type NodeName,
  NODES,
  type PairOptions,
  type PairSite,
  PORT,
  SECRET,
  Site,
} from "../support/site.ts";
import type { VipairProcess } from "../support/vipair-process.ts";

const isRoot = process.getuid?.() === 0;
const TIMEOUT_MS = 2_000;

interface SyncPair {
  readonly pair: PairSite;
  readonly nodes: Readonly<Record<NodeName, VipairProcess>>;
}

/** Where a node's configuration stands: each has a directory of its own, as two machines have. */
function folderOf(pair: PairSite, node: NodeName): string {
  return join(pair.site.folder, `etc-${node}`);
}

function fileOf(pair: PairSite, node: NodeName): string {
  return join(folderOf(pair, node), "vipair.yaml");
}

function read(pair: PairSite, node: NodeName): string {
  return readFileSync(fileOf(pair, node), "utf8");
}

function contentOf(pair: PairSite, options: PairOptions = {}): string {
  const files = { hook: join(pair.site.folder, "hook"), secretFile: join(pair.site.folder, "secret") };
  return `${JSON.stringify(pair.content({ ...options, pair: { ...files, ...options.pair } }), null, 2)}\n`;
}

function write(pair: PairSite, node: NodeName, text: string): void {
  writeFileSync(fileOf(pair, node), text, { mode: 0o640 });
}

/** A pair at rest whose nodes have the same file. */
async function startPair(t: TestContext, options: PairOptions = {}): Promise<SyncPair> {
  const site = Site.open(t);
  const pair = await site.pair(options);
  for (const node of NODES) {
    site.directory(`etc-${node}`);
    write(pair, node, contentOf(pair));
  }
  const start = (node: NodeName) =>
    site.start({ config: fileOf(pair, node), node, runtimeDir: join(site.folder, node) });
  const a = start("a");
  await a.becomes("active");
  const b = start("b");
  await pair.isWell(b);
  for (const node of [a, b]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await node.until("the same file on both", ({ peer }) => peer?.newerFile === "neither");
  }
  return { pair, nodes: { a, b } };
}

/** A node that alone finds it unreachable would hand over (rule 9). */
const UNCHECKED = { backends: ["127.0.0.1:1"], health: { kind: "none" } };

/** What an operator adds: the file with another pool. */
function withPool(pair: PairSite, name: string): string {
  const { pools } = pair.content() as { pools: Record<string, unknown> };
  return contentOf(pair, { top: { pools: { ...pools, [name]: UNCHECKED } } });
}

async function hasPool(node: VipairProcess, name: string): Promise<void> {
  await node.until(`pool ${name}`, ({ pools }) => pools.some((pool) => pool.name === name));
}

async function isReloaded(node: VipairProcess): Promise<void> {
  const since = node.lines.length;
  node.signal("SIGHUP");
  await node.logged("the reload", ({ msg }) => msg === "configuration reloaded", { since });
}

describe("vipair config", { concurrency: 2 }, () => {
  test("diff says what a push would change, and push changes it on the other node; both run with it", async (t) => {
    const { pair, nodes } = await startPair(t);
    const same = await nodes.a.command("config", "diff");
    assert.deepEqual([same.code, same.stdout.trim()], [0, "the files of a and b are the same"]);
    const before = { a: await nodes.a.status(), b: await nodes.b.status() };
    const old = read(pair, "b");

    write(pair, "a", withPool(pair, "extra"));
    const { code, stdout } = await nodes.a.command("config", "diff");
    assert.equal(code, 1);
    assert.match(stdout, /^--- b:.*\n\+\+\+ a:.*\n@@ /);
    assert.match(stdout, /^\+ +"extra": \{$/m);
    // The other way round on the other node.
    assert.match((await nodes.b.command("config", "diff")).stdout, /^- +"extra": \{$/m);

    const client = new OpenLoopClient({ host: pair.virtualAddress, port: PORT, timeoutMs: TIMEOUT_MS });
    client.start();
    const pushed = await nodes.a.command("config", "push");
    assert.equal(pushed.code, 0, pushed.stderr);
    assert.match(
      pushed.stdout,
      /^b has the file now; its old one is .*vipair\.yaml\.backup-\d{8}T\d{9}Z there$/m,
    );
    assert.equal(read(pair, "b"), read(pair, "a"));
    await Promise.all([hasPool(nodes.a, "extra"), hasPool(nodes.b, "extra")]);
    const { total, outcomes } = await client.stop();
    assert.deepEqual(outcomes, { ok: total });

    const backup = readdirSync(folderOf(pair, "b")).find((name) => name.includes(".backup-"));
    assert.equal(readFileSync(join(folderOf(pair, "b"), backup ?? ""), "utf8"), old);
    assert.equal(statSync(fileOf(pair, "b")).mode & 0o777, 0o640);
    for (const [name, { role, epoch }] of Object.entries(before)) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const now = await nodes[name as NodeName].status();
      assert.deepEqual([now.role, now.epoch], [role, epoch]);
    }
    await nodes.a.until(
      "agreement",
      ({ peer }) => peer?.configMatches === true && peer.newerFile === "neither",
    );
    const again = await nodes.a.command("config", "push");
    assert.deepEqual([again.code, again.stdout.trim()], [0, "b has this file already"]);
  });

  test("a file that is no good is refused here, and one that is no good there is refused there, with every mistake and its line", async (t) => {
    const { pair, nodes } = await startPair(t);
    const old = read(pair, "b");
    write(
      pair,
      "a",
      contentOf(pair).replace('"workers": 1', '"workers": -1').replace('"pool": "web"', '"pool": "wbe"'),
    );
    const own = await nodes.a.command("config", "push");
    assert.equal(own.code, 1);
    assert.match(own.stderr, /this node's own file is no good:\n.*etc-a\/vipair\.yaml:\d+:\d+ .*wbe/);
    assert.match(own.stderr, /etc-a\/vipair\.yaml:\d+:\d+ .*-1/);

    // It names a page that this node has and the other has not.
    writeFileSync(join(folderOf(pair, "a"), "sorry.html"), "sorry\n");
    const [listener] = pair.content()["listeners"] as readonly object[];
    const text = contentOf(pair, {
      top: {
        listeners: [{ ...listener, errorPages: { 503: "sorry.html" } }],
      },
    });
    write(pair, "a", text);
    for (const args of [["--dry-run"], []]) {
      // oxlint-disable-next-line no-await-in-loop -- one push after the other
      const there = await nodes.a.command("config", "push", ...args);
      assert.equal(there.code, 1);
      assert.match(there.stderr, /b: would not take it:\n.*etc-b\/vipair\.yaml:\d+:\d+ .*sorry\.html/);
    }
    assert.equal(read(pair, "b"), old);
    assert.deepEqual(readdirSync(folderOf(pair, "b")), ["vipair.yaml"]);

    writeFileSync(join(folderOf(pair, "b"), "sorry.html"), "sorry\n");
    const dry = await nodes.a.command("config", "push", "--dry-run");
    assert.deepEqual([dry.code, dry.stdout.trim()], [0, "b would take this file; nothing was changed"]);
    assert.equal(read(pair, "b"), old);
  });

  test(
    "rule 14: a file that names a program which others may write is refused by the node where they may",
    { skip: !isRoot && "needs root" },
    async (t) => {
      const { pair, nodes } = await startPair(t);
      for (const node of NODES) {
        const program = join(folderOf(pair, node), "check.sh");
        writeFileSync(program, "#!/bin/sh\n", { mode: 0o755 });
        if (node === "b") chmodSync(program, 0o777);
      }
      const track = [{ name: "mine", exec: "check.sh", weight: 10 }];
      write(pair, "a", contentOf(pair, { pair: { track } }));
      const { code, stderr } = await nodes.a.command("config", "push");
      assert.equal(code, 1);
      assert.match(stderr, /b: would not take it:\n.*check\.sh/);
      assert.deepEqual(readFileSync(fileOf(pair, "b"), "utf8"), contentOf(pair));
    },
  );

  test("a push does not go over what was changed there, unless that was looked at, or by force", async (t) => {
    const { pair, nodes } = await startPair(t);
    write(pair, "a", withPool(pair, "mine"));
    write(pair, "b", withPool(pair, "theirs"));
    const refused = await nodes.a.command("config", "push");
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /the file of b has changed since both were the same last\. .*config diff.*--force/,
    );
    assert.match(read(pair, "b"), /theirs/);

    const seen = await nodes.a.command("config", "diff");
    assert.match(seen.stdout, /^- +"theirs": \{$/m);
    write(pair, "b", withPool(pair, "changed-since"));
    assert.equal((await nodes.a.command("config", "push")).code, 1);
    assert.match(read(pair, "b"), /changed-since/);

    await nodes.a.command("config", "diff");
    assert.equal((await nodes.a.command("config", "push")).code, 0);
    assert.equal(read(pair, "b"), read(pair, "a"));

    write(pair, "a", withPool(pair, "second"));
    write(pair, "b", withPool(pair, "unseen"));
    const forced = await nodes.a.command("config", "push", "--force");
    assert.equal(forced.code, 0, forced.stderr);
    assert.equal(read(pair, "b"), read(pair, "a"));
  });

  test("two pushes that cross do not make the files change places", async (t) => {
    const { pair, nodes } = await startPair(t);
    for (const node of NODES) write(pair, node, withPool(pair, `of-${node}`));
    const before = { a: read(pair, "a"), b: read(pair, "b") };
    const pushes = await Promise.all(NODES.map((node) => nodes[node].command("config", "push", "--force")));
    const told = pushes.map(({ code, stderr }) => `${String(code)} ${stderr}`).join("");
    assert.ok(read(pair, "a") === before.a || read(pair, "b") === before.b, told);
  });

  test("what both had last is known after a restart, and status says whose file is newer", async (t) => {
    const { pair, nodes } = await startPair(t);
    await nodes.a.kill();
    await nodes.b.becomes("active");
    write(pair, "a", withPool(pair, "newer"));
    const again = pair.site.start({
      config: fileOf(pair, "a"),
      node: "a",
      runtimeDir: join(pair.site.folder, "a"),
    });
    await again.until("drift", ({ peer }) => peer?.newerFile === "self");
    await nodes.b.until("drift", ({ peer }) => peer?.newerFile === "peer" && peer.configMatches === false);
    assert.match(
      (await again.command("status")).stdout,
      /this node's file is newer, `vipair config diff` .*`vipair config push`/,
    );
    assert.match(
      (await nodes.b.command("status")).stdout,
      /the file of a is newer, `vipair config diff` .*`vipair config push` there/,
    );
    write(pair, "b", withPool(pair, "other"));
    await isReloaded(nodes.b);
    await again.until("both", ({ peer }) => peer?.newerFile === "both");
    write(pair, "b", contentOf(pair));
    await isReloaded(nodes.b);
    await again.until("drift", ({ peer }) => peer?.newerFile === "self");
    assert.equal((await again.command("config", "push")).code, 0);
    await hasPool(nodes.b, "newer");
  });

  test("a secret in the file is pushed, and never shown: not by diff, nor in any log", async (t) => {
    const { pair, nodes } = await startPair(t);
    const inline = (text: string) =>
      contentOf(pair, { pair: { secret: SECRET, secretFile: undefined } }).replace("\n", text);
    write(pair, "a", inline("\n# changed\n"));
    const { stdout, code } = await nodes.a.command("config", "diff");
    assert.equal(code, 1);
    assert.match(stdout, /^\+ +"secret": \(hidden, of a\),?$/m);
    const pushed = await nodes.a.command("config", "push");
    assert.equal(pushed.code, 0, pushed.stderr);
    assert.match(pushed.stdout, /^b: restart to apply what was changed in pair$/m);
    assert.ok(read(pair, "b").includes(SECRET));
    write(pair, "a", inline("\n# changed again\n"));
    const later = await nodes.a.command("config", "diff");
    const printed = [
      stdout,
      later.stdout,
      pushed.stdout,
      pushed.stderr,
      ...nodes.a.rawLines,
      ...nodes.b.rawLines,
    ];
    assert.ok(!printed.join("\n").includes(SECRET));
  });

  test(
    "a disk that takes nothing is reported, and the old file stays whole",
    { skip: !isRoot && "needs root" },
    async (t) => {
      const { pair, nodes } = await startPair(t);
      const folder = folderOf(pair, "b");
      const old = read(pair, "b");
      const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k,mode=755", "vipair-test", folder], {
        encoding: "utf8",
      });
      if (mount.status !== 0) {
        t.skip(`no file system can be mounted here: ${mount.stderr}`);
        return;
      }
      const unmount = () => spawnSync("umount", [folder]);
      t.after(unmount);
      write(pair, "b", old);
      writeFileSync(join(folder, "filler"), "x".repeat(48 * 1024));
      write(pair, "a", withPool(pair, "large").replace("\n", `\n# ${"x".repeat(30 * 1024)}\n`));
      const full = await nodes.a.command("config", "push");
      assert.equal(full.code, 1);
      assert.match(
        full.stderr,
        /b: .*vipair\.yaml cannot be written: the disk is full\. Nothing has changed/,
      );
      assert.equal(read(pair, "b"), old);
      assert.deepEqual(readdirSync(folder).toSorted(), ["filler", "vipair.yaml"]);

      rmSync(join(folder, "filler"));
      assert.equal(spawnSync("mount", ["-o", "remount,ro", folder]).status, 0);
      const readOnly = await nodes.a.command("config", "push");
      assert.match(
        readOnly.stderr,
        /cannot be written: the file system is read-only, or the service may not write there\. Nothing has changed/,
      );
      assert.equal(read(pair, "b"), old);
      assert.equal(spawnSync("mount", ["-o", "remount,rw", folder]).status, 0);
      assert.equal((await nodes.a.command("config", "push")).code, 0);
      assert.equal(read(pair, "b"), read(pair, "a"));
      await Promise.all([nodes.a.kill(), nodes.b.kill()]);
      unmount();
    },
  );

  test("`acceptConfig: false` refuses a push, and a node that is not in touch is said to be so", async (t) => {
    const { pair, nodes } = await startPair(t, { pair: { acceptConfig: false } });
    write(pair, "a", withPool(pair, "mine"));
    const { code, stderr } = await nodes.a.command("config", "push");
    assert.equal(code, 1);
    assert.match(stderr, /b: its configuration says pair\.acceptConfig: false/);
    await nodes.b.kill();
    await nodes.a.until("alone", ({ peer }) => peer?.connected === false);
    for (const command of ["diff", "push"]) {
      // oxlint-disable-next-line no-await-in-loop -- one command after the other
      const lost = await nodes.a.command("config", command);
      assert.equal(lost.code, command === "diff" ? 2 : 1);
      assert.match(lost.stderr, /b is not in touch \(.*vipair does not run there\)/);
    }
  });

  test("a node alone, and a pair of one, say so", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const a = pair.start("a", { changes: { pair: { nodes: { a: { address: pair.addresses.a } } } } });
    await a.becomes("active");
    const { code, stderr } = await a.command("config", "push");
    assert.equal(code, 1);
    assert.match(stderr, /there is no second node yet/);
  });

  test("a file of 1 MiB gets there, and costs no heartbeat, no request and no role", async (t) => {
    const { pair, nodes } = await startPair(t);
    const { epoch } = await nodes.a.status();
    const since = { a: nodes.a.lines.length, b: nodes.b.lines.length };
    const text = withPool(pair, "large");
    write(pair, "a", text.replace("\n", `\n# ${"x".repeat(1024 * 1024 - text.length - 10)}\n`));
    const client = new OpenLoopClient({ host: pair.virtualAddress, port: PORT, timeoutMs: TIMEOUT_MS });
    client.start();
    const pushed = await nodes.a.command("config", "push");
    assert.equal(pushed.code, 0, pushed.stderr);
    await hasPool(nodes.b, "large");
    await sleep(500);
    const { total, outcomes } = await client.stop();
    assert.deepEqual(outcomes, { ok: total });
    const [a, b] = [await nodes.a.status(), await nodes.b.status()];
    assert.deepEqual([a.role, a.epoch, b.role, b.epoch], ["active", epoch, "standby", epoch]);
    for (const node of NODES) {
      const news = nodes[node].lines.slice(since[node]).map(({ msg }) => msg);
      assert.ok(
        !news.some((msg) => /disconnected|heartbeat path down|stalled|claiming/.test(msg)),
        news.join("; "),
      );
    }
    assert.equal(read(pair, "b"), read(pair, "a"));

    write(pair, "a", `${read(pair, "a")}# ${"x".repeat(1024)}\n`);
    const larger = await nodes.a.command("config", "push");
    assert.match(larger.stderr, /larger than 1 MiB/);
    assert.equal((await ask({ host: pair.virtualAddress })).body, "one");
  });

  test("five backups are kept, the oldest go", async (t) => {
    const { pair, nodes } = await startPair(t);
    const old = [1, 2, 3, 4, 5].map((day) => `vipair.yaml.backup-2001010${String(day)}T000000000Z`);
    for (const name of old) writeFileSync(join(folderOf(pair, "b"), name), name);
    for (const round of ["first", "second"]) {
      write(pair, "a", withPool(pair, round));
      // oxlint-disable-next-line no-await-in-loop -- one push after the other
      const { code, stderr } = await nodes.a.command("config", "push");
      assert.equal(code, 0, stderr);
    }
    const backups = readdirSync(folderOf(pair, "b"))
      .filter((name) => name.includes(".backup-"))
      .toSorted();
    assert.equal(backups.length, 5);
    assert.deepEqual(backups.slice(0, 3), old.slice(2));
    assert.match(readFileSync(join(folderOf(pair, "b"), backups[4] ?? ""), "utf8"), /first/);
  });
});
