// Whether a process holds connections that it has forgotten: the other side has closed, and nobody here does.
// The kernel knows (CLOSE_WAIT), whatever the process believes.

import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { waitUntil } from "./wait-until.ts";

/** RFC 9293 3.3.2, as proc(5) writes it. */
const CLOSE_WAIT = "08";
/** Longer than a worker waits for anybody who has had an answer. */
const WITHIN_MS = 5000;

/** Fails when one of the processes still has such a connection after a while. */
export async function expectNothingForgotten(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    await waitUntil(() => isStopped(pid) || forgottenConnections(pid) === 0, {
      what: `process ${String(pid)} to close connections whose other side has closed`,
      withinMs: WITHIN_MS,
    });
  }
}

function forgottenConnections(pid: number): number {
  const inodes = new Set(socketInodes(pid));
  const rows = ["tcp", "tcp6"].flatMap((table) => readRows(`/proc/${String(pid)}/net/${table}`));
  return rows.filter((row) => row[3] === CLOSE_WAIT && inodes.has(row[9] ?? "")).length;
}

function socketInodes(pid: number): string[] {
  const folder = `/proc/${String(pid)}/fd`;
  try {
    return readdirSync(folder).flatMap(
      (fd) => /^socket:\[(\d+)\]$/u.exec(linkOf(`${folder}/${fd}`))?.[1] ?? [],
    );
  } catch {
    // It has ended.
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function readRows(path: string): string[][] {
  try {
    return readFileSync(path, "latin1")
      .split("\n")
      .map((line) => line.trim().split(/\s+/u));
  } catch {
    return [];
  }
}

/** A stopped or dead process closes nothing, and that is its test's intention. */
function isStopped(pid: number): boolean {
  try {
    return /^\d+ \(.*\) [TtZX]/u.test(readFileSync(`/proc/${String(pid)}/stat`, "latin1"));
  } catch {
    return true;
  }
}
