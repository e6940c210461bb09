// A process that runs one of the npm proxies as its documentation proposes, with the features that the others have on:
// two backends in turns, kept connections on both sides, forwarded fields, a counter per backend, an access log if
// asked for. Argument: a NodeProxyOrder as JSON.

import { Agent, type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { createRequire } from "node:module";
import type { Socket } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export interface NodeProxyOrder {
  readonly kind: "http-proxy" | "httpxy" | "@fastify/http-proxy";
  /** Where the packages are installed. */
  readonly packages: string;
  readonly port: number;
  readonly web: readonly number[];
  readonly echo: readonly number[];
  /** The access log; null: none. */
  readonly logFile: string | null;
}

type Fields = Record<string, string | readonly string[] | undefined>;
type Options = Readonly<Record<string, unknown>>;

interface Log {
  info(subject: object, text: string): void;
}

interface HttpProxy {
  web(request: IncomingMessage, response: ServerResponse, options: Options): unknown;
  ws(request: IncomingMessage, socket: Socket, a: unknown, b: unknown): unknown;
  on(
    event: "error",
    listener: (error: Error, request: IncomingMessage, response: { destroy(): void }) => void,
  ): void;
}

interface HttpProxyPackage {
  createProxyServer(options: Options): HttpProxy;
}

/** Gives its ports in turns, and counts. */
class Turns {
  readonly counts: number[];
  private readonly ports: readonly number[];
  private turn = 0;

  constructor(ports: readonly number[]) {
    this.ports = ports;
    this.counts = ports.map(() => 0);
  }

  next(): number {
    this.turn = (this.turn + 1) % this.ports.length;
    this.counts[this.turn] = (this.counts[this.turn] ?? 0) + 1;
    return this.ports[this.turn] ?? 0;
  }
}

/** What http-proxy and httpxy do not set by themselves. Their `xfwd` does X-Forwarded-For, -Proto and -Host. */
function addFields(fields: Fields, address: string): void {
  fields["x-real-ip"] = address;
  fields["forwarded"] = `for=${address};host="${String(fields["host"])}";proto=http`;
}

async function runHttpProxy(order: NodeProxyOrder): Promise<void> {
  const library = (await load(order, order.kind)) as HttpProxyPackage;
  const log = order.logFile === null ? null : await createLog(order, order.logFile);
  const proxy = library.createProxyServer({ agent: new Agent({ keepAlive: true }), xfwd: true });
  proxy.on("error", (_error, _request, response) => response.destroy());
  const [web, echo] = [new Turns(order.web), new Turns(order.echo)];
  const server = createServer((request, response) => {
    const turns = request.url?.startsWith("/ws") === true ? echo : web;
    const port = turns.next();
    const address = request.socket.remoteAddress ?? "";
    addFields(request.headers, address);
    if (log !== null) {
      const startedMs = performance.now();
      response.on("finish", () => {
        const durationMs = performance.now() - startedMs;
        const { method, url } = request;
        log.info({ address, method, url, status: response.statusCode, backend: port, durationMs }, "request");
      });
    }
    proxy.web(request, response, { target: { protocol: "http:", host: "127.0.0.1", port } });
  });
  server.on("upgrade", (request, socket, head) => {
    addFields(request.headers, request.socket.remoteAddress ?? "");
    const options = { target: { protocol: "http:", host: "127.0.0.1", port: echo.next() } };
    if (order.kind === "httpxy") proxy.ws(request, socket as Socket, options, head);
    else proxy.ws(request, socket as Socket, head, options);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(order.port, "127.0.0.1");
}

interface FastifyRequest {
  readonly ip: string;
  readonly headers: Fields;
}

interface FastifyApp {
  register(plugin: unknown, options: Options): void;
  listen(options: Options): Promise<string>;
}

function rewriteRequestHeaders({ ip, headers }: FastifyRequest, fields: Fields): Fields {
  const all: Fields = {
    ...fields,
    host: headers["host"],
    "x-forwarded-for": ip,
    "x-forwarded-proto": "http",
    "x-forwarded-host": headers["host"],
  };
  addFields(all, ip);
  return all;
}

/** It passes on what the backend says of its own connection, and clients would believe it. */
function rewriteHeaders(fields: Fields): Fields {
  const own = new Set(["connection", "keep-alive"]);
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !own.has(name)));
}

async function runFastify(order: NodeProxyOrder): Promise<void> {
  const fastify = (await load(order, "fastify")) as (options: Options) => FastifyApp;
  const plugin = await load(order, order.kind);
  const app = fastify({
    logger: order.logFile === null ? false : { level: "info", file: order.logFile },
    keepAliveTimeout: 60_000,
  });
  const [web, echo] = [new Turns(order.web), new Turns(order.echo)];
  app.register(plugin, {
    upstream: "",
    prefix: "/",
    disableRequestLogging: true,
    replyOptions: {
      getUpstream: () => `http://127.0.0.1:${String(web.next())}`,
      rewriteRequestHeaders,
      rewriteHeaders,
    },
  });
  app.register(plugin, {
    upstream: "",
    prefix: "/ws",
    rewritePrefix: "/ws",
    websocket: true,
    replyOptions: {
      getUpstream: () => `http://127.0.0.1:${String(echo.next())}`,
      rewriteRequestHeaders,
      rewriteHeaders,
    },
  });
  await app.listen({ port: order.port, host: "127.0.0.1" });
}

async function createLog(order: NodeProxyOrder, file: string): Promise<Log> {
  const pino = (await load(order, "pino")) as ((options: Options, stream: unknown) => Log) & {
    destination(options: Options): unknown;
  };
  return pino({}, pino.destination({ dest: file, sync: false }));
}

async function load(order: NodeProxyOrder, name: string): Promise<unknown> {
  const from = pathToFileURL(join(order.packages, "package.json"));
  const file = name === "httpxy" ? "./node_modules/httpxy/dist/index.mjs" : createRequire(from).resolve(name);
  const loaded = (await import(new URL(file, from).href)) as { default?: unknown };
  return loaded.default ?? loaded;
}

const order = JSON.parse(process.argv[2] ?? "") as NodeProxyOrder;
if (order.kind === "@fastify/http-proxy") await runFastify(order);
else await runHttpProxy(order);
