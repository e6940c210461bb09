import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { step } from "../../src/election/step.ts";
import { reasonOf } from "../../src/election/role.ts";
import { A, B, SAFE, story } from "./story.ts";

const ALONE = { ...A, peer: undefined, peerPriority: 0 };
const ASKS = { ...ALONE, arbiter: true };

const SERVES = `
     0  start            listening: release, says leaving
     0  released         listening: says listening
   832                   claiming: claim 1 probe, says claiming
  1000  claimed          active: announce, says active
 60000                   active: announce, announce, announce, announce, announce
`;
const SERVES_VOUCHED = SERVES.replace(
  "     0  released",
  "     0  arbiter answers  listening\n     0  released",
);

suite("a pair whose second node has not come yet", () => {
  test("claims after one active-down interval of listening, and asks the network before it", () => {
    story(ALONE, SERVES);
  });

  test("with claim: safe as soon: there is no predecessor whose lease could run", () => {
    story({ ...ALONE, ...SAFE }, SERVES);
  });

  test("rule 8: with an arbiter it claims when that answers, and need not wait for a peer to be heard", () => {
    story(ASKS, SERVES_VOUCHED);
    story(
      ASKS,
      `
       0  start            listening: release, says leaving
       0  released         listening: says listening
    5000                   listening
    5000  arbiter answers  claiming: claim 1 probe, says claiming
      `,
    );
  });

  test("rule 8: when the arbiter is missing there is nobody to wait for", () => {
    story(
      ASKS,
      `
     0  start            listening: release, says leaving
     0  arbiter missing  listening
     0  released         listening: says listening
   832                   claiming: claim 1 probe, says claiming
      `,
    );
  });

  test("rule 8: an arbiter that never answers is waited for 30 s at most, as nobody else could serve", () => {
    story(
      ASKS,
      `
     0  start            listening: release, says leaving
     0  released         listening: says listening
 29999                   listening
 30000                   claiming: claim 1 probe, says claiming
 30100  claimed          active: announce, says active
      `,
    );
  });

  test("rule 6: goes on when the arbiter falls silent, as nobody can have taken over", () => {
    story(ASKS, SERVES_VOUCHED, `60001  arbiter silent  active\n90000  active: announce`);
  });

  test("when the network says that somebody has the address, it tries again later", () => {
    story(
      ALONE,
      `
     0  start            listening: release, says leaving
     0  released         listening: says listening
   832                   claiming: claim 1 probe, says claiming
  1000  claim-failed     fault: release, says leaving
  1000  released         fault: says fault
  2999                   fault
  3000                   listening: says listening
  3832                   claiming: claim 2 probe, says claiming
      `,
    );
  });

  test("after a fault it listens and claims again, still without a peer to wait for", () => {
    story(
      ALONE,
      SERVES,
      `
 61000  fault interface      fault: release, says leaving
 61000  released             fault: says fault
 65000  recovered interface  listening: says listening
 65832                       claiming: claim 2 probe, says claiming
      `,
    );
  });

  test("a newcomer that is active when this node starts is left in peace", () => {
    story(
      ALONE,
      `
     0  start                listening: release, says leaving
     0  released             listening: says listening
   500  hears active 7 ...   listening
   832                       standby: says standby
 60000                       standby
 60000  silence              standby
 61000                       claiming: claim 8, says claiming
      `,
    );
  });

  test("rule 7: when a newcomer is active, too, the newer claim wins", () => {
    story(ALONE, SERVES, `61000  hears active 2  standby: release, says leaving`);
    story(ALONE, SERVES, `61000  hears active 0  active`);
  });

  test("a switchover is refused, and the operator is told how a second node comes", () => {
    story(
      ALONE,
      SERVES,
      "61000  switchover  active: refused (there is no second node yet: `sudo vipair invite` lets one join)",
    );
  });

  test("a stop serves what is open, and releases", () => {
    story(
      ALONE,
      SERVES,
      `
 61000  stop      leaving: drain, says leaving
 61100  drained   standby: release
 61101  released  stopped: says stopped
      `,
    );
  });

  test("rule 11: when the second node stands in the file, neither phase, lease nor epoch change", () => {
    const before = story(ASKS, SERVES_VOUCHED);
    const named = { ...ASKS, peer: "b", peerPriority: 128, configHash: "other" };
    const now = before.at + 1;
    const { state, effects } = step(named, before, { kind: "deadline" }, now);
    assert.deepEqual([state.phase, state.epoch], [before.phase, before.epoch]);
    assert.deepEqual(
      effects.map(({ kind }) => kind),
      ["advertise"],
    );
    // Also when nobody answers until the peer has come: that one was never there to take over.
    const later = step(named, state, { kind: "deadline" }, now + 1000);
    assert.equal(later.state.phase.kind, "active");
    assert.ok(!later.effects.some(({ kind }) => kind === "release"));
  });

  test("status says what is missing, until the second node stands in the file", () => {
    const state = story(ALONE, SERVES);
    assert.equal(reasonOf(ALONE, state, 60_000), "no second node yet: run `sudo vipair invite`");
    assert.equal(reasonOf({ ...ALONE, peer: "b" }, state, 60_000), undefined);
  });

  test("a newcomer that hears it is standby, whichever priority it has", () => {
    for (const settings of [B, { ...B, priority: 254 }]) {
      const { phase } = story(
        settings,
        `
       0  start                 listening: release, says leaving
       0  released              listening: says listening
     100  hears active 1 ...    listening
    2000                        standby: says standby
   60000                        standby
        `,
      );
      assert.equal(phase.kind, "standby");
    }
  });
});
