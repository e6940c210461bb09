// The error pages of a configuration with what stands in their files. Apart from the configuration, which is a text
// and looks at no disk, and from the workers, which may not read what root can.

import { resolve } from "node:path";
import type { Config } from "../config/config.ts";
import type { Mistake } from "../config/mistake.ts";
import { OWN_BODY_BYTES_MAX } from "../config/route-values.ts";
import type { ErrorPage, ErrorPages } from "../protocol/worker.ts";
import { readPageFile } from "../system/page-file.ts";

/** Every page of every listener, and what is wrong with the files. `directory`: relative files stand there. */
export function readErrorPages(
  { listeners }: Config,
  directory: string,
): { readonly pages: ErrorPages; readonly mistakes: readonly Mistake[] } {
  const pages = new Map<string, ReadonlyMap<string, ErrorPage>>();
  const mistakes: Mistake[] = [];
  for (const [index, { name, errorPages }] of listeners.entries()) {
    const own = new Map<string, ErrorPage>();
    for (const [status, { contentType, source }] of Object.entries(errorPages)) {
      if (source.kind === "text") {
        own.set(status, { contentType, body: source.body });
        continue;
      }
      const file = readPageFile(resolve(directory, source.file), { bytesMax: OWN_BODY_BYTES_MAX });
      if (file.kind === "read") own.set(status, { contentType, body: file.text });
      else
        mistakes.push({
          path: ["listeners", index, "errorPages", status],
          at: "value",
          message: file.problem,
        });
    }
    if (own.size > 0) pages.set(name, own);
  }
  return { pages, mistakes };
}
