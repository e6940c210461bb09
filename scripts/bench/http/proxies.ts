// The proxies that are compared, each with one worker or thread, started with the same features on: two backends in
// turns behind two routes, kept connections on both sides, X-Forwarded-For, -Proto, -Host, X-Real-IP and Forwarded
// set to what the proxy knows, counters, and an access log if asked for, as the product writes it by default.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Backends } from "./backends.ts";
import { startNginx } from "./nginx.ts";
import type { NodeProxyOrder } from "./node-proxy.ts";
import { installPackages, versionOf } from "./packages.ts";
import { type Site, freePort } from "./site.ts";

export interface Proxy {
  readonly name: string;
  readonly port: number;
  /** The processes that serve, now. */
  pids(): readonly number[];
}

interface Start {
  readonly site: Site;
  readonly backends: Backends;
  readonly port: number;
  readonly hasAccessLog: boolean;
}

type Starter = (start: Start) => { readonly pid: number; readonly servesItself: boolean };

const STARTERS = {
  vipair: startVipair,
  HAProxy: startHaproxy,
  nginx: startNginxProxy,
  "http-proxy": (start: Start) => startNode("http-proxy", start),
  "@fastify/http-proxy": (start: Start) => startNode("@fastify/http-proxy", start),
  httpxy: (start: Start) => startNode("httpxy", start),
} satisfies Record<string, Starter>;

export type ProxyName = keyof typeof STARTERS;

export const PROXY_NAMES = Object.keys(STARTERS) as readonly ProxyName[];

export async function startProxy(
  name: ProxyName,
  options: { readonly site: Site; readonly backends: Backends; readonly hasAccessLog: boolean },
): Promise<Proxy> {
  const port = await freePort();
  const { pid, servesItself } = STARTERS[name]({ ...options, port });
  await options.site.untilAnswering(name, port);
  return { name, port, pids: () => (servesItself ? [pid] : childrenOf(pid)) };
}

/** The version that is measured. */
export function describeVersion(name: ProxyName): string {
  switch (name) {
    case "vipair":
      return "this one";
    case "HAProxy":
      return /version (\S+?)-/u.exec(execFileSync("haproxy", ["-v"], { encoding: "utf8" }))?.[1] ?? "";
    case "nginx":
      return (
        /nginx\/(\S+)/u.exec(execFileSync("sh", ["-c", "nginx -v 2>&1"], { encoding: "utf8" }))?.[1] ?? ""
      );
    case "http-proxy":
    case "@fastify/http-proxy":
    case "httpxy":
      return versionOf(name);
  }
}

const VIPAIR = new URL("../../vipair", import.meta.url).pathname;

function startVipair(start: Start): ReturnType<Starter> {
  return runVipair(start, ["{ match: { path: /ws }, pool: echo }", "{ pool: web }"]);
}

/** A vipair with these routes, each as YAML has it on one line; they may lead to the pools web and echo. */
export async function startVipairWith(
  routes: readonly string[],
  { site, backends }: { readonly site: Site; readonly backends: Backends },
): Promise<Proxy> {
  const port = await freePort();
  const { pid } = runVipair({ site, backends, port, hasAccessLog: false }, routes);
  await site.untilAnswering("vipair", port);
  return { name: "vipair", port, pids: () => childrenOf(pid) };
}

function runVipair(
  { site, backends, port, hasAccessLog }: Start,
  routes: readonly string[],
): ReturnType<Starter> {
  const file = join(site.folder, `vipair-${String(port)}.yaml`);
  writeFileSync(
    file,
    `
workers: 1
shutdownGrace: 0ms
logging: { level: warn, access: ${String(hasAccessLog)} }
listeners:
  - name: web
    bind: 127.0.0.1:${String(port)}
    routes:
${routes.map((route) => `      - ${route}`).join("\n")}
pools:
  web:
    backends: [${addresses(backends.web).join(", ")}]
    health: { kind: none }
  echo:
    backends: [${addresses(backends.echo).join(", ")}]
    health: { kind: none }
`,
  );
  const folder = join(site.folder, `vipair-${String(port)}`);
  const child = site.start("vipair", site.proxyCpu, [
    VIPAIR,
    "run",
    "--config",
    file,
    "--runtime-dir",
    folder,
  ]);
  return { pid: child.pid ?? 0, servesItself: false };
}

