// The cookie of sticky pools: what is in it, what is accepted, and what clients and backends see of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { StickyConfig } from "../../src/config/balance-config.ts";
import type { Field } from "../../src/http1/fields.ts";
import { parseRequestHead, DEFAULT_REQUEST_RULES, type RequestHead } from "../../src/http1/request.ts";
import { parseResponseHead } from "../../src/http1/response.ts";
import { DEFAULT_HEAD_LIMITS, createScan } from "../../src/http1/scan.ts";
import { Sticky } from "../../src/proxy/sticky.ts";
import type { PoolHealth } from "../../src/routing/pool.ts";
import { OK, type RawBackend, answering, askOnce, freePort, get, openClient, serve } from "./harness.ts";

const CONFIG: StickyConfig = {
  cookie: "vipair",
  ttlMs: null,
  path: "/",
  secure: "auto",
  httpOnly: true,
  sameSite: "lax",
  fallback: "another",
};

const KEY = new Uint8Array(32).fill(1);

function sticky({
  pool = "web",
  key = KEY,
  backends = ["192.168.1.21:8080", "b"],
  ...config
}: Partial<StickyConfig> & {
  readonly pool?: string;
  readonly key?: Uint8Array;
  readonly backends?: readonly string[];
} = {}): Sticky {
  return new Sticky({ config: { ...CONFIG, ...config }, pool, key, backends });
}

function requestHead(...lines: readonly string[]): RequestHead {
  const parsed = parseRequestHead(Buffer.from(get("/", ...lines)), createScan(), DEFAULT_REQUEST_RULES);
  assert.ok(parsed.kind === "head");
  return parsed.head;
}

interface Issue {
  readonly backend?: string;
  readonly status?: number;
  readonly lines?: readonly string[];
  readonly isTrusted?: boolean;
}

/** The Set-Cookie that a response of the backend gets; undefined: none. */
function issued(
  by: Sticky,
  { backend = "b", status = 200, lines = [], isTrusted = false }: Issue = {},
): string | undefined {
  const bytes = Buffer.from(`HTTP/1.1 ${String(status)} OK\r\nContent-Length: 0\r\n\r\n`);
  const parsed = parseResponseHead(bytes, createScan(), DEFAULT_HEAD_LIMITS, "GET");
  assert.ok(parsed.kind === "head");
  const head = requestHead(...lines);
  const sender = { address: "10.0.0.1", isTrusted, scheme: "http" } as const;
  const bound = by.bind(parsed.head, { backend, bond: by.read(head), head, sender });
  return bound.fields.list.find(({ name }: Field) => name === "Set-Cookie")?.value;
}

/** The cookie as the client sends it back. */
function cookieFor(by: Sticky, backend = "b"): string {
  return (issued(by, { backend }) ?? "").split(";")[0] ?? "";
}

function readBack(by: Sticky, cookie: string): string | undefined {
  return by.read(requestHead(`Cookie: ${cookie}`))?.backend;
}

test("a cookie leads back to its backend, on the other node too", () => {
  const here = sticky();
  const there = sticky({ backends: ["b", "c", "192.168.1.21:8080"] });
  for (const backend of ["192.168.1.21:8080", "b"]) {
    assert.equal(readBack(here, cookieFor(here, backend)), backend);
    assert.equal(readBack(there, cookieFor(here, backend)), backend);
  }
});

test("the cookie has no name and no address in it, and the same length for all", () => {
  for (const backend of ["192.168.1.21:8080", "b"]) {
    const value = cookieFor(sticky(), backend).slice("vipair=".length);
    assert.match(value, /^[\w-]{38}$/u);
    const shown = `${value} ${Buffer.from(value, "base64url").toString("latin1")}`;
    for (const secret of ["192", "168", "8080"]) assert.ok(!shown.includes(secret));
  }
});

function attributes(by: Sticky, issue: Issue = {}): string | undefined {
  return issued(by, issue)?.split("; ").slice(1).join("; ");
}

test("attributes are as configured", () => {
  assert.equal(attributes(sticky()), "Path=/; HttpOnly; SameSite=Lax");
  assert.equal(
    attributes(
      sticky({ ttlMs: 3_600_000, path: "/app", secure: "always", httpOnly: false, sameSite: "none" }),
    ),
    "Path=/app; Max-Age=3600; Secure; SameSite=None",
  );
  assert.equal(
    attributes(sticky({ sameSite: "strict", secure: "never" })),
    "Path=/; HttpOnly; SameSite=Strict",
  );
  // auto: only a proxy of ours is believed that the client came over https.
  const https = { lines: ["X-Forwarded-Proto: https"] };
  assert.equal(attributes(sticky(), https), "Path=/; HttpOnly; SameSite=Lax");
  assert.equal(attributes(sticky(), { ...https, isTrusted: true }), "Path=/; Secure; HttpOnly; SameSite=Lax");
});

