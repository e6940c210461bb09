import assert from "node:assert/strict";
import { test } from "node:test";
import { isOwnAddress } from "../../src/system/own-addresses.ts";

const FIB_TRIE = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.0.2.0/24 2 0 2
        +-- 192.0.2.0/30 2 0 2
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
`;
const IF_INET6 = `00000000000000000000000000000001 01 80 10 80       lo
fd000000000000000000000000000002 04 40 00 82     eth0
`;
const read = (file: string) => (file.endsWith("fib_trie") ? FIB_TRIE : IF_INET6);

test("an address of an interface is this machine's, and every one of the loopback network", () => {
  for (const address of ["192.0.2.2", "127.0.0.1", "127.3.2.1", "::1", "fd00::2", "fd00:0:0::0002"]) {
    assert.equal(isOwnAddress(address, read), true, address);
  }
});

test("a neighbour's address, a network's and a broadcast are not", () => {
  for (const address of ["192.0.2.3", "192.0.2.0", "192.0.2.255", "10.0.0.1", "fd00::3", "::"]) {
    assert.equal(isOwnAddress(address, read), false, address);
  }
});

test("while the kernel does not tell, an address is neither this machine's nor somebody else's", () => {
  for (const address of ["192.0.2.3", "fd00::3"]) {
    assert.equal(
      isOwnAddress(address, () => undefined),
      undefined,
    );
  }
});

test("the kernel of this machine is understood", () => {
  assert.equal(isOwnAddress("127.0.0.1"), true);
  assert.equal(isOwnAddress("192.0.2.254"), false);
});