function startHaproxy({ site, backends, port, hasAccessLog }: Start): ReturnType<Starter> {
  const file = join(site.folder, `haproxy-${String(port)}.cfg`);
  writeFileSync(
    file,
    `
global
  maxconn 4096
  nbthread 1
${hasAccessLog ? "  log stdout format raw local0" : ""}
defaults
  mode http
  timeout client 60s
  timeout server 30s
  timeout connect 2s
  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout tunnel 1h
  option http-keep-alive
  http-reuse always
${hasAccessLog ? "  log global\n  option httplog" : ""}
frontend web
  bind 127.0.0.1:${String(port)}
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Real-IP %[src]
  http-request set-header Forwarded 'for=%[src];host="%[req.hdr(host)]";proto=http'
  use_backend echo if { path_beg /ws }
  default_backend web
backend web
  balance roundrobin
${haproxyServers(backends.web)}
backend echo
  balance roundrobin
${haproxyServers(backends.echo)}
`,
  );
  const child = site.start("HAProxy", site.proxyCpu, ["haproxy", "-db", "-f", file]);
  return { pid: child.pid ?? 0, servesItself: true };
}

function haproxyServers(ports: readonly number[]): string {
  return addresses(ports)
    .map((address, i) => `  server backend${String(i)} ${address}`)
    .join("\n");
}

function startNginxProxy({ site, backends, port, hasAccessLog }: Start): ReturnType<Starter> {
  const name = hasAccessLog ? "nginx-logged" : "nginx";
  const forwarded = `
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header Forwarded 'for=$remote_addr;host="$http_host";proto=$scheme';`;
  const http = `
  access_log ${hasAccessLog ? "access.log" : "off"};
  keepalive_requests 1000000000;
  upstream web { ${nginxServers(backends.web)} keepalive 256; keepalive_requests 1000000000; }
  upstream echo { ${nginxServers(backends.echo)} }
  server {
    listen 127.0.0.1:${String(port)} backlog=1024;
    proxy_http_version 1.1;
    # What a slow client leaves over waits in the backend, not in a file.
    proxy_max_temp_file_size 0;
    location / {
      proxy_pass http://web;
      proxy_set_header Connection "";${forwarded}
    }
    location /ws {
      proxy_pass http://echo;
      proxy_set_header Connection upgrade;
      proxy_set_header Upgrade $http_upgrade;${forwarded}
    }
  }
`;
  const child = startNginx(site, name, site.proxyCpu, http);
  return { pid: child.pid ?? 0, servesItself: true };
}

function nginxServers(ports: readonly number[]): string {
  return addresses(ports)
    .map((address) => `server ${address};`)
    .join(" ");
}

function startNode(
  kind: NodeProxyOrder["kind"],
  { site, backends, port, hasAccessLog }: Start,
): ReturnType<Starter> {
  const logFile = hasAccessLog ? join(site.folder, `node-${String(port)}.log`) : null;
  const order: NodeProxyOrder = { kind, packages: installPackages(), port, ...backends, logFile };
  const script = new URL("node-proxy.ts", import.meta.url).pathname;
  const command = [process.execPath, script, JSON.stringify(order)];
  const child = site.start(kind, site.proxyCpu, command);
  return { pid: child.pid ?? 0, servesItself: true };
}

function addresses(ports: readonly number[]): string[] {
  return ports.map((port) => `127.0.0.1:${String(port)}`);
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "latin1");
  return text.trim().split(" ").map(Number);
}