test("a client gets a cookie when it has none, or one for another backend, and never from a failing one", () => {
  const by = sticky();
  const mine = { lines: [`Cookie: ${cookieFor(by, "b")}`] };
  assert.equal(issued(by, mine), undefined);
  assert.ok(issued(by, { ...mine, backend: "192.168.1.21:8080" }) !== undefined);
  assert.equal(issued(by, { status: 500 }), undefined);
  assert.ok(issued(by, { status: 404 }) !== undefined);
});

test("a cookie of another pool, another key, or for a backend that has left is as good as none", () => {
  const cookie = cookieFor(sticky());
  assert.equal(readBack(sticky({ pool: "api" }), cookie), undefined);
  assert.equal(readBack(sticky({ key: new Uint8Array(32).fill(2) }), cookie), undefined);
  assert.equal(readBack(sticky({ backends: ["c"] }), cookie), undefined);
  assert.equal(readBack(sticky({ cookie: "other" }), cookie), undefined);
});

function bytesOf(cookie: string): Buffer {
  return Buffer.from(cookie.slice("vipair=".length), "base64url");
}

test("a cookie in which any character is another one is refused", () => {
  const by = sticky();
  const cookie = cookieFor(by);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  fc.assert(
    fc.property(
      fc.integer({ min: 7, max: cookie.length - 1 }),
      fc.constantFrom(...alphabet.split("")),
      (at, character) => {
        const forged = cookie.slice(0, at) + character + cookie.slice(at + 1);
        // The last character has bits that mean nothing.
        if (bytesOf(forged).equals(bytesOf(cookie))) return;
        assert.equal(readBack(by, forged), undefined);
      },
    ),
    { numRuns: 500 },
  );
});

test("whatever stands in the cookie is read without harm", () => {
  const by = sticky();
  fc.assert(
    fc.property(fc.stringMatching(/^[!-~]{0,80}$/), (value) => {
      assert.equal(readBack(by, `vipair=${value}`), undefined);
    }),
    { numRuns: 500 },
  );
  assert.equal(readBack(by, `vipair=${"A".repeat(8000)}`), undefined);
});

test("a good cookie counts though a stranger's of the same name stands in front of it", () => {
  const by = sticky();
  assert.equal(readBack(by, `vipair=stranger; ${cookieFor(by)}`), "b");
});

test("a cookie ends with its ttl, and is renewed when half of it has passed", (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_700_000_000_000 });
  const by = sticky({ ttlMs: 100_000 });
  const cookie = cookieFor(by);
  const again = () => issued(by, { lines: [`Cookie: ${cookie}`] });
  t.mock.timers.setTime(1_700_000_049_000);
  assert.equal(again(), undefined);
  t.mock.timers.setTime(1_700_000_051_000);
  assert.equal(readBack(by, cookie), "b");
  assert.ok(again() !== undefined);
  t.mock.timers.setTime(1_700_000_100_000);
  assert.equal(readBack(by, cookie), undefined);
});

test("a cookie without end is renewed when the configuration has a ttl now, and the other way round", () => {
  const session = sticky();
  const hour = sticky({ ttlMs: 3_600_000 });
  const week = sticky({ ttlMs: 7 * 24 * 3_600_000 });
  for (const [before, after] of [
    [session, hour],
    [hour, session],
    [week, hour],
  ] as const) {
    const cookie = cookieFor(before);
    assert.equal(readBack(after, cookie), "b");
    assert.ok(issued(after, { lines: [`Cookie: ${cookie}`] }) !== undefined);
  }
});

// ── through a worker ─────────────────────────────────────────────────────────────────────────────

