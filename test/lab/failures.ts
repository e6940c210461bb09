// What a failed lab test leaves for the person who reads it: without the logs of both nodes and of the client's
// neighbour table, a figure that is too high tells nothing.

import { afterEach } from "node:test";
import type { Lab } from "./lab.ts";
import { labIsMissing } from "./requirements.ts";

/** For the top of a test file: prints the ends of the logs after each test of the file that failed. */
export function tellFailures(lab: Lab): void {
  afterEach((t) => {
    if (labIsMissing() !== false || (t as { readonly passed?: boolean }).passed === true) return;
    console.error(lab.recentLogs());
  });
}
