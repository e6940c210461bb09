// The manual page and the completions are made of the commands themselves; here, that nothing of them is lost on the way, and that the programs which
// read them understand them.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { Command } from "commander";
import { commandsOf } from "../../scripts/package/commands.ts";
import { formatBashCompletion, formatZshCompletion } from "../../scripts/package/completion.ts";
import { formatManual } from "../../scripts/package/manual.ts";
import { commandTree } from "../../src/cli/program.ts";

const TREE = commandTree();

function isMissing(tool: string): string | false {
  return spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0 ? false : `${tool} is not installed`;
}

function writeTemporary(t: TestContext, name: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "vipair-generated-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** What bash offers for the last of these words. */
function complete(script: string, ...words: string[]): string[] {
  const program = `
    . "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    compopt() { :; }
    _vipair
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const output = execFileSync("bash", ["-c", program, "bash", script, "vipair", ...words], {
    encoding: "utf8",
  });
  return output.split("\n").filter(Boolean).toSorted();
}

describe("the manual page", () => {
  test("has every command, every option and every argument", () => {
    const manual = formatManual(TREE).replaceAll("\\-", "-");
    const commands = commandsOf(TREE);
    assert.ok(commands.length > 15);
    for (const { name, command } of commands) {
      assert.match(manual, new RegExp(`^\\.B vipair ${name}(?: |$)`, "m"));
      for (const { flags } of command.options) assert.ok(manual.includes(`.B ${flags}`), `${name} ${flags}`);
    }
  });

  test("is what a formatter of manual pages expects", { skip: isMissing("groff") }, (t) => {
    const page = writeTemporary(t, "vipair.8", formatManual(TREE));
    const { status, stdout, stderr } = spawnSync("groff", ["-man", "-Tutf8", "-ww", "-z", page], {
      encoding: "utf8",
    });
    assert.deepEqual([status, stdout, stderr], [0, "", ""]);
  });
});

describe("completion in bash", () => {
  test("offers every command, and behind each every option", (t) => {
    const script = writeTemporary(t, "vipair", formatBashCompletion(TREE));
    assert.deepEqual(
      complete(script, "").filter((word) => !word.startsWith("-")),
      TREE.commands.map((command) => command.name()).toSorted(),
    );
    for (const { name, command } of commandsOf(TREE)) {
      const options = command.options
        .flatMap(({ long, short }) => [long, short])
        .filter((flag) => typeof flag === "string");
      assert.deepEqual(complete(script, ...name.split(" "), "-"), options.toSorted(), name);
    }
  });

  test("offers the commands below a command, and what begins like the word", (t) => {
    const tree = new Command("vipair").description("x");
    const backend = tree.command("backend").description("x");
    backend.command("add").option("--force", "x");
    backend.command("remove");
    tree.command("status").option("--json", "it's [for]: programs");
    const script = writeTemporary(t, "vipair", formatBashCompletion(tree));
    assert.deepEqual(complete(script, "st"), ["status"]);
    assert.deepEqual(complete(script, "backend", ""), ["add", "remove"]);
    assert.deepEqual(complete(script, "backend", "add", "--"), ["--force"]);
    assert.deepEqual(complete(script, "status", "--j"), ["--json"]);
    assert.deepEqual(complete(script, "unheard-of", "--"), []);
  });
});

describe("completion in zsh", () => {
  test("has every command with what it does, and every option", () => {
    const script = formatZshCompletion(TREE);
    for (const { name, command } of commandsOf(TREE)) {
      assert.ok(script.includes(`    '${name}') _arguments `), name);
      for (const { long } of command.options)
        assert.ok(script.includes(`'${String(long)}[`), `${name} ${String(long)}`);
    }
  });

  test("is a script that zsh can read", { skip: isMissing("zsh") }, (t) => {
    const script = writeTemporary(t, "_vipair", formatZshCompletion(TREE));
    const { status, stderr } = spawnSync("zsh", ["-n", script], { encoding: "utf8" });
    assert.deepEqual([status, stderr], [0, ""]);
  });
});
