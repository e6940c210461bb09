// Any bytes, judged by vipair and by Node's parser: the kept corpus, and some seconds of new inputs. `npm run fuzz` goes on
// for as long as one likes.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { readCorpus } from "./corpus.ts";
import { requestCases, responseCases } from "./messages.ts";
import { checkRequests, checkResponse } from "./properties.ts";

const SECONDS = 3;
const corpus = readCorpus();

describe("the kept corpus", () => {
  for (const { why, bytes } of corpus.requests) {
    test(`request: ${why}`, async () => {
      await checkRequests({ input: bytes, splits: [] });
      await checkRequests({ input: bytes, splits: Array.from(bytes, (_, i) => i + 1) });
    });
  }
  for (const { why, bytes } of corpus.responses) {
    test(`response: ${why}`, async () => {
      for (const method of ["GET", "HEAD"] as const) {
        for (const minor of [0, 1] as const) {
          await checkResponse({ input: bytes, splits: [], method, minor });
          await checkResponse({ input: bytes, splits: Array.from(bytes, (_, i) => i + 1), method, minor });
        }
      }
    });
  }
});

describe("new inputs", () => {
  const limits = { numRuns: 100_000, interruptAfterTimeLimit: SECONDS * 1000 };

  test("requests: accepted and forwarded is what llhttp reads as the same messages", async () => {
    let accepted = 0;
    const cases = requestCases(corpus.requests.map(({ bytes }) => bytes));
    const property = fc.asyncProperty(cases, async (input) => {
      accepted += await checkRequests(input);
    });
    await fc.assert(property, limits);
    assert.ok(accepted > 50, `only ${String(accepted)} were accepted`);
  });

  test("responses: accepted and forwarded is what llhttp reads as the same messages", async () => {
    let accepted = 0;
    const cases = responseCases(corpus.responses.map(({ bytes }) => bytes));
    const property = fc.asyncProperty(cases, async (input) => {
      accepted += await checkResponse(input);
    });
    await fc.assert(property, limits);
    assert.ok(accepted > 50, `only ${String(accepted)} were accepted`);
  });
});
