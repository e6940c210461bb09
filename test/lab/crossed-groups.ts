// Two groups of one address each, preferred by one node each: how they come to rest, and how an address is moved by
// hand. For the tests of an active/active pair.

import { waitUntil } from "../support/wait-until.ts";
import { type Lab, NODES, type Node } from "./lab.ts";
import { VIP, VIP_TWO } from "./lab-config.ts";

const AT_REST_WITHIN_MS = 20_000;
const MOVED_WITHIN_MS = 10_000;

/** By the node that prefers it. */
export const addressOf: Readonly<Record<Node, string>> = { a: VIP, b: VIP_TWO };

/** For the options of a Lab. */
export const CROSSED = {
  groups: { a: `${VIP}/24`, b: `${VIP_TWO}/24` },
  watched: [VIP, VIP_TWO],
} as const;

/** Moves a group of the node `of` to `to`, which may have it already, and waits until the pair is at rest. */
export async function giveGroup(
  lab: Lab,
  { of, to }: { readonly of: Node; readonly to: Node },
): Promise<void> {
  const isThere = () => lab.watch.soleHolderSince(to, addressOf[of]) !== null;
  if (!isThere()) await lab.vipair(to, "switchover", "--group", `of-${of}`);
  await waitUntil(isThere, { what: `${to} alone to hold ${addressOf[of]}`, withinMs: MOVED_WITHIN_MS });
  await atRest(lab);
}

/** Each address has one holder; each node is in touch with the other and ready for both groups. */
export async function atRest(lab: Lab): Promise<void> {
  await waitUntil(
    async () => {
      for (const node of NODES) {
        if (NODES.every((holder) => lab.watch.soleHolderSince(holder, addressOf[node]) === null))
          return false;
        const status = await lab.status(node);
        if (status?.reason !== null || status.peer?.connected !== true) return false;
        if (status.groups.some(({ reason }) => reason !== null)) return false;
      }
      return true;
    },
    { what: "the groups to come to rest", withinMs: AT_REST_WITHIN_MS, everyMs: 50 },
  );
}
