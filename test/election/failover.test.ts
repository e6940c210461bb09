import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { expiryLateMs } from "../../src/election/timing.ts";
import { A, ACTIVE, B, SAFE, STANDBY, story } from "./story.ts";

suite("start", () => {
  test("rule 8: a node removes what an earlier life left, listens for one active-down interval, then stands by", () => {
    story(
      A,
      `
         0  start               listening: release, says leaving
        10  released            listening: says listening
        20  hears active 1 ...  listening
       831                      listening
       832                      standby: says standby
      `,
    );
  });

  test("a node that hears nobody waits until a switch port must have come up, then claims with a probe", () => {
    story(
      A,
      `
         0  start     listening: release, says leaving
        10  released  listening: says listening
     29999            listening
     30000            claiming: claim 1 probe, says claiming
      `,
    );
  });

  test("a node whose peer does not run claims after listening, not after 30 s", () => {
    story(
      A,
      `
         0  start     listening: release, says leaving
        10  released  listening: says listening
        20  dead      listening
       831            listening
       832            claiming: claim 1 probe, says claiming
      `,
    );
  });

  // Right after a start one connection may be all there is, and a segment that is lost again and again stalls it.
  test("an active that was heard at the start and then no more gets the time of a reunion", () => {
    story(
      A,
      `
         0  start           listening: release, says leaving
        10  released        listening: says listening
        20  hears active 1  listening
      2355                  listening
      2356                  claiming: claim 2, says claiming
      `,
    );
    story(
      A,
      `
         0  start               listening: release, says leaving
        10  released            listening: says listening
        20  hears active 1      listening
      1700  hears active 1 ...  standby: says standby
      9000                      standby
      `,
    );
  });

  // Nobody of the pair can hold the address then: whoever answers for it is a stranger.
  test("of two nodes that start together the higher one claims, and asks the network before its first claim", () => {
    story(A, ACTIVE);
  });

  test("a node whose peer could not claim asks the network, too: nobody of the pair has held the address yet", () => {
    story(
      A,
      `
         0  start             listening: release, says leaving
        10  released          listening: says listening
        20  hears fault 1 ...  listening
       832                     claiming: claim 2 probe, says claiming
      `,
    );
  });

  test("of two nodes that start together the lower one never claims while the other is about to", () => {
    story(
      B,
      `
         0  start                       listening: release, says leaving
        10  released                    listening: says listening
        20  hears listening 0 ...       listening
       832  hears claiming 1 ...        listening
       900                              standby: says standby
       920  hears active 1 ...          standby
      9000                              standby
      `,
    );
  });

  test("the lower one claims when the higher one does not within two active-down intervals", () => {
    story(
      B,
      `
         0  start                        listening: release, says leaving
        10  released                     listening: says listening
        20  hears standby 0 ready ...    listening
       896                               standby: says standby
      2687                               standby
      2688                               claiming: claim 1 probe, says claiming
      `,
    );
  });
});

