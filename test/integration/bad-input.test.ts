// Configurations and surroundings that are wrong: every mistake is told, what can run runs.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask } from "../support/http-client.ts";
import { PORT, Site } from "../support/site.ts";
import { runVipair } from "../support/vipair-process.ts";

/** Each line that is wrong says so in a comment: what its mistake must mention. */
const TEN_MISTAKES = `
pair:
  nodes:
    pi-a: { address: 192.168.1.999, priority: 150 } # "192.168.1.999"
    pi-b: { address: 192.168.1.12, priority: 300 } # 300
  secretFile: secret
  advertisementIntervall: 200ms # advertisementInterval
  lease: 1500ms # whole seconds
virtualAddresses:
  - { address: 192.168.1.50, interface: eth0 } # "192.168.1.50"
listeners:
  - name: web
    bind: 0.0.0.0:80800 # 80800
    pool: wbe # "web"
pools:
  web:
    balance: fastest # round-robin
    backends: ["192.168.1.21:8080"]
    health: { kind: tcp, interval: 5 } # 5
workers: many # many
`;

describe("bad input", { concurrency: 4 }, () => {
  test("a configuration with ten different mistakes reports all ten with line and column, and starts nothing", async (t) => {
    const site = Site.open(t);
    const config = site.config(TEN_MISTAKES);
    const expected = TEN_MISTAKES.split("\n").flatMap((line, index) => {
      const [, mention] = line.split(" # ");
      return mention === undefined ? [] : [{ line: index + 1, mention }];
    });
    assert.equal(expected.length, 10);

    const runtimeDir = join(site.folder, "run");
    const vipair = site.start({ config, node: "pi-a", runtimeDir });
    assert.deepEqual(await vipair.exit(), { code: 1, signal: null });
    const check = await runVipair(["check", "--config", config]);
    assert.equal(check.code, 1);
    for (const said of [vipair.stderr, check.stderr]) {
      const lines = said.trim().split("\n");
      assert.equal(lines.length, expected.length, said);
      for (const [index, { line, mention }] of expected.entries()) {
        assert.match(lines[index] ?? "", new RegExp(`vipair\\.yaml:${String(line)}:\\d+ `));
        assert.ok(lines[index]?.includes(mention), `${String(lines[index])} does not mention ${mention}`);
      }
    }
    assert.deepEqual(vipair.rawLines, []);
    assert.ok(!existsSync(runtimeDir));
  });

  test("a configuration that is not there is told by name", async (t) => {
    const site = Site.open(t);
    const config = join(site.folder, "none.yaml");
    for (const args of [
      ["check", "--config", config],
      ["run", "--config", config, "--runtime-dir", join(site.folder, "run")],
    ]) {
      const { code, stderr } = await runVipair(args);
      assert.equal(code, 1);
      assert.match(stderr, /none\.yaml/);
      assert.ok(stderr.trim().split("\n").length === 1, stderr);
    }
  });

  test("check is content with a good configuration, and finds the files that are missing", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const good = await runVipair(["check", "--config", site.config(pair.content())]);
    assert.deepEqual({ ...good, stdout: "" }, { code: 0, stdout: "", stderr: "" });
    const changes = {
      secretFile: "nope",
      hook: "nohook",
      notify: { "on-fault": "nomail" },
      track: [
        { name: "dns", exec: ["/bin/true"], fault: true },
        { name: "uplink", exec: ["nocheck", "-v"], weight: 20 },
      ],
    };
    const bad = site.config(pair.content({ pair: changes }));
    const { code, stderr } = await runVipair(["check", "--config", bad]);
    assert.equal(code, 1);
    assert.match(stderr, /pair\.secretFile.*nope does not exist/);
    assert.match(stderr, /pair\.hook.*nohook does not exist/);
    assert.match(stderr, /pair\.notify\.on-fault.*nomail does not exist/);
    assert.match(stderr, /:\d+:\d+ +pair\.track\[1\]\.exec.*nocheck does not exist/);
    assert.equal(stderr.trim().split("\n").length, 4);
  });

  test("a busy port is told in log and status; other listeners work; it opens when the port is freed", async (t) => {
    const site = Site.open(t);
    const [busy, free] = [await site.address(), await site.address()];
    const backend = await site.backend("one");
    const occupant = createServer().listen(PORT, busy);
    await once(occupant, "listening");
    let isFreed = false;
    const release = async () => {
      if (isFreed) return;
      isFreed = true;
      occupant.close();
      await once(occupant, "close");
    };
    site.atEnd(release);
    const config = site.config({
      listeners: [
        { name: "busy", bind: `${busy}:${String(PORT)}`, pool: "web" },
        { name: "free", bind: `${free}:${String(PORT)}`, pool: "web" },
      ],
      pools: { web: { backends: [backend.address], health: { kind: "none" } } },
      workers: 2,
    });
    const vipair = site.start({ config, runtimeDir: join(site.folder, "run") });
    const problem = `port ${String(PORT)} on ${busy} is in use by another process`;
    await vipair.logged(
      "the problem",
      ({ listener, problem: said }) => listener === "busy" && said === problem,
    );
    const status = await vipair.until("the other listener", ({ listeners }) => listeners[1]?.open === true);
    assert.deepEqual(status.listeners[0], {
      name: "busy",
      bind: `${busy}:${String(PORT)}`,
      open: false,
      problem,
    });
    assert.equal((await ask({ host: free })).body, "one");

    await release();
    await vipair.until("an open listener", ({ listeners }) => {
      return listeners[0]?.open === true && listeners[0].problem === null;
    });
    assert.equal((await ask({ host: busy })).body, "one");
    const said = vipair.lines.filter(({ listener }) => listener === "busy");
    assert.equal(said.length, 2, "one line for the problem, one for its end");
  });

  test("a missing interface is a fault with its name; the node serves its other listeners and claims nothing", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const plain = await site.address();
    const changes = {
      top: {
        virtualAddresses: [{ address: `${pair.virtualAddress}/8`, interface: "nope0" }],
        listeners: [{ name: "plain", bind: `${plain}:${String(PORT)}`, pool: "web" }],
      },
    };
    const a = pair.start("a", { changes });
    const fault = await a.becomes("fault");
    assert.match(fault.reason ?? "", /interface nope0 does not exist/);
    await a.logged("the fault", ({ msg, reason }) => msg === "fault" && /nope0/.test(String(reason)));
    assert.equal((await ask({ host: plain })).body, "one");
    const b = pair.start("b");
    await b.becomes("active");
    assert.equal((await b.status()).peer?.role, "fault");
    assert.ok(!pair.hookCalls().some(({ node, action }) => node === "a" && action === "claim"));
  });

  test("a peer port that is taken is told, and the pair still finds together over the other direction", async (t) => {
    const site = Site.open(t);
    const pair = await site.pair();
    const occupant = createServer((socket) => socket.destroy()).listen(7946, pair.addresses.b);
    await once(occupant, "listening");
    site.atEnd(() => occupant.close());
    const a = pair.start("a");
    await a.becomes("active");
    const b = pair.start("b");
    await b.until("the problem", ({ peer }) => /another program uses the port/.test(peer?.problem ?? ""));
    await b.logged("the problem", ({ msg }) => /another program uses the port/.test(msg));
    await pair.isWell(b);
    assert.equal(pair.longestOverlapMs(), 0);
  });
});
