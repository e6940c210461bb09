// `vipair backend add` and `remove`: what becomes of the file, and what is said about the node that runs.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { AdminServer } from "../../src/admin/server.ts";
import type { AdminServerOptions } from "../../src/admin/server.ts";
import { runCommandLine } from "../../src/cli/program.ts";

const CONFIG = `\
# our two
pair:
  nodes:
    pi-a: { address: 192.168.1.11 }
    pi-b: { address: 192.168.1.12 }
  secret: sixteen characters
virtualAddresses:
  - { address: 192.168.1.50/24, interface: eth0 }

listeners:
  - { name: web, bind: vip:80, pool: web }   # the only one
pools:
  web:
    backends:   # who answers
      - 192.168.1.21:8080   # old

      # the big one
      - { name: big, address: 192.168.1.22:8080, weight: 3 }
  static: { backends: [192.168.1.30:80] }
`;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** Of the file, afterwards. */
  readonly text: string;
}

interface Setting {
  readonly config?: string;
  /** What the node that runs answers to a reload; absent: none runs. */
  readonly reload?: AdminServerOptions["reload"];
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "vipair-backend-"));
  t.after(() => {
    rmSync(path, { recursive: true });
  });
  return path;
}

async function backend(
  t: TestContext,
  args: readonly string[],
  { config = CONFIG, reload }: Setting = {},
): Promise<Ended> {
  const directory = folder(t);
  const file = join(directory, "vipair.yaml");
  writeFileSync(file, config);
  if (reload !== undefined) await startNode(t, { runtimeDir: directory, reload });
  let [out, err] = ["", ""];
  const code = await runCommandLine({
    args: ["backend", ...args, "--config", file, "--runtime-dir", directory],
    run: async () => Promise.reject(new Error("not asked for")),
    peerProtocol: 1,
    terminal: { print: (text) => (out += `${text}\n`), complain: (text) => (err += `${text}\n`) },
  });
  return { code, out, err, text: readFileSync(file, "utf8") };
}

const quiet = () => {};
const never = async () => Promise.reject(new Error("not asked for"));

async function startNode(
  t: TestContext,
  { runtimeDir, reload }: Pick<AdminServerOptions, "runtimeDir" | "reload">,
): Promise<void> {
  const server = new AdminServer({
    runtimeDir,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    status: never,
    configFiles: never,
    pushConfig: async ({ force }) =>
      Promise.resolve(
        force
          ? { kind: "refused", error: "never by force" }
          : { kind: "done", result: { kind: "written", peer: PEER, self: TAKEN } },
      ),
    switchover: never,
    standby: never,
    resume: never,
    orderBackend: never,
    countConnections: never,
    reload,
  });
  await server.start();
  t.after(async () => server.stop());
}

const TAKEN = { problem: null, needsRestart: [] };
const PEER = { ...TAKEN, node: "pi-b", backup: "/etc/vipair/vipair.yaml.bak" };

const took: Setting["reload"] = async () =>
  Promise.resolve({ kind: "done", result: { configHash: "0123456789ab", needsRestart: [] } });

const refused: Setting["reload"] = async () => Promise.resolve({ kind: "refused", error: "no page for 503" });

