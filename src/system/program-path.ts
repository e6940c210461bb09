// Where a program that an operator named is: a bare name in PATH, as in a shell; anything with a slash
// relative to the file that names it.

import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

/** Absolute path. A bare name that PATH does not have is taken for a file of `directory`, for the message's sake. */
export function findProgram(name: string, directory: string): string {
  if (name.includes("/")) return resolve(directory, name);
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder.startsWith("/"));
  return folders.map((folder) => join(folder, name)).find(isProgram) ?? resolve(directory, name);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
