// Whom a trusted proxy tells of. `sender` is 10.0.0.1, and what begins with "10." is trusted.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isIpAddress } from "../../src/config/address.ts";
import { clientBehind } from "../../src/routing/client-address.ts";

const CASES: readonly (readonly [told: readonly string[], client: string])[] = [
  [[], "10.0.0.1"],
  [["203.0.113.9"], "203.0.113.9"],
  [["1.2.3.4, 203.0.113.9,, 10.0.0.2 "], "203.0.113.9"],
  [["1.2.3.4", "203.0.113.9", "10.0.0.2"], "203.0.113.9"],
  [["::ffff:203.0.113.9"], "203.0.113.9"],
  [["nonsense, 10.0.0.2"], "10.0.0.2"],
  // Some proxies write the port as well, as RFC 7239 6 has it for Forwarded.
  [["203.0.113.9:51234"], "203.0.113.9"],
  [["203.0.113.9:51234, 10.0.0.2:80"], "203.0.113.9"],
  [["[2001:db8::1]:443"], "2001:db8::1"],
  [["[2001:db8::1]"], "2001:db8::1"],
  [["203.0.113.9:x"], "10.0.0.1"],
];

const trusts = (address: string) => address.startsWith("10.");

for (const [told, client] of CASES) {
  test(`${JSON.stringify(told)} tells of ${client}`, () => {
    assert.equal(clientBehind("10.0.0.1", told, { isAddress: isIpAddress, trusts }), client);
  });
}
