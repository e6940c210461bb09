import { suite, test } from "node:test";
import { A, SAFE, SETTLED, STANDBY, story } from "./story.ts";

const IN_TOUCH = `10000  hears standby 1 ready ...  active`;

suite("rule 12: maintenance", () => {
  test("rule 12: an active hands over first, make before break, then says that it is in maintenance", () => {
    story(
      A,
      SETTLED,
      IN_TOUCH,
      `
      10100  maintenance on    active: says active order
      10150  hears claiming 2  active
      10200  hears active 2 ...  leaving: drain, says leaving
      10300  drained           standby: release
      10310  released          standby: says maintenance
      18000                    standby
      `,
    );
  });

  test("rule 12: with claim: safe it releases first", () => {
    story(
      { ...A, ...SAFE },
      SETTLED,
      IN_TOUCH,
      `
      10100  maintenance on  standby: release, says leaving order
      10110  released        standby: says maintenance order
      `,
    );
  });

  test("rule 12: without a peer that can take over the node goes on serving, until there is one", () => {
    story(
      A,
      SETTLED,
      `
      10050  hears listening 1 ...      active
      10100  maintenance on             active
      18000                             active
      18100  hears standby 1 ready ...  active: says active order
      `,
    );
  });

  test("rule 12: by force the node lets go at once", () => {
    story(
      A,
      SETTLED,
      `
      10050  hears listening 1      active
      10100  maintenance on force   leaving: drain, says leaving
      `,
    );
  });

  test("rule 12: a node in maintenance claims nothing, whatever becomes of its peer", () => {
    story(
      A,
      STANDBY,
      `
       1100  maintenance on  standby: says maintenance
       1200  dead            standby
      60000                  standby
      `,
    );
  });

  test("rule 12: it can be left at any time, and the node takes over what is vacant", () => {
    story(
      A,
      STANDBY,
      `
      1100  maintenance on   standby: says maintenance
      1200  dead             standby
      2000  dead             standby
      3000  maintenance off  claiming: claim 2, says claiming
      `,
    );
  });

  test("rule 12: before the handover it is taken back as if nothing had been", () => {
    story(
      A,
      SETTLED,
      `
      10050  hears listening 1 ...      active
      10100  maintenance on             active
      10200  maintenance off            active
      10250  hears standby 1 ready ...  active
      10300                             active
      `,
    );
  });

  test("a peer in maintenance has released: claim at once", () => {
    story(A, STANDBY, `1100  hears maintenance 1 ...  claiming: claim 2, says claiming`);
  });

  test("with claim: safe it must have heard of the claim, too: it may be back from maintenance meanwhile", () => {
    story(
      { ...A, ...SAFE },
      STANDBY,
      `
      1100  hears maintenance 1 ...          announcing: says claiming
      1101  hears maintenance 2 heard-2 ...  claiming: claim 2
      `,
    );
    story(
      { ...A, ...SAFE },
      STANDBY,
      `
      1100  hears maintenance 1  announcing: says claiming
      1931                       announcing
      1933                       awaiting-lease: says awaiting-lease
      `,
    );
  });

  test("a switchover to a node in maintenance is refused, on either side", () => {
    story(
      A,
      STANDBY,
      `
      1100  maintenance on  standby: says maintenance
      1200  switchover      standby: refused (a is in maintenance: \`vipair resume\` ends it)
      `,
    );
    story(
      A,
      SETTLED,
      `
      10100  hears maintenance 1 ...  active
      10200  switchover               active: refused (b is not ready: it is in maintenance)
      `,
    );
  });
});

suite("switchover by force", () => {
  test("to a peer that is not ready: the active lets go and leaves the address alone for 10 s", () => {
    story(
      A,
      SETTLED,
      `
       10000  hears listening 1 ...  active
       10100  forced-switchover      standby: release, says leaving order
       10110  released               standby: says standby order
      20099                         standby
      20100                         claiming: refused (b did not take over within 10000 ms; see its log), claim 2, says claiming
      `,
    );
  });

  test("the peer takes over: done", () => {
    story(
      A,
      SETTLED,
      `
      10000  hears listening 1      active
      10100  forced-switchover      standby: release, says leaving order
      10110  released               standby: says standby order
      10200  hears active 2 ...     standby: done, says standby
      `,
    );
  });

  test("on a standby that hears no active it claims, and serves until somebody is heard and lost again", () => {
    story(
      { ...A, arbiter: true },
      STANDBY,
      `
      1100  hears active 1      standby
      5000                      standby
      5001  forced-switchover   claiming: claim 2, says claiming
      5010  claimed             active: done, announce, says active
      9000                      active: announce, announce, announce, announce
      9100  arbiter answers     active
      9200  arbiter silent      active
      9867                      active
      9868                      listening: release, says leaving
    `,
    );
  });

  test("with claim: safe it waits for the predecessor's lease all the same, and asks nobody", () => {
    story(
      { ...A, ...SAFE, arbiter: true },
      STANDBY,
      `
      1100  hears active 1     standby
      5000  forced-switchover  awaiting-lease: says awaiting-lease
      7399                     awaiting-lease
      7400                     claiming: claim 2, says claiming
      `,
    );
    // Nor does it begin anew with each word of a peer that does not serve.
    story(
      { ...A, ...SAFE, arbiter: true },
      STANDBY,
      `
      1100  hears active 1         standby
      5000  forced-switchover      awaiting-lease: says awaiting-lease
      5100  hears listening 1 ...  awaiting-lease
      7399                         awaiting-lease
      7400                         claiming: claim 2, says claiming
      `,
    );
  });

  test("not even by force to a peer in maintenance: it would not claim however long the address is free", () => {
    story(
      A,
      SETTLED,
      `
      10000  hears maintenance 1 ...  active
      10100  forced-switchover        active: refused (b is not ready: it is in maintenance)
      `,
    );
  });

  test("to a peer that is worse off only by force", () => {
    const worse = `10000  hears standby 1 ready impaired-100 ...  active`;
    story(
      A,
      SETTLED,
      worse,
      `10100  switchover  active: refused (b is worse off than this node (100 points off its priority); see \`vipair status\` there)`,
    );
    story(A, SETTLED, worse, `10100  forced-switchover  active: says active order`);
  });
});
