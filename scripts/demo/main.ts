// The demo program: a real pair on loopback, for a person with keys or by script. Whatever ends it (q,
// Ctrl-C, SIGTERM, the end of the terminal, a failure), it leaves no process and no file behind.

import { parseArgs } from "node:util";
import { Screen } from "./screen.ts";
import { playScript } from "./script.ts";
import { Stage } from "./stage.ts";

const USAGE = `usage: ./scripts/demo.sh [--script]
  --script   play kill, return, switchover, backend loss and freeze without asking, print a report, and
             exit 0 only if the pair recovered every time; also the way without a terminal
`;

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** A reader of the report that went away is no reason to stop cleaning up. */
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

process.exit(await main());

async function main(): Promise<number> {
  let isScript: boolean;
  try {
    const { values } = parseArgs({
      options: { script: { type: "boolean", default: false }, help: { type: "boolean", short: "h" } },
    });
    if (values.help === true) {
      process.stdout.write(USAGE);
      return 0;
    }
    isScript = values.script || !process.stdin.isTTY || !process.stdout.isTTY;
  } catch (error) {
    process.stderr.write(`demo: ${describeError(error)}\n${USAGE}`);
    return 2;
  }
  const stage = await Stage.create();
  const screen = isScript ? undefined : new Screen(stage, { input: process.stdin, output: process.stdout });
  try {
    return await Promise.race([untilInterrupted(), perform(stage, screen)]);
  } catch (error) {
    screen?.close();
    process.stderr.write(`demo: ${describeError(error)}\n`);
    for (const node of stage.nodes) {
      process.stderr.write(`\nend of the log of ${node.name}:\n  ${node.logTail().join("\n  ")}\n`);
    }
    return 1;
  } finally {
    screen?.close();
    await stage.close();
  }
}

async function perform(stage: Stage, screen: Screen | undefined): Promise<number> {
  if (screen === undefined) return (await playScript(stage, print)) ? 0 : 1;
  await screen.run();
  return 0;
}

/** Ends in the exit code that belongs to the signal, or throws what nobody caught. */
function untilInterrupted(): Promise<number> {
  return new Promise((resolve, reject) => {
    for (const [signal, code] of Object.entries(SIGNALS)) {
      process.on(signal, () => {
        resolve(code);
      });
    }
    process.on("uncaughtException", reject);
    process.on("unhandledRejection", reject);
  });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
