import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { AdminServer, type AdminServerOptions } from "../../src/admin/server.ts";
import { runCommandLine } from "../../src/cli/program.ts";
import { PAIR_YAML } from "../config/pair-yaml.ts";
import { sampleStatus } from "../support/status.ts";

const quiet = () => {};
const never = async () => Promise.reject(new Error("not asked for"));
const PATH = "/etc/vipair/vipair.yaml";

async function runIn(runtimeDir: string | undefined, ...args: readonly string[]) {
  let out = "";
  let err = "";
  const code = await runCommandLine({
    args: runtimeDir === undefined ? args : [...args, "--runtime-dir", runtimeDir],
    run: async () => Promise.resolve(0),
    peerProtocol: 1,
    terminal: {
      print: (text) => {
        out += `${text}\n`;
      },
      complain: (text) => {
        err += `${text}\n`;
      },
    },
  });
  return { code, out, err };
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "vipair-config-"));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

/** A command against a node that answers like this. */
async function command(t: TestContext, options: Partial<AdminServerOptions>, ...args: readonly string[]) {
  const runtimeDir = folder(t);
  const server = new AdminServer({
    runtimeDir,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    status: never,
    configFiles: never,
    pushConfig: never,
    reload: never,
    switchover: never,
    standby: never,
    resume: never,
    orderBackend: never,
    countConnections: never,
    ...options,
  });
  t.after(async () => server.stop());
  await server.start();
  return runIn(runtimeDir, ...args);
}

function files(ours: string, theirs: string): Pick<AdminServerOptions, "configFiles"> {
  const peer = { node: "pi-b", path: PATH, text: theirs };
  return {
    configFiles: async () =>
      Promise.resolve({ kind: "done", result: { node: "pi-a", path: PATH, text: ours, peer } }),
  };
}

suite("vipair config diff", () => {
  test("exits with 0 when the files are the same, with 1 and the difference when they are not", async (t) => {
    const same = await command(t, files("a\n", "a\n"), "config", "diff");
    assert.deepEqual(same, { code: 0, out: "the files of pi-a and pi-b are the same\n", err: "" });
    const { code, out } = await command(t, files("workers: 2\n", "workers: 1\n"), "config", "diff");
    assert.equal(code, 1);
    assert.equal(out, `--- pi-b:${PATH}\n+++ pi-a:${PATH}\n@@ -1 +1 @@\n-workers: 1\n+workers: 2\n`);
  });

  test("exits with 2 when the peer cannot be asked, and with 3 when no vipair runs", async (t) => {
    const refused = await command(
      t,
      { configFiles: async () => Promise.resolve({ kind: "refused", error: "pi-b is not in touch" }) },
      "config",
      "diff",
    );
    assert.deepEqual(refused, { code: 2, out: "", err: "vipair: pi-b is not in touch\n" });
    assert.equal((await runIn(folder(t), "config", "diff")).code, 3);
  });

  test("says that the secrets differ, and shows neither", async (t) => {
    const { code, out } = await command(
      t,
      files("pair: { secret: one-of-the-secrets }\n", "pair: { secret: another-secret-here }\n"),
      "config",
      "diff",
    );
    assert.equal(code, 1);
    assert.match(
      out,
      /^-pair: \{ secret: \(hidden, of pi-b\) \}\n\+pair: \{ secret: \(hidden, of pi-a\) \}$/m,
    );
    assert.doesNotMatch(out, /one-of|another-/);
  });
});

suite("vipair config push", () => {
  test("says where the old file is, what a restart must apply, and where it was not taken", async (t) => {
    const orders: unknown[] = [];
    const push = (problem: string | null): Partial<AdminServerOptions> => ({
      pushConfig: async (order) => {
        orders.push(order);
        const peer = {
          node: "pi-b",
          backup: `${PATH}.backup-1`,
          problem: null,
          needsRestart: ["pair", "workers"],
        };
        return Promise.resolve({
          kind: "done",
          result: { kind: "written", peer, self: { problem, needsRestart: [] } },
        });
      },
    });
    const done = await command(t, push(null), "config", "push");
    assert.deepEqual(done, {
      code: 0,
      out: `pi-b has the file now; its old one is ${PATH}.backup-1 there\npi-b: restart to apply what was changed in pair, workers\n`,
      err: "",
    });
    const half = await command(t, push("no page for 503"), "config", "push", "--force", "--dry-run");
    assert.deepEqual([half.code, half.err], [1, "vipair: this node does not run with it: no page for 503\n"]);
    assert.deepEqual(orders, [
      { force: false, dryRun: false },
      { force: true, dryRun: true },
    ]);
  });
});

suite("vipair status", () => {
  for (const [newerFile, says] of [
    [
      "self",
      /this node's file is newer, `vipair config diff` shows in what and `vipair config push` copies it/,
    ],
    ["peer", /the file of pi-b is newer, .* `vipair config push` there copies it/],
    ["both", /both files were changed, .* merge them and `vipair config push`/],
    ["neither", /the files are the same: reload or restart the node that runs with an older one/],
    [null, /`vipair config diff` shows in what, and `vipair config push` on the node with the newer file/],
  ] as const) {
    test(`says what to do about files that differ: ${String(newerFile)}`, async (t) => {
      const { peer, ...rest } = sampleStatus();
      assert.ok(peer);
      const status = { ...rest, peer: { ...peer, configMatches: false, newerFile } };
      const { out } = await command(t, { status: async () => Promise.resolve(status) }, "status");
      assert.match(out, says);
    });
  }
});

suite("vipair check --node", () => {
  test("a node that the file does not name is a mistake with its place", async (t) => {
    const file = join(folder(t), "vipair.yaml");
    writeFileSync(file, PAIR_YAML, { mode: 0o600 });
    assert.equal((await runIn(undefined, "check", "--config", file, "--node", "pi-a")).code, 0);
    assert.deepEqual(await runIn(undefined, "check", "--config", file, "--node", "pi-c"), {
      code: 1,
      out: "",
      err: `${file}:2:3  pair.nodes: There is no "pi-c" here, only pi-a, pi-b.\n`,
    });
  });
});
