// Messages to try: put together from parts that have mattered in request smuggling, or taken from the corpus, and
// then damaged a little. Most are nearly good, because what is plainly bad is refused by its first byte.

import * as fc from "fast-check";
import type { RequestCase, ResponseCase } from "./properties.ts";

/** Damage: at a place between 0 and 1, so many bytes make room for others. */
interface Damage {
  readonly place: number;
  readonly removed: number;
  readonly inserted: string;
}

const BYTES =
  "\0\t\n\v\f\r !\"#%&'()*+,-./0159:;<=>?@AFHTZ[\\]^_`abcdefxz{|}~\x7f\x80\x85\xa0\xc2\xe9\xff".split("");
const SNIPPETS = [
  "\r\n",
  "\n\n",
  "\r\n\r\n",
  "\r\n ",
  "\r\n\t",
  "\r\r\n",
  "0\r\n\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "Transfer-Encoding: chunked\r\n",
  "transfer-encoding:\tchunked\r\n",
  "Connection: close\r\n",
  "Connection: keep-alive\r\n",
  "Connection: X-A, Host\r\n",
  "Host: b\r\n",
  "Expect: 100-continue\r\n",
  ", chunked",
  " chunked",
  ";a=b",
  ';q="\\""',
  "HTTP/1.0",
  "HTTP/1.1",
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
];

const damage: fc.Arbitrary<Damage> = fc.record({
  // Doubles of fast-check are nearly all close to 0.
  place: fc.nat({ max: 9999 }).map((part) => part / 10_000),
  removed: fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 6 }) },
  ),
  inserted: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...BYTES) },
    { weight: 3, arbitrary: fc.constantFrom(...SNIPPETS) },
    { weight: 1, arbitrary: fc.constant("") },
  ),
});

function damaged(text: string, list: readonly Damage[]): string {
  let result = text;
  for (const { place, removed, inserted } of list) {
    const at = Math.floor(place * result.length);
    result = result.slice(0, at) + inserted + result.slice(at + removed);
  }
  return result;
}

const FIELD_LINES = [
  "Accept: */*",
  "X-A: b",
  "x-empty:",
  "X-Spaces: \t a b \t",
  "X-Latin: \xe9\xff",
  "X_Forwarded_For: 6.6.6.6",
  "X-Forwarded-For: 6.6.6.6",
  "X-Forwarded-Host: evil",
  "X-Real-IP: 6.6.6.6",
  "Forwarded: for=6.6.6.6",
  "Connection: keep-alive",
  "Connection: close",
  "Connection: X-A",
  "connection: , x-a,,Content-Length",
  "Keep-Alive: timeout=5",
  "TE: trailers",
  "Trailer: X-T",
  "Upgrade: websocket",
  "Connection: upgrade",
  "Expect: 100-continue",
  "Cookie: a=b; c=d",
  "!#$%&'*+-.^`|~: token",
];

const fieldLines = fc.array(fc.constantFrom(...FIELD_LINES), { maxLength: 4 });
const content = fc.string({ unit: fc.constantFrom(..."ab\r\n0:; G\0\xff".split("")), maxLength: 20 });

const extension = fc.constantFrom(
  "",
  "",
  ";a",
  ";a=b",
  ';a="b c"',
  ';a="\\"";b',
  ";a=\xe9",
  "; a",
  " ;a",
  ";",
);
const chunk = fc.tuple(content, extension, fc.boolean()).map(([data, ext, isPadded]) => {
  const size = data.length.toString(16);
  return data === "" ? "" : `${isPadded ? `0${size.toUpperCase()}` : size}${ext}\r\n${data}\r\n`;
});
const chunks = fc
  .tuple(
    fc.array(chunk, { maxLength: 3 }),
    extension,
    fc.array(fc.constantFrom(...FIELD_LINES, "X-T: 1", "Set-Cookie: a", "Host: b"), { maxLength: 2 }),
  )
  .map(
    ([list, ext, trailers]) =>
      `${list.join("")}0${ext}\r\n${trailers.map((line) => `${line}\r\n`).join("")}\r\n`,
  );

/** Framing fields and a body that belong together. */
const framedBody = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ lines: [] as string[], body: "" }) },
  {
    weight: 3,
    arbitrary: content.map((body) => ({ lines: [`Content-Length: ${String(body.length)}`], body })),
  },
  { weight: 3, arbitrary: chunks.map((body) => ({ lines: ["Transfer-Encoding: chunked"], body })) },
  {
    weight: 1,
    arbitrary: content.map((body) => ({ lines: [`content-length:00${String(body.length)}`], body })),
  },
);

const method = fc.constantFrom("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY", "SEARCH");
const target = fc.constantFrom(
  "/",
  "/a?b=c",
  "//x/../%00",
  "*",
  "http://b.lan/x?y",
  "http://b:81",
  "HTTPS://b?q",
  '/["<>^`{|}\\]',
);
const host = fc.constantFrom("Host: a", "host:a.lan:80", "Host: [::1]:80", "HOST: a_b-c;d,e=f");

const plainRequest = fc
  .tuple(method, target, fc.constantFrom("1.1", "1.1", "1.1", "1.0"), host, fieldLines, framedBody)
  .map(([verb, path, version, hostLine, lines, { lines: framing, body }]) =>
    [`${verb} ${path} HTTP/${version}`, hostLine, ...lines, ...framing, "", body].join("\r\n"),
  );

const statusLine = fc.constantFrom(
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200 ",
  "HTTP/1.1 404",
  "HTTP/1.0 200 OK",
  "HTTP/1.1 204 No Content",
  "HTTP/1.1 304 Not Modified",
  "HTTP/1.1 299 \xe9",
);
const interim = fc.constantFrom(
  "",
  "",
  "",
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
);

const plainResponse = fc
  .tuple(interim, statusLine, fieldLines, framedBody, content)
  .map(([early, line, lines, { lines: framing, body }, behind]) => {
    return early + [line, ...lines, ...framing, "", framing.length === 0 ? behind : body].join("\r\n");
  });

const someSplits = fc
  .array(fc.nat(200), { maxLength: 6 })
  .map((list) => [...new Set(list)].filter((at) => at > 0).toSorted((a, b) => a - b));
const everySplit = fc.constant(Array.from({ length: 200 }, (_, at) => at + 1));
const splits = fc.oneof({ weight: 5, arbitrary: someSplits }, { weight: 1, arbitrary: everySplit });

/** Half of them are left as they are. */
const damages = fc.oneof(fc.constant<Damage[]>([]), fc.array(damage, { minLength: 1, maxLength: 3 }));

export function requestCases(corpus: readonly string[]): fc.Arbitrary<RequestCase> {
  const message = fc.oneof(
    { weight: 3, arbitrary: plainRequest },
    { weight: 1, arbitrary: fc.constantFrom(...corpus) },
  );
  const input = fc
    .tuple(fc.array(message, { minLength: 1, maxLength: 3 }), damages)
    .map(([messages, list]) => damaged(messages.join(""), list));
  return fc.record({ input, splits });
}

export function responseCases(corpus: readonly string[]): fc.Arbitrary<ResponseCase> {
  const message = fc.oneof(
    { weight: 3, arbitrary: plainResponse },
    { weight: 1, arbitrary: fc.constantFrom(...corpus) },
  );
  const input = fc.tuple(message, damages).map(([text, list]) => damaged(text, list));
  return fc.record({
    input,
    splits,
    method: fc.constantFrom("GET", "GET", "HEAD"),
    minor: fc.constantFrom(1, 1, 0),
  });
}
