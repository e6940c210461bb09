// Two files that differ in interval or lease, as they do while somebody changes them on one node after the other:
// an alarm, and never a change of roles (rule 11) or a second lease (claim: safe). Each node judges the other by
// what the other says of its own times.

import { suite, test } from "node:test";
import { A, ACTIVE, B, SAFE, STANDBY, story } from "./story.ts";

const FAST_A = { ...A, intervalMs: 50 };
const LEASE_1S = { ...A, ...SAFE, leaseMs: 1000 };

suite("rule 11: advertisement intervals that differ", () => {
  test("a standby waits for an active that advertises more rarely than its own file says", () => {
    // By its own interval it would claim 162.5 ms after each advertisement.
    story(
      FAST_A,
      `
         0  start                            listening: release, says leaving
         0  released                         listening: says listening
         0  hears active 1 interval-200 ...  listening
      9999                                   standby: says standby
      `,
    );
  });

  test("its active-down interval is that of the active's interval and its own priority (RFC 9568 6.1)", () => {
    story(
      FAST_A,
      `
         0  start                            listening: release, says leaving
         0  released                         listening: says listening
         0  hears active 1 interval-256 ...  listening
      1000                                   standby: says standby
      1024  silence                          standby
      1855                                   standby
      1856                                   claiming: claim 2, says claiming
      `,
    );
  });

  test("a standby with the longer interval waits by its own, as ever", () => {
    story(
      A,
      `
         0  start                           listening: release, says leaving
         0  released                        listening: says listening
         0  hears active 1 interval-20 ...  listening
      1000                                  standby: says standby
      1000  silence                         standby
      1831                                  standby
      1832                                  claiming: claim 2, says claiming
      `,
    );
  });

  test("the newest words count: a peer that was restarted with a shorter interval is silent sooner", () => {
    story(
      FAST_A,
      `
         0  start                             listening: release, says leaving
         0  released                          listening: says listening
         0  hears active 1 interval-1000 ...  listening
      5000                                    standby: says standby
      5000  hears active 1 interval-50        standby
      5162                                    standby
      5163                                    claiming: claim 2, says claiming
      `,
    );
  });

  test("an active without an answer of the arbiter is not cut off between two words of a slow standby", () => {
    story(
      { ...FAST_A, arbiter: true },
      `
         0  start                                   listening: release, says leaving
         0  released                                listening: says listening
         0  arbiter answers                         listening
         0  hears stopped 0 interval-500 ...        listening
      2000  claimed                                 active: claim 1 probe, says claiming, announce, says active
      2000  hears standby 1 ready interval-500 ...  active
      2000  arbiter silent                          active
      6999                                          active: announce, announce, announce, announce
      `,
    );
  });

  test("of two that are not active the one that ranks lower gives a slow peer the time of its interval", () => {
    story(
      { ...B, intervalMs: 20 },
      `
         0  start                                   listening: release, says leaving
         0  released                                listening: says listening
         0  hears standby 0 ready interval-256 ...  listening
        70                                          standby: says standby
      1861                                          standby
      1862                                          claiming: claim 1 probe, says claiming
      `,
    );
  });
});

suite("claim: safe: leases that differ", () => {
  test("waits for the lease of the peer when that is longer than its own file says", () => {
    // 10,500 + 300 ms after the death, and not 1050 + 300 ms.
    story(
      LEASE_1S,
      STANDBY.replace("active 1", "active 1 lease-10000"),
      `
       2000  dead  awaiting-lease: says awaiting-lease
      12799        awaiting-lease
      12800        claiming: claim 2, says claiming
      `,
    );
  });

  test("and for the second that the peer's second address may stay longer", () => {
    story(
      LEASE_1S,
      STANDBY.replace("active 1", "active 1 late-1000"),
      `
      2000  dead  awaiting-lease: says awaiting-lease
      4349        awaiting-lease
      4350        claiming: claim 2, says claiming
      `,
    );
  });

  test("and no shorter than its own lease: a peer that nobody heard may have been restarted with the same file", () => {
    story(
      { ...A, ...SAFE },
      STANDBY.replace("active 1", "active 1 lease-1000"),
      `
      2000  dead  awaiting-lease: says awaiting-lease
      4399        awaiting-lease
      4400        claiming: claim 2, says claiming
      `,
    );
  });

  test("a peer that comes back with a shorter lease may have left the longer one in its kernel, until that has ended", () => {
    const back = STANDBY.replace("active 1", "active 1 lease-10000");
    story(
      LEASE_1S,
      back,
      `
       1500  hears listening 1 lease-1000      standby
       1510  hears active 2 lease-1000 ...     standby
       2000  dead                              awaiting-lease: says awaiting-lease
      12799                                    awaiting-lease
      12800                                    claiming: claim 3, says claiming
      `,
    );
    story(
      LEASE_1S,
      back,
      `
       1500  hears listening 1 lease-1000      standby
       1510  hears active 2 lease-1000 ...     standby
      20000  dead                              awaiting-lease: says awaiting-lease
      21349                                    awaiting-lease
      21350                                    claiming: claim 3, says claiming
      `,
    );
  });

  test("nor is its word that it holds nothing worth more: its release may have failed", () => {
    const back = STANDBY.replace("active 1", "active 1 lease-10000");
    for (const role of ["fault", "maintenance", "stopped"]) {
      story(
        LEASE_1S,
        back,
        `
         1500  hears ${role} 1 lease-1000 ...  standby
        12299                                  standby
        12301  hears stopped 1 lease-1000      claiming: claim 2, says claiming
        `,
      );
    }
  });

  test("and when it dies meanwhile the longer lease is waited for", () => {
    story(
      LEASE_1S,
      STANDBY.replace("active 1", "active 1 lease-10000"),
      `
       1500  hears maintenance 1 lease-1000  standby
       1600  dead                            awaiting-lease: says awaiting-lease
      12399                                  awaiting-lease
      12400                                  claiming: claim 2, says claiming
      `,
    );
  });

  test("a standby that is restarted with a shorter lease has left none", () => {
    story(
      LEASE_1S,
      STANDBY.replace("active 1", "active 1 lease-10000"),
      `
      1500  hears standby 1 lease-10000    standby
      1510  hears stopped 1 lease-1000     claiming: claim 2, says claiming
      `,
    );
  });

  test("the network is told once more when the longer lease has ended (rule 3)", () => {
    story(
      { ...A, leaseMs: 1000 },
      ACTIVE.replaceAll("stopped 0", "stopped 0 lease-10000").replaceAll(
        "standby 0 ready",
        "standby 0 ready lease-10000",
      ),
      `
       9999  active: announce, announce, announce, announce
      11781  active
      11782  active: announce
      `,
    );
  });
});
