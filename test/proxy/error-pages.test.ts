// Error pages on the wire: which answers they stand in, and byte by byte how. (Where they come from is in
// test/config/error-page-mistakes.test.ts and test/integration/error-pages.test.ts.)

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { ListenerConfig } from "../../src/config/config.ts";
import type { ErrorPage } from "../../src/protocol/worker.ts";
import {
  LIMITS,
  RawBackend,
  type TestWorker,
  answering,
  askOnce,
  freePort,
  get,
  openClient,
  pool,
  serve,
  workerConfig,
} from "./harness.ts";

const HTML = "text/html; charset=utf-8";
const BUSY = "<h1>Später wieder</h1>\n";

/** A worker that serves a port on which nobody listens, or a backend, with these pages. */
async function serveWith(
  t: TestContext,
  pages: Readonly<Record<string, ErrorPage>>,
  { backend, ...listener }: Partial<ListenerConfig> & { readonly backend?: RawBackend } = {},
): Promise<{
  readonly worker: TestWorker;
  readonly port: number;
  readonly setPages: (pages: Readonly<Record<string, ErrorPage>>) => void;
}> {
  const dead = await freePort();
  const served =
    backend === undefined
      ? await serve(t, { ports: [dead], listener })
      : await serve(t, { backends: [backend], listener });
  const ports = [backend?.port ?? dead];
  const setPages = (next: Readonly<Record<string, ErrorPage>>): void => {
    served.worker.configure({
      ...workerConfig([pool({ ports })], listener),
      errorPages: new Map([["web", new Map(Object.entries(next))]]),
    });
  };
  setPages(pages);
  await served.worker.counters();
  return { ...served, setPages };
}

/** The field lines in lower case, and the body as it came, a character for each byte. */
function parts(answer: string): {
  readonly status: string;
  readonly lines: readonly string[];
  readonly body: string;
} {
  const end = answer.indexOf("\r\n\r\n");
  const [status = "", ...lines] = answer.slice(0, end).split("\r\n");
  return { status, lines: lines.filter((line) => !line.startsWith("Date:")), body: answer.slice(end + 4) };
}

const inBytes = (text: string): string => Buffer.from(text).toString("latin1");

test("a page stands in place of the plain words, with its type and its length in bytes; the other fields stay", async (t) => {
  const { port } = await serveWith(t, { 503: { contentType: HTML, body: BUSY } });
  assert.deepEqual(parts(await askOnce(port, get("/", "Connection: close"))), {
    status: "HTTP/1.1 503 Service Unavailable",
    lines: [
      `Content-Type: ${HTML}`,
      `Content-Length: ${String(BUSY.length + 1)}`,
      "Cache-Control: no-store",
      "Retry-After: 1",
      "Connection: close",
    ],
    body: inBytes(BUSY),
  });
});

test("HEAD gets the fields of the page without its body, and the connection goes on", async (t) => {
  const { port } = await serveWith(t, { 503: { contentType: HTML, body: BUSY } });
  const client = await openClient(t, port);
  client.send(`HEAD / HTTP/1.1\r\nHost: a\r\n\r\n${get("/", "Connection: close")}`);
  const [head = "", next = "", body = "", ...rest] = (await client.endsOrCloses()).split("\r\n\r\n");
  assert.match(head, new RegExp(`\r\nContent-Length: ${String(BUSY.length + 1)}\r\n`));
  assert.match(next, /^HTTP\/1.1 503 /);
  assert.deepEqual([body, ...rest], [inBytes(BUSY)]);
});

test("a status of its own goes before its class; what has neither gets the plain words", async (t) => {
  const { port } = await serveWith(
    t,
    {
      "4xx": { contentType: "text/plain", body: "your fault" },
      404: { contentType: "text/plain", body: "nothing here" },
      "5xx": { contentType: "text/plain", body: "our fault" },
    },
    {
      routes: [
        {
          name: "some",
          match: { paths: [{ kind: "exact", text: "/" }] },
          action: { kind: "pool", pool: "web" },
          rewrite: null,
          mirror: null,
        },
      ],
    },
  );
  assert.equal(parts(await askOnce(port, get("/", "Connection: close"))).body, "our fault");
  assert.equal(parts(await askOnce(port, get("/x", "Connection: close"))).body, "nothing here");
  // Refused before it was a request.
  const bad = parts(await askOnce(port, "GET / HTTP/1.1\r\n\r\n"));
  assert.deepEqual([bad.status, bad.body], ["HTTP/1.1 400 Bad Request", "your fault"]);
  const plain = await serveWith(t, { 404: { contentType: "text/plain", body: "nothing here" } });
  assert.equal(
    parts(await askOnce(plain.port, get("/", "Connection: close"))).body,
    "503 Service Unavailable\n",
  );
});

test("nothing of the request gets into a page", async (t) => {
  const page = { contentType: HTML, body: "${request.path} {{path}} %s $1" };
  const { port } = await serveWith(t, { 503: page });
  assert.equal(parts(await askOnce(port, get("/<script>", "Connection: close"))).body, page.body);
});

test("an answer of a backend or of a route passes as it is", async (t) => {
  const backend = answering("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nmine");
  const page = { contentType: HTML, body: BUSY };
  const { port } = await serveWith(
    t,
    { 503: page, "5xx": page },
    {
      backend,
      routes: [
        {
          name: "fixed",
          match: { paths: [{ kind: "exact", text: "/fixed" }] },
          action: { kind: "respond", status: 503, body: "fixed", contentType: "text/plain" },
          rewrite: null,
          mirror: null,
        },
        { name: "rest", match: {}, action: { kind: "pool", pool: "web" }, rewrite: null, mirror: null },
      ],
    },
  );
  assert.equal(parts(await askOnce(port, get("/", "Connection: close"))).body, "mine");
  assert.equal(parts(await askOnce(port, get("/fixed", "Connection: close"))).body, "fixed");
});

test("a connection that a limit turns away is told with the page", async (t) => {
  const { port } = await serveWith(
    t,
    { 429: { contentType: "text/plain", body: "not so many" } },
    { limits: { ...LIMITS, connectionsPerAddress: 1 }, backend: new RawBackend() },
  );
  await openClient(t, port);
  const { status, body } = parts(await askOnce(port, get("/")));
  assert.deepEqual([status, body], ["HTTP/1.1 429 Too Many Requests", "not so many"]);
});

test("a page of 64 KiB arrives whole, pipelined too; a reload replaces it and takes it away", async (t) => {
  const body = "ä".repeat(32 * 1024);
  const { worker, port, setPages } = await serveWith(t, { 503: { contentType: HTML, body } });
  const client = await openClient(t, port);
  client.send(get("/").repeat(20) + get("/", "Connection: close"));
  const answers = (await client.endsOrCloses()).split("HTTP/1.1 503 Service Unavailable\r\n").slice(1);
  assert.equal(answers.length, 21);
  for (const answer of answers) assert.ok(answer.endsWith(`\r\n\r\n${inBytes(body)}`));
  for (const [pages, expected] of [
    [{ 503: { contentType: HTML, body: "new" } }, "new"],
    [{}, "503 Service Unavailable\n"],
  ] as const) {
    setPages(pages);
    await worker.counters();
    assert.equal(parts(await askOnce(port, get("/", "Connection: close"))).body, expected);
  }
});
