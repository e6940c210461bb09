// Reads how the machine itself is: temperature, memory, disk, and on a Raspberry Pi its power. A process of
// its own, one for each reading: for one look at the temperature the package `systeminformation` starts up to
// six programs and stands still until the first has ended (6 ms, and up to 27 ms on two busy cores, several
// times that on a Pi). So the process that sends heartbeats starts one program, as it does for each renewal of
// a lease, and waits for nothing. A disk that hangs, hangs this process alone.
//   vitals-reader DIRECTORY...   prints a VitalsReading as JSON

import { readdir, readFile, statfs } from "node:fs/promises";
import { setPriority } from "node:os";
import { join } from "node:path";
import { cpuTemperature, mem } from "systeminformation";

/** Whatever could not be read is null. */
export interface VitalsReading {
  /** Of the hottest sensor of the processor. */
  readonly temperatureC: number | null;
  /** Of all memory, what no program could get. */
  readonly memoryUsedPercent: number | null;
  /** The fullest of the file systems that were asked for. */
  readonly disk: { readonly directory: string; readonly usedPercent: number } | null;
  /** What ails the power of a Raspberry Pi at this moment; null on other machines. */
  readonly power: readonly PowerProblem[] | null;
}

export type PowerProblem = "under-voltage" | "throttled";

/** Behind the traffic. */
const NICENESS = 10;
/** What reads files of the kernel needs no rights; this is `nobody`. */
const NOBODY = 65_534;

/**
 * Flags of the firmware, as in `vcgencmd get_throttled`: what is true now. Those from bit 16 on tell what was
 * true once, those between mean that the clock is lower than it might be, as a warm Pi does on its own.
 */
const UNDER_VOLTAGE_NOW = 1;
const THROTTLED_NOW = 4;

if (import.meta.main) {
  setPriority(NICENESS);
  const disk = await readDisk(process.argv.slice(2));
  // From here on nothing needs more rights than anybody has, and others' code runs.
  if (process.getuid?.() === 0) {
    process.setgroups?.([]);
    process.setgid?.(NOBODY);
    process.setuid?.(NOBODY);
  }
  const [temperature, memory, power] = await Promise.all([cpuTemperature(), mem(), readPower("/sys")]);
  const reading: VitalsReading = {
    temperatureC: temperature.max,
    memoryUsedPercent: memory.total > 0 ? (100 * (memory.total - memory.available)) / memory.total : null,
    disk,
    power,
  };
  process.stdout.write(JSON.stringify(reading));
}

/** Asks the file system itself: `fsSize` of the package asks `df` for all of them and leaves out those in memory. */
export async function readDisk(directories: readonly string[]): Promise<VitalsReading["disk"]> {
  let fullest: VitalsReading["disk"] = null;
  for (const directory of directories) {
    const usedPercent = await readUsedPercent(directory);
    if (usedPercent !== null && usedPercent > (fullest?.usedPercent ?? -1)) {
      fullest = { directory, usedPercent };
    }
  }
  return fullest;
}

/** As `df` counts: of what an ordinary user could fill. */
async function readUsedPercent(directory: string): Promise<number | null> {
  try {
    const { blocks, bfree, bavail } = await statfs(directory);
    const used = blocks - bfree;
    return used + bavail > 0 ? (100 * used) / (used + bavail) : null;
  } catch {
    return null;
  }
}

/**
 * What the Pi's firmware says, where the kernel shows it below `sysfs` (usually /sys): the driver rpi_volt
 * (whether there was under-voltage in the last two seconds), and get_throttled of older and Raspberry Pi's own
 * kernels. Reading the latter makes some kernels say once in their log that it is deprecated.
 */
export async function readPower(sysfs: string): Promise<readonly PowerProblem[] | null> {
  const alarm = await readUnderVoltageAlarm(sysfs);
  const text = await readText(join(sysfs, "devices/platform/soc/soc:firmware/get_throttled"));
  // Hexadecimal, without 0x.
  const flags = text === undefined ? Number.NaN : Number.parseInt(text, 16);
  if (alarm === undefined && Number.isNaN(flags)) return null;
  const problems: PowerProblem[] = [];
  if (alarm === "1" || (flags & UNDER_VOLTAGE_NOW) !== 0) problems.push("under-voltage");
  if ((flags & THROTTLED_NOW) !== 0) problems.push("throttled");
  return problems;
}

async function readUnderVoltageAlarm(sysfs: string): Promise<string | undefined> {
  const monitors = join(sysfs, "class/hwmon");
  let names: string[];
  try {
    names = await readdir(monitors);
  } catch {
    return undefined;
  }
  for (const name of names) {
    const driver = await readText(join(monitors, name, "name"));
    if (driver === "rpi_volt") return readText(join(monitors, name, "in0_lcrit_alarm"));
  }
  return undefined;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch {
    return undefined;
  }
}
