import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpsServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import type { CheckTls, HttpCheck } from "../../src/config/check-config.ts";
import { httpProber } from "../../src/control/http-probe.ts";
import { accept, HOST, listen, lookOnce, refusedPort, serve, speak } from "./probe-rig.ts";

const CHECK: HttpCheck = {
  kind: "http",
  method: "GET",
  path: "/health",
  expectedStatus: [{ from: 200, to: 399 }],
  expectedHeaders: {},
};

interface Look {
  readonly timeoutMs?: number;
  readonly configDir?: string;
}

async function look(port: number, check: Partial<HttpCheck> = {}, options: Look = {}): Promise<string> {
  const target = { host: HOST, port };
  return lookOnce(
    httpProber(target, { ...CHECK, ...check }, { timeoutMs: 5_000, configDir: "/", ...options }),
  );
}

/** What a backend says whose answer is this page. */
async function lookAtPage(t: TestContext, page: string, check: Partial<HttpCheck>): Promise<string> {
  return look(await serve(t, (_request, response) => response.end(page)), check);
}

const JSON_RULES = {
  healthy: 'status == "healthy"',
  unhealthy: "cpu_usage > 90 or memory_usage > 95",
  degraded: "disk_usage > 90",
  degradedWeightPercent: 50,
};

describe("what is asked", () => {
  test("method, path and host are the check's; its own port is asked, and named in Host", async (t) => {
    const seen: unknown[] = [];
    const port = await serve(t, ({ method, url, headers }, response) => {
      seen.push([method, url, headers.host, headers["user-agent"], headers.connection]);
      response.end();
    });
    const elsewhere = await refusedPort();
    assert.equal(await look(elsewhere, { port, method: "OPTIONS", path: "/a?b" }), "good 200");
    assert.equal(await look(port, { host: "www.example.lan:81" }), "good 200");
    assert.equal(await look(port, { method: "POST" }), "good 200");
    assert.deepEqual(seen, [
      ["OPTIONS", "/a?b", `${HOST}:${String(port)}`, "vipair-health", "close"],
      ["GET", "/health", "www.example.lan:81", "vipair-health", "close"],
      ["POST", "/health", `${HOST}:${String(port)}`, "vipair-health", "close"],
    ]);
  });

  test("a HEAD is answered without a body", async (t) => {
    const port = await serve(t, (_request, response) => response.writeHead(204).end());
    assert.equal(await look(port, { method: "HEAD" }), "good 204");
  });
});

describe("status and header fields", () => {
  for (const [status, ranges, expected] of [
    [204, [{ from: 200, to: 204 }], "good 204"],
    [205, [{ from: 200, to: 204 }], "bad 205: status 205"],
    [
      404,
      [
        { from: 200, to: 200 },
        { from: 404, to: 404 },
      ],
      "good 404",
    ],
    [503, [{ from: 200, to: 399 }], "bad 503: status 503"],
  ] as const) {
    test(`${String(status)} where ${JSON.stringify(ranges)} is expected is ${expected}`, async (t) => {
      const port = await serve(t, (_request, response) => response.writeHead(status).end());
      assert.equal(await look(port, { expectedStatus: ranges }), expected);
    });
  }

  for (const [fields, expected] of [
    [{ "x-ready": null }, "good 200"],
    [{ "x-ready": "yes", "x-twice": "a, b" }, "good 200"],
    [{ "x-ready": "YES" }, 'bad 200: header field x-ready is "yes", not "YES"'],
    [{ "x-ready": "no" }, 'bad 200: header field x-ready is "yes", not "no"'],
    [{ "x-absent": null }, "bad 200: header field x-absent is missing"],
    [{ "set-cookie": "a=1, b=2" }, "good 200"],
  ] as const) {
    test(`an answer of which ${JSON.stringify(fields)} is expected is ${expected}`, async (t) => {
      const port = await serve(t, (_request, response) => {
        response.setHeader("X-Ready", "yes");
        response.setHeader("X-Twice", ["a", "b"]);
        response.setHeader("Set-Cookie", ["a=1", "b=2"]);
        response.end();
      });
      assert.equal(await look(port, { expectedHeaders: fields }), expected);
    });
  }
});

