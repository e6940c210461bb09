// The virtual address belongs to somebody else when the pair starts: the classic slip of a first installation. Whether the nodes
// hear each other by then or not, the first claim finds out.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "./lab.ts";
import { VIP } from "./lab-config.ts";
import { labIsMissing } from "./requirements.ts";

const skip = labIsMissing();
const lab = new Lab();

before(() => (skip === false ? lab.up() : undefined));
after(() => lab.down());

test(
  "nobody holds an address that another machine has; log and status say by which MAC, and it is claimed when that one lets go",
  { skip },
  async () => {
    await lab.network.ip("client", `addr add ${VIP}/24 dev eth0`);
    const mac = /link\/ether (\S+)/.exec(await lab.network.ip("client", "-o link show dev eth0"))?.[1] ?? "";
    assert.notEqual(mac, "");
    lab.startNode("a");
    lab.startNode("b");
    const taken = new RegExp(`${VIP.replaceAll(".", "\\.")} is in use: ${mac} answers for it`, "i");
    const status = await lab.waitForRole("a", "fault", { withinMs: 60_000 });
    assert.match(status.reason ?? "", taken);
    assert.ok(
      lab.logOf("a").some((line) => taken.test(line)),
      lab.logOf("a").join("\n"),
    );
    assert.deepEqual(await lab.holders(), []);

    await lab.network.ip("client", `addr del ${VIP}/24 dev eth0`);
    await lab.settle();
    assert.equal((await lab.holders()).length, 1);
  },
);
