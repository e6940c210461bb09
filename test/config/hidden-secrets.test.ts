import assert from "node:assert/strict";
import { test } from "node:test";
import { findSecrets } from "../../src/config/hidden-secrets.ts";

const SECRET = "the-secret-of-the-pair";

function hidden(text: string): string {
  return findSecrets(text).hide("(hidden)");
}

for (const [what, text, shown] of [
  ["plain", `pair:\n  secret: ${SECRET}\n  port: 1\n`, "pair:\n  secret: (hidden)\n  port: 1\n"],
  ["quoted", `pair: { secret: "${SECRET}", port: 1 }\n`, "pair: { secret: (hidden), port: 1 }\n"],
  ["a block", `pair:\n  secret: |\n    ${SECRET}\n  port: 1\n`, "pair:\n  secret: (hidden)\n  port: 1\n"],
  [
    "folded",
    `pair:\n  secret: >-\n    ${SECRET}\n    more\n  port: 1\n`,
    "pair:\n  secret: (hidden)\n  port: 1\n",
  ],
  ["an alias", `x: &s ${SECRET}\npair:\n  secret: *s\n`, "x: &s (hidden)\npair:\n  secret: *s\n"],
  [
    "repeated in a comment",
    `# was ${SECRET}\npair:\n  secret: ${SECRET}\n`,
    "# was (hidden)\npair:\n  secret: (hidden)\n",
  ],
  [
    "an old one in a comment",
    `pair:\n  # secret: another-one\n  secret: ${SECRET} # secret: and one more\n`,
    "pair:\n  # secret: (hidden)\n  secret: (hidden) # secret: (hidden)\n",
  ],
  [
    "a file that does not parse",
    `pair:\n  secret: ${SECRET}\n bad: [\n`,
    "pair:\n  secret: (hidden)\n bad: [\n",
  ],
  ["a file of tabs", `pair: {\n\tsecret: ${SECRET},\n]`, "pair: {\n\tsecret: (hidden)\n]"],
] as const) {
  test(`a secret is not shown: ${what}`, () => {
    assert.equal(hidden(text), shown);
  });
}

test("what is no secret is shown: the name of its file, and a pool of that name", () => {
  const text = "pair:\n  secretFile: /etc/vipair/secret\npools:\n  secret: { backends: [10.0.0.1:80] }\n";
  assert.equal(hidden(text), text);
  assert.equal(findSecrets(text).secret, undefined);
});

test("whether two files have the same secret can be told, however they write it", () => {
  assert.equal(
    findSecrets(`pair: { secret: "${SECRET}" }`).secret,
    findSecrets(`pair:\n  secret: ${SECRET}\n`).secret,
  );
});