describe("the body", () => {
  for (const [body, expectedBody, expected] of [
    ["all is OK here", { kind: "text", text: "OK" }, "good 200"],
    ["all is ok here", { kind: "text", text: "OK" }, 'bad 200: the body does not contain "OK"'],
    ["", { kind: "text", text: "OK" }, 'bad 200: the body does not contain "OK"'],
    ["für", { kind: "text", text: "ü" }, "good 200"],
    ["a.c", { kind: "text", text: "a.c" }, "good 200"],
    ["abc", { kind: "text", text: "a.c" }, 'bad 200: the body does not contain "a.c"'],
    ["state: ready\n", { kind: "regex", regex: "ready|ok" }, "good 200"],
    ["state: ready\n", { kind: "regex", regex: "^ready" }, 'bad 200: the body does not match "^ready"'],
    [`${"x".repeat(8185)} ready`, { kind: "regex", regex: "ready" }, "good 200"],
    [
      `${"x".repeat(8192)} ready`,
      { kind: "regex", regex: "ready" },
      'bad 200: the body does not match "ready"',
    ],
    ["für", { kind: "regex", regex: "^f.r$" }, "good 200"],
  ] as const) {
    const what = expectedBody.kind === "text" ? expectedBody.text : `/${expectedBody.regex}/`;
    const shown = JSON.stringify(body).replace(/x{100,}/, "… ");
    test(`${shown} where ${what} is expected is ${expected}`, async (t) => {
      assert.equal(await lookAtPage(t, body, { expectedBody }), expected);
    });
  }

  test("an endless body is looked at to 64 KiB and no further", async (t) => {
    let written = 0;
    const port = await serve(t, (_request, response) => {
      const pour = () => {
        while (!response.destroyed && written < 1e9) {
          const chunk = written === 0 ? "ready" : "x".repeat(16_384);
          written += chunk.length;
          if (!response.write(chunk)) {
            response.once("drain", pour);
            return;
          }
        }
      };
      pour();
    });
    assert.equal(await look(port, { expectedBody: { kind: "text", text: "ready" } }), "good 200");
    const missing = { kind: "text", text: "missing" } as const;
    assert.equal(
      await look(port, { expectedBody: missing }),
      'bad 200: the first 64 KiB of the body does not contain "missing"',
    );
    assert.equal(await look(port, { json: JSON_RULES }), "bad 200: the body is too long for JSON to be read");
    assert.equal(await look(port), "good 200");
    assert.ok(written < 1e8, `${String(written)} bytes`);
  });

  test("a text at the border of the 64 KiB is found, one behind it is not", async (t) => {
    const expectedBody = { kind: "text", text: "END" } as const;
    const inside = `${"x".repeat(65_533)}END${"x".repeat(100_000)}`;
    assert.equal(await lookAtPage(t, inside, { expectedBody }), "good 200");
    assert.match(await lookAtPage(t, `x${inside}`, { expectedBody }), /^bad 200: the first 64 KiB/);
  });
});

