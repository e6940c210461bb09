// Inputs that are kept: attacks that worked on others, and what the fuzz command has found here. Both are tried as
// they are in every test run, and are the stuff of which new inputs are made.

import { readFileSync, writeFileSync } from "node:fs";

const FILE = new URL("corpus.json", import.meta.url);

export interface Kept {
  /** What it was kept for. */
  readonly why: string;
  /** latin1; the bytes of one connection. */
  readonly bytes: string;
}

export interface Corpus {
  readonly requests: readonly Kept[];
  readonly responses: readonly Kept[];
}

export function readCorpus(): Corpus {
  return JSON.parse(readFileSync(FILE, "utf8")) as Corpus;
}

/** Keeps another input, unless it is there already. */
export function keep(kind: keyof Corpus, kept: Kept): void {
  const corpus = readCorpus();
  if (corpus[kind].some(({ bytes }) => bytes === kept.bytes)) return;
  const grown = { ...corpus, [kind]: [...corpus[kind], kept] };
  writeFileSync(FILE, `${JSON.stringify(grown, null, 2)}\n`);
}
