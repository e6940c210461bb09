import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { RoleTargets } from "../../src/control/role-targets.ts";
import type { Role } from "../../src/protocol/status.ts";

const ignore = () => undefined;

/** Targets of a systemd that is played here: `states` is what it has, and orders change it at once. */
class Rig {
  readonly orders: string[] = [];
  readonly warnings: string[] = [];
  states = { active: "inactive", standby: "inactive" };
  exitCode = 0;
  #now = 0;
  readonly #targets = new RoleTargets({
    clock: () => this.#now,
    log: { debug: ignore, info: ignore, error: ignore, warn: (_, event) => void this.warnings.push(event) },
    launch: (_, args) => {
      const output = { stdout: this.#systemctl(args), stderr: "", durationMs: 1 };
      return { result: Promise.resolve({ kind: "exit", code: this.exitCode, ...output }), abort: ignore };
    },
  });

  /** As often as a node is looked at. */
  async follow(role: Role | null, { forMs = 500 } = {}): Promise<void> {
    for (let passedMs = 0; passedMs < forMs; passedMs += 500) {
      this.#now += 500;
      this.#targets.follow(role);
      // oxlint-disable-next-line no-await-in-loop -- time passes
      await setImmediate();
    }
  }

  #systemctl(args: readonly string[]): string {
    if (args[0] === "is-active") return `${this.states.active}\n${this.states.standby}\n`;
    this.orders.push(args.slice(1).join(" "));
    if (this.exitCode !== 0) return "";
    const isStart = args[1] === "start";
    const [active, standby] = ["vipair-active.target", "vipair-standby.target"].map((target) =>
      isStart && args.includes(target) ? "active" : "inactive",
    );
    this.states = { active: String(active), standby: String(standby) };
    return "";
  }
}

test("a role is told once, and none stops both targets", async () => {
  const rig = new Rig();
  await rig.follow(null);
  await rig.follow("standby", { forMs: 60_000 });
  await rig.follow("active", { forMs: 60_000 });
  await rig.follow("fault", { forMs: 60_000 });
  assert.deepEqual(rig.orders, [
    "stop vipair-active.target vipair-standby.target",
    "start vipair-standby.target",
    "start vipair-active.target",
    "stop vipair-active.target vipair-standby.target",
  ]);
  assert.deepEqual(rig.warnings, []);
});

for (const { who, states } of [
  { who: "starts the target of the other role", states: { active: "active", standby: "inactive" } },
  { who: "stops the target of the role", states: { active: "inactive", standby: "inactive" } },
]) {
  test(`a target does not lie for longer than 5 s when somebody else ${who}`, async () => {
    const rig = new Rig();
    await rig.follow("standby", { forMs: 20_000 });
    rig.states = states;
    await rig.follow("standby", { forMs: 5500 });
    assert.deepEqual(rig.states, { active: "inactive", standby: "active" });
    assert.equal(rig.warnings.length, 1);
  });
}

test("a target that is just being started or stopped is left alone", async () => {
  const rig = new Rig();
  await rig.follow("standby", { forMs: 20_000 });
  const before = rig.orders.length;
  rig.states = { active: "deactivating", standby: "inactive" };
  await rig.follow("standby", { forMs: 20_000 });
  assert.equal(rig.orders.length, before);
});

test("an order that fails is given again and again, and complained of once", async () => {
  const rig = new Rig();
  rig.exitCode = 1;
  await rig.follow("active", { forMs: 5000 });
  assert.equal(rig.orders.length, 10);
  assert.equal(rig.warnings.length, 1);
  rig.exitCode = 0;
  await rig.follow("active");
  assert.deepEqual(rig.states, { active: "active", standby: "inactive" });
});
