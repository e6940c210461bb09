import assert from "node:assert/strict";
import { mock, test, type TestContext } from "node:test";
import { ServiceReport, type ServiceState } from "../../src/control/service-report.ts";
import type { Role } from "../../src/protocol/status.ts";
import type { ServiceMessage } from "../../src/system/service-manager.ts";

const WATCHDOG_MS = 10_000;

const READY: ServiceState = {
  line: "standby",
  key: "standby",
  isReady: true,
  isTurning: true,
  role: "standby",
};

const ignore = () => undefined;

/** A report in virtual time. */
class Rig {
  state: ServiceState = READY;
  problem: string | undefined;
  readonly told: (ServiceMessage & { readonly atMs: number })[] = [];
  readonly warnings: string[] = [];
  role: Role | null | undefined;
  readonly report: ServiceReport;
  #now = 0;

  constructor(t: TestContext) {
    mock.timers.enable({ apis: ["setInterval"] });
    t.after(() => {
      this.report.close();
      mock.timers.reset();
    });
    this.report = new ServiceReport({
      manager: {
        watchdogMs: WATCHDOG_MS,
        tell: (message) => {
          if (this.problem === undefined) this.told.push({ ...message, atMs: this.#now });
          return this.problem;
        },
      },
      look: () => this.state,
      follow: (role) => {
        this.role = role;
      },
      clock: () => this.#now,
      log: { debug: ignore, info: ignore, error: ignore, warn: (_, event) => void this.warnings.push(event) },
    });
  }

  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 100) {
      this.#now += 100;
      mock.timers.tick(100);
    }
  }

  /** The longest time without a sign of life up to now. */
  longestSilenceMs(): number {
    const signs = [0, ...this.told.filter(({ watchdog }) => watchdog).map(({ atMs }) => atMs), this.#now];
    return Math.max(...signs.slice(1).map((at, index) => at - (signs[index] ?? 0)));
  }

  get isReady(): boolean {
    return this.told.some(({ ready }) => ready);
  }
}

test("it is ready when the node is, and says so with the status", (t) => {
  const rig = new Rig(t);
  rig.state = { ...READY, isReady: false };
  rig.report.start();
  rig.pass(3000);
  assert.equal(rig.isReady, false);
  assert.equal(rig.told.at(-1)?.status, "starting: standby");
  assert.equal(rig.role, null, "no target before there is a role");

  rig.state = READY;
  rig.pass(500);
  const { ready, status } = rig.told.at(-1) ?? {};
  assert.deepEqual({ ready, status, role: rig.role }, { ready: true, status: "standby", role: "standby" });
});

test("a node that does not get ready is called so after 30 s, with what is wrong as its status", (t) => {
  const rig = new Rig(t);
  rig.state = { ...READY, isReady: false, line: "fault (no carrier)" };
  rig.report.start();
  rig.pass(29_400);
  assert.equal(rig.isReady, false);
  rig.pass(3100);
  assert.equal(rig.isReady, true);
  assert.equal(rig.told.at(-1)?.status, "fault (no carrier)");
});

test("a change is told within half a second, the rest several times within the watchdog's time", (t) => {
  const rig = new Rig(t);
  rig.report.start();
  rig.pass(20_000);
  assert.ok(rig.longestSilenceMs() <= WATCHDOG_MS / 3, `silent for ${String(rig.longestSilenceMs())} ms`);
  const before = rig.told.length;
  rig.state = { ...READY, line: "active", key: "active", role: "active" };
  rig.pass(500);
  assert.deepEqual(
    rig.told.slice(before).map(({ status }) => status),
    ["active"],
  );
  assert.equal(rig.role, "active");
});

test("what passes by itself is told with the next sign of life, and does not make one", (t) => {
  const rig = new Rig(t);
  rig.report.start();
  rig.pass(1000);
  const before = rig.told.length;
  rig.state = { ...READY, line: "standby, heard 9 ms ago" };
  rig.pass(500);
  assert.equal(rig.told.length, before);
  rig.pass(2500);
  assert.equal(rig.told.at(-1)?.status, "standby, heard 9 ms ago");
});

test("no sign of life comes from elections that do not turn, although the event loop does", (t) => {
  const rig = new Rig(t);
  rig.report.start();
  rig.pass(1000);
  const before = rig.told.length;
  rig.state = { ...READY, isTurning: false, key: "something else" };
  rig.pass(WATCHDOG_MS);
  assert.equal(rig.told.length, before);
});

test("a message that was not taken is sent again at the next look, and complained of once", (t) => {
  const rig = new Rig(t);
  rig.problem = "EAGAIN";
  rig.report.start();
  rig.pass(2000);
  assert.deepEqual(rig.warnings, ["systemd could not be told how this node is"]);
  rig.problem = undefined;
  rig.pass(500);
  assert.equal(rig.isReady, true);
});

test("on its way out it asks for the time that it needs, lives on, and is no standby", (t) => {
  const rig = new Rig(t);
  rig.state = { ...READY, line: "active", key: "active", role: "active" };
  rig.report.start();
  rig.report.stop({ withinMs: 20_000 });
  const { stopping, extendTimeoutMs } = rig.told.find((message) => message.stopping) ?? {};
  assert.deepEqual({ stopping, extendTimeoutMs }, { stopping: true, extendTimeoutMs: 20_000 });
  assert.equal(rig.role, "active", "it holds the address until somebody else does");
  rig.state = { ...READY, line: "standby (leaving)", key: "leaving" };
  rig.pass(500);
  assert.equal(rig.role, null);
  const last = rig.told.at(-1);
  assert.deepEqual([last?.status, last?.ready], ["stopping: standby (leaving)", undefined]);
});
