import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultGateways, linkOf, parseRoutes4, parseRoutes6 } from "../../src/system/kernel-routes.ts";

// As /proc shows them; eth1 is the preferred way out, "unreachable 10.9.0.0/16" leads nowhere.
const ROUTES4 = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0
eth1\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth1\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t0000090A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t0001`;
const ROUTES6 = `fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth1
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe8000000000000000000000000000ff 00000400 00000003 00000000 00000003     eth0
fd000000000000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 80200001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
`;
const ROUTES = [...parseRoutes4(ROUTES4), ...parseRoutes6(ROUTES6)];

const gatewaysOf = (...interfaces: string[]) =>
  defaultGateways(ROUTES, interfaces).map((route) => `${route.gateway} on ${route.interface}`);

test("the default gateways of an interface: IPv4 before IPv6, the lower metric first", () => {
  assert.deepEqual(gatewaysOf("eth0"), ["192.168.1.1 on eth0", "fe80::ff on eth0"]);
  assert.deepEqual(gatewaysOf("eth0", "eth1"), [
    "192.168.2.1 on eth1",
    "192.168.1.1 on eth0",
    "fe80::ff on eth0",
  ]);
});

test("an interface without a default route has no gateway, whatever others have", () => {
  assert.deepEqual(gatewaysOf("wlan0"), []);
  assert.deepEqual(gatewaysOf("lo"), []);
});

test("an address is on a link when no gateway leads there", () => {
  assert.equal(linkOf(ROUTES, "192.168.1.77", []), "eth0");
  assert.equal(linkOf(ROUTES, "192.168.2.77", []), "eth1");
  assert.equal(linkOf(ROUTES, "fd00::77", []), "eth0");
  assert.equal(linkOf(ROUTES, "8.8.8.8", []), undefined);
  assert.equal(linkOf(ROUTES, "2001:db8::1", []), undefined);
});

test("of two links with the same network the preferred one counts", () => {
  assert.equal(linkOf(ROUTES, "fe80::1", ["eth0"]), "eth0");
  assert.equal(linkOf(ROUTES, "fe80::1", ["eth1"]), "eth1");
});

test("rejecting routes, routes to this machine and a line that is cut off count for nothing", () => {
  assert.equal(linkOf(ROUTES, "10.9.0.1", []), undefined);
  assert.deepEqual(
    ROUTES.map((route) => route.prefixLength),
    [0, 0, 24, 24, 64, 64, 64, 0],
  );
});
