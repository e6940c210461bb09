import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { Arbiter } from "../../src/control/arbiter.ts";
import type { ArbiterOptions, ArbiterStatus } from "../../src/control/arbiter.ts";
import type { KernelRoute } from "../../src/system/kernel-routes.ts";

const VIRTUAL = { address: "203.0.113.50", interface: "eth0" };

const route = (gateway: string, name = "eth0", metric = 0): KernelRoute => ({
  family: "ipv4",
  interface: name,
  destination: "0.0.0.0",
  prefixLength: 0,
  gateway,
  metric,
});

const LINK: KernelRoute = {
  family: "ipv4",
  interface: "eth0",
  destination: "203.0.113.0",
  prefixLength: 24,
  gateway: undefined,
  metric: 0,
};

/** Answers each question. */
const ANSWERS = 'while read -r n; do echo "answer $n"; done';

const cleanUps: (() => void)[] = [];

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

/** An arbiter that is asked by a shell script; `world` is what the test changes meanwhile. */
function arbitrate(script: string, options: Partial<ArbiterOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "vipair-arbiter-"));
  const program = join(folder, "ask");
  writeFileSync(program, `#!/bin/sh\n${script}\n`);
  chmodSync(program, 0o755);

  const world = {
    routes: [route("203.0.113.1"), LINK] as readonly KernelRoute[],
    frozenMs: 0,
    answers: 0,
    logged: [] as string[],
  };
  const toLog = (_subject: object, event: string) => world.logged.push(event);
  const arbiter = new Arbiter({
    config: {},
    virtualAddresses: [VIRTUAL],
    intervalMs: 50,
    log: { debug() {}, info: toLog, warn: toLog, error: toLog },
    clock: () => performance.now() + world.frozenMs,
    onAnswer: () => (world.answers += 1),
    program,
    readRoutes: () => world.routes,
    ...options,
  });
  cleanUps.push(() => {
    arbiter.stop();
    rmSync(folder, { recursive: true });
  });
  arbiter.start();
  return { arbiter, world };
}

function statusWith(address: string): ArbiterStatus {
  return arbitrate(ANSWERS, { config: { address } }).arbiter.status();
}

async function eventually(holds: () => boolean, what: string, limitMs = 5000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `${what}: not within ${String(limitMs)} ms`);
    // oxlint-disable-next-line no-await-in-loop -- polls until the deadline above
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("the default gateway is asked continuously, and each answer is told", async () => {
  const { arbiter, world } = arbitrate(ANSWERS);
  await eventually(() => world.answers >= 5, "five answers");
  const { address, method, lastAnswerMs, problem } = arbiter.status();
  assert.deepEqual([address, method, problem], ["203.0.113.1", "arp", null]);
  assert.ok(lastAnswerMs !== null && lastAnswerMs < 1000);
  assert.deepEqual(world.logged, ["arbiter found", "the arbiter answers"]);
});

test("no answer is told twice, and none that was never asked for", async () => {
  const { world } = arbitrate(
    'while read -r n; do echo "answer $n"; echo "answer $n"; echo "answer 99$n"; echo answer; echo "answer -1"; done',
  );
  const startedAt = performance.now();
  await eventually(() => world.answers >= 10, "ten answers");
  // The first at once, then one each 50 ms; timers are never early by more than a millisecond.
  assert.ok(performance.now() - startedAt > 400);
});

test("garbage is no answer and does no harm", async () => {
  const { arbiter, world } = arbitrate("head -c 300000 /dev/urandom; echo; echo bell; exec cat >/dev/null");
  await eventually(() => arbiter.status().problem !== null, "silence");
  assert.equal(world.answers, 0);
});

test("an answer to a question from before a freeze says nothing about now", async () => {
  const { arbiter, world } = arbitrate('read -r n; sleep 0.1; echo "answer $n"; exec cat >/dev/null');
  // An hour in which this process did not run.
  world.frozenMs = 3_600_000;
  await eventually(() => arbiter.status().problem !== null, "silence");
  assert.equal(world.answers, 0);
});

test("an arbiter that stops answering is silent after a second, and that is logged once", async () => {
  const { arbiter, world } = arbitrate('read -r n; echo "answer $n"; exec cat >/dev/null');
  await eventually(() => arbiter.status().problem !== null, "silence");
  assert.equal(arbiter.status().problem, "203.0.113.1 does not answer ARP on eth0");
  assert.ok((arbiter.status().lastAnswerMs ?? 0) >= 900);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(world.logged, ["arbiter found", "the arbiter answers", "the arbiter is silent"]);
});

