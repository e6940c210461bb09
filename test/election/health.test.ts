import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { reasonOf } from "../../src/election/role.ts";
import { A, SAFE, SETTLED, STANDBY, story } from "./story.ts";

const IN_TOUCH = `10000  hears standby 1 ready ...  active`;

suite("rule 9: the node that is worse off yields to the other", () => {
  test("rule 9: an active in fault releases at once, and says so", () => {
    story(A, SETTLED, IN_TOUCH, `10500  fault interface  fault: release, says leaving`);
  });

  test("rule 9: an impaired active hands over to a peer that is better off, whatever preempt says", () => {
    story(
      A,
      SETTLED,
      IN_TOUCH,
      `
      10200  impaired 65        active: says active offer
      10250  hears claiming 2   active
      10300  hears active 2     leaving: drain, says leaving
      `,
    );
  });

  test("rule 9: not when its priority is still the higher one", () => {
    story(A, SETTLED, IN_TOUCH, `10200  impaired 63  active`);
  });

  test("rule 9: not when the peer suffers from the same", () => {
    story(
      { ...A, priority: 128, peerPriority: 192 },
      `
         0  start                               listening: release, says leaving
         0  released                            listening: says listening
         0  hears fault 0 ...                   listening
      1000                                      claiming: claim 1 probe, says claiming
      1000  claimed                             active: announce, says active
      1010  impaired 20                         active
      1020  hears standby 1 ready impaired-20 ...  active
      1100                                      active
      `,
    );
  });

  test("rule 9: not to a peer that is not ready; as soon as it is", () => {
    story(
      A,
      SETTLED,
      `
      10000  hears listening 1 ...      active
      10100  impaired 100               active
      10200  hears standby 1 ready ...  active: says active offer
      `,
    );
  });

  test("rule 9: claim: safe releases first", () => {
    story(
      { ...A, ...SAFE },
      SETTLED,
      IN_TOUCH,
      `
      10200  impaired 65  standby: release, says leaving offer
      10210  released     standby: says standby offer
      `,
    );
  });

  test("rule 9: an offer that the peer does not take is made again after 30 s, and not before", () => {
    story(
      A,
      SETTLED,
      IN_TOUCH,
      `
       10200  impaired 65  active: says active offer
       13200               active: says active
      43199               active
      43200               active: says active offer
      `,
    );
  });

  test("rule 9: an active whose arbiter is silent for 5 s hands over to a peer whose arbiter answers", () => {
    story(
      { ...A, arbiter: true },
      SETTLED,
      `
      10000  hears standby 1 ready ...  active
      10100  arbiter answers            active
      10101  arbiter silent             active
      15099                             active
      15100                             active: says active offer
      `,
    );
  });

  test("rule 9: not when the gateway is silent to both: the standby says so first", () => {
    story(
      { ...A, arbiter: true },
      SETTLED,
      `
      10100  arbiter answers                         active
      10101  arbiter silent                          active
      12200  hears standby 1 ready impaired-253 ...  active
      60000                                          active
      `,
    );
    const state = story(
      { ...A, arbiter: true },
      STANDBY,
      `
      1100  arbiter answers  standby
      1101  arbiter silent   standby
      3200                   standby
      `,
    );
    assert.equal(state.said?.impairment, 253);
  });

  test("the reason says what an impairment leaves of the priority, which is 1 at the least", () => {
    const last = A.priority - 1;
    for (const { weight, left } of [
      { weight: last, left: `-${String(last)}` },
      { weight: last + 1, left: "1" },
      { weight: 253, left: "1" },
    ]) {
      const state = story(A, STANDBY, `1200  impaired ${String(weight)}  standby`);
      assert.equal(reasonOf(A, state, 1200), `check: slow (priority ${left})`);
    }
  });

  test("an impairment that ends gives the priority back, and nothing moves", () => {
    story(
      A,
      STANDBY,
      `
      1200  impaired 65      standby
      1300  recovered check  standby
      9000                   standby
      `,
    );
  });

  test("of two nodes of which none is active, the one whose effective priority is higher claims", () => {
    story(
      A,
      `
         0  start                      listening: release, says leaving
         0  released                   listening: says listening
         0  impaired 100               listening
         0  hears standby 0 ready ...  listening
      2495                             standby: says standby
      2496                             claiming: claim 1 probe, says claiming
      `,
    );
  });
});

suite("rule 10: an address that vanished", () => {
  test("rule 10: it is claimed again in the moment in which it is known", () => {
    story(
      A,
      SETTLED,
      IN_TOUCH,
      `
      10500  address-gone  active: claim 1
      10510  claimed       active: announce
      `,
    );
  });

  test("rule 10: one loss that is noticed twice is one loss", () => {
    story(
      A,
      SETTLED,
      IN_TOUCH,
      `
      10500  address-gone  active: claim 1
      10501  gone          active
      10502  address-gone  active
      10510  claimed       active: announce
      10600  gone          active: claim 1
      10610  claimed       active: announce
      `,
    );
  });

  test("rule 10: the third time in a minute the node yields", () => {
    story(
      A,
      SETTLED,
      IN_TOUCH,
      `
      10500  address-gone  active: claim 1
      10510  claimed       active: announce
      10600  address-gone  active: claim 1
      10610  claimed       active: announce
      10700  address-gone  fault: release, says leaving
      `,
    );
  });

  test("rule 10: with claim: safe a lease that a successor waits for is not set anew", () => {
    story(
      { ...A, ...SAFE },
      SETTLED,
      `
      10100  hears awaiting-lease 1  active
      10200  address-gone            active
      11500                          listening: release, says leaving
      `,
    );
  });

  test("rule 4: a lease that ran out while the process stood still is no loss", () => {
    story(
      A,
      SETTLED,
      IN_TOUCH,
      `
      10500  freezes       active
      13000  address-gone  listening: read-queue, release, says leaving
      `,
    );
  });
});
