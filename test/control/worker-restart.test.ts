import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { Workers } from "../../src/control/workers.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import type { Log } from "../../src/system/log.ts";
import { startBackend } from "../support/backend.ts";
import { waitUntil } from "../support/wait-until.ts";

// The real worker of the proxy: what an outage of one costs when it is the only one.

const HOST = "127.30.0.3";
test("the only worker, killed, answers requests again within 300 ms", async (t) => {
  const backend = await startBackend({ name: "one", host: HOST, port: 0 });
  t.after(async () => backend.close());
  const port = await freePort();
  const parsed = parseConfig(
    `
listeners:
  - { name: web, bind: "${HOST}:${String(port)}", protocol: http, routes: [{ pool: web }] }
pools:
  web:
    backends: ["${HOST}:${String(backend.port)}"]
    health: { kind: none }
`,
    "test.yaml",
  );
  assert.ok(parsed.kind === "config", JSON.stringify(parsed));
  const { listeners, pools } = parsed.config;
  let spares = 0;
  const log: Log = {
    debug: (_subject, event) => (spares += event === "spare worker ready" ? 1 : 0),
    info: () => {},
    warn: () => {},
    error: () => {},
  };
  const workers = new Workers({
    count: 1,
    log,
    clock: monotonicClock,
    readHealth: () => ({}),
    onBackendFailure: () => {},
    onFailureRow: () => {},
    onFault: () => {},
    onRecovered: () => {},
  });
  t.after(() => {
    workers.killAll();
  });
  workers.configure({
    node: "pi-a",
    errorPages: new Map(),
    listeners,
    pools,
    logLevel: "error",
    workers: 1,
    accessLog: null,
    stickyKey: new Uint8Array(32),
  });
  await workers.start();
  assert.deepEqual(await workers.open("web", [{ host: HOST, port }]), { kind: "open" });
  assert.match(await get(port), /^HTTP\/1\.1 200 .*one\n$/s);

  const outages: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    await waitUntil(() => spares === round + 1, { what: "a spare worker", withinMs: 10_000 });
    const [victim] = workers.status();
    assert.ok(victim !== undefined);
    const killed = performance.now();
    process.kill(victim.pid, "SIGKILL");
    await waitUntil(async () => (await get(port)).startsWith("HTTP/1.1 200"), {
      what: "an answer",
      withinMs: 10_000,
      everyMs: 2,
    });
    outages.push(performance.now() - killed);
  }
  t.diagnostic(`outages: ${outages.map((ms) => ms.toFixed(0)).join(", ")} ms`);
  // The median: a busy machine may delay one, a slow start delays all.
  assert.ok((outages.toSorted((a, b) => a - b)[1] ?? 0) < 300);
  assert.equal((await workers.report({ timeoutMs: 1_000 })).requests >= 1, true);
});

/** Everything that came back for one GET on a new connection; "" when it was refused or reset. */
async function get(port: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ host: HOST, port });
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => (answer += bytes.toString("latin1")));
    socket.on("close", () => {
      resolve(answer);
    });
    socket.write("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: HOST, port: 0 }, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
