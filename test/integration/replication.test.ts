// What an operator orders at run time reaches both nodes and stays, with real processes: drained backends, and
// what two nodes make of orders that were given while they were apart. (Maintenance has a file of its own.)

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { ask } from "../support/http-client.ts";
import { type PairSite, Site, type SiteBackend } from "../support/site.ts";
import type { VipairProcess } from "../support/vipair-process.ts";

const REQUESTS = 20;

interface TwoBackends {
  readonly pair: PairSite;
  /** In the pool `web` as "one" and "two". */
  readonly one: SiteBackend;
  readonly two: SiteBackend;
}

async function pairWithTwoBackends(t: TestContext): Promise<TwoBackends> {
  const site = Site.open(t);
  const one = await site.backend("one");
  const two = await site.backend("two");
  const backends = [one, two].map(({ name, address }) => ({ name, address }));
  const pair = await site.pair({ top: { pools: { web: { backends, health: { kind: "none" } } } } });
  return { pair, one, two };
}

/** The states of "one" and "two", as this node sees them. */
async function shows(node: VipairProcess, ...states: readonly string[]): Promise<void> {
  await node.until(states.join(" and "), ({ pools }) => {
    return String(pools[0]?.backends.map(({ state }) => state)) === String(states);
  });
}

/** How many of so many new requests to the virtual address each backend gets. */
async function shares({ pair, one, two }: TwoBackends): Promise<{ one: number; two: number }> {
  const before = [one.requests(), two.requests()] as const;
  for (let n = 0; n < REQUESTS; n += 1) {
    assert.equal((await ask({ host: pair.virtualAddress })).status, 200);
  }
  return { one: one.requests() - before[0], two: two.requests() - before[1] };
}

const isTakenBack = ({ msg }: { readonly msg: string }) => msg.startsWith("orders are taken back");

async function obeys(node: VipairProcess, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await node.command(...args);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  return stdout;
}

describe("run-time changes", { concurrency: 2 }, () => {
  test("the life of a drain", async (whole) => {
    const site = await pairWithTwoBackends(whole);
    const { pair } = site;
    const nodes = await pair.startBoth();

    await whole.test("a drain ordered on the standby: no node sends new requests there", async () => {
      assert.equal(await obeys(nodes.b, "drain", "web/two"), "web/two gets no new requests\n");
      await shows(nodes.a, "up", "drain");
      await shows(nodes.b, "up", "drain");
      assert.deepEqual(await shares(site), { one: REQUESTS, two: 0 });
      await obeys(nodes.a, "switchover");
      await pair.isSettled(nodes.b, nodes.a);
      assert.deepEqual(await shares(site), { one: REQUESTS, two: 0 });
    });

    await whole.test("a person reads it in `vipair status`", async () => {
      const { stdout } = await nodes.a.command("status");
      assert.match(stdout, /^ +two 127\S+ +drained .*\(ordered on b\)$/m);
    });

    await whole.test("it survives the end of both nodes at once", async () => {
      await Promise.all([nodes.a.kill(), nodes.b.kill()]);
      Object.assign(nodes, await pair.startBoth());
      await shows(nodes.a, "up", "drain");
      await shows(nodes.b, "up", "drain");
      assert.deepEqual(await shares(site), { one: REQUESTS, two: 0 });
    });

    await whole.test("`vipair ready` on the other node undoes it", async () => {
      assert.equal(await obeys(nodes.a, "ready", "web/two"), "web/two gets requests again\n");
      await shows(nodes.a, "up", "up");
      await shows(nodes.b, "up", "up");
      assert.deepEqual(await shares(site), { one: REQUESTS / 2, two: REQUESTS / 2 });
    });

    await whole.test("a pool or backend that is not there is refused, and the names are said", async () => {
      for (const [target, problem] of [
        ["wbe/two", 'there is no pool "wbe", only web. Did you mean web?'],
        ["web/tow", 'there is no backend of pool web "tow", only one and two. Did you mean two?'],
      ] as const) {
        for (const command of ["drain", "maintenance", "ready"]) {
          const { code, stdout, stderr } = await nodes.a.command(command, target);
          assert.deepEqual({ code, stdout, stderr }, { code: 1, stdout: "", stderr: `vipair: ${problem}\n` });
        }
      }
    });
  });

  test("a drain ends with its backend: one that both files have dropped and have again gets requests", async (t) => {
    const { pair, one, two } = await pairWithTwoBackends(t);
    const nodes = await pair.startBoth();
    const reload = async (node: "a" | "b", ...backends: readonly SiteBackend[]) => {
      const named = backends.map(({ name, address }) => ({ name, address }));
      const pools = { web: { backends: named, health: { kind: "none" } } };
      pair.site.config(pair.content({ top: { pools } }), `${node}.yaml`);
      const since = nodes[node].lines.length;
      nodes[node].signal("SIGHUP");
      await nodes[node].logged("the reload", ({ msg }) => msg === "configuration reloaded", { since });
    };
    await obeys(nodes.a, "drain", "web/two");

    // As long as one node has it, it stays drained.
    await reload("a", one);
    await nodes.a.until("different files", ({ peer }) => peer?.configMatches === false);
    await shows(nodes.b, "up", "drain");
    assert.ok(![...nodes.a.lines, ...nodes.b.lines].some(isTakenBack));

    await reload("b", one);
    await Promise.race([nodes.a.logged("the end", isTakenBack), nodes.b.logged("the end", isTakenBack)]);
    await reload("a", one, two);
    await reload("b", one, two);
    await shows(nodes.a, "up", "up");
    await shows(nodes.b, "up", "up");
  });

  test("orders that were given while the peer was away reach it when it is back, and the later of two wins on both", async (t) => {
    const { pair } = await pairWithTwoBackends(t);
    let a = pair.start("a");
    await a.becomes("active");
    assert.match(await obeys(a, "drain", "web/one"), /the other node is not in touch/);
    // Nobody is left to serve, which is said; see backend-orders.test.ts.
    assert.equal((await a.command("drain", "web/two")).code, 0);
    await a.kill();

    // Knows nothing of that, and contradicts half of it.
    const b = pair.start("b");
    await b.becomes("active");
    await shows(b, "up", "up");
    await obeys(b, "drain", "web/two");
    await obeys(b, "ready", "web/two");

    a = pair.start("a");
    await pair.isWell(a);
    await shows(a, "drain", "up");
    await shows(b, "drain", "up");
    await a.kill();
    await b.kill();
    await shows(await restarted(pair), "drain", "up");
  });
});

async function restarted(pair: PairSite): Promise<VipairProcess> {
  const a = pair.start("a");
  await a.becomes("active");
  return a;
}
