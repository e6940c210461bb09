import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { A, ACTIVE, B, SAFE, SETTLED, STANDBY, story } from "./story.ts";

/** A node that ranks lower has become active because the peer was in fault. */
const LOWER_ACTIVE = `
     0  start                listening: release, says leaving
     0  released             listening: says listening
     0  hears fault 0 ...    listening
  1000                       claiming: claim 1 probe, says claiming
  1000  claimed              active: announce, says active
  2900                       active: announce, announce
`;

function refused(before: string, reason: RegExp): void {
  assert.throws(() => story(A, ACTIVE, before, `1010  switchover  active: refused ()`), reason);
}

const IN_TOUCH = `1000  hears standby 1 ready ...  active`;

suite("two actives that meet", () => {
  test("rule 7: the one with the older claim releases at once", () => {
    story(A, ACTIVE, `1100  hears active 2 ...  standby: announce, release, says leaving`);
  });

  test("rule 7: claims of one epoch: the higher priority stays, the lower yields", () => {
    story(A, ACTIVE, `1100  hears active 1 ...  active: announce`);
    story(B, LOWER_ACTIVE, `3000  hears active 1 ...  standby: release, says leaving`);
  });

  test("rule 7: equal priorities: the greater name stays", () => {
    const equal = { priority: 192, peerPriority: 192 };
    story({ ...A, ...equal }, LOWER_ACTIVE, `3000  hears active 1 ...  standby: release, says leaving`);
    story({ ...B, ...equal }, ACTIVE, `1100  hears active 1 ...  active: announce`);
  });

  test("rule 7: the winner answers at once and announces again when the other has given up", () => {
    story(
      A,
      ACTIVE,
      `
      1332                     active: announce
      1340  hears active 1     active
      1350  hears leaving 1    active: announce
      1549                     active
      1550                     active: announce
      `,
    );
  });

  test("a claim in progress yields, too", () => {
    story(
      A,
      STANDBY,
      `
      1100  dead                claiming: claim 2, says claiming
      1110  hears active 3 ...  standby: release, says leaving
      `,
    );
  });

  test("a peer that was not heard for a while may have been active: announce again when it is back", () => {
    story(
      A,
      ACTIVE,
      `
      1010  silence           active
      7000                    active: announce, announce, announce, announce, announce
      7010  hears standby 3   active: announce
      7210                    active: announce
      `,
    );
  });
});

suite("announcements", () => {
  test("rule 3: 0, 0.2, 1.1, 2.2, 5 s after a claim, lease end + 0.5 s, then each minute", () => {
    const at = [1032, 1932, 3032, 3332, 5832, 65_832, 125_832];
    story(
      A,
      ACTIVE,
      ...at.map(
        (time) => `
        ${String(time - 1)}  active
        ${String(time)}      active: announce`,
      ),
    );
  });
});

suite("a claim that was not heard", () => {
  test("who comes back with a newer epoch before its silence was noticed may have told the network: the active tells it again", () => {
    story(
      A,
      SETTLED,
      `
      10100  hears standby 1 ready  active
      10300  hears leaving 2        active: announce
      10301  hears listening 2      active
      10499                         active
      10500                         active: announce
      `,
    );
  });
});

