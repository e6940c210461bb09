import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Notifier, type RoleChange } from "../../src/control/notifier.ts";
import type { Log } from "../../src/system/log.ts";
import { isAlive } from "../support/vipair-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const IS_ROOT = process.getuid?.() === 0;
/** For what must come; how long it may take on a busy machine is nobody's requirement. */
const WAIT_MS = 5000;

type Entry = readonly [event: string, subject: Record<string, unknown>];

interface Desk {
  readonly notifier: Notifier;
  readonly folder: string;
  /** What the hooks have written with `note`. */
  readonly journal: () => readonly string[];
  readonly log: readonly Entry[];
  /** Lets the hooks go on that `wait_for NAME`. */
  readonly release: (name: string) => void;
}

/** A notifier with one script for all three roles. */
function desk(
  t: TestContext,
  script: string,
  options: { readonly hooks?: readonly string[]; readonly timeoutMs?: number; readonly mode?: number } = {},
): Desk {
  const folder = mkdtempSync(join(tmpdir(), "vipair-notify-"));
  const hook = join(folder, "hook");
  const prelude = [
    "#!/bin/sh",
    `note() { echo "$*" >>"${folder}/journal"; }`,
    // Bounded, so that a test that fails leaves nothing that runs for ever.
    `wait_for() { for _ in $(seq 500); do [ -e "${folder}/$1" ] && return; sleep 0.01; done; }`,
  ];
  writeFileSync(hook, [...prelude, script, ""].join("\n"));
  chmodSync(hook, options.mode ?? 0o755);
  const log: Entry[] = [];
  const note = (subject: object, event: string) => {
    log.push([event, { ...subject }]);
  };
  const quiet: Log = { debug: note, info: note, warn: note, error: note };
  const names = options.hooks ?? ["onActive", "onStandby", "onFault"];
  const notifier = new Notifier({
    hooks: Object.fromEntries(names.map((name) => [name, "hook"])),
    configDir: folder,
    node: "pi-a",
    peer: () => "pi-b",
    addresses: (group) => (group === "web" ? ["192.0.2.50", "2001:db8::50"] : []),
    log: quiet,
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  });
  t.after(async () => {
    await notifier.close({ graceMs: 0 });
    rmSync(folder, { recursive: true });
  });
  return {
    notifier,
    folder,
    log,
    journal: () => {
      const path = join(folder, "journal");
      return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
    },
    release: (name) => {
      writeFileSync(join(folder, name), "");
    },
  };
}

function becoming(role: RoleChange["role"], change: Partial<RoleChange> = {}): RoleChange {
  return { group: "default", role, previous: "standby", epoch: 7, reason: null, ...change };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  await waitUntil(holds, { what, withinMs: WAIT_MS, everyMs: 5 });
}

test("a notify hook is told group, both roles, epoch, both nodes, the reason and the addresses, and nothing else of ours", async (t) => {
  const { notifier, journal } = desk(
    t,
    `note "$(env | grep -v '^_=\\|^PWD=\\|^PATH=\\|^SHLVL=\\|^OLDPWD=' | sort)"; note end`,
  );
  notifier.notify({
    group: "web",
    role: "fault",
    previous: "active",
    epoch: 12,
    reason: "no carrier on eth0: is the cable plugged?",
  });
  await until("the hook's note", () => journal().includes("end"));
  assert.deepEqual(journal().slice(0, -1), [
    "VIPAIR_ADDRESSES=192.0.2.50 2001:db8::50",
    "VIPAIR_EPOCH=12",
    "VIPAIR_GROUP=web",
    "VIPAIR_NODE=pi-a",
    "VIPAIR_PEER=pi-b",
    "VIPAIR_PREVIOUS_ROLE=active",
    "VIPAIR_REASON=no carrier on eth0: is the cable plugged?",
    "VIPAIR_ROLE=fault",
  ]);
});

test("hooks run in the order of the changes and never overlap, whatever their groups", async (t) => {
  const { notifier, journal, release } = desk(
    t,
    `note "begin $VIPAIR_GROUP $VIPAIR_ROLE"; wait_for go; note "end $VIPAIR_GROUP $VIPAIR_ROLE"`,
  );
  notifier.notify(becoming("active", { group: "one" }));
  notifier.notify(becoming("active", { group: "two" }));
  notifier.notify(becoming("standby", { group: "one" }));
  await until("the first hook", () => journal().length === 1);
  release("go");
  await until("all hooks", () => journal().length === 6);
  assert.deepEqual(journal(), [
    "begin one active",
    "end one active",
    "begin two active",
    "end two active",
    "begin one standby",
    "end one standby",
  ]);
});

