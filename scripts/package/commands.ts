// The commands of a tree with those below them (`backend add`), as the manual page and the completions go through them.

import type { Command } from "commander";

export interface NamedCommand {
  /** `backend add`. */
  readonly name: string;
  readonly command: Command;
}

/** All that can be run, in the order of the help. */
export function commandsOf(tree: Command, prefix = ""): readonly NamedCommand[] {
  return tree.commands.flatMap((command) => {
    const name = `${prefix}${command.name()}`;
    return command.commands.length === 0 ? [{ name, command }] : commandsOf(command, `${name} `);
  });
}