suite("switchover", () => {
  test("ordered on the active: it offers, holds until the peer is active, then drains and releases", () => {
    story(
      A,
      ACTIVE,
      IN_TOUCH,
      `
      1010  switchover           active: says active order
      1020  hears claiming 2     active
      1040  hears active 2 ...   leaving: announce, drain, done, says leaving
      1500  drained              standby: release
      1510  released             standby: says standby
      `,
    );
  });

  test("ordered on the standby: it asks, claims on the offer, and answers when it is active", () => {
    story(
      A,
      STANDBY,
      `
      1010  switchover                 standby: says standby request
      1020  hears active 1 offer ...   claiming: claim 2 handover, says claiming
      1040  claimed                    active: done, announce, says active
      1050  hears leaving 2 ...        active: announce
      `,
    );
  });

  test("a lease that was handed over is not renewed and ends by itself", () => {
    story(
      A,
      ACTIVE,
      IN_TOUCH,
      `
      1010  switchover           active: says active order
      1040  hears active 2 ...   leaving: announce, drain, done, says leaving
      2431                       leaving
      2432                       standby: release
      `,
    );
  });

  test("the new active dies while the old one drains: the old one claims again", () => {
    story(
      A,
      ACTIVE,
      IN_TOUCH,
      `
      1010  switchover           active: says active order
      1040  hears active 2 ...   leaving: announce, drain, done, says leaving
      1100  dead                 claiming: release, claim 3, says claiming
      `,
    );
  });

  test("claim: safe releases first, and the peer claims when it has heard so", () => {
    story(
      { ...A, ...SAFE },
      ACTIVE,
      IN_TOUCH,
      `
      1010  switchover           standby: release, says leaving order
      1020  released             standby: says standby order
      1030  hears claiming 2     standby
      1040  hears active 2 ...   standby: done, says standby
      5000                       standby
      `,
    );
    story(
      { ...A, ...SAFE },
      STANDBY,
      `
      1020  hears leaving 1 offer ...   standby
      1500  hears standby 1 order       announcing: says claiming
      1510  hears standby 2 order heard-1  announcing
      1520  hears standby 2 order heard-2  claiming: claim 2
      `,
    );
  });

  test("refused with the reason when the peer is not ready", () => {
    refused(`1005  hears listening 1  active`, /b is not ready: it is listening/);
    refused(`1005  dead  active`, /vipair does not run on b/);
    refused(`1005  estranged  active`, /b cannot be understood: another secret/);
  });

  test("refused on a standby that has no active to ask, and while listening or in fault", () => {
    const refusal = /refused \((no active peer|a is (listening|fault) now)/;
    for (const before of [
      `1005  hears standby 1 offer  claiming: claim 2, says claiming`,
      `1005  fault x  fault: says fault`,
    ]) {
      assert.throws(() => story(B, STANDBY, before, `1010  switchover  standby: refused ()`));
    }
    assert.throws(
      () => story(A, `0  start  listening: release, says leaving`, `1  switchover  listening: refused ()`),
      refusal,
    );
  });

  test("an offer that is not taken within 3 s is taken back, with the reason", () => {
    story(
      A,
      ACTIVE,
      IN_TOUCH,
      `
      1010  switchover  active: says active order
      4009              active: announce, announce, announce, announce
      4010              active: refused (b did not take over within 3000 ms; see its log), says active
      `,
    );
  });

  test("an offer to a peer that dies is taken back at once, with the reason", () => {
    story(
      A,
      ACTIVE,
      IN_TOUCH,
      `
      1010  switchover  active: says active order
      1050  dead        active: announce, refused (vipair does not run on b), says active
      `,
    );
  });

  test("an offer to a peer that cannot take it any more is taken back at once, with the reason", () => {
    for (const role of ["fault", "stopped", "listening"]) {
      story(
        A,
        ACTIVE,
        IN_TOUCH,
        `
      1010  switchover     active: says active order
      1050  hears ${role} 1  active: announce, refused (b is not ready: it is ${role}), says active
      `,
      );
    }
  });
});

suite("preempt", () => {
  const lower = { ...A, priority: 128, peerPriority: 192 };
  // The peer ranks higher but is active nowhere: it was faulty.
  const ACTIVE_LOWER = `
     0  start                listening: release, says leaving
     0  released             listening: says listening
     0  hears fault 0 ...    listening
   896                       claiming: claim 1 probe, says claiming
   896  claimed              active: announce, says active
  6000                       active: announce, announce, announce, announce, announce
  6000  hears standby 1 ready ...  active
  `;

  test("off: a preferred peer that comes back stays standby", () => {
    const state = story(lower, ACTIVE_LOWER, `30000  active`);
    assert.equal(state.offer, undefined);
  });

  test("on: it is offered the role when it has been ready for the whole delay", () => {
    story(
      { ...lower, preempt: true },
      ACTIVE_LOWER,
      `
     10999                              active
     11000                              active: says active offer
      `,
    );
  });

  test("on: the delay begins again when it was not ready in between", () => {
    story(
      { ...lower, preempt: true },
      ACTIVE_LOWER,
      `
     10000  hears listening 1           active
     10100  hears standby 1 ready ...   active
     15099                              active
     15100                              active: says active offer
      `,
    );
  });
});

suite("claim: safe: two claims that cross", () => {
  test("a claim beside a peer that lives is announced, and the hooks wait until the peer has heard of it", () => {
    story(
      { ...A, ...SAFE },
      `
         0  start                              listening: release, says leaving
         0  released                           listening: says listening
         0  hears standby 0 ready ...          listening
      1088                                     announcing: says standby, says claiming
      1100  hears standby 1 ready ...          announcing
      1200  hears standby 1 ready heard-1 ...  claiming: claim 1 probe
      `,
    );
  });

  test("of two that announce, the lower yields before any hook has run", () => {
    story(
      { ...B, ...SAFE },
      `
         0  start                       listening: release, says leaving
         0  released                    listening: says listening
         0  hears standby 0 ready ...   listening
      2688                              announcing: says standby, says claiming
      2690  hears claiming 1 ...        standby: says standby
      `,
    );
  });

  test("a peer that falls silent meanwhile may hold the address: its lease is waited for", () => {
    story(
      { ...A, ...SAFE },
      `
         0  start                      listening: release, says leaving
         0  released                   listening: says listening
         0  hears standby 0 ready ...  listening
      1088                             announcing: says standby, says claiming
      1100  silence                    announcing
      1855                             announcing
      1857                             awaiting-lease: says awaiting-lease
      `,
    );
  });
});

suite("stop (SIGTERM)", () => {
  test("with a ready peer: hand over, drain, stop", () => {
    story(
      A,
      ACTIVE,
      IN_TOUCH,
      `
      1010  stop                 active: says active order
      1040  hears active 2 ...   leaving: announce, drain, says leaving
      1100  drained              standby: release
      1110  released             stopped: says stopped
      `,
    );
  });

  test("with a ready peer and claim: safe: release, say so, stop", () => {
    story(
      { ...A, ...SAFE },
      ACTIVE,
      IN_TOUCH,
      `
      1010  stop      standby: release, says leaving order
      1020  released  stopped: says stopped order
      `,
    );
  });

  test("with a ready peer that stops as well: nobody is waited for", () => {
    story(
      A,
      ACTIVE,
      IN_TOUCH,
      `
      1010  stop             active: says active order
      1020  hears stopped 1  leaving: drain, says leaving
      1030  drained          standby: release
      1040  released         stopped: says stopped
      `,
    );
  });

  test("without a ready peer: keep serving while connections drain, for the grace time at most", () => {
    story(
      A,
      ACTIVE,
      `
      1000  dead      active
      1010  stop      leaving: drain, says leaving
      5009            leaving
      5010            standby: release
      5020  released  stopped: says stopped
      `,
    );
  });

  test("a leaving node releases when another claims", () => {
    story(
      A,
      ACTIVE,
      `
      1000  hears listening 1   active
      1010  stop                leaving: drain, says leaving
      1500  hears claiming 2    standby: release
      `,
    );
  });

  test("a leaving node makes way for a careful successor that has come up meanwhile", () => {
    story(
      { ...A, ...SAFE },
      ACTIVE,
      `
      1000  hears listening 1      active
      1010  stop                   leaving: drain, says leaving
      1500  hears standby 1 ready  standby: release
      1510  released               stopped: says stopped
      `,
    );
  });

  test("a standby stops at once", () => {
    story(A, STANDBY, `1010  stop  stopped: says stopped`);
  });

  test("a node that is stopped does nothing any more", () => {
    story(
      A,
      STANDBY,
      `
      1010  stop        stopped: says stopped
      1020  dead        stopped
      1030  switchover  stopped
      9000              stopped
      `,
    );
  });
});
