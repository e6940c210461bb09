// Each mistake in the error pages of a listener, one a row: the value of the key, and the error for it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ALONE_YAML, changed, expectConfig, errorsOf } from "./pair-yaml.ts";

const listenerWith = (errorPages: string) =>
  changed(ALONE_YAML, ["pool: web }", `pool: web, errorPages: ${errorPages} }`]);

describe("error pages", () => {
  for (const [written, error] of [
    [
      "503.html",
      "2:59  listeners[0].errorPages: Write a map of pages, each under its status, such as { 503: 503.html }.",
    ],
    [
      "{ 200: a.html }",
      '2:61  listeners[0].errorPages.200: "200" is not a status of an error. Use 400 to 599, 4xx or 5xx.',
    ],
    [
      "{ 3xx: a.html }",
      '2:61  listeners[0].errorPages.3xx: "3xx" is not a status of an error. Use 400 to 599, 4xx or 5xx.',
    ],
    [
      "{ 503: a }",
      '2:66  listeners[0].errorPages.503: The name of "a" does not say what the page is. Use one that ends in .html, .htm, .txt, .json or .xml.',
    ],
    [
      "{ 503: /constructor.constructor }",
      '2:66  listeners[0].errorPages.503: The name of "/constructor.constructor" does not say what the page is. Use one that ends in .html, .htm, .txt, .json or .xml.',
    ],
    [
      "{ 503: 12 }",
      "2:66  listeners[0].errorPages.503: 12 is a number. Write the path of a page, such as 503.html, or a map with a body.",
    ],
    ["{ 503: {} }", "2:61  listeners[0].errorPages.503.body: Missing. Write a text."],
    [
      "{ 503: { body: a, contentTyp: text/html } }",
      '2:77  listeners[0].errorPages.503.contentTyp: Unknown key. Did you mean "contentType"?',
    ],
    [
      "{ 503: { body: a, contentType: html } }",
      '2:90  listeners[0].errorPages.503.contentType: "html" is not a media type. Use one, such as text/html or application/json.',
    ],
    [
      `{ 503: { body: "${"a".repeat(65_537)}" } }`,
      "2:74  listeners[0].errorPages.503.body: The text is longer than 64 KiB. Use a backend.",
    ],
  ] as const) {
    test(`${written.slice(0, 60)} → ${error}`, () => {
      assert.deepEqual(errorsOf(listenerWith(written)), [error]);
    });
  }

  test("stand under their status or class, with the type that the file's name or the map says", () => {
    const { listeners } = expectConfig(
      listenerWith(
        "{ 503: down.HTML, 5xx: { body: Sorry }, 404: { body: '{}', contentType: application/json } }",
      ),
    );
    assert.deepEqual(listeners[0]?.errorPages, {
      404: { contentType: "application/json", source: { kind: "text", body: "{}" } },
      503: { contentType: "text/html; charset=utf-8", source: { kind: "file", file: "down.HTML" } },
      "5xx": { contentType: "text/plain; charset=utf-8", source: { kind: "text", body: "Sorry" } },
    });
  });
});