test("a program that ends is started again, and its last words are the problem until there is an answer", async () => {
  const { arbiter, world } = arbitrate(
    'if mkdir "$0.once" 2>/dev/null; then echo "cannot open a raw socket: Operation not permitted" >&2; exit 1; fi; '.concat(
      "sleep 0.2; ",
      ANSWERS,
    ),
  );
  await eventually(() => arbiter.status().problem !== null, "a problem");
  assert.equal(
    arbiter.status().problem,
    "203.0.113.1 cannot be asked: exit 1: cannot open a raw socket: Operation not permitted",
  );
  await eventually(() => world.answers > 0, "an answer of the second");
  assert.equal(arbiter.status().problem, null);
});

test("a program that is missing is a problem in words", async () => {
  const { arbiter } = arbitrate("", { program: "vipair-has-no-such-program" });
  await eventually(() => arbiter.status().problem !== null, "a problem");
  assert.equal(
    arbiter.status().problem,
    "203.0.113.1 cannot be asked: vipair-has-no-such-program is not installed",
  );
});

test("what the program cannot send is a problem until there is an answer", async () => {
  const { arbiter, world } = arbitrate(`echo "problem cannot send: Network is down"; sleep 0.3; ${ANSWERS}`);
  await eventually(() => arbiter.status().problem !== null, "a problem");
  assert.equal(arbiter.status().problem, "cannot send: Network is down");
  await eventually(() => world.answers > 0, "an answer");
  assert.equal(arbiter.status().problem, null);
});

test("a change of the default route is followed, and answers of the former gateway count no more", async () => {
  const { arbiter, world } = arbitrate(`[ "$2" != 203.0.113.2 ] || exec cat >/dev/null; ${ANSWERS}`);
  await eventually(() => world.answers > 0, "an answer of the first");
  world.routes = [route("203.0.113.2"), LINK];
  await eventually(() => arbiter.status().address === "203.0.113.2", "the second");
  assert.equal(arbiter.status().lastAnswerMs, null);
  const { answers } = world;
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(world.answers, answers);
});

test("without a default gateway on the interfaces of the virtual addresses nobody is asked, and the status says what to do", async () => {
  const { arbiter, world } = arbitrate(ANSWERS, { readRoutes: () => [route("203.0.113.1", "wlan0")] });
  assert.deepEqual(arbiter.status(), {
    address: null,
    method: null,
    lastAnswerMs: null,
    problem:
      "no default gateway on eth0: name a machine there with pair.arbiter.address, or set pair.arbiter.kind to none",
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(world.answers, 0);
  assert.deepEqual(world.logged, ["there is no arbiter"]);
});

test("a gateway that was found once is asked on when its route goes", async () => {
  const { arbiter, world } = arbitrate(ANSWERS);
  await eventually(() => world.answers > 0, "an answer");
  world.routes = [];
  await eventually(() => world.logged.includes("the last gateway is asked on"), "a look");
  const { answers } = world;
  await eventually(() => world.answers >= answers + 3, "further answers");
  const { address, problem } = arbiter.status();
  assert.deepEqual([address, problem], ["203.0.113.1", null]);
});

test("routes that cannot be read just now change nothing", async () => {
  let reads = 0;
  const { arbiter, world } = arbitrate(ANSWERS, {
    readRoutes: () => ((reads += 1) === 1 ? [route("203.0.113.1"), LINK] : undefined),
  });
  await eventually(() => reads >= 3, "three looks");
  assert.equal(arbiter.status().address, "203.0.113.1");
  assert.deepEqual(world.logged, ["arbiter found", "the arbiter answers"]);
});

test("a named address is asked by ARP on its own link and by ICMP when a gateway leads there", () => {
  assert.equal(statusWith("203.0.113.9").method, "arp");
  assert.equal(statusWith("198.51.100.9").method, "icmp");
});

test("a virtual address and an address of this machine are no arbiters", () => {
  assert.match(
    statusWith(VIRTUAL.address).problem ?? "",
    /^the arbiter 203\.0\.113\.50 is a virtual address of this pair/,
  );
  assert.match(
    statusWith("127.0.0.1").problem ?? "",
    /^the arbiter 127\.0\.0\.1 is an address of this machine/,
  );
});

test("the virtual addresses are told to the program, so that it never asks in their name", async () => {
  const { arbiter } = arbitrate('echo "problem $*"; exec cat >/dev/null');
  await eventually(() => arbiter.status().problem !== null, "the arguments");
  assert.equal(arbiter.status().problem, "arp 203.0.113.1 eth0 203.0.113.50");
});

test("after stop nothing is told", async () => {
  const { arbiter, world } = arbitrate(ANSWERS);
  await eventually(() => world.answers > 0, "an answer");
  arbiter.stop();
  const { answers } = world;
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(world.answers, answers);
});
