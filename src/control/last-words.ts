// Why a node could not start, kept for the next try: systemd forgets what a service has said of itself when it starts it again, and in a
// loop of restarts people would find no reason half of the time. scripts/with-notify-fd tells it again.

import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const NAME = "cannot-start";

/** Replaces what an earlier try left. Nothing depends on it, so where it cannot be written it is not. */
export function leaveLastWords(runtimeDir: string, words: string): void {
  try {
    forgetLastWords(runtimeDir);
    // wx: never through a link that somebody else has put there.
    writeFileSync(join(runtimeDir, NAME), `${words}\n`, { mode: 0o600, flag: "wx" });
  } catch {
    // The log has them.
  }
}

/** The node has started. */
export function forgetLastWords(runtimeDir: string): void {
  rmSync(join(runtimeDir, NAME), { force: true });
}
