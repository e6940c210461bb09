// Two machines become a pair with one command each: on loopback, with real processes, a hook that only notes what it is
// asked, and every mistake that people make with codes, names and files.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { PORT, Site } from "../support/site.ts";
import { LAUNCHER, runVipair } from "../support/vipair-process.ts";
import type { CommandResult, VipairProcess } from "../support/vipair-process.ts";

const HOOK = join(import.meta.dirname, "../support/hook.sh");

/** A machine that is not a node yet: a directory for its files, and an address. */
class Machine {
  readonly directory: string;
  readonly address: string;
  readonly config: string;
  readonly runtimeDir: string;
  readonly #site: Site;

  constructor(site: Site, { name, address }: { readonly name: string; readonly address: string }) {
    this.#site = site;
    this.directory = site.directory(name);
    this.address = address;
    this.config = join(this.directory, "vipair.yaml");
    this.runtimeDir = join(this.directory, "run");
  }

  get places(): readonly string[] {
    return ["--config", this.config, "--runtime-dir", this.runtimeDir];
  }

  text(file = "vipair.yaml"): string {
    return readFileSync(join(this.directory, file), "utf8");
  }

  /** A command that waits for the other node: init or invite. */
  async wait(...args: readonly string[]): Promise<WaitingCommand> {
    const waiting = new WaitingCommand([...args, ...this.places]);
    this.#site.atEnd(() => waiting.kill());
    await waiting.hasLine();
    return waiting;
  }

  async command(...args: readonly string[]): Promise<CommandResult> {
    return runVipair([...args, ...this.places]);
  }

  async joins(line: string, ...args: readonly string[]): Promise<CommandResult> {
    const [, , , ...rest] = line.split(" ");
    return this.command("join", ...rest, "--address", this.address, ...args);
  }

  /** Without --node: who it is stands beside its configuration. */
  start(): VipairProcess {
    return this.#site.start({ config: this.config, runtimeDir: this.runtimeDir });
  }

  /** As a person would edit it: the tests' own hook, and the listener where several nodes can have it. */
  editByHand(): void {
    writeFileSync(join(this.directory, "hook"), readFileSync(HOOK), { mode: 0o755 });
    const edited = this.text()
      .replace("\npair:\n", "\n# ours\npair:\n  hook: hook   # for tests\n  advertisementInterval: 100ms\n")
      .replace(/bind: .*\n/, `bind: vip:${String(PORT)} # here\n`);
    writeFileSync(this.config, `${edited}workers: 1\n`);
  }
}

class WaitingCommand {
  stdout: string[] = [];
  stderr = "";
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;

  constructor(args: readonly string[]) {
    const child = spawn(LAUNCHER, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (line) => this.stdout.push(line));
    child.stderr.on("data", (bytes: Buffer) => (this.stderr += bytes.toString()));
    this.#exit = once(child, "close").then(([code]) => code as number | null);
  }

  get line(): string {
    return this.stdout[0] ?? "";
  }