test("of several roles that came while a hook ran, only the newest of each group is told", async (t) => {
  const { notifier, journal, release, log } = desk(t, `note "$VIPAIR_GROUP $VIPAIR_ROLE"; wait_for go`);
  notifier.notify(becoming("active"));
  await until("the first hook", () => journal().length === 1);
  notifier.notify(becoming("standby"));
  notifier.notify(becoming("active", { group: "other" }));
  notifier.notify(becoming("active"));
  notifier.notify(becoming("fault"));
  release("go");
  await until("three hooks", () => log.filter(([event]) => event === "notify hook done").length === 3);
  assert.deepEqual(journal(), ["default active", "default fault", "other active"]);
  assert.equal(log.filter(([event]) => event.startsWith("notify hook skipped")).length, 2);
});

test("a role without a hook still overtakes the one that waits", async (t) => {
  const { notifier, journal, release, log } = desk(t, `note "$VIPAIR_ROLE"; wait_for go`, {
    hooks: ["onActive"],
  });
  notifier.notify(becoming("active", { group: "other" }));
  await until("the first hook", () => journal().length === 1);
  notifier.notify(becoming("active"));
  notifier.notify(becoming("standby"));
  release("go");
  await notifier.close({ graceMs: WAIT_MS });
  assert.deepEqual(journal(), ["active"]);
  assert.equal(log.filter(([event]) => event === "notify hook done").length, 1);
});

test("a hook that fails is logged with the last line of its stderr, and the next one runs", async (t) => {
  const { notifier, log } = desk(
    t,
    `echo one >&2; echo "no mail today" >&2; [ "$VIPAIR_ROLE" = standby ] || exit 5`,
  );
  notifier.notify(becoming("active"));
  notifier.notify(becoming("standby", { group: "other" }));
  await until("both hooks", () => log.length === 2);
  assert.equal(log[0]?.[0], "notify hook failed");
  assert.equal(log[0]?.[1]["reason"], "exit 5: no mail today");
  assert.equal(log[1]?.[0], "notify hook done");
});

test("a hook that hangs is killed with everything it started, and the next one runs", async (t) => {
  const { notifier, journal, log } = desk(
    t,
    `if [ "$VIPAIR_ROLE" = active ]; then sleep 60 & note $!; wait; fi; note next`,
    { timeoutMs: 200 },
  );
  notifier.notify(becoming("active"));
  notifier.notify(becoming("standby", { group: "other" }));
  await until("the second hook", () => journal().includes("next"));
  assert.equal(log[0]?.[0], "notify hook failed");
  assert.match(String(log[0]?.[1]["reason"]), /^killed after \d+ ms without an end$/);
  const child = Number(journal()[0]);
  await until("the end of what it started", () => !isAlive(child));
});

test("close lets the last hook end within its grace, and kills it afterwards; nothing starts any more", async (t) => {
  const patient = desk(t, "sleep 0.1; note done");
  patient.notifier.notify(becoming("standby"));
  await patient.notifier.close({ graceMs: WAIT_MS });
  assert.deepEqual(patient.journal(), ["done"]);
  patient.notifier.notify(becoming("active"));

  const hasty = desk(t, "note begun; sleep 60");
  hasty.notifier.notify(becoming("standby"));
  hasty.notifier.notify(becoming("active", { group: "other" }));
  await until("a hook that hangs", () => hasty.journal().length === 1);
  const began = performance.now();
  await hasty.notifier.close({ graceMs: 50 });
  assert.ok(performance.now() - began < WAIT_MS);
  assert.deepEqual(hasty.journal(), ["begun"]);
  assert.deepEqual(patient.journal(), ["done"]);
});

test(
  "rule 14: a notify hook that others can write is not run",
  { skip: IS_ROOT ? false : "needs root" },
  async (t) => {
    const { notifier, journal, log } = desk(t, "note ran", { mode: 0o777 });
    notifier.notify(becoming("active"));
    await notifier.close({ graceMs: WAIT_MS });
    assert.deepEqual(journal(), []);
    assert.equal(log[0]?.[0], "notify hook cannot run");
    assert.match(String(log[0]?.[1]["reason"]), /can be written by everybody. Run chmod go-w/);
  },
);
