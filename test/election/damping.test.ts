import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { isDamped } from "../../src/election/damping.ts";
import { A, SETTLED, STANDBY, story } from "./story.ts";

/** The active role is gained and lost by a check that comes and goes: five changes in eight seconds. */
const FLAPPING = `
   10010  soft-fault check       fault: release, says leaving
   10020  released               fault: says fault
   10100  recovered check        listening: says listening
   10110  hears fault 0 ...      listening
   11000                         claiming: claim 2, says claiming
   11000  claimed                active: announce, says active
   11010  soft-fault check       fault: release, says leaving
   11020  released               fault: says fault
   11100  recovered check        listening: says listening
   12000                         claiming: claim 3, says claiming
   12000  claimed                active: announce, says active
`;

/** To and fro by an operator's orders, from this moment on. */
function there(epoch: number, at: number): string {
  return `
      ${String(at)}       hears active ${String(epoch)} order    claiming: claim ${String(epoch + 1)} handover, says claiming
      ${String(at + 1)}   claimed           active: announce, says active
      ${String(at + 2)}   hears standby ${String(epoch + 1)} ready   active: announce
      ${String(at + 3)}   switchover        active: says active order
      ${String(at + 4)}   hears active ${String(epoch + 2)}   leaving: drain, done, says leaving
      ${String(at + 5)}   drained           standby: release
      ${String(at + 6)}   released          standby: says standby
    `;
}

suite("flap damping", () => {
  test("the fifth change within a minute damps, the fourth does not", () => {
    const four = FLAPPING.trimEnd().split("\n").slice(0, -1).join("\n");
    assert.equal(isDamped(story(A, SETTLED, four)), false);
    assert.equal(isDamped(story(A, SETTLED, FLAPPING)), true);
    assert.equal(isDamped(story({ ...A, roleChangesMax: 5 }, SETTLED, FLAPPING)), false);
  });

  test("a damped active stays active: neither a check nor a preference moves it", () => {
    story(
      { ...A, priority: 192, preempt: true, preemptDelayMs: 0 },
      SETTLED,
      FLAPPING,
      `
      12010  soft-fault check           active
      12020  impaired 100               active
      12030  hears standby 3 ready ...  active
      18000                             active: announce, announce, announce, announce, announce
      `,
    );
  });

  test("facts still count: a lost carrier, a duel that is lost", () => {
    story(A, SETTLED, FLAPPING, `12010  fault interface  fault: release, says leaving`);
    story(A, SETTLED, FLAPPING, `12010  hears active 9   standby: release, says leaving`);
  });

  test("an operator's order still counts", () => {
    story(
      A,
      SETTLED,
      FLAPPING,
      `
      12010  hears standby 3 ready ...  active
      12020  switchover                 active: says active order
      `,
    );
  });

  test("a damped standby does not claim because of silence, but from a peer that is dead", () => {
    const demoted = `12010  hears active 9   standby: release, says leaving
                     12020  released         standby: says standby`;
    story(A, SETTLED, FLAPPING, demoted, `18000  standby`);
    story(A, SETTLED, FLAPPING, demoted, `18000  dead  claiming: claim 10, says claiming`);
  });

  test("after a minute without a change all is as before", () => {
    const state = story(
      A,
      SETTLED,
      FLAPPING,
      `
      12010  hears active 9      standby: release, says leaving
      12020  released            standby: says standby
     72009                      standby
     72010                      claiming: claim 10, says claiming
      `,
    );
    assert.equal(isDamped(state), false);
  });

  test("`vipair resume` ends it at once, and what was counted counts no more", () => {
    const state = story(
      A,
      SETTLED,
      FLAPPING,
      `
      12010  soft-fault check  active
      12020  resume            fault: release, says leaving
      `,
    );
    assert.equal(isDamped(state), false);
    assert.equal(state.roleChangesAt.length, 1);
  });

  test("what an operator orders is never counted", () => {
    const state = story(A, STANDBY, there(1, 1100), there(3, 1110), there(5, 1120), there(7, 1130));
    assert.equal(state.roleChangesAt.length, 0);
    assert.equal(isDamped(state), false);
  });
});
