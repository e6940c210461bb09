import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { A, SAFE, SETTLED, STANDBY, story } from "./story.ts";

/** It is asked each 256 ms; it vouches for 512 ms after an answer, and is silent after 768. */
const WITH = { arbiter: true } as const;
const WITH_A = { ...A, ...WITH };

const ASKED_STANDBY = `
  1000  arbiter answers  standby
`;
const ASKED_ACTIVE = `
  10000  arbiter answers          active
  10000  hears standby 1 ready    active
`;

suite("rule 6: the arbiter tells who of the two is cut off", () => {
  test("rule 6: a standby that the arbiter answers claims from a silent peer, no later than without", () => {
    story(
      WITH_A,
      STANDBY,
      ASKED_STANDBY,
      `
      1024  hears active 1   standby
      1855                   standby
      1856                   claiming: claim 2, says claiming
      `,
    );
  });

  test("rule 6: a standby that hears neither peer nor arbiter claims nothing, however long it lasts", () => {
    story(
      WITH_A,
      STANDBY,
      ASKED_STANDBY,
      `
       1100  arbiter silent  standby
       1100  hears active 1  standby
      60000                  standby
      `,
    );
  });

  test("rule 6: when both come back together it listens for the peer first, as the peer was active all the time", () => {
    story(
      WITH_A,
      STANDBY,
      ASKED_STANDBY,
      `
       1100  arbiter silent      standby
       1100  hears active 1      standby
       9000  arbiter answers     listening: says listening
       9700  hears active 1 ...  listening
      20000                      standby: says standby
      `,
    );
  });

  test("rule 6: when only the arbiter comes back, the node claims as soon as a peer would have been heard", () => {
    story(
      WITH_A,
      STANDBY,
      ASKED_STANDBY,
      `
       1100  arbiter silent   standby
       1100  hears active 1   standby
       9000  arbiter answers  listening: says listening
      11355                   listening
      11600                   claiming: claim 2 probe, says claiming
      `,
    );
  });

  test("rule 6: an active that hears neither peer nor arbiter releases", () => {
    story(
      WITH_A,
      SETTLED,
      ASKED_ACTIVE,
      `
      10100  arbiter silent         active
      10767                         active
      10831                         active
      10832                         listening: release, says leaving
      `,
    );
  });

  /** So that it is not the age of the lease that ends it. */
  const WITH_LONG_LEASE = { ...WITH_A, leaseMs: 5000 };
  const STOOD_STILL = `
      10100  arbiter silent  active
      10100  freezes         active
      11100  wakes           active: read-queue
      11100  queue-read      active
  `;

  test("rule 6: an active that stood still with all the others is not cut off: they are heard again at once", () => {
    story(
      WITH_A,
      SETTLED,
      ASKED_ACTIVE,
      STOOD_STILL,
      `
      11101  hears standby 1 ready ...  active: announce
      11102  arbiter answers            active
      20000                             active: announce, announce, announce, announce, announce
      `,
    );
  });

  test("rule 6: alone, too, each time that it stands still: the arbiter answered in between", () => {
    story(
      WITH_LONG_LEASE,
      SETTLED,
      ASKED_ACTIVE,
      STOOD_STILL,
      `
      11101  arbiter answers  active
      40000  arbiter silent   active
      40000  freezes          active
      41000  wakes            active: read-queue
      41000  queue-read       active
      41001  arbiter answers  active
      50000                   active
      `,
    );
  });

  test("rule 6: an active that stood still and then hears nobody renews nothing, and releases as soon as they are silent", () => {
    story(
      WITH_LONG_LEASE,
      SETTLED,
      ASKED_ACTIVE,
      "10000  renewals-hang  active",
      STOOD_STILL,
      `
      11867                        active
      11868                        listening: release, says leaving
      `,
    );
  });

  test("rule 6: standing still again and again is no way to keep an address that nobody confirms", () => {
    story(
      WITH_LONG_LEASE,
      SETTLED,
      ASKED_ACTIVE,
      STOOD_STILL,
      `
      11100  freezes     active
      11700  wakes       active: read-queue
      11700  queue-read  active
      11700  freezes     active
      12300  wakes       active: read-queue
      12300  queue-read  listening: release, says leaving
      `,
    );
  });

  test("rule 6: an active whose arbiter answers goes on, whatever became of the peer", () => {
    story(
      WITH_A,
      SETTLED,
      ASKED_ACTIVE,
      `
      18000  active
      `,
    );
  });

  test("rule 6: an active that hears its peer goes on, whatever became of the arbiter", () => {
    story(
      WITH_A,
      SETTLED,
      ASKED_ACTIVE,
      `
      10100  arbiter silent             active
      10100  hears standby 1 ready impaired-253 ...  active
      18000                             active
      `,
    );
  });

  test("rule 6: a refused connection proves that the network to the peer works", () => {
    story(
      WITH_A,
      STANDBY,
      `
      1000  arbiter silent  standby
      1100  dead            claiming: claim 2, says claiming
      `,
    );
  });

  // b, started right after the refusal, would wait for its reunion: 896 + 4 * 256 + 500 ms.
  test("rule 6: a peer that was dead so long ago that it could be active, and whose machine is silent now, proves nothing", () => {
    story(
      WITH_A,
      SETTLED,
      ASKED_ACTIVE,
      `
      10010  dead            active
      10010  arbiter silent  active
      12429                  active
      12430                  listening: release, says leaving
      `,
    );
  });

  test("rule 6: an active whose peer is dead stays when a few questions and a few dials in a row are lost", () => {
    story(
      WITH_A,
      SETTLED,
      ASKED_ACTIVE,
      `
      10010  dead             active
      10010  arbiter silent   active
      12000  dead             active
      14000  arbiter answers  active
      14100  arbiter silent   active
      14400  dead             active
      16000  arbiter answers  active
      `,
    );
  });

  test("rule 6: where there is no gateway, nobody is waited for", () => {
    story(
      WITH_A,
      STANDBY,
      `
      1000  arbiter missing  standby
      1024  hears active 1   standby
      1856                   claiming: claim 2, says claiming
      `,
    );
  });

  test("rule 6: a node that was frozen reads its queue before it finds itself cut off", () => {
    story(
      WITH_A,
      SETTLED,
      ASKED_ACTIVE,
      `
      10100  freezes                active
      11300  wakes                  active: read-queue
      11300  hears standby 1 ready  active: announce
      11300  queue-read             active
      `,
    );
  });

  test("claim: safe: the active does not renew a lease that its successor waits for", () => {
    const state = story(
      { ...A, ...SAFE },
      SETTLED,
      `
      10200  hears awaiting-lease 1 ...  active
      11431                              active
      11432                              listening: release, says leaving
      `,
    );
    assert.equal(state.phase.kind, "listening");
  });
});

suite("rule 8: a node at its start waits until the network works", () => {
  test("rule 8: with an arbiter that answers, a node alone claims when its peer would have been heard", () => {
    story(
      WITH_A,
      `
         0  start            listening: release, says leaving
         0  released         listening: says listening
       100  arbiter answers  listening
      2455                   listening
      2600                   claiming: claim 1 probe, says claiming
      `,
    );
  });

  test("rule 8: with neither peer nor arbiter it stands by after 30 s and waits for either", () => {
    story(
      WITH_A,
      `
          0  start            listening: release, says leaving
          0  released         listening: says listening
      29999                   listening
      30000                   standby: says standby
      90000                   standby
      90001  arbiter answers  listening: says listening
      92500                   claiming: claim 1 probe, says claiming
      `,
    );
  });
});
