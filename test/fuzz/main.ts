// `npm run fuzz -- --seconds N [--seed S]`: tries new messages until the time is up. What breaks a property is made as
// small as it gets, shown with the seed that finds it again, and kept in the corpus.

import { parseArgs } from "node:util";
import * as fc from "fast-check";
import { type Corpus, keep, readCorpus } from "./corpus.ts";
import { requestCases, responseCases } from "./messages.ts";
import { type RequestCase, checkRequests, checkResponse } from "./properties.ts";

const RUNS_PER_ROUND = 500;

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "30" }, seed: { type: "string" } },
});
const seconds = Number(values.seconds);
if (!(seconds > 0)) {
  console.error(`--seconds ${values.seconds}: write a number above 0, such as 30`);
  process.exit(2);
}

let seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const end = performance.now() + seconds * 1000;
const corpus = readCorpus();
const counts = { tried: 0, accepted: 0 };

async function round<T extends RequestCase>(
  kind: keyof Corpus,
  cases: fc.Arbitrary<T>,
  check: (input: T) => Promise<number>,
): Promise<boolean> {
  const property = fc.asyncProperty(cases, async (input) => {
    counts.tried += 1;
    counts.accepted += (await check(input)) > 0 ? 1 : 0;
  });
  const result = await fc.check(property, { seed, numRuns: RUNS_PER_ROUND });
  if (!result.failed) return true;
  const [smallest] = result.counterexample ?? [];
  const why = result.errorInstance instanceof Error ? result.errorInstance.message : "";
  console.error(
    `${kind}: ${JSON.stringify(smallest)}\n${why}\nagain: npm run fuzz -- --seed ${String(seed)}`,
  );
  if (smallest !== undefined) keep(kind, { why: why.split("\n")[0] ?? "", bytes: smallest.input });
  return false;
}

let isGood = true;
while (isGood && performance.now() < end) {
  isGood = await round("requests", requestCases(corpus.requests.map(({ bytes }) => bytes)), checkRequests);
  isGood &&= await round(
    "responses",
    responseCases(corpus.responses.map(({ bytes }) => bytes)),
    checkResponse,
  );
  seed += 1;
}
console.log(
  `${String(counts.tried)} inputs, ${String(counts.accepted)} of them accepted, ${isGood ? "none" : "one"} bad`,
);
if (!isGood) process.exitCode = 1;
