import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { VitalsConfig } from "../../src/config/config.ts";
import { Vitals, type VitalsChange } from "../../src/control/vitals.ts";
import {
  type PowerProblem,
  readDisk,
  readPower,
  type VitalsReading,
} from "../../src/control/vitals-reader.ts";
import type { Log } from "../../src/system/log.ts";
import { waitUntil } from "../support/wait-until.ts";

const WAIT_MS = 20_000;
const FINE: VitalsReading = {
  temperatureC: 45,
  memoryUsedPercent: 30,
  disk: { directory: "/", usedPercent: 40 },
  power: [],
};
const CONFIG: VitalsConfig = {
  intervalMs: 1,
  temperature: { above: 80, weight: 20 },
  memory: { above: 95, weight: 10 },
  disk: { above: 95, weight: 10 },
  underVoltage: { weight: 30 },
};

interface Told {
  readonly changes: readonly VitalsChange[];
  readonly events: readonly string[];
  readonly vitals: Vitals;
}

/** What is told of these readings, taken one after the other; undefined: cannot be read. */
async function tell(
  t: TestContext,
  readings: readonly (Partial<VitalsReading> | undefined)[],
  config: Partial<VitalsConfig> = {},
): Promise<Told> {
  const changes: VitalsChange[] = [];
  const events: string[] = [];
  const note = (_subject: object, event: string) => {
    events.push(event);
  };
  const left = [...readings];
  const { promise: allTaken, resolve } = Promise.withResolvers<void>();
  const vitals = new Vitals({
    config: { ...CONFIG, ...config },
    path: "/",
    log: { debug: note, info: note, warn: note, error: note } satisfies Log,
    onChange: (change) => {
      changes.push(change);
    },
    read: (abort) => {
      if (left.length === 0) {
        resolve();
        return new Promise((_, reject) => {
          abort.addEventListener("abort", () => {
            reject(new Error("stopped"));
          });
        });
      }
      const reading = left.shift();
      return reading === undefined
        ? Promise.reject(new Error("no sensors"))
        : Promise.resolve({ ...FINE, ...reading });
    },
  });
  t.after(() => {
    vitals.stop();
  });
  vitals.start();
  await allTaken;
  return { changes, events, vitals };
}

function power(...problems: readonly PowerProblem[]): Partial<VitalsReading> {
  return { power: problems };
}

function hot(...values: readonly number[]): Partial<VitalsReading>[] {
  return values.map((temperatureC) => ({ temperatureC }));
}

test("a healthy machine has nothing to tell", async (t) => {
  const { changes, vitals } = await tell(t, [{}, {}]);
  assert.deepEqual(changes, []);
  assert.deepEqual(vitals.status(), { reading: FINE, problems: [] });
});

test("each vital that passes its threshold is told once, with value and threshold", async (t) => {
  const bad: Partial<VitalsReading> = {
    temperatureC: 84.26,
    memoryUsedPercent: 97,
    disk: { directory: "/var", usedPercent: 99.5 },
    power: ["throttled", "under-voltage"],
  };
  const { changes, vitals } = await tell(t, [bad, bad]);
  const problems = [
    { cause: "temperature", weight: 20, problem: "the processor is hot: 84.3 °C, more than 80 °C" },
    { cause: "memory", weight: 10, problem: "memory is short: 97.0 % used, more than 95 %" },
    { cause: "disk", weight: 10, problem: "the disk of /var is full: 99.5 % used, more than 95 %" },
    {
      cause: "under-voltage",
      weight: 30,
      problem: "the voltage is too low: use a stronger power supply or a shorter cable",
    },
  ];
  assert.deepEqual(changes, problems);
  assert.deepEqual(
    vitals.status().problems,
    problems.map(({ cause, problem }) => ({ cause, problem })),
  );
});

test("the threshold itself is still good", async (t) => {
  assert.deepEqual((await tell(t, hot(80, 80))).changes, []);
});

test("a value that wavers around its threshold stays a problem until it is well below three times in a row", async (t) => {
  const wavering = await tell(t, hot(81, 79, 81, 76, 79, 75, 75, 76, 75, 75));
  assert.deepEqual(
    wavering.changes.map(({ problem }) => problem !== undefined),
    [true],
  );
  const calm = await tell(t, hot(81, 79, 75, 74, 73));
  assert.deepEqual(
    calm.changes.map(({ problem }) => problem !== undefined),
    [true, false],
  );
  assert.deepEqual(calm.vitals.status().problems, []);
});

