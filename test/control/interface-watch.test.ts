import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { InterfaceWatch } from "../../src/control/interface-watch.ts";
import type { AddressPlace, InterfaceWatchOptions } from "../../src/control/interface-watch.ts";

const PRESENT = { address: "127.0.0.1", interface: "lo" };
const ABSENT = { address: "203.0.113.7", interface: "lo" };
const ELSEWHERE = { address: "203.0.113.8", interface: "vipair-none" };

/** As `ip -o monitor` tells it. */
const removalOf = ({ address, interface: name }: AddressPlace) =>
  `Deleted 1: ${name}    inet ${address}/32 scope global ${name}\\       valid_lft 2sec preferred_lft 2sec`;

const open: InterfaceWatch[] = [];

afterEach(() => {
  for (const interfaceWatch of open.splice(0)) interfaceWatch.stop();
});

/** Watches with a shell script in place of `ip monitor`. */
function watch(
  addresses: readonly AddressPlace[],
  script: string,
  options: Pick<InterfaceWatchOptions, "pollMs"> = {},
) {
  const carrier: (string | undefined)[] = [];
  const gone: string[] = [];
  const logged: object[] = [];
  const toLog = (subject: object) => logged.push(subject);
  const interfaceWatch = new InterfaceWatch({
    addresses,
    log: { debug: toLog, info: toLog, warn: toLog, error: toLog },
    onCarrier: (problem) => carrier.push(problem),
    onAddressGone: ({ address }) => gone.push(address),
    monitor: ["/bin/sh", "-c", script],
    ...options,
  });
  open.push(interfaceWatch);
  interfaceWatch.start();
  return { interfaceWatch, carrier, gone, logged };
}

async function eventually(holds: () => boolean, what: string, limitMs = 5000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `${what}: not within ${String(limitMs)} ms`);
    // oxlint-disable-next-line no-await-in-loop -- polls until the deadline above
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("the start tells at once that an interface is well", () => {
  assert.deepEqual(watch([PRESENT], "exec cat").carrier, [undefined]);
});

test("the start tells at once that an interface does not exist", () => {
  const { carrier } = watch([PRESENT, ELSEWHERE], "exec cat");
  assert.deepEqual(carrier, ["interface vipair-none does not exist"]);
});

test("nothing is told again while nothing changes, however much the monitor says", async () => {
  const line = "3: eth0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 state DOWN";
  const { carrier, gone, logged } = watch([PRESENT], `echo '${line}'; echo x; exit 1`);
  await eventually(() => logged.length > 0, "the end of the monitor");
  assert.deepEqual([carrier, gone], [[undefined], []]);
});

test("an address that was added and removed between two looks is told as gone", async () => {
  const { gone } = watch([PRESENT, ABSENT], `echo '${removalOf(ABSENT)}'; exec cat`);
  await eventually(() => gone.length > 0, "a removal");
  assert.deepEqual(gone, [ABSENT.address]);
});

test("a removal that was undone, that is of another address, or on another interface is not told", async () => {
  const { gone } = watch(
    [PRESENT, ABSENT],
    `echo '${removalOf(PRESENT)}'
    echo '${removalOf({ ...ABSENT, address: "203.0.113.77" })}'
    echo '${removalOf({ ...ABSENT, interface: "lo2" })}'
    sleep 0.2; echo '${removalOf(ABSENT)}'; exec cat`,
  );
  await eventually(() => gone.length > 0, "the last removal");
  assert.deepEqual(gone, [ABSENT.address]);
});

test("garbage is no event, and what follows it is", async () => {
  const { gone, logged } = watch(
    [PRESENT, ABSENT],
    `head -c 300000 /dev/urandom; echo; echo '[{"deleted":true}]'; echo '${removalOf(ABSENT)}'; exec cat`,
  );
  await eventually(() => gone.length > 0, "a removal");
  assert.deepEqual([gone, logged], [[ABSENT.address], []]);
});

test("a flood of events costs no more than one look each 20 ms, and no memory", async () => {
  // Each look tells this removal again, since the flood goes on telling it.
  const { gone } = watch([PRESENT, ABSENT], `exec yes '${removalOf(ABSENT)}'`);
  await eventually(() => gone.length > 0, "the first look");
  const before = { looks: gone.length, rss: process.memoryUsage().rss };
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const looks = gone.length - before.looks;
  // 50 and the 10 of the poll; the flood keeps the event loop busy, so it may be far less.
  assert.ok(looks >= 1 && looks <= 70, `${String(looks)} looks`);
  assert.ok(process.memoryUsage().rss - before.rss < 100_000_000);
});

test("a monitor that dies again and again is started again, and its reason is logged once", async () => {
  const { gone, logged } = watch([PRESENT, ABSENT], `echo '${removalOf(ABSENT)}'; echo broken >&2; exit 1`, {
    pollMs: 60_000,
  });
  await eventually(() => gone.length >= 3, "the removal that each monitor tells");
  assert.deepEqual(logged, [{ program: "ip monitor", reason: "exit 1: broken" }]);
});

test("after stop the monitor has gone and nothing is told", async () => {
  const { interfaceWatch, gone, carrier } = watch(
    [PRESENT, ABSENT],
    `echo $$ >&2; while :; do echo '${removalOf(ABSENT)}'; sleep 0.01; done`,
  );
  await eventually(() => gone.length > 0, "an event");
  interfaceWatch.stop();
  const told = [gone.length, carrier.length];
  await new Promise((resolve) => setTimeout(resolve, 250));
  assert.deepEqual([gone.length, carrier.length], told);
});
