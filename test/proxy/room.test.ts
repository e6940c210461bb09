// How connections are counted against the limits on them.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Room, clientNetwork } from "../../src/proxy/room.ts";

function sender(address: string, isTrusted = false) {
  return { address, isTrusted, scheme: "http" } as const;
}

test("one that leaves makes room for another, in total and for its address", () => {
  const room = new Room();
  room.limit({ connections: 2, perAddress: 1 });
  const first = room.admit(sender("192.0.2.1"));
  assert.equal(first.kind, "admitted");
  assert.deepEqual(room.admit(sender("192.0.2.1")), { kind: "refused", status: 429 });
  assert.equal(room.admit(sender("192.0.2.2")).kind, "admitted");
  assert.deepEqual(room.admit(sender("192.0.2.3")), { kind: "refused", status: 503 });
  room.leave(first.kind === "admitted" ? first.place : "");
  assert.equal(room.admit(sender("192.0.2.1")).kind, "admitted");
});

test("trusted proxies count in total only", () => {
  const room = new Room();
  room.limit({ connections: 3, perAddress: 1 });
  for (let i = 0; i < 3; i += 1) assert.equal(room.admit(sender("192.0.2.1", true)).kind, "admitted");
  assert.deepEqual(room.admit(sender("192.0.2.1", true)), { kind: "refused", status: 503 });
});

test("a limit that comes while connections are open never miscounts them", () => {
  const room = new Room();
  const before = room.admit(sender("192.0.2.1"));
  room.limit({ connections: Infinity, perAddress: 1 });
  assert.equal(room.admit(sender("192.0.2.1")).kind, "admitted");
  room.leave(before.kind === "admitted" ? before.place : "");
  assert.deepEqual(room.admit(sender("192.0.2.1")), { kind: "refused", status: 429 });
});

test("an IPv6 client is its /64 network, however the address is written", () => {
  const cases = [
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002::", "2001:db8:1:2::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fd00::", "fd00:0:0:0::/64"],
    ["64:ff9b::192.0.2.1", "64:ff9b:0:0::/64"],
    ["192.0.2.1", "192.0.2.1"],
  ] as const;
  for (const [address, network] of cases) assert.equal(clientNetwork(address), network);
});

test("after any coming and going of any clients the room is as empty as at first", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(4), fc.boolean()), { maxLength: 60 }), (steps) => {
      const room = new Room();
      room.limit({ connections: 8, perAddress: 3 });
      const places: string[] = [];
      for (const [client, isComing] of steps) {
        if (isComing) {
          const admission = room.admit(sender(`192.0.2.${String(client)}`));
          if (admission.kind === "admitted") places.push(admission.place);
        } else {
          const place = places.splice(client % Math.max(1, places.length), 1)[0];
          if (place !== undefined) room.leave(place);
        }
        assert.ok(places.length <= 8);
        for (const place of places) assert.ok(places.filter((other) => other === place).length <= 3);
      }
      for (const place of places) room.leave(place);
      for (let i = 0; i < 8; i += 1) {
        assert.equal(room.admit(sender(`192.0.2.${String(i % 4)}`)).kind, "admitted");
      }
    }),
  );
});
