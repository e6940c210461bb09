import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";

const SRC = join(import.meta.dirname, "../../src");

/** The modules of Node itself that a process has loaded which imported these files of ours. */
function builtinsOf(...files: readonly string[]): string[] {
  const imports = files.map((file) => `await import(${JSON.stringify(join(SRC, file))});`).join("");
  const script = `${imports} console.log(process.moduleLoadList.join("\\n"));`;
  return execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
    encoding: "utf8",
  }).split("\n");
}

const FETCH = "NativeModule internal/deps/undici/undici";

describe("what a process does not use costs it no memory", () => {
  it("an import of node:http brings a browser's fetch along", () => {
    const script =
      'import { STATUS_CODES } from "node:http"; console.log(process.moduleLoadList.join("\\n"));';
    const loaded = execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
      encoding: "utf8",
    });
    assert.ok(loaded.split("\n").includes(FETCH), "no longer: src/system/http.ts is not needed any more");
  });

  it("the control process has HTTP, and no fetch", () => {
    const loaded = builtinsOf("control/controller.ts", "admin/server.ts", "cli/program.ts");
    assert.ok(loaded.includes("NativeModule http"));
    assert.ok(!loaded.includes(FETCH));
  });

  it("a worker has none of Node's HTTP: it speaks with its own engine", () => {
    const loaded = builtinsOf("proxy/engine.ts");
    assert.ok(loaded.includes("NativeModule net"));
    assert.ok(!loaded.includes("NativeModule http"));
    assert.ok(!loaded.includes(FETCH));
  });
});
