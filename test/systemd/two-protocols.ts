// A chapter of the story of two machines: two releases whose nodes do not understand each other. It makes the other release out of the installed
// one, and leaves both machines with it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OpenLoopReport } from "../../src/cli/open-loop-client.ts";
import { PROTOCOL_VERSION } from "../../src/control/peer-frame.ts";
import { assertNoneFailed, assertOutageAtMost, type Meter } from "../lab/meter.ts";
import { waitUntil } from "../support/wait-until.ts";
import type { Machine } from "./machine.ts";
import type { Machines, Roles } from "./machines.ts";
import { says } from "./service.ts";

/** docs/operating.md: a claim that asks the network first. */
const OUTAGE_MS_MAX = 3000;
const SEEN_WITHIN_MS = 10_000;
const OTHER_VERSION = PROTOCOL_VERSION + 1;
const PROTOCOL_FILE = "/usr/lib/vipair/dist/control/peer-frame.js";

export interface Story {
  readonly machines: Machines;
  readonly meter: () => Meter;
  readonly seenSince: (label: string) => Promise<OpenLoopReport>;
}

export function tellOfTwoProtocols({ machines, meter, seenSince }: Story): void {
  describe("of two releases that do not understand each other", () => {
    let sinceMs: number;

    it("both say so, the role stays, and the client notices nothing", async () => {
      const { active, standby } = await rolesWithPreferredActive(machines);
      sinceMs = performance.now();
      await meter().mark("two protocols");
      await becomesOtherRelease(standby);

      const onActive = explained(standby, { theirs: OTHER_VERSION, ours: PROTOCOL_VERSION });
      const onStandby = explained(active, { theirs: PROTOCOL_VERSION, ours: OTHER_VERSION });
      for (const [machine, role, peer, problem] of [
        [active, "active", standby, onActive],
        [standby, "standby", active, onStandby],
      ] as const) {
        const line = new RegExp(
          `^${role} since .*; peer ${peer.name} not connected, .* \\(${problem}\\); backends 2/2 up$`,
        );
        await says(machine, line, SEEN_WITHIN_MS);
        const status = await machine.run("vipair", "status");
        assert.match(status, new RegExp(`^role +${role} `, "m"));
        assert.match(
          status,
          new RegExp(`^peer +${peer.name} +unknown +not connected .*\\n +${problem}$`, "m"),
        );
        assert.match(await machine.journal(), new RegExp(`"warn".*peer link: ${problem}`));
      }
      assertNoneFailed(await seenSince("two protocols"));
      assert.deepEqual(machines.watch.claimsSince(sinceMs), []);
    });

    it("the active stopped: the other one takes over when it has asked the network", async () => {
      const [first, second] = machines.both;
      await meter().mark("stop of two protocols");
      await first.run("systemctl", "stop", "vipair");
      const isServed = async () =>
        machines.watch.soleHolderSince(second.name) !== null &&
        (await meter().outageSince("stop of two protocols")).outages.every(({ ended }) => ended);
      await waitUntil(isServed, { what: "the other machine to serve", withinMs: SEEN_WITHIN_MS });
      assertOutageAtMost(OUTAGE_MS_MAX, await seenSince("stop of two protocols"));
    });

    it("one that comes back and ranks higher claims nothing that is in use; upgraded, it is a standby", async () => {
      const [first, second] = machines.both;
      await meter().mark("back, upgraded");
      await first.run("systemctl", "start", "vipair");
      await waitUntil(async () => (await first.journal()).includes("is in use"), {
        what: "the claim that asks first",
        withinMs: SEEN_WITHIN_MS,
      });
      await becomesOtherRelease(first);
      assert.equal((await machines.settle()).active.name, second.name);
      assertNoneFailed(await seenSince("back, upgraded"));
      assert.deepEqual(
        machines.watch.claimsSince(sinceMs).map(({ node }) => node),
        [second.name],
      );
      assert.equal(machines.watch.overlapMs(sinceMs), 0);
    });
  });
}

/** What a node says of a peer that speaks otherwise: as a regular expression, since it depends on who of the two has closed the connection. */
function explained(
  node: Machine,
  { theirs, ours }: { readonly theirs: number; readonly ours: number },
): string {
  const said = `${node.name} speaks protocol version ${String(theirs)}, this node ${String(ours)}`;
  return `(${said}|the peer does not speak this node's protocol version ${String(ours)}): upgrade both`;
}

/** The first machine's priority is the higher one. */
async function rolesWithPreferredActive(machines: Machines): Promise<Roles> {
  const roles = await machines.settle();
  if (roles.active === machines.both[0]) return roles;
  await roles.active.run("vipair", "switchover");
  return machines.settle();
}

async function becomesOtherRelease(machine: Machine): Promise<void> {
  const edit = `s/\\bPROTOCOL_VERSION = ${String(PROTOCOL_VERSION)};/PROTOCOL_VERSION = ${String(OTHER_VERSION)};/`;
  await machine.run("sed", "-i", edit, PROTOCOL_FILE);
  await machine.run("grep", "-q", `PROTOCOL_VERSION = ${String(OTHER_VERSION)};`, PROTOCOL_FILE);
  await machine.run("systemctl", "restart", "vipair");
}
