import assert from "node:assert/strict";
import { test } from "node:test";
import { shareLookups } from "../../src/system/name-lookup.ts";

/** A resolver that answers when it is told to. */
function slowResolver() {
  const asked: { readonly name: string; readonly answer: (address: string) => void }[] = [];
  const lookUp = shareLookups((name, _options, callback) => {
    asked.push({
      name,
      answer: (address) => {
        callback(null, address, 4);
      },
    });
  });
  const heard: string[] = [];
  const ask = (name: string, family = 0): void => {
    lookUp(name, { family }, (error, address) => {
      heard.push(error === null ? `${name} ${JSON.stringify(address)}` : error.message);
    });
  };
  return { asked, heard, ask };
}

test("a name is asked for once at a time, and all who wait hear the answer", () => {
  const { asked, heard, ask } = slowResolver();
  for (let i = 0; i < 3; i += 1) ask("a.lan");
  ask("b.lan");
  ask("a.lan", 6);
  assert.deepEqual(
    asked.map(({ name }) => name),
    ["a.lan", "b.lan", "a.lan"],
  );
  asked[0]?.answer("10.0.0.1");
  assert.deepEqual(heard, ['a.lan "10.0.0.1"', 'a.lan "10.0.0.1"', 'a.lan "10.0.0.1"']);
  ask("a.lan");
  assert.equal(asked.length, 4);
});

test("while no name server answers, those that wait are not more and more", async () => {
  const { asked, heard, ask } = slowResolver();
  for (let i = 0; i < 10_001; i += 1) ask("a.lan");
  await new Promise(setImmediate);
  assert.equal(asked.length, 1);
  assert.deepEqual(heard, ["too many wait for this name"]);
});
