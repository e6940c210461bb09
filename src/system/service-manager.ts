// Whoever started this process as a service and wants to hear of it: systemd, over the descriptor that scripts/with-notify-fd has connected.
// Each write is one message (sd_notify(3)); nothing is forked for it, and nothing waits. Where nobody asks to be told, there is none.

import { fstatSync, writeSync } from "node:fs";
import { errorCode } from "./errno.ts";

/** A message that systemd would not take as a whole helps nobody; in UTF-16 units. */
const STATUS_LENGTH_MAX = 1000;

export interface ServiceMessage {
  readonly ready?: true;
  readonly stopping?: true;
  /** A sign of life. */
  readonly watchdog?: true;
  /** One line for `systemctl status`. */
  readonly status?: string;
  /** How much longer than it is configured to a start or stop may take, from now. */
  readonly extendTimeoutMs?: number;
}

export interface ServiceManager {
  /** Without a sign of life for so long it ends this process; undefined: it does not. */
  readonly watchdogMs: number | undefined;
  /** Why it could not be told, in words; undefined: it was. It may be too slow now and hear the next message. */
  tell(message: ServiceMessage): string | undefined;
}

/**
 * Takes what is for this process alone out of the environment, so that no process started from here can speak for it. Undefined when
 * nobody wants to be told.
 */
export function takeServiceManager(
  environment: NodeJS.ProcessEnv,
  { pid }: { readonly pid: number },
): ServiceManager | undefined {
  const { VIPAIR_NOTIFY_FD: descriptor, WATCHDOG_USEC: watchdogUs, WATCHDOG_PID: watchdogPid } = environment;
  for (const name of ["VIPAIR_NOTIFY_FD", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) {
    // oxlint-disable-next-line typescript/no-dynamic-delete -- an environment variable that is set to undefined says "undefined"
    delete environment[name];
  }
  const fd = Number(descriptor ?? "none");
  if (!Number.isInteger(fd) || fd <= 2 || !isSocket(fd)) return undefined;
  const isForUs = watchdogPid === undefined || Number(watchdogPid) === pid;
  const watchdogMs = Number(watchdogUs) / 1000;
  return {
    watchdogMs: isForUs && watchdogMs > 0 ? watchdogMs : undefined,
    tell(message) {
      try {
        writeSync(fd, formatMessage(message));
        return undefined;
      } catch (error) {
        return errorCode(error) ?? String(error);
      }
    },
  };
}

/** As in sd_notify(3): assignments, one on each line. */
function formatMessage(message: ServiceMessage): string {
  const { ready, stopping, watchdog, status, extendTimeoutMs } = message;
  return [
    ready === true && "READY=1",
    stopping === true && "STOPPING=1",
    watchdog === true && "WATCHDOG=1",
    extendTimeoutMs !== undefined && `EXTEND_TIMEOUT_USEC=${String(Math.round(1000 * extendTimeoutMs))}`,
    status !== undefined && `STATUS=${onOneLine(status)}`,
  ]
    .filter((line) => line !== false)
    .join("\n");
}

function onOneLine(text: string): string {
  return text.replaceAll(/\s+/gu, " ").slice(0, STATUS_LENGTH_MAX);
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}