suite("the active goes", () => {
  test("rule 1, rule 2: its process dies: claim at once", () => {
    story(A, STANDBY, `1100  dead  claiming: claim 2, says claiming`);
  });

  test("it falls silent: claim exactly one active-down interval after its last word", () => {
    story(
      A,
      STANDBY,
      `
      1100  hears active 1  standby
      1931                  standby
      1932                  claiming: claim 2, says claiming
      1950  claimed         active: announce, says active
      `,
    );
  });

  test("it resigns: claim one skew time later", () => {
    story(
      A,
      STANDBY,
      `
      1100  hears leaving 1 ...  standby
      1163                       standby
      1164                       claiming: claim 2, says claiming
      `,
    );
  });

  for (const role of ["fault", "stopped"]) {
    test(`it says ${role}, so it has released: claim at once`, () => {
      story(A, STANDBY, `1100  hears ${role} 1 ...  claiming: claim 2, says claiming`);
    });
  }

  test("claim: safe: an active in fault must have heard of the claim: it may be well again meanwhile", () => {
    story(
      { ...A, ...SAFE },
      STANDBY,
      `
      1100  hears fault 1 ...          announcing: says claiming
      1101  hears fault 2 heard-2 ...  claiming: claim 2
      `,
    );
  });

  test("it listens again, so it has no address: the higher one claims an interval later, when old words have passed", () => {
    story(
      A,
      STANDBY,
      `
      1100  hears listening 1 ...  standby
      1355                         standby
      1356                         claiming: claim 2, says claiming
      `,
    );
  });

  test("rule 2: claim: safe waits until the lease of a dead or silent active must have ended", () => {
    for (const gone of ["dead", "hears active 1"]) {
      const knownAt = gone === "dead" ? 1100 : 1932;
      story(
        { ...A, ...SAFE },
        STANDBY,
        `
        1100  ${gone}  ${gone === "dead" ? "awaiting-lease: says awaiting-lease" : "standby"}
        ${String(knownAt + 2399)}  awaiting-lease${gone === "dead" ? "" : ": says awaiting-lease"}
        ${String(knownAt + 2400)}  claiming: claim 2, says claiming
        `,
      );
    }
  });

  test("rule 2: beside other addresses a kernel may remove one a second late, and claim: safe waits for that, too", () => {
    story(
      { ...A, ...SAFE, expiryLateMs: expiryLateMs(2) },
      STANDBY,
      `
      1100  dead  awaiting-lease: says awaiting-lease
      4499        awaiting-lease
      4500        claiming: claim 2, says claiming
      `,
    );
    assert.equal(expiryLateMs(1), 0);
  });

  test("claim: safe: a peer that dies or falls silent while it claims may ask the network yet, and set its lease after that", () => {
    story(
      { ...A, ...SAFE },
      STANDBY,
      `
      1999  hears standby 1   standby
      2000  hears claiming 2  standby
      2010  estranged         standby
      2020  dead              awaiting-lease: says awaiting-lease
      6119                    awaiting-lease
      6120                    claiming: claim 3, says claiming
      `,
    );
    for (const [end, waitsFrom] of [
      ["dead", 2010],
      ["silence", 2832],
    ] as const) {
      const claimAt = waitsFrom + 2100 + 2000;
      story(
        { ...A, ...SAFE },
        STANDBY,
        `
        1999  hears standby 1     standby
        2000  hears claiming 2    standby
        2010  ${end}              ${end === "dead" ? "awaiting-lease: says awaiting-lease" : "standby"}
        2832                      awaiting-lease${end === "dead" ? "" : ": says awaiting-lease"}
        ${String(claimAt - 1)}    awaiting-lease
        ${String(claimAt)}        claiming: claim 3, says claiming
        `,
      );
    }
  });

  test("claim: safe: the words that waited for a stalled process do not prove that a dead peer had no lease", () => {
    story(
      { ...A, ...SAFE },
      STANDBY,
      `
      1020  freezes                standby
      9000  wakes                  listening: read-queue, says listening
      9000  hears standby 1 ready  listening
      9000  queue-read             listening
      9010  dead                   listening
      9832                         awaiting-lease: says awaiting-lease
     12231                         awaiting-lease
     12232                         claiming: claim 2, says claiming
      `,
    );
  });

  test("claim: safe stands by again when the silent active is heard", () => {
    story(
      { ...A, ...SAFE },
      STANDBY,
      `
      1100  silence             standby
      2500                      awaiting-lease: says awaiting-lease
      2600  hears active 1 ...  standby: says standby
      9000                      standby
      `,
    );
  });

  test("claim: safe does not wait for a peer that has no lease", () => {
    story({ ...A, ...SAFE }, STANDBY, `1100  hears stopped 1 ...  claiming: claim 2, says claiming`);
  });

  test("claim: safe never claims while a leaving active may still renew, however long it takes", () => {
    story(
      { ...A, ...SAFE },
      STANDBY,
      `
      1100  hears leaving 1 ...  standby
      9000                       standby
      9100  hears stopped 1      claiming: claim 2, says claiming
      `,
    );
  });
});

suite("peer that is not understood", () => {
  test("exactly one of the two claims: the one that ranks higher by the configuration", () => {
    const estranged = `
         0  start      listening: release, says leaving
         0  released   listening: says listening
       500  estranged  listening
    `;
    story(
      A,
      estranged,
      `
      1500  estranged  standby: says standby
      2000  estranged  claiming: claim 1 probe, says claiming
      `,
    );
    story(
      B,
      estranged,
      ...[1500, 2500, 3500, 4500, 5500].map(
        (time) => `
      ${String(time)}  estranged  standby${time === 1500 ? ": says standby" : ""}`,
      ),
    );
  });

  test("the lower one claims when the higher one has not answered for 3 s", () => {
    story(
      B,
      `
         0  start      listening: release, says leaving
         0  released   listening: says listening
      1000  estranged  standby: says standby
      3999             standby
      4000             claiming: claim 1 probe, says claiming
      `,
    );
  });
});

