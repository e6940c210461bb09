// generate.ts FOLDER: the manual page and the completions of bash and zsh, made of the commands as the program itself has them.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandTree } from "../../src/cli/program.ts";
import { formatBashCompletion, formatZshCompletion } from "./completion.ts";
import { formatManual } from "./manual.ts";

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error("usage: generate.ts FOLDER");
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const tree = commandTree();
writeFileSync(join(folder, "vipair.8"), formatManual(tree));
writeFileSync(join(folder, "vipair.bash"), formatBashCompletion(tree));
writeFileSync(join(folder, "_vipair"), formatZshCompletion(tree));
