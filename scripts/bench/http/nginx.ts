// What the nginx of the backends and the nginx that is compared have in common: one process in the foreground, which
// ends with SIGTERM and writes nothing outside of the run's folder.

import type { ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Site } from "./site.ts";

const TEMPORARY_FILES = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
  .map((kind) => `  ${kind}_temp_path ${kind}_temp;`)
  .join("\n");

/** `http`: the directives of its http block. */
export function startNginx(site: Site, name: string, cpu: number, http: string): ChildProcess {
  const folder = join(site.folder, name);
  mkdirSync(folder);
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `daemon off;
master_process off;
pid nginx.pid;
events { worker_connections 4096; }
http {
${TEMPORARY_FILES}
${http}
}
`,
  );
  return site.start(name, cpu, ["nginx", "-p", folder, "-e", "stderr", "-c", file]);
}