suite("stalled process", () => {
  test("rule 5: it reads its queue first, and does not claim when an advertisement was waiting", () => {
    story(
      A,
      STANDBY,
      `
      1020  freezes             standby
      1900  wakes               standby: read-queue
      1900  hears active 1 ...  standby
      1900  queue-read          standby
      5000                      standby
      `,
    );
  });

  test("rule 5: later than one interval is a stall, one interval is not", () => {
    const due = `1020  hears active 1  standby
                 1020  freezes         standby`;
    // It would have advertised at 1088.
    story(A, STANDBY, due, `1344  wakes  standby`);
    story(A, STANDBY, due, `1345  wakes  standby: read-queue`);
  });

  test("it claims when nothing was waiting, and nothing comes for an interval: the peer may have stood still as well", () => {
    const asleep = `
      1020  hears active 1  standby
      1020  freezes         standby
      1860  wakes           standby: read-queue
      1860  queue-read      standby
    `;
    story(
      A,
      STANDBY,
      asleep,
      `
      2115  standby
      2116  claiming: claim 2, says claiming
      `,
    );
    story(
      A,
      STANDBY,
      asleep,
      `
      1861  hears active 1 ...  standby
      5000                      standby
      `,
    );
  });

  test("claim: safe: standing still while it waits for the lease of a silent peer does not make it wait anew", () => {
    story(
      { ...A, ...SAFE },
      STANDBY,
      `
      1020  hears active 1  standby
      1852                  awaiting-lease: says awaiting-lease
      1900  freezes         awaiting-lease
      2500  wakes           awaiting-lease: read-queue
      2500  queue-read      awaiting-lease
      4251                  awaiting-lease
      4252                  claiming: claim 2, says claiming
      `,
    );
  });

  test("one that stands still again and again gives a silent peer one interval, not one each time", () => {
    story(
      A,
      STANDBY,
      `
      1020  hears active 1  standby
      1020  freezes         standby
      1860  wakes           standby: read-queue
      1860  queue-read      standby
      1860  freezes         standby
      2400  wakes           standby: read-queue
      2400  queue-read      claiming: claim 2, says claiming
      `,
    );
  });

  test("one that stood still for longer than the active-down interval listens for as long before it judges", () => {
    for (const waited of ["hears fault 1", "hears active 1", "wakes"]) {
      story(
        A,
        STANDBY,
        `
        1020  freezes         standby
        9000  wakes           listening: read-queue, says listening
        9000  ${waited}       listening
        9000  queue-read      listening
        9100  hears active 3 ...  listening
        9832                  standby: says standby
        9999                  standby
        `,
      );
    }
  });

  test("standing still is not listening: a node that was frozen while it listened begins again", () => {
    story(
      A,
      `
         0  start                listening: release, says leaving
        10  released             listening: says listening
        20  hears listening 0    listening
        30  freezes              listening
      5000  wakes                listening: read-queue
      5000  hears listening 0    listening
      5000  queue-read           listening
      5100  hears active 1 ...   listening
      5832                       standby: says standby
      9000                       standby
      `,
    );
  });

  test("one that stood still and then hears nobody claims after listening", () => {
    story(
      A,
      STANDBY,
      `
      1020  freezes     standby
      9000  wakes       listening: read-queue, says listening
      9000  queue-read  listening
      9831              listening
      9832              claiming: claim 2, says claiming
      `,
    );
  });

  test("rule 5: with claim: safe an active that stood still reads who counts on its lease before it renews it", () => {
    story(
      { ...A, ...SAFE },
      `
         0  start                      listening: release, says leaving
         0  released                   listening: says listening
       832  hears stopped 0 ...        claiming: claim 1 probe, says claiming
       832  claimed                    active: announce, says active
       840  renewals-hang              active
       900  freezes                    active
      2200  wakes                      active: read-queue, announce
      2200  hears awaiting-lease 1     active: announce
      2200  queue-read                 active
      `,
    );
  });

  test("rule 4: an active that was frozen for most of its lease releases and listens, before it reads anything", () => {
    story(
      A,
      ACTIVE,
      `
      1332                   active: announce
      1400  freezes          active
      2999  wakes            listening: read-queue, release, says leaving
      `,
    );
  });
});

suite("lease", () => {
  test("an active that is told to stop, with nothing to finish, in the moment of its renewal renews nothing", () => {
    story(
      { ...A, stopGraceMs: 0 },
      ACTIVE,
      `
      1331  renewals-hang  active: announce
      1331  hears fault 0  active
      1331  freezes        active
      1332  stop           standby: drain, release, says leaving
      `,
    );
  });

  test("it is renewed each quarter of its time", () => {
    const state = story(
      A,
      ACTIVE,
      `
      1331                 active: announce
      1331  renewals-hang  active
      1332                 active: renew
      `,
    );
    assert.equal(state.phase.kind === "active" && state.phase.lease.from, 832);
  });

  test("rule 4: a lease of which 0.8 have passed is not trusted: release, and listen before claiming anything", () => {
    story(
      A,
      ACTIVE,
      `
      1000  renewals-hang  active
      1332                 active: announce, renew
      2431                 active: announce
      2432                 listening: release, says leaving
      2440  released       listening: says listening
      3263                 listening
      3264                 standby: says standby
      3519                 standby
      3520                 claiming: claim 2, says claiming
      `,
    );
  });

  test("a renewal that failed is tried again soon", () => {
    story(
      A,
      ACTIVE,
      `
      1000  renewals-hang  active
      1332                 active: announce, renew
      1340  renew-failed   active
      1539                 active
      1540                 active: renew
      `,
    );
  });

  test("an active whose renewals fail leaves the role to a ready standby, instead of claiming again and again", () => {
    story(
      A,
      ACTIVE,
      `
      1000  renewals-hang  active
      1332                 active: announce, renew
      2332  renew-failed   active: announce
      2432                 fault: release, says leaving
      2440  released       fault: says fault
      2500  hears active 2 ...  fault
      4432                 listening: says listening
      5264                 standby: says standby
      `,
    );
  });

  test("without a standby that is ready it claims again: an address for most of the time is better than none", () => {
    story(
      A,
      ACTIVE,
      `
      1000  hears listening 1 ...  active
      1000  renewals-hang  active
      1332                 active: announce, renew
      2332  renew-failed   active: announce
      2432                 listening: release, says leaving
      `,
    );
  });
});

