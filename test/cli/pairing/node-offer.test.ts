// Who may become the second node, and what the first one's file is afterwards.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { offerTo } from "../../../src/cli/pairing/node-offer.ts";
import type { OfferingNode } from "../../../src/cli/pairing/node-offer.ts";
import type { JoinMessage } from "../../../src/protocol/pairing.ts";
import { VERSION } from "../../../src/system/version.ts";

const ALONE = `\
pair:
  nodes:
    pi-a: { address: 192.168.1.11, priority: 150 }   # the first
  secretFile: secret
virtualAddresses: [{ address: 192.168.1.50/24, interface: eth0 }]
listeners: [{ name: web, bind: vip:80, pool: web }]
pools: { web: { backends: [] } }
`;
const LINE = "   # the first\n";
const BOTH = ALONE.replace(LINE, `${LINE}    pi-b: { address: 192.168.1.12 }\n`);

const JOIN: JoinMessage = {
  kind: "join",
  protocol: 5,
  version: "9.9.9",
  name: "pi-b",
  address: "192.168.1.12",
};

function node(t: TestContext, text: string, more: Partial<OfferingNode> = {}): OfferingNode {
  const directory = mkdtempSync(join(tmpdir(), "vipair-offer-"));
  t.after(() => {
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, "vipair.yaml");
  writeFileSync(file, text);
  writeFileSync(join(directory, "secret"), "the secret\n");
  return { file, name: "pi-a", protocol: 5, ...more };
}

test("the offer is the file with the new node in it; the file itself changes with the commit, and nothing else in it", async (t) => {
  const self = node(t, ALONE);
  const offer = await offerTo(self, JOIN, JOIN.address);
  assert.ok(offer.kind === "offer", JSON.stringify(offer));
  assert.deepEqual(offer.message, { kind: "offer", name: "pi-a", config: BOTH, secret: "the secret\n" });
  assert.equal(readFileSync(self.file, "utf8"), ALONE);
  assert.equal(await offer.commit(), undefined);
  assert.equal(readFileSync(self.file, "utf8"), BOTH);
});

test("a file that somebody changes meanwhile is not overwritten", async (t) => {
  const self = node(t, ALONE);
  const offer = await offerTo(self, JOIN, JOIN.address);
  assert.ok(offer.kind === "offer");
  writeFileSync(self.file, `${ALONE}workers: 1\n`);
  assert.match((await offer.commit()) ?? "", /was changed by somebody else/);
  assert.equal(readFileSync(self.file, "utf8"), `${ALONE}workers: 1\n`);
});

test("a machine that takes the place of a node gets its name, and the file the new address", async (t) => {
  const self = node(t, BOTH, { replace: "pi-b" });
  const offer = await offerTo(self, { ...JOIN, address: "192.168.1.13" }, "192.168.1.13");
  assert.ok(offer.kind === "offer", JSON.stringify(offer));
  assert.equal(offer.message.config, BOTH.replace("192.168.1.12", "192.168.1.13"));
});

test("the same machine may join again after a connection that broke: then the file stays as it is", async (t) => {
  const self = node(t, BOTH, { replace: "pi-b" });
  const offer = await offerTo(self, JOIN, JOIN.address);
  assert.ok(offer.kind === "offer");
  assert.equal(offer.message.config, BOTH);
  assert.equal(await offer.commit(), undefined);
});

const refusals: readonly (readonly [name: string, text: string, Partial<JoinMessage>, RegExp])[] = [
  [
    "speaks another protocol: both versions are named",
    ALONE,
    { protocol: 6 },
    new RegExp(
      `pi-a has vipair ${VERSION.replaceAll(".", "\\.")} \\(protocol 5\\), the joining node 9\\.9\\.9 \\(protocol 6\\)`,
    ),
  ],
  ["has the same name", ALONE, { name: "pi-a" }, /both nodes are called "pi-a".*--name pi-b/],
  ["has a name that cannot be one", ALONE, { name: "pi b" }, /"pi b" is not a name/],
  ["has the same address", ALONE, { address: "192.168.1.11" }, /it has the address of pi-a/],
  ["has the virtual address", ALONE, { address: "192.168.1.50" }, /is the virtual address/],
  ["has an address that is none", ALONE, { address: "pi-b.lan" }, /not an IP address/],
  ["has an address of the other family", ALONE, { address: "fd00::12" }, /fd00::12/],
  ["comes third", BOTH, { name: "pi-c", address: "192.168.1.13" }, /pi-a and pi-b are a pair already/],
];
for (const [name, text, change, problem] of refusals) {
  test(`a node is refused that ${name}`, async (t) => {
    const self = node(t, text);
    const joining = { ...JOIN, ...change };
    const offer = await offerTo(self, joining, joining.address);
    assert.ok(offer.kind === "refused" && problem.test(offer.problem), JSON.stringify(offer));
    assert.equal(readFileSync(self.file, "utf8"), text);
  });
}

test("a node is refused whose address is not the one that it comes from", async (t) => {
  const offer = await offerTo(node(t, ALONE), JOIN, "192.168.1.77");
  assert.ok(offer.kind === "refused" && /comes from 192\.168\.1\.77 and says/.test(offer.problem));
});
