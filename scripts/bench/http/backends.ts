// What stands behind the proxies: one nginx that listens on two ports, because it costs the least, and an echo of
// WebSocket messages on two more. They share the core of the clients, so that the proxy has one to itself.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CASES } from "./cases.ts";
import { startNginx } from "./nginx.ts";
import { type Site, freePort } from "./site.ts";

export interface Backends {
  readonly web: readonly number[];
  readonly echo: readonly number[];
}

/** What /seen answers: what a backend was told, in this order, one a line. */
export const SEEN = [
  "$server_port",
  "$connection_requests",
  "$http_x_forwarded_for",
  "$http_x_forwarded_proto",
  "$http_x_forwarded_host",
  "$http_x_real_ip",
  "$http_forwarded",
];

export async function startBackends(site: Site): Promise<Backends> {
  const backends = {
    web: [await freePort(), await freePort()],
    echo: [await freePort(), await freePort()],
  };
  const folder = join(site.folder, "www");
  mkdirSync(folder, { mode: 0o755 });
  for (const { path, answer } of CASES) writeFileSync(join(folder, path), answer);
  startNginx(site, "backend", site.loadCpu, renderConfig(folder, backends.web));
  const echo = new URL("echo.ts", import.meta.url).pathname;
  site.start("echo", site.loadCpu, [process.execPath, echo, ...backends.echo.map(String)]);
  for (const port of backends.web) await site.untilOpen("backend", port);
  for (const port of backends.echo) await site.untilOpen("echo", port);
  return backends;
}

function renderConfig(folder: string, ports: readonly number[]): string {
  return `
  access_log off;
  sendfile on;
  default_type text/plain;
  keepalive_requests 1000000000;
  server {
${ports.map((port) => `    listen 127.0.0.1:${String(port)};`).join("\n")}
    root ${folder};
    location = /small { return 200 "hello, world\\n"; }
    location = /posted { return 200 "hello, world\\n"; }
    location = /seen { return 200 "${SEEN.join("\\n")}"; }
    # Tells the body that came: nginx reads it when it passes it on.
    location = /posted/seen {
      proxy_pass http://127.0.0.1:${String(ports[0])}/small;
      add_header X-Body $request_body;
    }
    # Server-side includes have no length beforehand: that makes nginx send chunks.
    location = /chunked { ssi on; ssi_types *; sendfile off; output_buffers 1 4k; }
  }
`;
}
