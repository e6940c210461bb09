// Files and programs as a configuration names them. Whether they are there, and whether vipair may run
// them, is seen when they are needed: this folder looks at no disk.

import { cut, invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";

/** The path of a file, with whatever characters the file system takes. */
export function readFilePath(text: string): Reading<string> {
  return text === "" || text.includes("\0") ? invalid("Write the path of a file.") : ok(text);
}

/** A word of a command line; an argument may be empty. */
export function readWord(text: string): Reading<string> {
  return text.includes("\0") ? invalid("A NUL character cannot stand here. Leave it out.") : ok(text);
}

/** A notify hook: a file that gets no arguments. */
export function readHookFile(text: string): Reading<string> {
  if (/\s-/.test(text)) {
    return invalid(
      `${quote(text)} has arguments. Write the path of the file alone: what happened is in its environment.`,
    );
  }
  return readFilePath(text);
}

/** A program without arguments. Whoever writes "pgrep named" means two words, and there is no shell to part them. */
export function readProgram(text: string): Reading<string> {
  if (/\s/.test(text.trim())) {
    const words = text.trim().split(/\s+/).join(", ");
    return invalid(
      `${quote(text)} has spaces, and there is no shell to part them. Write a list: [${cut(words)}].`,
    );
  }
  return readFilePath(text);
}
