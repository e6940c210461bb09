// What is asked of the proxies: each case is one request, the answer that must come back, and how clients behave.
// Data only, so that the load generators and the check before each measurement cannot mean different things.

export interface Case {
  readonly name: string;
  readonly title: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Beside Host, and Content-Length where there is a body. */
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
  /** What the backends answer. */
  readonly answer: Buffer;
  readonly connections: number;
  /** kept: for many requests. single: for one. websocket: `answer` comes back for each message of its bytes. */
  readonly kind: "kept" | "single" | "websocket";
  readonly hasAccessLog: boolean;
}

const SMALL = Buffer.from("hello, world\n");

const GET = {
  method: "GET",
  path: "/small",
  fields: {},
  body: "",
  answer: SMALL,
  connections: 64,
  kind: "kept",
  hasAccessLog: false,
} as const;

/** What a browser of today sends. */
const BROWSER_FIELDS = {
  Accept: "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "Accept-Encoding": "gzip, deflate, br, zstd",
  "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
  "Cache-Control": "max-age=0",
  Cookie: "session=5f1d7a84c2b94e0e8a3b6d2f91c7e350; theme=dark; consent=analytics.0-ads.0",
  Referer: "https://www.example.lan/articles/2026/the-long-way-home?page=2",
  "Sec-Fetch-Dest": "document",
  "Sec-Fetch-Mode": "navigate",
  "Upgrade-Insecure-Requests": "1",
  "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
};

export const CASES: readonly Case[] = [
  { ...GET, name: "small", title: "GET, 13 bytes" },
  { ...GET, name: "logged", title: "the same, access log on", hasAccessLog: true },
  { ...GET, name: "fields", title: "GET, 10 fields of a browser", fields: BROWSER_FIELDS },
  {
    ...GET,
    name: "post",
    title: "POST, 1 KiB",
    method: "POST",
    path: "/posted",
    fields: { "Content-Type": "text/plain" },
    body: pattern(1024).toString("latin1").replaceAll("\n", ";"),
  },
  { ...GET, name: "64k", title: "response of 64 KiB", path: "/64k", answer: pattern(65_536) },
  {
    ...GET,
    name: "1m",
    title: "response of 1 MiB",
    path: "/1m",
    answer: pattern(1_048_576),
    connections: 16,
  },
  { ...GET, name: "chunked", title: "chunked, 16 KiB in 4", path: "/chunked", answer: pattern(16_384) },
  {
    ...GET,
    name: "connect",
    title: "connection per request",
    fields: { Connection: "close" },
    kind: "single",
  },
  {
    ...GET,
    name: "websocket",
    title: "WebSocket, echo of 64 bytes",
    path: "/ws",
    answer: pattern(64),
    kind: "websocket",
  },
];

/** Text of lines that differ, so that a byte at the wrong place is noticed. */
function pattern(length: number): Buffer {
  let text = "";
  for (let line = 0; text.length < length; line += 1) {
    text += `${String(line).padStart(7, "0")} the quick brown fox jumps over the lazy dog again\n`;
  }
  return Buffer.from(text.slice(0, length), "latin1");
}

/** The bytes of a request, as a client writes them. */
export function renderRequest({ method, path, fields, body }: Case, port: number): string {
  let text = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${String(port)}\r\n`;
  for (const [name, value] of Object.entries(fields)) text += `${name}: ${value}\r\n`;
  if (body !== "") text += `Content-Length: ${String(body.length)}\r\n`;
  return `${text}\r\n${body}`;
}
