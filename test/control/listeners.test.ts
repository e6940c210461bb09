// Which bad listener speaks against which group: real sockets, with a fake worker behind them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { parseConfig } from "../../src/config/parse.ts";
import { Listeners } from "../../src/control/listeners.ts";
import { Workers } from "../../src/control/workers.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import { eventually } from "./peer-pair.ts";

const EAST = "127.43.0.1";
const WEST = "127.43.0.2";
const OWN = "127.43.0.3";
const silent = () => undefined;

/** Another program has the port there. */
async function occupy(t: TestContext, host: string, port = 0): Promise<{ port: number; leave: () => void }> {
  const stranger = createServer();
  t.after(() => stranger.close());
  stranger.listen(port, host);
  await once(stranger, "listening");
  return { port: (stranger.address() as AddressInfo).port, leave: () => void stranger.close() };
}

/** Listeners by name and bind, for the groups east and west. */
async function open(t: TestContext, binds: Readonly<Record<string, string>>): Promise<Listeners> {
  const parsed = parseConfig(
    JSON.stringify({
      pair: {
        nodes: { a: { address: "127.0.0.2" }, b: { address: "127.0.0.3" } },
        secret: "a secret that is long enough",
      },
      virtualAddresses: [
        { group: "east", addresses: [{ address: `${EAST}/8`, interface: "lo" }] },
        { group: "west", addresses: [{ address: `${WEST}/8`, interface: "lo" }] },
      ],
      listeners: Object.entries(binds).map(([name, bind]) => ({ name, bind, pool: "web" })),
      pools: { web: { backends: ["127.0.0.1:9"] } },
    }),
    "test.yaml",
  );
  assert.ok(parsed.kind === "config", JSON.stringify(parsed));
  const { listeners, virtualAddresses, pools } = parsed.config;
  const workers = new Workers({
    count: 1,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    clock: monotonicClock,
    readHealth: () => ({}),
    entry: fileURLToPath(new URL("fixtures/fake-worker.ts", import.meta.url)),
    onBackendFailure: silent,
    onFailureRow: silent,
    onFault: silent,
    onRecovered: silent,
  });
  t.after(async () => {
    workers.killAll();
    await eventually(() => workers.status().length === 0);
  });
  workers.configure({
    node: "a",
    errorPages: new Map(),
    listeners,
    pools,
    logLevel: "info",
    workers: 1,
    accessLog: null,
    stickyKey: new Uint8Array(32),
  });
  await workers.start();
  const made = new Listeners({ workers, listeners, virtualAddresses });
  await made.start();
  return made;
}

test("a listener that one group cannot open is a problem of that group alone, and status shows it", async (t) => {
  const { port, leave } = await occupy(t, WEST);
  const listeners = await open(t, { web: `vip:${String(port)}` });
  await listeners.openOnVirtualAddresses("west");
  await listeners.openOnVirtualAddresses("east");
  const problem = `port ${String(port)} on ${WEST} is in use by another process`;
  assert.equal(listeners.problem("west"), `listener web: ${problem}`);
  assert.equal(listeners.problem("east"), undefined);
  assert.deepEqual(listeners.status(), [{ name: "web", bind: `vip:${String(port)}`, open: false, problem }]);
  leave();
  await eventually(() => listeners.problem("west") === undefined);
});

test("a listener on all addresses is a problem of all groups, one on the machine's own address of none", async (t) => {
  const own = await occupy(t, OWN);
  const all = await occupy(t, "0.0.0.0");
  const listeners = await open(t, {
    own: `${OWN}:${String(own.port)}`,
    all: `0.0.0.0:${String(all.port)}`,
  });
  for (const group of ["east", "west"]) assert.match(listeners.problem(group) ?? "", /^listener all: port/);
  all.leave();
  await eventually(() => listeners.problem("east") === undefined);
  assert.equal(listeners.problem("west"), undefined);
  assert.match(listeners.status()[0]?.problem ?? "", /is in use by another process/);
});

test("a listener on one virtual address is a problem of its group alone, and is tried anew when the address comes", async (t) => {
  const { port, leave } = await occupy(t, EAST);
  const listeners = await open(t, { web: `${EAST}:${String(port)}` });
  assert.match(listeners.problem("east") ?? "", /^listener web: /);
  assert.equal(listeners.problem("west"), undefined);
  leave();
  await listeners.openOnVirtualAddresses("east");
  assert.equal(listeners.problem("east"), undefined);
});
