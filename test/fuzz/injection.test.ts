// Nothing that this hop writes can be bent by what it was told: forwarded fields of strangers and of trusted proxies,
// the protocols of an upgrade, a backend's reason phrase, error pages. Node's parser says what was written.
// Rewrites and request ids too. (Cookies will be tried here when there are any.)

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { renderRequestHead, renderResponseHead } from "../../src/http1/forward.ts";
import { DEFAULT_REQUEST_RULES, parseRequestHead } from "../../src/http1/request.ts";
import { parseResponseHead } from "../../src/http1/response.ts";
import { DEFAULT_HEAD_LIMITS, createScan } from "../../src/http1/scan.ts";
import { errorContent, renderOwnResponse } from "../../src/proxy/own-response.ts";
import { RequestIds, requestId } from "../../src/proxy/request-id.ts";
import { factsOf, findRoute } from "../../src/routing/route.ts";
import { routes } from "../routing/routes.ts";
import { readRequests, readResponses } from "./node-parser.ts";

const LIMITS = { numRuns: 20_000, interruptAfterTimeLimit: 1500 };

const ids = new RequestIds();

/** Any byte, and often those that end something. */
const hostile = fc.string({
  unit: fc.oneof(
    { weight: 1, arbitrary: fc.nat(255).map((code) => String.fromCharCode(code)) },
    { weight: 2, arbitrary: fc.constantFrom(..."\r\n\0 \t:;,=\"'\\a1".split("")) },
  ),
  maxLength: 12,
});

/** What a proxy that means it would write. */
const NAMES = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Forwarded"] as const;

for (const isTrusted of [false, true]) {
  test(`the fields that tell who asked are five lines, whatever a ${isTrusted ? "trusted proxy" : "stranger"} says`, async () => {
    let seen = 0;
    const property = fc.asyncProperty(
      fc.oneof(hostile, fc.constantFrom("a", 'a"b', "a;for=6.6.6.6", "a,b", "[::1]:80")),
      fc.array(fc.tuple(fc.constantFrom(...NAMES, "Connection", "Upgrade"), hostile), { maxLength: 3 }),
      async (host, fields) => {
        const lines = [`Host: ${host}`, ...fields.map(([name, value]) => `${name}: ${value}`)];
        const bytes = Buffer.from(`GET / HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`, "latin1");
        const parsed = parseRequestHead(bytes, createScan(), DEFAULT_REQUEST_RULES);
        if (parsed.kind !== "head" || parsed.end !== bytes.length) return;
        // A value with CR LF in it is two honest lines to us, and no injection.
        if (parsed.head.fields.list.length !== lines.length) return;
        seen += 1;
        const text = renderRequestHead(parsed.head, { address: "192.0.2.7", isTrusted, scheme: "http" });
        const { messages, fault } = await readRequests(text);
        assert.equal(fault, null, JSON.stringify(text));
        const [message, ...more] = messages;
        assert.ok(message !== undefined && more.length === 0);
        const names = message.fields.map(([name]) => name);
        const upgrade = names.includes("Upgrade") ? ["Connection", "Upgrade"] : [];
        assert.deepEqual(names, ["Host", ...NAMES, ...upgrade]);
        const told = new Map(message.fields);
        assert.equal(told.get("Host"), parsed.head.authority);
        assert.match(told.get("X-Forwarded-For") ?? "", /192\.0\.2\.7$/u);
        // The quoted host cannot end its quotes.
        const own = `for=192.0.2.7;host="${parsed.head.authority}";proto=http`;
        assert.equal((told.get("Forwarded") ?? "").endsWith(own), true);
        assert.equal(/["\\]/u.test(parsed.head.authority), false);
        if (!isTrusted) assert.equal(told.get("Forwarded"), own);
      },
    );
    await fc.assert(property, LIMITS);
    assert.ok(seen > 50, `only ${String(seen)} were accepted`);
  });
}

test("a rewrite writes one request line and one line for each field, whatever is asked for", async () => {
  const table = routes(
    '{ pool: a, match: { path: /a }, rewrite: { path: "/b", host: "${request.host}", request: { set: { X-All: "${request.uri} ${request.path} ${request.query} ${request.host} ${request.method} ${request.id}" } } } }',
  );
  let seen = 0;
  const property = fc.asyncProperty(hostile, hostile, hostile, async (path, query, id) => {
    const start = `GET /a${path}?${query} HTTP/1.1\r\nHost: c\r\nX-Request-Id: ${id}\r\n\r\n`;
    const bytes = Buffer.from(start, "latin1");
    const parsed = parseRequestHead(bytes, createScan(), DEFAULT_REQUEST_RULES);
    if (parsed.kind !== "head" || parsed.end !== bytes.length || parsed.head.fields.list.length !== 2) return;
    const sender = { address: "192.0.2.7", isTrusted: true, scheme: "http" } as const;
    const facts = factsOf(table, parsed.head, { clientAddress: sender.address });
    const rewrite = findRoute(table, facts)?.rewrite ?? null;
    if (rewrite === null) return;
    seen += 1;
    const around = {
      scheme: "http",
      listener: "web",
      route: "r",
      node: "n",
      requestId: () => requestId(parsed.head, sender, ids),
    } as const;
    const text = renderRequestHead(parsed.head, sender, {
      target: rewrite.target(facts, around),
      authority: rewrite.host(facts, around) ?? "",
      drops: rewrite.request?.drops ?? new Set(),
      lines: rewrite.request?.lines(facts, around) ?? "",
    });
    const { messages, fault } = await readRequests(text);
    assert.equal(fault, null, JSON.stringify(text));
    const names = messages[0]?.fields.map(([name]) => name);
    assert.deepEqual([messages.length, names], [1, ["Host", "X-Request-Id", ...NAMES, "X-All"]]);
  });
  await fc.assert(property, LIMITS);
  assert.ok(seen > 50, `only ${String(seen)} were accepted`);
});

test("a response head has no more lines than were passed on, whatever a backend says", async () => {
  let seen = 0;
  const property = fc.asyncProperty(hostile, hostile, hostile, async (phrase, name, value) => {
    const bytes = Buffer.from(
      `HTTP/1.1 200 ${phrase}\r\n${name}: ${value}\r\nContent-Length: 0\r\n\r\n`,
      "latin1",
    );
    const parsed = parseResponseHead(bytes, createScan(), DEFAULT_HEAD_LIMITS, "GET");
    if (parsed.kind !== "head" || parsed.end !== bytes.length) return;
    if (parsed.head.fields.list.length !== 2) return;
    seen += 1;
    const text = renderResponseHead(parsed.head, "length", { minor: 1, staysOpen: true });
    const { messages, fault } = await readResponses(text, "GET");
    assert.equal(fault, null, JSON.stringify(text));
    assert.deepEqual(messages[0]?.fields.length, 2);
  });
  await fc.assert(property, LIMITS);
  assert.ok(seen > 10, `only ${String(seen)} were accepted`);
});

test("an error page says nothing of the request", () => {
  // Its only inputs are these; none of them is text.
  const page = renderOwnResponse(errorContent(400, null), { staysOpen: false, minor: 1, isHead: false });
  const lines = page.split("\r\n").map((line) => line.replace(/^Date: .*/u, "Date"));
  assert.deepEqual(lines, [
    "HTTP/1.1 400 Bad Request",
    "Date",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Length: 16",
    "Cache-Control: no-store",
    "Connection: close",
    "",
    "400 Bad Request\n",
  ]);
});
