// Which requests are refused, by RFC 9110 and 9112 and DESIGN section 7, each sent in one piece and byte by
// byte: what the client gets, and that the backend received nothing of them.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BYTE_BY_BYTE, WHOLE, assertRefused, openRig, sendPieces, settle, wire } from "./strict-rig.ts";

const rig = openRig({});

/** In the notation, without the empty line at the end. */
type Refused = readonly [status: number, rule: string, head: string];

/** Stands behind every refused head: it must never be taken for a request. */
const SMUGGLED = wire("GET /smuggled HTTP/1.1|Host: evil||");

const REQUEST_LINE: readonly Refused[] = [
  [400, "3: a request line without a version (HTTP/0.9)", "GET /"],
  [400, "3: a request line of one word", "GET"],
  [400, "3: two spaces behind the method", "GET  / HTTP/1.1|Host: a"],
  [400, "3: two spaces before the version", "GET /  HTTP/1.1|Host: a"],
  [400, "3: a space before the method", " GET / HTTP/1.1|Host: a"],
  [400, "3: a space behind the version", "GET / HTTP/1.1 |Host: a"],
  [400, "3: a tab between method and target", "GET\t/ HTTP/1.1|Host: a"],
  [400, "3: a vertical tab between target and version", "GET /\vHTTP/1.1|Host: a"],
  [400, "3: a form feed between target and version", "GET /\fHTTP/1.1|Host: a"],
  [400, "3.1: a method that is no token", "G@T / HTTP/1.1|Host: a"],
  [400, "3.1: an empty method", " / HTTP/1.1|Host: a"],
  [400, "3.2: a space in the target", "GET /a b HTTP/1.1|Host: a"],
  [400, "3.2: a tab in the target", "GET /a\tb HTTP/1.1|Host: a"],
  [400, "3.2: a fragment in the target", "GET /a#b HTTP/1.1|Host: a"],
  [
    400,
    "3.2: a backslash in the path, which some servers take for a slash",
    "GET /x\\..\\admin HTTP/1.1|Host: a",
  ],
  [400, "3.2: a byte above ASCII in the target", "GET /\xe9 HTTP/1.1|Host: a"],
  [400, "3.2: NUL in the target", "GET /\0 HTTP/1.1|Host: a"],
  [400, "3.2: DEL in the target", "GET /\x7f HTTP/1.1|Host: a"],
  [400, "3.2.1: a target without a slash", "GET a HTTP/1.1|Host: a"],
  [400, "3.2.2: an absolute form without an authority", "GET http:///a HTTP/1.1|Host: a"],
  [400, "3.2.2: an absolute form with a user name", "GET http://u@a/ HTTP/1.1|Host: a"],
  [400, "3.2.2: an absolute form of another scheme", "GET ftp://a/ HTTP/1.1|Host: a"],
  [400, "3.2.2: an absolute form with a bad port", "GET http://a:b/ HTTP/1.1|Host: a"],
  [400, "3.2.2: an absolute form without Host in HTTP/1.1", "GET http://a/ HTTP/1.1"],
  [400, "3.2.3: the authority form outside CONNECT", "GET a:80 HTTP/1.1|Host: a:80"],
  [400, "3.2.4: the asterisk form outside OPTIONS", "GET * HTTP/1.1|Host: a"],
  [501, "3.2.3: CONNECT", "CONNECT a:443 HTTP/1.1|Host: a:443"],
  [501, "3.2.3: CONNECT with a path", "CONNECT / HTTP/1.1|Host: a"],
  [501, "9110 9.3.8: TRACE, unless it is allowed", "TRACE / HTTP/1.1|Host: a"],
  [400, "2.3: a version in small letters", "GET / http/1.1|Host: a"],
  [400, "2.3: a version without its dot", "GET / HTTP/11|Host: a"],
  [400, "2.3: a version with two digits", "GET / HTTP/1.10|Host: a"],
  [400, "2.3: a signed version", "GET / HTTP/+1.1|Host: a"],
  [400, "2.3: another protocol", "GET / ICY/1.1|Host: a"],
  [505, "2.3: HTTP/0.9 in words", "GET / HTTP/0.9|Host: a"],
  [505, "2.3: HTTP/1.2", "GET / HTTP/1.2|Host: a"],
  [505, "2.3: HTTP/2.0", "GET / HTTP/2.0|Host: a"],
  [505, "2.3: the preface of HTTP/2", "PRI * HTTP/2.0||SM|"],
  [414, "9110 15.5.15: a target that is too long", `GET /${"a".repeat(9000)} HTTP/1.1|Host: a`],
];

