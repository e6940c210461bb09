// The pair's secret is nowhere but in its file: not in logs, status, error output, processes or files.

import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { deriveStickyKey } from "../../src/control/sticky-key.ts";
import { SECRET, Site } from "../support/site.ts";
import { runVipair, type VipairProcess } from "../support/vipair-process.ts";

/** Everything that a node shows to anybody, as one text. */
async function everythingOf(node: VipairProcess): Promise<string> {
  const { stdout: status } = await node.command("status");
  const parts = [node.rawLines.join("\n"), node.stderr, status, JSON.stringify(await node.status())];
  for (const pid of [node.pid, ...node.children()]) {
    const read = (what: string) => readFileSync(`/proc/${String(pid)}/${what}`, "utf8");
    parts.push(read("cmdline"), read("environ"));
  }
  for (const file of readdirSync(node.runtimeDir)) {
    if (file.endsWith(".json")) parts.push(readFileSync(join(node.runtimeDir, file), "utf8"));
  }
  return parts.join("\n");
}

test("the secret is in no log, status, error, argument, environment or state file", async (t) => {
  const site = Site.open(t);
  const pair = await site.pair();
  const inline = pair.content({ top: { logging: { level: "debug" } } });
  const { secretFile: _, ...rest } = inline["pair"] as Record<string, unknown>;
  const environment = join(site.folder, "environment");
  site.file("hook-of-a", `#!/bin/sh\nenv >>${environment}\necho "$0 $*" >>${environment}\n`);
  chmodSync(join(site.folder, "hook-of-a"), 0o755);
  const content = { ...inline, pair: { ...rest, secret: SECRET, hook: "hook-of-a" } };
  const config = site.config(content, "inline.yaml");
  const a = site.start({ config, node: "a", runtimeDir: join(site.folder, "a") });
  // One that is wrong, so that the two say so.
  const b = pair.start("b", {
    changes: { pair: { secretFile: "other" }, top: { logging: { level: "debug" } } },
  });
  const wrong = "a-secret-that-is-wrong-but-still-one";
  await b.becomes("fault");
  site.file("other", wrong);
  await a.becomes("active");
  await b.until("the problem", ({ peer }) => /secret/.test(peer?.problem ?? ""));

  const bad = [
    site.config({ ...content, pair: { ...content.pair, secret: { value: SECRET } } }, "map.yaml"),
    site.config({ ...content, pair: { ...content.pair, secret: SECRET, sekret: SECRET } }, "unknown.yaml"),
    site.config({ ...content, pair: { ...content.pair, secret: [SECRET] } }, "list.yaml"),
    site.config(`pair:\n  secret: "${SECRET}\n`, "cut.yaml"),
    site.config(`pair:\n  secret: *${SECRET}\n`, "alias.yaml"),
    site.config(`pair: { secret: ${SECRET}: }\n`, "colon.yaml"),
    site.config(
      JSON.stringify({ ...content, pair: { ...content.pair, nodes: {} } }).replaceAll("}", ""),
      "broken.yaml",
    ),
  ];
  const errors: string[] = [];
  await Promise.all(
    bad.map(async (file) => {
      const { code, stdout, stderr } = await runVipair(["check", "--config", file]);
      assert.equal(code, 1, file);
      errors.push(stdout, stderr);
    }),
  );
  site.config(readFileSync(bad[0] ?? "", "utf8"), "inline.yaml");
  a.signal("SIGHUP");
  await a.logged("the refusal", ({ msg }) => /not used/.test(msg));

  const key = Buffer.from(deriveStickyKey(SECRET));
  // As the encodings have it, as JSON and as an inspected object.
  const stickyKeys = [
    key.toString("hex"),
    key.toString("base64"),
    key.toString("base64url"),
    [...key.subarray(0, 8)].join(","),
    [...key.subarray(0, 8)].join(", "),
    key.toString("hex").replace(/../g, "$& ").slice(0, 20),
  ];
  const shown = {
    a: await everythingOf(a),
    b: await everythingOf(b),
    hooks: readFileSync(environment, "utf8"),
    errors: errors.join("\n"),
  };
  for (const [where, text] of Object.entries(shown)) {
    assert.ok(text.length > 100, `${where} was looked at`);
    for (const secret of [SECRET, wrong, ...stickyKeys])
      assert.ok(!text.includes(secret), `${where} shows the secret`);
  }
});
