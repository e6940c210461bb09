import assert from "node:assert/strict";
import { test } from "node:test";
import type { PairConfig } from "../../src/config/config.ts";
import { deriveKey } from "../../src/control/peer-security.ts";
import { StickyKey, deriveStickyKey } from "../../src/control/sticky-key.ts";
import { PAIR_YAML, expectConfig } from "../config/pair-yaml.ts";

const SECRET = "a secret of a pair that tests know";

function pairWith(secret: Partial<PairConfig>): PairConfig {
  const { pair } = expectConfig(PAIR_YAML);
  assert.ok(pair !== undefined);
  const { secret: _, secretFile: __, ...rest } = pair;
  return { ...rest, ...secret };
}

test("both nodes of a pair have the same key, which is not that of the peer link, nor in the secret", () => {
  const key = new StickyKey(pairWith({ secret: SECRET }), "/").value;
  assert.deepEqual(key, new StickyKey(pairWith({ secret: SECRET }), "/").value);
  assert.deepEqual(key, deriveStickyKey(SECRET));
  assert.equal(key.length, 32);
  assert.notDeepEqual(Buffer.from(key), deriveKey(SECRET));
  assert.notDeepEqual(key, deriveStickyKey(`${SECRET}!`));
});

test("nodes alone have keys of their own", () => {
  assert.notDeepEqual(new StickyKey(undefined, "/").value, new StickyKey(undefined, "/").value);
});

test("a secret that could not be read at first is adopted later, and only one is", () => {
  const key = new StickyKey(pairWith({ secretFile: "there-is-no-such-file" }), "/");
  assert.notDeepEqual(key.value, deriveStickyKey(SECRET));
  assert.equal(key.adopt(SECRET), true);
  assert.deepEqual(key.value, deriveStickyKey(SECRET));
  assert.equal(key.adopt("another one that came too late"), false);
  assert.deepEqual(key.value, deriveStickyKey(SECRET));
});