const HOST: readonly Refused[] = [
  [400, "3.2: no Host in HTTP/1.1", "GET / HTTP/1.1"],
  [400, "3.2: two Hosts", "GET / HTTP/1.1|Host: a|Host: b"],
  [400, "3.2: the same Host twice", "GET / HTTP/1.1|Host: a|Host: a"],
  [400, "3.2: two Hosts in HTTP/1.0", "GET / HTTP/1.0|Host: a|Host: a"],
  [400, "3.2: an empty Host", "GET / HTTP/1.1|Host:"],
  [400, "3.2: a Host with a path", "GET / HTTP/1.1|Host: a/b"],
  [400, "3.2: a Host with a user name", "GET / HTTP/1.1|Host: u@a"],
  [400, "3.2: a Host with two ports", "GET / HTTP/1.1|Host: a:1:2"],
  [400, "3.2: a Host with a signed port", "GET / HTTP/1.1|Host: a:+80"],
  [400, "3.2: a Host with a port above 65535", "GET / HTTP/1.1|Host: a:65536"],
  [400, "3.2: a Host of two words", "GET / HTTP/1.1|Host: a b"],
  [400, "3.2: a Host with a quote", 'GET / HTTP/1.1|Host: a"b'],
  [400, "3.2: a Host with a byte above ASCII", "GET / HTTP/1.1|Host: \xe9"],
  [400, "3.2: a Host with an unfinished IPv6 address", "GET / HTTP/1.1|Host: [::1"],
  [400, "3.2: a Host with something behind an IPv6 address", "GET / HTTP/1.1|Host: [::1]a"],
  [400, "3.2: an absolute form beside an invalid Host", "GET http://a/ HTTP/1.1|Host: b/c"],
];

const FIELDS: readonly Refused[] = [
  [400, "5.1: a space before the colon", "GET / HTTP/1.1|Host : a"],
  [400, "5.1: a tab before the colon", "GET / HTTP/1.1|Host: a|X\t: y"],
  [
    400,
    "5.1: a space before the colon of Transfer-Encoding",
    "POST / HTTP/1.1|Host: a|Transfer-Encoding : chunked",
  ],
  [400, "5.1: an empty field name", "GET / HTTP/1.1|Host: a|: y"],
  [400, "5.1: a field line without a colon", "GET / HTTP/1.1|Host: a|oops"],
  [400, "5.1: a field name that is no token", "GET / HTTP/1.1|Host: a|X(y: z"],
  [400, "5.1: a field name with a space", "GET / HTTP/1.1|Host: a|X y: z"],
  [400, "5.1: a field name with a byte above ASCII", "GET / HTTP/1.1|Host: a|X\xe9: z"],
  [400, "5.2: obs-fold with a space", "GET / HTTP/1.1|Host: a|X: y| z"],
  [400, "5.2: obs-fold with a tab", "GET / HTTP/1.1|Host: a|X: y|\tz"],
  [400, "5.2: obs-fold in Transfer-Encoding", "POST / HTTP/1.1|Host: a|Transfer-Encoding:| chunked"],
  [400, "2.2: white space before the first field", "GET / HTTP/1.1| Host: a"],
  [400, "2.2: a line of white space at the end of the head", "GET / HTTP/1.1|Host: a| "],
  [400, "9110 5.5: NUL in a field value", "GET / HTTP/1.1|Host: a|X: y\0z"],
  [400, "9110 5.5: NUL in a field name", "GET / HTTP/1.1|Host: a|X\0: z"],
  [400, "9110 5.5: BEL in a field value", "GET / HTTP/1.1|Host: a|X: y\x07z"],
  [400, "9110 5.5: a vertical tab in a field value", "GET / HTTP/1.1|Host: a|X: y\vz"],
  [400, "9110 5.5: ESC in a field value", "GET / HTTP/1.1|Host: a|X: y\x1bz"],
  [400, "9110 5.5: DEL in a field value", "GET / HTTP/1.1|Host: a|X: y\x7fz"],
  [400, "9110 7.6.1: a Connection option that is no token", "GET / HTTP/1.1|Host: a|Connection: a b"],
  [
    400,
    "9110 7.6.1: Connection options without end",
    `GET / HTTP/1.1|Host: a|Connection: ${"x,".repeat(60)}`,
  ],
  [400, "9110 7.6.2: Max-Forwards that is no number", "OPTIONS / HTTP/1.1|Host: a|Max-Forwards: x"],
  [400, "9110 7.6.2: a signed Max-Forwards", "OPTIONS / HTTP/1.1|Host: a|Max-Forwards: +1"],
  [400, "9110 7.6.2: an empty Max-Forwards", "OPTIONS / HTTP/1.1|Host: a|Max-Forwards:"],
  [400, "9110 7.6.2: Max-Forwards twice", "OPTIONS / HTTP/1.1|Host: a|Max-Forwards: 1|Max-Forwards: 1"],
  [
    417,
    "9110 10.1.1: an expectation that is not 100-continue",
    "POST / HTTP/1.1|Host: a|Expect: tea|Content-Length: 1",
  ],
  [431, "9110 5.4: a head that is too large", `GET / HTTP/1.1|Host: a|X: ${"a".repeat(17_000)}`],
  [431, "9110 5.4: more fields than the limit", `GET / HTTP/1.1|Host: a${"|X: y".repeat(101)}`],
];

