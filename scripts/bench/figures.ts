// Figures of benchmarks in docs/performance.md: each script has a place of its own there, between two marks, and writes
// nothing else.

import { readFileSync, writeFileSync } from "node:fs";
import { format } from "prettier";

const PAGE = new URL("../../docs/performance.md", import.meta.url);
const END = "<!-- end of figures -->";

/** Puts Markdown between the marks of a script, such as "scripts/bench/routes.ts". Throws when the page has none. */
export async function writeFigures(script: string, text: string): Promise<void> {
  const page = readFileSync(PAGE, "utf8");
  const mark = `<!-- figures: ${script} -->`;
  const start = page.indexOf(mark);
  const end = page.indexOf(END, start);
  if (start === -1 || end === -1) throw new Error(`docs/performance.md has no "${mark}" before "${END}"`);
  const written = `${page.slice(0, start)}${mark}\n\n${text}\n\n${page.slice(end)}`;
  writeFileSync(PAGE, await format(written, { parser: "markdown", printWidth: 110 }));
}
