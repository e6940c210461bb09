// `vipair probe` as a person runs it: a process of its own, its output, its exit status.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { startBackend, type Backend } from "../support/backend.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const LAUNCHER = join(import.meta.dirname, "../../scripts/vipair");
const FIXTURES = join(import.meta.dirname, "fixtures");
/** In the certificate, too. */
const HOST = "127.0.78.1";
const WITHIN_MS = 15_000;
/** Where a test counts outages: a busy machine that does not answer for a while is none (and 2 s is the most at 10 ms). */
const PATIENT = "2s";
/** What stands for the escape character in the output that a test looks at. */
const ESCAPE = "␛";

class ProbeRun {
  readonly child: ChildProcess;
  output = "";
  errors = "";

  constructor(
    t: TestContext,
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
    child.stdout.on("data", (bytes: Buffer) => (this.output += bytes.toString().replaceAll("\x1b", ESCAPE)));
    child.stderr.on("data", (bytes: Buffer) => (this.errors += bytes.toString()));
    this.child = child;
    t.after(() => child.kill("SIGKILL"));
  }

  async says(pattern: RegExp): Promise<void> {
    await waitUntil(() => pattern.test(this.output), {
      what: `${String(pattern)} in the output`,
      withinMs: WITHIN_MS,
    });
  }

  async exit(): Promise<number | null> {
    const { exitCode } = this.child;
    if (exitCode !== null) return exitCode;
    const [code] = (await once(this.child, "close", { signal: AbortSignal.timeout(WITHIN_MS) })) as [
      number | null,
    ];
    return code;
  }
}

function probe(t: TestContext, ...args: string[]): ProbeRun {
  return new ProbeRun(t, LAUNCHER, ["probe", ...args]);
}

async function backendAt(t: TestContext, port = 0): Promise<Backend> {
  const backend = await startBackend({ name: "one", host: HOST, port });
  t.after(() => backend.close().catch(() => undefined));
  return backend;
}

function urlOf({ port }: { readonly port: number }): string {
  return `http://${HOST}:${String(port)}/`;
}