/** Bare CR and LF in every place of a head: RFC 9112 2.2. */
const BARE: readonly Refused[] = [
  ["in front of the request line", "%GET / HTTP/1.1|Host: a"],
  ["in the method", "GE%T / HTTP/1.1|Host: a"],
  ["in the target", "GET /%a HTTP/1.1|Host: a"],
  ["before the version", "GET / %HTTP/1.1|Host: a"],
  ["behind the version", "GET / HTTP/1.1%|Host: a"],
  ["as the end of the request line", "GET / HTTP/1.1%Host: a"],
  ["in front of a field name", "GET / HTTP/1.1|%Host: a"],
  ["in a field name", "GET / HTTP/1.1|Ho%st: a"],
  ["before the colon", "GET / HTTP/1.1|Host%: a"],
  ["behind the colon", "GET / HTTP/1.1|Host:%a"],
  ["in a field value", "GET / HTTP/1.1|Host: a|X: y%z"],
  ["as the end of a field line", "GET / HTTP/1.1|Host: a|X: y%Z: 1"],
  ["behind a field value", "GET / HTTP/1.1|Host: a|X: y%|Z: 1"],
  ["as the empty line", "GET / HTTP/1.1|Host: a|%GET /smuggled HTTP/1.1"],
].flatMap(([where = "", head = ""]): Refused[] => [
  [400, `2.2: a bare CR ${where}`, head.replace("%", "\r")],
  [400, `2.2: a bare LF ${where}`, head.replace("%", "\n")],
]);

function posted(...lines: readonly string[]): string {
  return ["POST / HTTP/1.1", "Host: a", ...lines].join("|");
}