suite("release", () => {
  test("until the hook has done it, at most for one lease more, the node says that it leaves", () => {
    story(
      A,
      ACTIVE,
      `
      1100  freezes               active: announce
      9000  wakes                 listening: read-queue, release, says leaving
      9000  hears active 2 ...    listening
      9000  queue-read            listening
     11099                        standby
     11100                        standby: says standby
      `,
    );
  });
});

suite("address that vanishes", () => {
  test("rule 10: a vanished address is claimed again at once; the third time in a minute the node yields and names the cause", () => {
    const state = story(
      A,
      ACTIVE,
      `
      1000  gone      active: claim 1
      1010  claimed   active: announce
      1020  gone      active: claim 1
      1030  claimed   active: announce
      1040  gone      fault: release, says leaving
      1050  released  fault: says fault
     61039            fault
      `,
    );
    assert.match(state.faults[0]?.detail ?? "", /removed the virtual address 3 times/);
    assert.equal(state.faults[0]?.until, 61_040);
  });

  test("losses of more than a minute ago are forgotten", () => {
    story(
      A,
      ACTIVE.replace("1000                            active", ""),
      `
       900  gone      active: claim 1
       901  claimed   active: announce
       902  gone      active: claim 1
       903  claimed   active: announce
     60950            active: ${Array.from({ length: 5 }, () => "announce").join(", ")}
     60951  gone      active: claim 1
      `,
    );
  });
});

suite("fault and claim", () => {
  test("a faulty active releases at once and listens when it has recovered", () => {
    story(
      A,
      ACTIVE,
      `
      1100  fault interface      fault: announce, release, says leaving
      1110  released             fault: says fault
      1120  hears active 2 ...   fault
      2000  recovered interface  listening: says listening
      2100  hears active 2 ...   listening
      2832                       standby: says standby
      `,
    );
  });

  test("a claim that fails is released, and tried again after 2 s and listening", () => {
    story(
      A,
      STANDBY,
      `
      1100  dead          claiming: claim 2, says claiming
      1110  claim-failed  fault: release, says leaving
      1120  released      fault: says fault
      3109                fault
      3110                listening: says listening
      3120  dead          listening
      3942                claiming: claim 3, says claiming
      `,
    );
  });

  test("claims that keep failing are tried less and less often, until one succeeds", () => {
    story(
      A,
      STANDBY,
      `
       1000  dead          claiming: claim 2, says claiming
       1010  claim-failed  fault: release, says leaving
       1010  released      fault: says fault
       3010                listening: says listening
       3010  dead          listening
       3842                claiming: claim 3, says claiming
       3850  claim-failed  fault: release, says leaving
       3850  released      fault: says fault
       7849                fault
       7850                listening: says listening
       7850  dead          listening
       8682                claiming: claim 4, says claiming
       8690  claim-failed  fault: release, says leaving
       8690  released      fault: says fault
      16689                fault
      16690                listening: says listening
      16690  dead          listening
      17522                claiming: claim 5, says claiming
      17530  claim-failed  fault: release, says leaving
      17530  released      fault: says fault
      27529                fault
      27530                listening: says listening
      27530  dead          listening
      28362                claiming: claim 6, says claiming
      28370  claimed       active: announce, says active
      28380  gone          active: claim 6
      28390  claim-failed  fault: release, says leaving
      28390  released      fault: says fault
      30390                listening: says listening
      `,
    );
  });

  test("a failed claim of an epoch that is past is nobody's fault", () => {
    story(
      A,
      STANDBY,
      `
      1100  dead               claiming: claim 2, says claiming
      1105  fault interface    fault: release, says leaving
      1106  claim-failed       fault
      `,
    );
  });
});