async function portOf(t: TestContext, server: Server, host = HOST): Promise<number> {
  server.listen(0, host);
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test("a service that dies and returns is one outage, told when it is over and in the report", async (t) => {
  const first = await backendAt(t);
  const run = probe(t, urlOf(first), "--timeout", PATIENT);
  await run.says(/ up {4}[1-9]\d* requests {2}0 failed/);
  const stopwatch = new Stopwatch(t);
  const diedAtMs = performance.now();
  await first.close();
  await run.says(/ DOWN .*away for/);
  await backendAt(t, first.port);
  const awayMs = performance.now() - diedAtMs;
  const told =
    /^outage 1: began \d\d:\d\d:\d\d\.\d{3}, lasted (\d+) ms, (\d+) requests failed \(.*\d+ refused.*\)$/m;
  await run.says(told);
  run.child.kill("SIGINT");
  assert.equal(await run.exit(), 1);

  const [line = "", lasted, failed] = told.exec(run.output) ?? [];
  t.diagnostic(`${String(lasted)} ms for ${String(awayMs)} ms`);
  stopwatch.assertBelow(150, Math.abs(Number(lasted) - awayMs));
  assert.equal(run.output.split(line).length - 1, 2, "once when it was over, once in the report");
  assert.match(run.output, /^1 outage, the longest \d+ ms$/m);
  assert.match(
    run.output,
    new RegExp(
      `^whole run: \\d+ ms, \\d+ requests, ${String(failed)} failed, availability \\d+\\.\\d{3} %$`,
      "m",
    ),
  );
  assert.match(run.output, /^latency of good requests: p50 \S+ ms, p90 \S+ ms, p99 \S+ ms, max \S+ ms$/m);
  assert.ok(!run.output.includes(ESCAPE), "no control codes in a pipe");
  assert.equal(run.errors, "");
});

test("a run without a failed request ends with 0, and --for ends it", async (t) => {
  const backend = await backendAt(t);
  const run = probe(t, urlOf(backend), "--for", "300ms", "--interval", "5ms");
  assert.equal(await run.exit(), 0);
  assert.match(
    run.output,
    new RegExp(`^asking ${urlOf(backend)} at ${HOST}:${String(backend.port)}: .*each 5 ms`),
  );
  assert.match(run.output, /^no outage\nwhole run: .* 0 failed, availability 100\.000 %$/m);
});

test("--json is one object and nothing else", async (t) => {
  const backend = await backendAt(t);
  const run = probe(t, `${urlOf(backend)}health?x=1`, "--for", "200ms", "--json");
  assert.equal(await run.exit(), 0);
  const report = JSON.parse(run.output) as Record<string, unknown>;
  assert.equal(report["url"], `${urlOf(backend)}health?x=1`);
  assert.equal(report["availabilityPercent"], 100);
  assert.deepEqual(report["outages"], []);
  assert.deepEqual(report["outcomes"], { ok: report["total"] });
  assert.ok(Math.abs(Date.parse(String(report["startedAt"])) - Date.now()) < 60_000);
});

test("a status of 400 and above is a failure, and the report names it", async (t) => {
  const server = createHttpServer((_, response) => response.writeHead(404).end());
  const run = probe(t, `http://${HOST}:${String(await portOf(t, server))}/`, "--for", "200ms");
  assert.equal(await run.exit(), 1);
  assert.match(
    run.output,
    /\(\d+ answered with an error\)\n[^]*^latency: nothing ever answered\nlast problem: HTTP status 404$/m,
  );
});

test("a name is resolved once and shown with its address; the request asks for the name", async (t) => {
  let host: string | undefined;
  const server = createHttpServer((request, response) => {
    host = request.headers.host;
    response.end("ok");
  });
  const port = String(await portOf(t, server, "localhost"));
  const run = probe(t, `http://localhost:${port}/`, "--for", "100ms");
  assert.equal(await run.exit(), 0, run.output);
  assert.match(run.output, new RegExp(`at (127\\.0\\.0\\.1|\\[::1\\]):${port}: `));
  assert.equal(host, `localhost:${port}`);
});

test("an IPv6 address is asked, with the host that --host names", async (t) => {
  let host: string | undefined;
  const server = createHttpServer((request, response) => {
    host = request.headers.host;
    response.end("ok");
  });
  const listening = portOf(t, server, "::1");
  const port = await listening.catch(() => null);
  if (port === null) {
    t.skip("this machine has no IPv6 loopback");
    return;
  }
  const run = probe(t, `http://[::1]:${String(port)}/`, "--for", "100ms", "--host", "www.example.lan");
  assert.equal(await run.exit(), 0, run.output);
  assert.equal(host, "www.example.lan");
});

test("https: a self-signed certificate fails unless it is trusted or --insecure is given", async (t) => {
  const [key, cert] = ["self-signed-key.pem", "self-signed.pem"].map((name) =>
    readFileSync(join(FIXTURES, name)),
  );
  const server = createHttpsServer({ key, cert }, (_, response) => response.end("ok"));
  const url = `https://${HOST}:${String(await portOf(t, server))}/`;
  const common = ["probe", url, "--for", "300ms", "--interval", "50ms"];
  const trusting = { NODE_EXTRA_CA_CERTS: join(FIXTURES, "self-signed.pem") };
  const [strict, insecure, trusted, named, misnamed] = [
    new ProbeRun(t, LAUNCHER, common),
    new ProbeRun(t, LAUNCHER, [...common, "--insecure"]),
    new ProbeRun(t, LAUNCHER, common, trusting),
    new ProbeRun(t, LAUNCHER, [...common, "--host", "probe.example"], trusting),
    new ProbeRun(t, LAUNCHER, [...common, "--host", "other.example"], trusting),
  ];
  assert.equal(await strict.exit(), 1);
  assert.match(
    strict.output,
    /\(\d+ failed in the TLS handshake\)[^]*^last problem: self-signed certificate\n.*--insecure\.$/m,
  );
  for (const run of [insecure, trusted, named]) assert.equal(await run.exit(), 0, run.output);
  assert.equal(await misnamed.exit(), 1);
  assert.match(misnamed.output, /last problem: .*does not match/);
});

for (const [story, args, complaint] of [
  ["no URL", [], /missing required argument 'url'/],
  [
    "an address without a scheme",
    ["192.168.1.50"],
    /"192\.168\.1\.50" is not a URL\. Write http:\/\/192\.168\.1\.50/,
  ],
  [
    "a scheme with a slash too few",
    ["http:/127.0.78.1/x"],
    /"http:\/127\.0\.78\.1\/x" is not a URL\. Write http:\/\/127\.0\.78\.1\/x$/m,
  ],
  ["words", ["my router"], /"my router" is not a URL\. Write for example http:\/\/192\.168\.1\.50:8080\/$/m],
  [
    "another scheme",
    ["ftp://127.0.78.1/"],
    /: "ftp:\/\/127\.0\.78\.1\/" cannot be asked: only http:\/\/ and https:\/\/ can$/m,
  ],
  ["an impossible port", ["http://127.0.78.1:99999/"], /is not a URL/],
  [
    "a duration without a unit",
    ["http://127.0.78.1/", "--interval", "10"],
    /Write a whole number and a unit/,
  ],
  ["an interval that is too short", ["http://127.0.78.1/", "--interval", "1ms"], /From 5ms to 1m/],
  [
    "too many requests at a time",
    ["http://127.0.78.1/", "--timeout", "10s"],
    /up to 1000 requests .* 200 is the limit/,
  ],
  ["a host that is none", ["http://127.0.78.1/", "--host", "a\r\nX: y"], /is not a host name/],
] as const) {
  test(`${story} is a bad command line: 2, and what to write instead`, async (t) => {
    const run = probe(t, ...args);
    assert.equal(await run.exit(), 2);
    assert.equal(run.output, "");
    assert.match(run.errors, complaint);
  });
}

test("a name that nobody knows is told, and ends with 1", async (t) => {
  const run = probe(t, "http://vipair.invalid/");
  assert.equal(await run.exit(), 1);
  assert.match(run.errors, /^vipair: vipair\.invalid cannot be resolved/);
});

test("help says what an outage is", async (t) => {
  const run = probe(t, "--help");
  assert.equal(await run.exit(), 0);
  assert.match(run.output, /An outage lasts from the start of the first request that failed/);
});

test("it ends when nobody reads what it prints", async (t) => {
  const backend = await backendAt(t);
  const run = probe(t, urlOf(backend));
  await run.says(/^asking/);
  run.child.stdout?.destroy();
  assert.equal(await run.exit(), 0);
  assert.equal(run.errors, "");
});

const noTerminal = spawnSync("script", ["--version"]).status !== 0 && "script(1) is not installed";

test(
  "on a screen one line is rewritten in place, and Ctrl-C ends with the report",
  { skip: noTerminal },
  async (t) => {
    const backend = await backendAt(t);
    // script(1) gives it a pseudo-terminal; a narrow one, in which the line must not wrap. It runs the command in $SHELL; a
    // shell that stayed would get the Ctrl-C too, and some die of it instead of waiting for the status of the probe.
    const command = `stty cols 60; exec ${LAUNCHER} probe --timeout ${PATIENT} ${urlOf(backend)}`;
    const run = new ProbeRun(t, "script", ["-qec", command, "/dev/null"], { SHELL: "/bin/sh" });
    const live = /\r␛\[K(\d\d:\d\d:\d\d {2}up[^\r\n]*)(?=\r␛\[K)/gu;
    await waitUntil(() => (run.output.match(live)?.length ?? 0) >= 3, {
      what: "three live lines",
      withinMs: WITHIN_MS,
    });
    for (const [, line = ""] of run.output.matchAll(live)) assert.ok(line.length < 60, line);
    await backend.close();
    await run.says(/DOWN/);
    await backendAt(t, backend.port);
    await run.says(/\r␛\[Koutage 1: began .*\r\n/u);
    run.child.stdin?.write("\x03");
    assert.equal(await run.exit(), 1);
    assert.match(run.output, /\r␛\[Koutage 1: began [^]*1 outage, the longest \d+ ms\r\nwhole run: /u);
  },
);