function numbered(count: number): readonly RawBackend[] {
  return Array.from({ length: count }, (_, i) =>
    answering(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#${String(i + 1)}`),
  );
}

interface Answer {
  readonly text: string;
  readonly who: string | undefined;
  /** As the client sends it back; undefined: none was set. */
  readonly cookie: string | undefined;
}

async function ask(port: number, ...lines: readonly string[]): Promise<Answer> {
  const text = await askOnce(port, get("/", "Connection: close", ...lines));
  return { text, who: text.split("#")[1], cookie: /^Set-Cookie: (vipair=[^;]+);/mu.exec(text)?.[1] };
}

test("a client comes back to its backend, and backends never see the cookie", async (t) => {
  const backends = numbered(3);
  const { port } = await serve(t, { backends, settings: { sticky: CONFIG } });
  const first = await ask(port);
  assert.equal(first.who, "1");
  for (let i = 0; i < 4; i += 1) {
    const again = await ask(port, `Cookie: theme=dark; ${String(first.cookie)}; lang=de`);
    assert.equal(again.who, "1");
    assert.equal(again.cookie, undefined);
  }
  assert.equal((await ask(port)).who, "2");
  const seen = backends.flatMap(({ peers }) => peers.map(({ text }) => text)).join("");
  assert.match(seen, /\r\nCookie: theme=dark; lang=de\r\n/u);
  assert.ok(!seen.includes("vipair"));
});

test("a sticky client stays with a backend of weight 0, and leaves one that drains for another, with a new cookie", async (t) => {
  const { worker, port } = await serve(t, { backends: numbered(2), settings: { sticky: CONFIG } });
  const { cookie } = await ask(port);
  const tell = async (b1: PoolHealth[string]): Promise<Answer> => {
    worker.send({ kind: "health", health: { web: { b1 } } });
    await worker.counters();
    return ask(port, `Cookie: ${String(cookie)}`);
  };
  assert.equal((await tell({ health: "up", weight: 0 })).who, "1");
  for (const health of ["drain", "down", "maintenance", "ejected"] as const) {
    const moved = await tell({ health });
    assert.equal(moved.who, "2", health);
    assert.ok(moved.cookie !== undefined && moved.cookie !== cookie);
    assert.equal((await ask(port, `Cookie: ${moved.cookie}`)).who, "2");
  }
  assert.equal((await tell({ health: "up" })).who, "1");
});

test("with fallback refuse a client whose backend is down gets 503 until it is back", async (t) => {
  const settings = { sticky: { ...CONFIG, fallback: "refuse" } } as const;
  const { worker, port } = await serve(t, { backends: numbered(2), settings });
  const { cookie } = await ask(port);
  const mine = `Cookie: ${String(cookie)}`;
  worker.send({ kind: "health", health: { web: { b1: { health: "down" } } } });
  await worker.counters();
  const refused = await ask(port, mine);
  assert.match(refused.text, /^HTTP\/1\.1 503 /u);
  assert.equal(refused.cookie, undefined);
  assert.equal((await ask(port)).who, "2");
  worker.send({ kind: "health", health: { web: {} } });
  await worker.counters();
  assert.equal((await ask(port, mine)).who, "1");
});

test("a client that a backup helped out is balanced anew when another backend is back, whatever the fallback", async (t) => {
  for (const fallback of ["another", "refuse"] as const) {
    const [first = answering(OK), second = answering(OK)] = numbered(2);
    for (const backend of [first, second]) await backend.start();
    t.after(() => {
      first.close();
      second.close();
    });
    const backends = [first, second].map(({ port }, i) => {
      return { name: `b${String(i + 1)}`, host: "127.0.0.1", port, weight: 1, isBackup: i === 1 };
    });
    const { worker, port } = await serve(t, { settings: { sticky: { ...CONFIG, fallback }, backends } });
    const tell = async (health: PoolHealth): Promise<void> => {
      worker.send({ kind: "health", health: { web: health } });
      await worker.counters();
    };
    await tell({ b1: { health: "down" } });
    const helped = await ask(port);
    assert.equal(helped.who, "2");
    assert.equal((await ask(port, `Cookie: ${String(helped.cookie)}`)).who, "2");
    await tell({});
    const back = await ask(port, `Cookie: ${String(helped.cookie)}`);
    assert.equal(back.who, "1", fallback);
    assert.ok(back.cookie !== undefined && back.cookie !== helped.cookie);
  }
});

test("a sticky client whose backend refuses the connection gets another one at once", async (t) => {
  const [alive = answering(OK)] = numbered(1);
  await alive.start();
  const { worker, port } = await serve(t, {
    ports: [alive.port, await freePort()],
    settings: { sticky: CONFIG, balance: { kind: "first" } },
  });
  t.after(() => {
    alive.close();
  });
  // The test makes the cookie itself, with the key that the harness gives to workers.
  const cookie = cookieFor(sticky({ key: new Uint8Array(32).fill(7), backends: ["b1", "b2"] }), "b2");
  const answer = await ask(port, `Cookie: ${cookie}`);
  assert.equal((await worker.counters()).backends["web"]?.["b2"]?.failures, 1);
  assert.equal(answer.who, "1");
  assert.ok(answer.cookie !== undefined);
});

test("a tunnel's 101 carries the cookie", async (t) => {
  const backend = answering("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  const { port } = await serve(t, { backends: [backend], settings: { sticky: CONFIG } });
  const peer = await openClient(t, port);
  peer.send(get("/", "Connection: Upgrade", "Upgrade: websocket"));
  assert.match(await peer.receives("\r\n\r\n"), /^Set-Cookie: vipair=/mu);
  peer.close();
});
