import assert from "node:assert/strict";
import { test } from "node:test";
import { type PeerGroups, wordsAbout } from "../../src/control/peer-groups.ts";
import type { PeerRole } from "../../src/election/advertisement.ts";
import { advertisementOf } from "./peer-pair.ts";

/** What b has: `default active X Y` is a group, its role, its addresses. */
function groupsOf(...groups: readonly string[]): PeerGroups {
  return new Map(
    groups.map((text) => {
      const [group = "", role = "", ...addresses] = text.split(" ");
      const said = advertisementOf("b", { group, role: role as PeerRole, ready: true, intent: "offer" });
      return [group, { said, addresses }];
    }),
  );
}

/** What our group `name` with these addresses is told when b's group `heard` has spoken. */
function told(text: string, { heard, groups }: { readonly heard: string; readonly groups: PeerGroups }) {
  const [name = "", ...addresses] = text.split(" ");
  const said = groups.get(heard)?.said;
  assert.ok(said !== undefined);
  return wordsAbout({ name, addresses }, { heard: said, groups });
}

test("a group of the same name, whose addresses no other group has, speaks for itself alone", () => {
  const groups = groupsOf("default active X Y", "mail standby Z");
  const words = told("default X", { heard: "default", groups });
  assert.deepEqual(words, { said: groups.get("default")?.said, difference: undefined });
  assert.equal(told("default X", { heard: "mail", groups }), undefined);
});

test("an address that the peer has in another group is the peer's as long as that group wants it", () => {
  const groups = groupsOf("default active X Y");
  for (const own of ["east X", "west Y"]) {
    const words = told(own, { heard: "default", groups });
    assert.equal(words?.said.group, own.split(" ")[0]);
    assert.equal(words?.said.role, "active");
    // The addresses of groups that differ do not move together, so nothing is handed over.
    assert.deepEqual([words?.said.ready, words?.said.intent], [false, "none"]);
  }
  assert.equal(
    told("east X", { heard: "default", groups })?.difference,
    "b has X in its group default: the configurations differ",
  );
});

test("of several groups of the peer that have our addresses the most worrying one counts, whichever spoke", () => {
  const groups = groupsOf("east standby X", "west claiming Y", "mail active Z");
  for (const heard of ["east", "west"]) {
    assert.equal(told("default X Y", { heard, groups })?.said.role, "claiming");
  }
  assert.equal(told("default X Y", { heard: "mail", groups }), undefined);
  // Also beside the one of its name.
  assert.equal(told("east X Y", { heard: "east", groups })?.said.role, "claiming");
});

test("a group of which a peer in touch has neither name nor address is free, whichever group of the peer spoke", () => {
  const groups = groupsOf("default active X", "mail standby Y");
  for (const heard of ["default", "mail"]) {
    const words = told("new Z", { heard, groups });
    assert.deepEqual(
      [words?.said.group, words?.said.role, words?.said.ready, words?.said.intent],
      ["new", "stopped", false, "none"],
    );
    assert.equal(words?.difference, "b has no group new and cannot take it over: the configurations differ");
  }
});
