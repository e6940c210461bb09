// `vipair route`: what it says of a request, and of a question that makes no sense.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { runCommandLine } from "../../src/cli/program.ts";

const CONFIG = `\
listeners:
  - name: web
    bind: 127.0.0.1:80
    routes:
      - { name: login, match: { path: { exact: /login }, method: POST }, pool: a }
      - match: { path: /v1, header: { x-beta-user: "*" } }
        split: { pools: { a: 95, b: 5 }, override: { header: x-beta-user, value: me, pool: b } }
        rewrite: { path: /api, request: { remove: [cookie], set: { x-id: "\${request.id}" } } }
      - { match: { host: old.lan }, redirect: { to: "https://\${request.host}\${request.uri}" } }
      - { match: { client: 10.0.0.0/8 }, respond: { status: 403 } }
      - { match: { path: /web }, pool: a }
      - { match: { path: /copied }, pool: a, mirror: { pool: b, share: 10 } }
  - { name: admin, bind: 127.0.0.1:81, pool: b }
pools: { a: { backends: [127.0.0.1:1] }, b: { backends: [127.0.0.1:2] } }
`;

async function ask(t: TestContext, args: readonly string[], config = CONFIG) {
  const folder = mkdtempSync(join(tmpdir(), "vipair-route-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, "vipair.yaml");
  writeFileSync(file, config);
  let out = "";
  let err = "";
  const code = await runCommandLine({
    args: ["route", "--config", file, ...args],
    run: async () => Promise.reject(new Error("not asked for")),
    peerProtocol: 1,
    terminal: { print: (text) => (out += `${text}\n`), complain: (text) => (err += `${text}\n`) },
  });
  return { code, out, err };
}

test("it names the route, why the ones before it are not taken, and what becomes of the request", async (t) => {
  const { code, out } = await ask(t, ["GET http://x.lan/v1/y?z", "-H", "X-Beta-User: me"]);
  assert.equal(
    out,
    "listener web\n" +
      "  login      no: it wants method POST, and the method is GET\n" +
      "  routes[1]  matches\n" +
      "-> pool b, this client's in a 95 : b 5, asked for /api/y?z of host x.lan\n" +
      "  request without  cookie\n" +
      "  request without  x-id\n" +
      "  request with     x-id: (id)\n",
  );
  assert.equal(code, 0);
});

test("it says where copies go", async (t) => {
  const { out } = await ask(t, ["GET http://x.lan/copied"]);
  assert.ok(
    out.endsWith("-> pool a, asked for /copied of host x.lan\n  copied to pool b: 10 % of the requests\n"),
    out,
  );
});

test("it says what the backend is asked for: without dot segments, as a worker asks", async (t) => {
  const { out } = await ask(t, ["GET http://x.lan/web/../web/%2e/a?/../b"]);
  assert.match(out, /\n-> pool a, asked for \/web\/a\?\/\.\.\/b of host x\.lan\n$/);
});

test("redirects and fixed answers are told; a request that no route takes ends with 1", async (t) => {
  assert.match((await ask(t, ["http://old.lan/q?x"])).out, /\n-> 302 to https:\/\/old\.lan\/q\?x\n$/);
  assert.match((await ask(t, ["/", "--client", "10.1.1.1"])).out, /\n-> 403, a fixed answer\n$/);
  const missed = await ask(t, ["/"]);
  assert.match(missed.out, /\n-> 404: no route matches\n$/);
  assert.equal(missed.code, 1);
});

test("the client behind a trusted proxy is the one that it tells of, as in a worker", async (t) => {
  const config = CONFIG.replace(
    "    routes:",
    "    trustedProxies: [192.168.1.7, 2001:db8::/64]\n    routes:",
  );
  const answerTo = async (client: string, ...told: readonly string[]) =>
    (
      await ask(
        t,
        ["/", "--client", client, ...told.flatMap((list) => ["-H", `X-Forwarded-For: ${list}`])],
        config,
      )
    ).out;
  const INSIDE = /\n-> 403, a fixed answer\n$/;
  const OUTSIDE = /\n-> 404: no route matches\n$/;
  assert.match(await answerTo("192.168.1.7", "1.2.3.4, 10.1.1.1"), INSIDE);
  assert.match(await answerTo("2001:db8::9", "10.1.1.1", "192.168.1.7"), INSIDE);
  assert.match(await answerTo("192.168.1.7", "10.1.1.1, 1.2.3.4"), OUTSIDE);
  assert.match(await answerTo("192.168.1.8", "10.1.1.1"), OUTSIDE);
});

test("the listener is the one with the port of the URL, or the one that is named", async (t) => {
  assert.match((await ask(t, ["http://x.lan:81/"])).out, /^listener admin\n/);
  assert.match((await ask(t, ["/web", "--listener", "admin"])).out, /^listener admin\n/);
  const unclear = await ask(t, ["http://x.lan:8080/"]);
  assert.equal(unclear.err, "vipair: Which listener? Add --listener with one of web, admin.\n");
  assert.equal(unclear.code, 2);
});

test("--json is one object", async (t) => {
  const { out } = await ask(t, ["--json", "http://old.lan/"]);
  const explained = JSON.parse(out) as Record<string, unknown>;
  assert.deepEqual(explained["outcome"], { kind: "redirect", status: 302, location: "https://old.lan/" });
});

const UNCLEAR: readonly (readonly [args: readonly string[], complaint: RegExp])[] = [
  [["get /"], /"get" is not a method: methods are capitals\. Use GET\./],
  [["GET / HTTP/1.1"], /Ask for a request, such as/],
  [["ftp://x/"], /"ftp:\/\/x\/" is not an http URL or a path\./],
  [["/", "--client", "300.1.1.1"], /"300\.1\.1\.1" is not an IP address\./],
  [["/", "-H", "nonsense"], /"nonsense" is not a field\. Write it as 'name: value'\./],
  [["/", "--listener", "wob"], /There is no listener "wob", only web, admin\./],
];
for (const [args, complaint] of UNCLEAR) {
  test(`${args.join(" ")}: ${String(complaint)}, and 2`, async (t) => {
    const { code, err } = await ask(t, args);
    assert.match(err, complaint);
    assert.equal(code, 2);
  });
}

test("a file with mistakes is told as by check, and ends with 1", async (t) => {
  const { code, err } = await ask(
    t,
    ["/"],
    CONFIG.replace("pool: a }\n      - match", "pool: wib }\n      - match"),
  );
  assert.match(err, /routes\[0\]\.pool: There is no pool "wib"/);
  assert.equal(code, 1);
});
