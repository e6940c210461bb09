// The service on a booted machine, as a person sees it and has it: installed, started anew, and in a line of `systemctl status`.

import { waitUntil } from "../support/wait-until.ts";
import type { Machine } from "./machine.ts";

/** For a change to be seen in the status text. */
const STATUS_MS_MAX = 2000;
const RESTART_WITHIN_MS = 60_000;

/** As docs/raspberry-pi.md has it. What it depends on is there, so apt needs no network. */
export async function installByApt(machine: Machine, deb: string): Promise<void> {
  await machine.run("apt-get", "install", "--yes", machine.copyIn(deb));
}

export async function install(machine: Machine, deb: string): Promise<void> {
  await machine.run("dpkg", "--install", machine.copyIn(deb));
}

export async function versionOf(machine: Machine): Promise<string> {
  return machine.run("dpkg-query", "--show", "--showformat=${Version}", "vipair");
}

export async function statusText(machine: Machine): Promise<string> {
  return machine.property("vipair.service", "StatusText");
}

/** Waits for the status text to be like this. */
export async function says(machine: Machine, text: RegExp, withinMs = STATUS_MS_MAX): Promise<void> {
  await waitUntil(async () => text.test(await statusText(machine)), {
    what: `${machine.name} to say ${String(text)}`,
    withinMs,
  });
}

/** Waits for systemd to have started it again. */
export async function restarted(machine: Machine, oldPid: string): Promise<void> {
  await waitUntil(
    async () => {
      const now = await machine.property("vipair.service", "MainPID");
      return now !== oldPid && now !== "0" && (await machine.isActive("vipair.service"));
    },
    {
      what: `systemd to start vipair on ${machine.name} again`,
      withinMs: RESTART_WITHIN_MS,
      everyMs: 50,
    },
  );
}