  async hasLine(): Promise<void> {
    const ended = this.#exit.then((code) => assert.fail(`ended with ${String(code)}: ${this.stderr}`));
    const poll = async () => {
      while (this.stdout.length === 0) {
        // oxlint-disable-next-line no-await-in-loop -- until the line is there, or the command has ended
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await Promise.race([poll(), ended]);
    ended.catch(() => undefined);
  }

  exit(): Promise<number | null> {
    return this.#exit;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exit;
  }
}

async function machines(
  site: Site,
): Promise<{ a: Machine; b: Machine; init: readonly string[]; vip: string }> {
  const [a, b, vip] = [await site.address(), await site.address(), await site.address()];
  return {
    a: new Machine(site, { name: "a", address: a }),
    b: new Machine(site, { name: "b", address: b }),
    init: ["init", "--vip", `${vip}/8`, "--interface", "lo", "--address", a, "--name", "pi-a"],
    vip,
  };
}

describe("two machines", { concurrency: 2 }, () => {
  test("become a pair with one command each, while the first one serves", async (t) => {
    const site = Site.open(t);
    const { a, b, init } = await machines(site);
    const waiting = await a.wait(...init);
    assert.match(
      waiting.line,
      new RegExp(`^sudo vipair join ${a.address.replaceAll(".", "\\.")} [0-9A-Z-]{14}$`),
    );
    a.editByHand();
    const first = a.start();
    const alone = await first.becomes("active", { withinMs: 60_000 });
    assert.equal(alone.node, "pi-a");

    const joined = await b.joins(waiting.line, "--name", "pi-b");
    assert.equal(joined.code, 0, joined.stderr);
    assert.match(joined.stdout, /^pi-b and pi-a are a pair/);
    writeFileSync(join(b.directory, "hook"), readFileSync(HOOK), { mode: 0o755 });
    const second = b.start();
    assert.equal(await waiting.exit(), 0);
    assert.match(waiting.stderr, new RegExp(`pi-b at ${b.address} has joined\n`));
    assert.match(waiting.stderr, /the node runs with configuration [0-9a-f]{12} now\n/);
    assert.deepEqual(waiting.stdout.length, 1);

    await second.until(
      "a standby in touch",
      ({ role, peer }) => role === "standby" && peer?.role === "active",
    );
    const now = await first.until("in touch", ({ peer }) => peer?.connected === true);
    assert.deepEqual([now.role, now.epoch, now.since], ["active", alone.epoch, alone.since]);
    assert.equal((await second.status()).node, "pi-b");

    assert.equal(a.text(), b.text());
    assert.match(a.text(), /\n# ours\npair:\n {2}hook: hook {3}# for tests\n/);
    assert.match(a.text(), new RegExp(`pi-b: \\{ address: ${b.address} \\}\n`));
    for (const machine of [a, b]) {
      assert.equal(statSync(join(machine.directory, "secret")).mode & 0o777, 0o600);
      assert.equal(statSync(machine.config).mode & 0o777, 0o644);
    }
    const secret = a.text("secret").trim();
    assert.equal(b.text("secret").trim(), secret);
    const said = [
      waiting.stderr,
      ...waiting.stdout,
      joined.stdout,
      joined.stderr,
      ...first.rawLines,
      ...second.rawLines,
    ];
    const code = waiting.line.split(" ")[4] ?? "";
    assert.ok(!said.join("\n").includes(secret));
    assert.ok(!first.rawLines.concat(second.rawLines).join("\n").includes(code));
  });

  test("are told what is wrong, and the same code is good for the next try", async (t) => {
    const site = Site.open(t);
    const { a, b, init, vip } = await machines(site);
    const waiting = await a.wait(...init);
    const untouched = () => {
      assert.ok(!existsSync(b.config));
      assert.doesNotMatch(a.text(), /pi-b/);
    };

    const typo = await b.joins(waiting.line.replace(/\S+$/, "XXXX-XXXX"), "--name", "pi-b");
    assert.equal(typo.code, 1);
    assert.match(typo.stderr, /"XXXX-XXXX" cannot be a join code/);
    const wrong = await b.joins(waiting.line.replace(/\S+$/, "0000-0000-0000"), "--name", "pi-b");
    assert.deepEqual([wrong.code, wrong.stderr], [1, "vipair: the code is wrong; 2 tries are left\n"]);
    untouched();

    const twins = await b.joins(waiting.line, "--name", "pi-a");
    assert.equal(twins.code, 1);
    assert.match(
      twins.stderr,
      /both nodes are called "pi-a"\. Join again with another name, such as --name pi-b/,
    );
    const badName = await b.joins(waiting.line, "--name", "pi b");
    assert.match(badName.stderr, /"pi b" is not a name/);
    const asVip = await b.command(
      "join",
      ...waiting.line.split(" ").slice(3),
      "--address",
      vip,
      "--name",
      "pi-b",
    );
    assert.match(asVip.stderr, /is the virtual address/);
    const strange = [...waiting.line.split(" ").slice(3), "--address", "192.0.2.99", "--name", "pi-b"];
    const notHere = await b.command("join", ...strange);
    assert.equal(notHere.stderr, "vipair: this machine does not have the address 192.0.2.99\n");
    untouched();

    writeFileSync(b.config, "pools: {} # mine\n");
    const configured = await b.joins(waiting.line, "--name", "pi-b");
    assert.match(configured.stderr, /vipair\.yaml is configured already, and stays as it is.*--force/);
    assert.equal(b.text(), "pools: {} # mine\n");

    const late = await b.joins(waiting.line.toLowerCase().replace(/-/g, ""), "--name", "pi-b", "--force");
    assert.equal(late.code, 0, late.stderr);
    assert.equal(b.text("vipair.yaml.bak"), "pools: {} # mine\n");
    assert.match(late.stderr, /the old file is kept as .*vipair\.yaml\.bak/);
    assert.equal(await waiting.exit(), 0);
    assert.equal(a.text(), b.text());

    const used = await new Machine(site, { name: "c", address: await site.address() }).joins(
      waiting.line,
      "--name",
      "pi-c",
    );
    assert.equal(used.code, 1);
    assert.match(used.stderr, /nobody waits on .*`sudo vipair invite`/);
  });

  test("make a new code with invite, and let a new machine take the place of a broken one", async (t) => {
    const site = Site.open(t);
    const { a, b, init } = await machines(site);
    const first = await a.wait(...init);
    await first.kill();

    const again = await a.command(...init);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /configured already.*`sudo vipair invite`/);

    const invited = await a.wait("invite");
    assert.notEqual(invited.line, first.line);
    const stale = await b.joins(first.line, "--name", "pi-b");
    assert.match(stale.stderr, /the code is wrong; 2 tries are left/);
    assert.equal((await b.joins(invited.line, "--name", "pi-b")).code, 0);
    assert.equal(await invited.exit(), 0);

    const full = await a.command("invite");
    assert.equal(full.code, 1);
    assert.match(full.stderr, /pi-a and pi-b are a pair already.*invite --replace pi-b/);
    assert.match((await a.command("invite", "--replace", "pi-c")).stderr, /no other node "pi-c", only pi-b/);

    const fresh = new Machine(site, { name: "fresh", address: await site.address() });
    const replacing = await a.wait("invite", "--replace", "pi-b");
    const other = await fresh.joins(replacing.line, "--name", "pi-c");
    assert.match(other.stderr, /pi-a waits for pi-b\. Join again with --name pi-b/);
    assert.equal((await fresh.joins(replacing.line, "--name", "pi-b")).code, 0);
    assert.equal(await replacing.exit(), 0);
    assert.equal(a.text(), fresh.text());
    assert.match(a.text(), new RegExp(`pi-b: \\{ address: ${fresh.address} \\}`));
    assert.doesNotMatch(a.text(), new RegExp(`${b.address} `));
  });

  test("begin anew with --force: the old configuration is kept, and nothing is said of the address that nobody asked for", async (t) => {
    const site = Site.open(t);
    const { a, init, vip } = await machines(site);
    await (await a.wait(...init)).kill();
    const [config, secret] = [a.text(), a.text("secret")];
    const again = await a.wait(...init, "--force", "--name", "pi-z");
    await again.kill();
    assert.deepEqual(
      [a.text("vipair.yaml.bak"), a.text("secret.bak"), a.text("node")],
      [config, secret, "pi-z\n"],
    );
    assert.deepEqual(readdirSync(a.directory).toSorted(), [
      "node",
      "secret",
      "secret.bak",
      "vipair.yaml",
      "vipair.yaml.bak",
    ]);
    // On a loopback nobody can be asked.
    assert.match(again.stderr, new RegExp(`  virtual address  ${vip}/8 on lo\n`));
  });

  test("stay as they are when the second one cannot write, or cannot be what the first one needs", async (t) => {
    const site = Site.open(t);
    const { a, b, init } = await machines(site);
    const waiting = await a.wait(...init);
    const before = a.text();

    // Where its secret should be is a directory.
    site.directory("b/secret");
    const blocked = await b.joins(waiting.line, "--name", "pi-b");
    assert.equal(blocked.code, 1);
    assert.match(blocked.stderr, /secret/);
    assert.deepEqual(readdirSync(b.directory), ["secret"]);

    writeFileSync(a.config, before.replace("interface: lo", "interface: eth77"));
    const elsewhere = new Machine(site, { name: "c", address: await site.address() });
    const other = await elsewhere.joins(waiting.line, "--name", "pi-b");
    assert.match(other.stderr, /no interface "eth77".*on eth77 on both nodes/);
    assert.ok(!existsSync(elsewhere.config));

    // As root it writes the secret where the other node says.
    writeFileSync(join(site.directory("far"), "secret"), a.text("secret"));
    writeFileSync(a.config, before.replace("secretFile: secret", "secretFile: ../far/secret"));
    const outside = await elsewhere.joins(waiting.line, "--name", "pi-b");
    assert.match(outside.stderr, /pi-a keeps the secret in .*\/far\/secret, and join writes only into/);
    assert.deepEqual(readdirSync(elsewhere.directory), []);

    writeFileSync(a.config, before.replace("interface: lo", "interface: eth77"));
    await waiting.kill();
    assert.equal(a.text(), before.replace("interface: lo", "interface: eth77"));
    assert.match(waiting.stderr, /pi-b has not joined: .*secret/);
    assert.match(waiting.stderr, /pi-b has not joined: .*eth77/);
  });

  test(
    "say that the disk is full, and leave nothing half written",
    { skip: process.getuid?.() === 0 ? false : "needs root to mount" },
    async (t) => {
      const site = Site.open(t);
      const { a, init } = await machines(site);
      const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=32k", "tmpfs", a.directory]);
      if (mounted.status !== 0) {
        t.skip("cannot mount here");
        return;
      }
      site.atEnd(() => spawnSync("umount", [a.directory]));
      // Room for the secret, and not for the configuration.
      writeFileSync(join(a.directory, "filler"), "x".repeat(24 * 1024));
      writeFileSync(a.config, "# nothing yet\n");
      const { code, stdout, stderr } = await a.command(...init);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /the disk is full/);
      assert.equal(a.text(), "# nothing yet\n");
      assert.deepEqual(readdirSync(a.directory), ["filler", "vipair.yaml"]);
    },
  );
});