const FRAMING: readonly Refused[] = [
  [
    400,
    "6.1: Content-Length with Transfer-Encoding",
    posted("Content-Length: 3", "Transfer-Encoding: chunked"),
  ],
  [
    400,
    "6.1: Transfer-Encoding with Content-Length",
    posted("Transfer-Encoding: chunked", "Content-Length: 3"),
  ],
  [
    400,
    "6.1: Content-Length 0 with Transfer-Encoding",
    posted("Content-Length: 0", "Transfer-Encoding: chunked"),
  ],
  [400, "6.1: Content-Length with an unknown coding", posted("Content-Length: 3", "Transfer-Encoding: x")],
  [400, "6.3: Content-Length twice, differing", posted("Content-Length: 3", "Content-Length: 4")],
  [400, "6.3: Content-Length twice, equal", posted("Content-Length: 3", "Content-Length: 3")],
  [400, "6.3: Content-Length as a list of equals", posted("Content-Length: 3, 3")],
  [400, "6.3: Content-Length as a list of differing", posted("Content-Length: 3, 4")],
  [400, "6.3: Content-Length with a plus", posted("Content-Length: +3")],
  [400, "6.3: Content-Length with a minus", posted("Content-Length: -3")],
  [400, "6.3: Content-Length in hex", posted("Content-Length: 0x3")],
  [400, "6.3: Content-Length in hex digits", posted("Content-Length: a")],
  [400, "6.3: Content-Length with a point", posted("Content-Length: 3.0")],
  [400, "6.3: Content-Length with an exponent", posted("Content-Length: 1e1")],
  [400, "6.3: Content-Length with an underscore", posted("Content-Length: 1_0")],
  [400, "6.3: Content-Length of two words", posted("Content-Length: 3 3")],
  [400, "6.3: Content-Length with a byte above ASCII", posted("Content-Length: \xb23")],
  [400, "6.3: an empty Content-Length", posted("Content-Length:")],
  [400, "6.3: a Content-Length beyond 2^53", posted("Content-Length: 9007199254740993")],
  [400, "6.3: a Content-Length beyond 2^64", posted("Content-Length: 18446744073709551617")],
  [400, "6.1: chunked not last", posted("Transfer-Encoding: chunked, gzip")],
  [
    400,
    "6.1: chunked not last, in two lines",
    posted("Transfer-Encoding: chunked", "Transfer-Encoding: gzip"),
  ],
  [400, "6.1: chunked twice", posted("Transfer-Encoding: chunked, chunked")],
  [
    400,
    "6.1: chunked twice, in two lines",
    posted("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
  ],
  [400, "6.1: identity", posted("Transfer-Encoding: identity")],
  [400, "6.1: identity behind chunked", posted("Transfer-Encoding: chunked, identity")],
  [400, "6.1: a coding alone that is not chunked", posted("Transfer-Encoding: gzip")],
  [501, "6.1: an unknown coding before chunked", posted("Transfer-Encoding: gzip, chunked")],
  [501, "6.1: identity before chunked", posted("Transfer-Encoding: identity", "Transfer-Encoding: chunked")],
  [400, "6.1: an empty Transfer-Encoding", posted("Transfer-Encoding:")],
  [400, "6.1: a Transfer-Encoding of a comma", posted("Transfer-Encoding: ,")],
  [400, "6.1: chunked before an empty member", posted("Transfer-Encoding: chunked,")],
  [400, "6.1: chunked behind an empty member", posted("Transfer-Encoding: , chunked")],
  [400, "6.1: chunked behind an empty line", posted("Transfer-Encoding:", "Transfer-Encoding: chunked")],
  [400, "6.1: chunked before an empty line", posted("Transfer-Encoding: chunked", "Transfer-Encoding:")],
  [400, "6.1: chunked behind a tab", posted("Transfer-Encoding:\tchunked")],
  [400, "6.1: chunked before a tab", posted("Transfer-Encoding: chunked\t")],
  [400, "6.1: xchunked", posted("Transfer-Encoding: xchunked")],
  [400, "6.1: chunkedx", posted("Transfer-Encoding: chunkedx")],
  [400, "6.1: chunked in quotes", posted('Transfer-Encoding: "chunked"')],
  [400, "6.1: chunked with a parameter", posted("Transfer-Encoding: chunked;q=1")],
  [400, "6.1: chunked behind a vertical tab", posted("Transfer-Encoding: \vchunked")],
  [400, "6.1: chunked behind a no-break space", posted("Transfer-Encoding: \xa0chunked")],
  [400, "6.1: chunked with a space inside", posted("Transfer-Encoding: chun ked")],
  [400, "6.1: chunked beside another word", posted("Transfer-Encoding: chunked x")],
  [400, "6.1: chunked in HTTP/1.0", "POST / HTTP/1.0|Host: a|Transfer-Encoding: chunked"],
];

const GROUPS = { REQUEST_LINE, HOST, FIELDS, BARE, FRAMING };

for (const [group, cases] of Object.entries(GROUPS)) {
  describe(`refused, ${group.toLowerCase().replace("_", " ")}`, () => {
    for (const [status, rule, head] of cases) {
      test(`RFC ${rule.startsWith("9110") ? "" : "9112 "}${rule}: ${String(status)}`, async () => {
        const request = `${wire(head)}\r\n\r\n${SMUGGLED}`;
        for (const pieces of request.length < 400 ? [WHOLE, BYTE_BY_BYTE] : [WHOLE]) {
          const client = await rig.client();
          await sendPieces(client, pieces(request));
          assertRefused(await client.endsOrCloses(), status);
          await settle();
        }
        assert.equal(rig.backend.connections.length, 0);
      });
    }
  });
}