describe("vipair backend add", () => {
  test("adds one line, and says that the node took it and how the other one gets it", async (t) => {
    const { code, out, err, text } = await backend(t, ["add", "web", "192.168.1.23:8080"], { reload: took });
    assert.equal(code, 0, err);
    assert.equal(out, "192.168.1.23:8080 is in pool web\n");
    assert.equal(
      err,
      "the node runs with configuration 0123456789ab now\nthe other node gets the file with: sudo vipair config push\n",
    );
    const big = "      - { name: big, address: 192.168.1.22:8080, weight: 3 }\n";
    assert.equal(text, CONFIG.replace(big, `${big}      - 192.168.1.23:8080\n`));
  });

  test("copies the file to the other node when asked to", async (t) => {
    const { code, out, err } = await backend(t, ["add", "web", "a:80", "--push"], { reload: took });
    assert.equal(code, 0, err);
    assert.match(out, /^a:80 is in pool web\npi-b has the file now; its old one is /);
    assert.doesNotMatch(err, /config push/);
  });

  test("adds a map when there is more to say than an address", async (t) => {
    const args = ["add", "static", "Web-4.lan:80", "--name", "four", "--weight", "0", "--backup"];
    const { code, text, err } = await backend(t, args);
    assert.equal(code, 0, err);
    assert.match(
      text,
      /static: \{ backends: \[192\.168\.1\.30:80, \{ name: four, address: web-4\.lan:80, weight: 0, backup: true \}\] \}/,
    );
    assert.match(err, /no vipair runs here now; one that starts reads /);
  });

  const refusals: readonly (readonly [string, readonly string[], string])[] = [
    [
      "a pool that is not there",
      ["add", "wbe", "a:80"],
      'there is no pool "wbe", only web and static. Did you mean web?',
    ],
    ["an address that is none", ["add", "web", "192.168.1.23"], "192.168.1.23"],
    [
      "one that is there, by its name",
      ["add", "web", "192.168.1.22:8080"],
      "big (192.168.1.22:8080) is in pool web already",
    ],
    [
      "a name that is taken",
      ["add", "web", "192.168.1.23:8080", "--name", "big"],
      '"big" is pools.web.backends[1].name already',
    ],
    [
      "what the whole file does not allow",
      ["add", "web", "192.168.1.50:80"],
      "This is the pair's own listener",
    ],
  ];
  for (const [name, args, problem] of refusals) {
    test(`refuses ${name}, and leaves the file alone`, async (t) => {
      const { code, out, err, text } = await backend(t, args, { reload: took });
      assert.deepEqual([code, out, text], [1, "", CONFIG]);
      assert.ok(err.includes(problem), err);
    });
  }

  test("shows every mistake that stands in the file already, and changes nothing", async (t) => {
    const config = CONFIG.replace("bind: vip:80", "bind: vip:80800").replace("weight: 3", "weigth: 3");
    const { code, err, text } = await backend(t, ["add", "web", "a:80"], { config });
    assert.deepEqual([code, text], [1, config]);
    assert.match(err, /vipair\.yaml:11:\d+ .*80800/);
    assert.match(err, /vipair\.yaml:18:\d+ .*weigth/);
    assert.match(err, /nothing was changed\n$/);
  });

  test("says when the node does not take it", async (t) => {
    const { code, err } = await backend(t, ["add", "web", "a:80"], { reload: refused });
    assert.equal(code, 1);
    assert.match(
      err,
      /vipair\.yaml is written, but the node does not take it and goes on as it was: no page for 503/,
    );
  });

  test("says what to do where nothing is configured", async (t) => {
    const { code, err } = await backend(t, ["add", "web", "a:80"], { config: "# nothing\n" });
    assert.equal(code, 1);
    assert.match(err, /not configured: run 'sudo vipair init'/);
  });

  test("keeps the mode of the file, and leaves nothing beside it", async (t) => {
    const directory = folder(t);
    const file = join(directory, "vipair.yaml");
    writeFileSync(file, CONFIG);
    chmodSync(file, 0o640);
    const args = ["backend", "add", "web", "a:80", "--config", file, "--runtime-dir", directory];
    const terminal = { print: () => undefined, complain: () => undefined };
    assert.equal(
      await runCommandLine({ args, run: async () => Promise.resolve(1), peerProtocol: 1, terminal }),
      0,
    );
    assert.equal(statSync(file).mode & 0o777, 0o640);
    assert.deepEqual(readdirSync(directory), ["vipair.yaml"]);
  });
});

describe("vipair backend remove", () => {
  for (const [what, named] of [
    ["name", "big"],
    ["address", "192.168.1.22:8080"],
  ] as const) {
    test(`takes a backend out by its ${what}`, async (t) => {
      const { code, out, err, text } = await backend(t, ["remove", "web", named], { reload: took });
      assert.equal(code, 0, err);
      assert.equal(out, "big (192.168.1.22:8080) is no longer in pool web\n");
      assert.equal(
        text,
        CONFIG.replace("      - { name: big, address: 192.168.1.22:8080, weight: 3 }\n", ""),
      );
    });
  }

  test("refuses one that is not there, and names those that are", async (t) => {
    const { code, err, text } = await backend(t, ["remove", "web", "bgi"]);
    assert.deepEqual([code, text], [1, CONFIG]);
    assert.match(
      err,
      /there is no backend in pool web called "bgi", only 192\.168\.1\.21:8080 and big\. Did you mean big\?/,
    );
  });

  test("refuses the last one, and takes it out when forced; a pool may be empty", async (t) => {
    const kept = await backend(t, ["remove", "static", "192.168.1.30:80"]);
    assert.deepEqual([kept.code, kept.text], [1, CONFIG]);
    assert.match(kept.err, /is the last backend of pool static: without it requests get 503/);
    const gone = await backend(t, ["remove", "static", "192.168.1.30:80", "--force"]);
    assert.equal(gone.code, 0, gone.err);
    assert.equal(gone.text, CONFIG.replace("[192.168.1.30:80]", "[]"));
  });
});
