// What can be configured of error pages. Part of listener-schema.ts.

import { z } from "zod";
import type { ErrorPageConfig } from "./error-page-config.ts";
import { either, section, text } from "./fields.ts";
import { readFilePath } from "./file-values.ts";
import { invalid, ok, quote } from "./reading.ts";
import type { Reading } from "./reading.ts";
import { readMediaType, readOwnBody } from "./route-values.ts";

/** By the ending of a file's name. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  htm: "text/html; charset=utf-8",
  txt: "text/plain; charset=utf-8",
  json: "application/json",
  xml: "application/xml",
};
const STATUS_OR_CLASS = /^[45](?:\d\d|xx)$/;

function readPageFile(written: string): Reading<ErrorPageConfig> {
  const file = readFilePath(written);
  if (file.kind === "invalid") return file;
  const ending = /\.([^./]+)$/.exec(written)?.[1]?.toLowerCase() ?? "";
  const contentType = Object.hasOwn(CONTENT_TYPES, ending) ? CONTENT_TYPES[ending] : undefined;
  if (contentType !== undefined) return ok({ contentType, source: { kind: "file", file: written } });
  return invalid(
    `The name of ${quote(written)} does not say what the page is. Use one that ends in .html, .htm, .txt, .json or .xml.`,
  );
}

const page = either(
  text({ title: "path of a file", write: "the path of a page, such as 503.html", read: readPageFile }),
  section({
    body: text({ title: "text", write: "a text", read: readOwnBody }).describe("The page, in UTF-8."),
    contentType: text({
      title: "media type",
      write: "a media type, such as text/html",
      read: readMediaType,
    })
      .prefault("text/plain; charset=utf-8")
      .describe("What the page is."),
  })
    .meta({ title: "map with a body" })
    .transform(({ body, contentType }): ErrorPageConfig => ({ contentType, source: { kind: "text", body } })),
  { write: "the path of a page, such as 503.html, or a map with a body" },
).meta({ title: "path of a file, or a map, see below" });

export const errorPages = z
  .record(
    z
      .string()
      .check(
        z.regex(STATUS_OR_CLASS, {
          error: ({ input }) =>
            `${quote(String(input))} is not a status of an error. Use 400 to 599, 4xx or 5xx.`,
        }),
      )
      .meta({ title: "STATUS" }),
    page,
    { error: () => "Write a map of pages, each under its status, such as { 503: 503.html }." },
  )
  .meta({ title: "map of pages by status, see below" });