describe("a page in JSON", () => {
  for (const [page, expected] of [
    ['{"status":"healthy","cpu_usage":1,"memory_usage":1,"disk_usage":1}', "good 200"],
    [
      '{"status":"healthy","cpu_usage":1,"memory_usage":1,"disk_usage":91}',
      "good 200, degraded: disk_usage is 91",
    ],
    ['{"status":"healthy","cpu_usage":91}', "bad 200: unhealthy: cpu_usage is 91"],
    ['{"status":"sick"}', 'bad 200: not healthy: status is "sick"'],
    [
      '{"status":"healthy","cpu_usage":1,"memory_usage":1}',
      "good 200, doubt: degraded: disk_usage is missing",
    ],
    ["", "bad 200: the body is not JSON"],
    ["ok", "bad 200: the body is not JSON"],
    ['{"status":"healthy"', "bad 200: the body is not JSON"],
    ["null", "bad 200: not healthy: status is missing"],
    ['{"__proto__":{"status":"healthy"}}', "bad 200: not healthy: status is missing"],
  ] as const) {
    test(`${page} is ${expected}`, async (t) => {
      assert.equal(await lookAtPage(t, page, { json: JSON_RULES }), expected);
    });
  }

  test("a page as deep as 64 KiB allow is read like any other", async (t) => {
    const deep = `${"[".repeat(32_000)}${"]".repeat(32_000)}`;
    assert.equal(await lookAtPage(t, deep, { json: JSON_RULES }), "bad 200: not healthy: status is missing");
    const maps = `${'{"a":'.repeat(9_000)}1${"}".repeat(9_000)}`;
    assert.equal(await lookAtPage(t, maps, { json: JSON_RULES }), "bad 200: not healthy: status is missing");
  });
});

describe("a backend that does not do what it should", () => {
  for (const [what, bytes, end, expected] of [
    ["garbage", "SSH-2.0-x\r\n\r\n", false, /^bad: /],
    ["a head without an end", `HTTP/1.1 200 OK\r\nx: ${"x".repeat(40_000)}`, false, /^bad: .*[Hh]eader/],
    [
      "a head of many fields",
      `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(10_000)}\r\n`,
      false,
      /^bad: .*[Hh]eader/,
    ],
    [
      "a body that is cut off",
      "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
      true,
      /^bad 200: the response was cut off$/,
    ],
    [
      "a body that never ends",
      "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
      false,
      /^bad: no answer within 150 ms$/,
    ],
    ["a chunk that is none", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", false, /^bad/],
    ["nothing", "", true, /^bad: /],
    [
      "a row of interim responses",
      "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20),
      false,
      /^bad 103: it announces a response, again and again$/,
    ],
    ["a head that never ends", "HTTP/1.1 200 OK\r\n", false, /^bad: no answer within 150 ms$/],
  ] as const) {
    test(`${what} is ${String(expected)}`, async (t) => {
      const port = await speak(t, bytes, { end });
      const check = { expectedBody: { kind: "text", text: "ok" } } as const;
      assert.match(await look(port, check, { timeoutMs: 150 }), expected);
    });
  }

  test("a slow one has failed at the timeout, also while it still talks", async (t) => {
    const port = await serve(t, (_request, response) => {
      const timer = setInterval(() => response.write("x"), 10);
      response.on("close", () => {
        clearInterval(timer);
      });
    });
    assert.equal(await look(port, {}, { timeoutMs: 200 }), "bad: no answer within 200 ms");
  });

  test("nobody there is a refused connection, and a name that does not resolve is said so", async () => {
    assert.equal(await look(await refusedPort()), "bad: connect refused");
    const lost = httpProber({ host: "no-such-name.invalid", port: 1 }, CHECK, {
      timeoutMs: 9_000,
      configDir: "/",
    });
    assert.equal(await lookOnce(lost), "bad: its name does not resolve");
  });

  test("an aborted probe closes its connection", async (t) => {
    const closed = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const port = await accept(t, (socket) => {
      socket.once("data", () => {
        asked.resolve();
      });
      socket.on("close", () => {
        closed.resolve();
      });
    });
    const abort = new AbortController();
    const result = httpProber({ host: HOST, port }, CHECK, { timeoutMs: 60_000, configDir: "/" })(
      abort.signal,
    );
    await asked.promise;
    abort.abort();
    assert.equal((await result).kind, "bad");
    await closed.promise;
  });
});

const fixture = (name: string) => readFileSync(new URL(`../cli/fixtures/${name}`, import.meta.url));

/** A folder of the test's own. */
function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "vipair-ca-"));
  t.after(() => {
    rmSync(path, { recursive: true });
  });
  return path;
}

function https(tls: CheckTls, host?: string): Partial<HttpCheck> {
  return { kind: "https", tls, ...(host === undefined ? {} : { host }) };
}