test("under-voltage that comes in bursts is one problem", async (t) => {
  const { changes } = await tell(t, [
    power("under-voltage"),
    power(),
    power(),
    power("throttled"),
    power(),
    power(),
  ]);
  assert.equal(changes.length, 1);
});

test("what cannot be read is no problem, ends one in time, and is said once", async (t) => {
  const { changes, events, vitals } = await tell(t, [...hot(90), undefined, undefined, undefined, undefined]);
  assert.deepEqual(
    changes.map(({ cause, problem }) => [cause, problem !== undefined]),
    [
      ["temperature", true],
      ["temperature", false],
    ],
  );
  assert.equal(events.filter((event) => event.includes("cannot be read")).length, 1);
  assert.equal(vitals.status().reading, null);
});

test("a machine without sensors, and one that is no Raspberry Pi, has no problem", async (t) => {
  const { changes } = await tell(t, [
    { temperatureC: null, memoryUsedPercent: null, disk: null, power: null },
    {},
  ]);
  assert.deepEqual(changes, []);
});

test("a vital of weight 0 is not looked at, and without any weight nothing is read at all", async (t) => {
  const { changes } = await tell(t, hot(99, 99), { temperature: { above: 80, weight: 0 } });
  assert.deepEqual(changes, []);

  let reads = 0;
  const none = { above: 1, weight: 0 };
  const vitals = new Vitals({
    config: { intervalMs: 1, temperature: none, memory: none, disk: none, underVoltage: { weight: 0 } },
    path: "/",
    log: { debug() {}, info() {}, warn() {}, error() {} },
    onChange: () => undefined,
    read: () => {
      reads += 1;
      return Promise.resolve(FINE);
    },
  });
  vitals.start();
  await new Promise((resolve) => setTimeout(resolve, 20));
  vitals.stop();
  assert.equal(reads, 0);
});

/** A directory that looks like /sys as far as these files go. */
function sysfs(t: TestContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "vipair-sysfs-"));
  t.after(() => {
    rmSync(root, { recursive: true });
  });
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
  return root;
}

const THROTTLED = "devices/platform/soc/soc:firmware/get_throttled";

test("a Pi's driver for its voltage tells of under-voltage, whichever number it has", async (t) => {
  const pi = (alarm: string) =>
    sysfs(t, {
      "class/hwmon/hwmon0/name": "cpu_thermal",
      "class/hwmon/hwmon0/in0_lcrit_alarm": "1",
      "class/hwmon/hwmon3/name": "rpi_volt",
      "class/hwmon/hwmon3/in0_lcrit_alarm": alarm,
    });
  assert.deepEqual(await readPower(pi("0")), []);
  assert.deepEqual(await readPower(pi("1")), ["under-voltage"]);
});

test("a Pi's firmware tells what is true now; what was once, and a lower clock, do not count", async (t) => {
  const flags = (text: string) => readPower(sysfs(t, { [THROTTLED]: text }));
  assert.deepEqual(await flags("0"), []);
  assert.deepEqual(await flags("50005"), ["under-voltage", "throttled"]);
  assert.deepEqual(await flags("4"), ["throttled"]);
  assert.deepEqual(await flags("d0000"), []);
  assert.deepEqual(await flags("e000a"), []);
  assert.equal(await flags("unreadable"), null);
});

test("a machine without these files is no Pi: its power is not looked at", async (t) => {
  assert.equal(await readPower(sysfs(t, { "class/hwmon/hwmon0/name": "k10temp" })), null);
  assert.equal(await readPower("/nonexistent"), null);
});

test("of several directories the fullest file system counts, and one that is not there does not", async () => {
  const root = await readDisk(["/"]);
  assert.ok(root !== null && root.usedPercent > 0 && root.usedPercent <= 100);
  const both = await readDisk(["/nonexistent", "/proc", "/", "/dev/shm"]);
  assert.ok(both !== null && both.usedPercent >= root.usedPercent - 1);
  assert.equal(await readDisk(["/nonexistent"]), null);
});

test("this machine's own vitals can be read", async (t) => {
  const vitals = new Vitals({
    config: { ...CONFIG, intervalMs: 60_000 },
    path: "/",
    log: { debug() {}, info() {}, warn() {}, error() {} },
    onChange: () => undefined,
  });
  t.after(() => {
    vitals.stop();
  });
  vitals.start();
  const reading = await waitUntil(() => vitals.status().reading ?? undefined, {
    what: "a reading",
    withinMs: WAIT_MS,
  });
  assert.ok(reading.memoryUsedPercent !== null && reading.memoryUsedPercent > 0);
  assert.ok(reading.disk !== null && reading.disk.directory === "/");
});