describe("https", () => {
  const certificate = fixture("self-signed.pem");

  /** A backend whose certificate is self-signed and made out to probe.example; `names` are the SNI it was asked for. */
  async function secure(t: TestContext): Promise<{ port: number; names: (string | false)[] }> {
    const names: (string | false)[] = [];
    const server = createHttpsServer(
      { key: fixture("self-signed-key.pem"), cert: certificate },
      (request, response) => {
        names.push((request.socket as unknown as { servername: string | false }).servername);
        response.end("secure");
      },
    );
    return { port: await listen(t, server), names };
  }

  test("a self-signed certificate is refused unless the check says to take any", async (t) => {
    const { port } = await secure(t);
    assert.equal(await look(port, https({ verify: true })), "bad: its certificate is self-signed");
    assert.equal(await look(port, https({ verify: false })), "good 200");
  });

  test("a certificate is good when `ca` has signed it and it is made out to the name", async (t) => {
    const configDir = folder(t);
    writeFileSync(join(configDir, "ca.pem"), certificate);
    const { port, names } = await secure(t);
    const trust = { verify: true, caFile: "ca.pem" } as const;
    assert.equal(
      await look(port, https({ ...trust, serverName: "probe.example" }), { configDir }),
      "good 200",
    );
    assert.equal(await look(port, https(trust, "probe.example:8443"), { configDir }), "good 200");
    assert.equal(
      await look(port, https({ ...trust, serverName: "other.example" }), { configDir }),
      "bad: its certificate is made out to another name",
    );
    assert.equal(
      await look(port, https(trust), { configDir }),
      "bad: its certificate is made out to another name",
      "127.0.0.1 is not in it",
    );
    assert.deepEqual(names, ["probe.example", "probe.example"]);
  });

  test("without a name the backend's address must be in the certificate", async (t) => {
    const server = createHttpsServer(
      { key: fixture("self-signed-key.pem"), cert: certificate },
      (_, response) => response.end(),
    );
    const host = "127.0.78.1";
    const port = await listen(t, server, 0, host);
    const check = { ...CHECK, ...https({ verify: true, caFile: "ca.pem" }) };
    const configDir = folder(t);
    writeFileSync(join(configDir, "ca.pem"), certificate);
    const prober = httpProber({ host, port }, check, { timeoutMs: 5_000, configDir });
    assert.equal(await lookOnce(prober), "good 200");
  });

  test("no name is sent to a backend that is known by its address alone", async (t) => {
    const { port, names } = await secure(t);
    assert.equal(await look(port, https({ verify: false })), "good 200");
    assert.deepEqual(names, [false]);
  });

  test("a `ca` that is not there, and one without certificates, make every check fail", async (t) => {
    const configDir = folder(t);
    const { port } = await secure(t);
    const missing = await look(port, https({ verify: true, caFile: "none.pem" }), { configDir });
    assert.equal(missing, `bad: the certificates in ${configDir}/none.pem cannot be read: ENOENT`);
    writeFileSync(join(configDir, "empty.pem"), "no certificate\n");
    const empty = await look(port, https({ verify: true, caFile: "empty.pem" }), { configDir });
    assert.equal(empty, "bad: its certificate is self-signed");
  });

  test(
    "rule 14: a `ca` that others can write is not trusted by root",
    { skip: process.getuid?.() !== 0 },
    async (t) => {
      const configDir = folder(t);
      writeFileSync(join(configDir, "ca.pem"), certificate);
      chmodSync(join(configDir, "ca.pem"), 0o666);
      const { port } = await secure(t);
      const check = https({ verify: true, caFile: "ca.pem" }, "probe.example");
      assert.match(
        await look(port, check, { configDir }),
        /^bad: .*could be changed by someone other than root/,
      );
    },
  );

  test("a backend that does not speak TLS is told apart", async (t) => {
    const port = await serve(t, (_request, response) => response.end());
    assert.equal(await look(port, https({ verify: true })), "bad: it does not speak TLS there");
  });
});
