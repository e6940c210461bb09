// What routes make of requests on the wire: which go to a backend and in what form, byte by byte, and which are
// answered here. Notation as in strict-rig.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { routeConfigs } from "../routing/routes.ts";
import { answerEach, answerHead, openRig, settle, shown, told, until, wire } from "./strict-rig.ts";

const rig = openRig({
  listener: {
    trustedProxies: ["127.0.0.0/8"],
    routes: routeConfigs(
      '{ name: away, match: { path: /away }, redirect: { to: "https://${request.host}${request.uri}", status: 308 }, rewrite: { response: { add: { X-From: vipair } } } }',
      "{ match: { path: /fixed }, respond: { status: 203, body: grüß dich, contentType: text/plain; charset=utf-8 } }",
      "{ match: { path: /empty }, respond: { status: 204 } }",
      "{ match: { client: 10.0.0.0/8 }, respond: { body: inside } }",
      '{ name: api, match: { path: /v1 }, pool: web, rewrite: { path: /api, host: "${listener.name}.internal", request: { remove: [Cookie], set: { X-Client: "${client.address}" }, add: { X-Id: "${request.id}", X-Node: "${node.name}" } }, response: { remove: [Server], set: { X-Route: "${route.name}" } } } }',
      "{ match: { path: /split }, split: { pools: { web: 1, a: 0 } } }",
      "{ match: { method: POST }, pool: web }",
    ),
  },
});

const OK = "HTTP/1.1 200 OK|Content-Length: 2|Server: x||ok";

async function ask(request: string): Promise<string> {
  const client = await rig.client();
  client.send(wire(request));
  await until(
    () => shown(client.text),
    () => client.text.includes("\r\n\r\n"),
  );
  await settle();
  return shown(client.text).replaceAll(/\|Date: [^|]*/gu, "");
}

test("a redirect answers at once, keeps the connection and reaches no backend", async () => {
  assert.equal(
    await ask("GET /away/x?y HTTP/1.1|Host: A.lan:80||"),
    "HTTP/1.1 308 Permanent Redirect|Content-Length: 0|Location: https://a.lan/away/x?y|X-From: vipair||",
  );
  assert.deepEqual(rig.backend.received, []);
});

test("a redirect to the host of a request that names none is refused", async () => {
  assert.match(await ask("GET /away/x HTTP/1.0||"), /^HTTP\/1\.[01] 400 /u);
});

test("a fixed answer is sent in UTF-8, and without its body to HEAD", async () => {
  const head =
    "HTTP/1.1 203 Non-Authoritative Information|Content-Type: text/plain; charset=utf-8|Content-Length: 11||";
  const body = Buffer.from("grüß dich").toString("latin1");
  assert.equal(await ask("GET /fixed HTTP/1.1|Host: a||"), head + body);
  assert.equal(await ask("HEAD /fixed HTTP/1.1|Host: a||"), head);
  assert.equal(await ask("GET /empty HTTP/1.1|Host: a||"), "HTTP/1.1 204 No Content||");
});

test("requests behind an answer of our own are answered in order; a body that comes ends the connection", async () => {
  const two = "GET /empty HTTP/1.1|Host: a||GET /empty HTTP/1.1|Host: a||";
  assert.equal(await ask(two), "HTTP/1.1 204 No Content||HTTP/1.1 204 No Content||");
  assert.equal(
    await ask("POST /empty HTTP/1.1|Host: a|Content-Length: 3||abcGET /empty HTTP/1.1|Host: a||"),
    "HTTP/1.1 204 No Content|Connection: close||",
  );
});

async function bodyFor(chain: string): Promise<string | undefined> {
  const text = await ask(`GET / HTTP/1.1|Host: a|X-Forwarded-For: ${chain}||`);
  return text.split("||")[1];
}

test("the client is who a trusted proxy says it is, as far as trust goes", async () => {
  rig.backend.script = answerHead(wire(OK));
  assert.equal(await bodyFor("10.1.2.3"), "inside");
  assert.equal(await bodyFor("192.0.2.1, 10.1.2.3, 127.0.0.9"), "inside");
  assert.equal(await bodyFor("10.1.2.3, 192.0.2.1"), "404 Not Found\n");
  assert.equal(await bodyFor("10.1.2.3, nonsense"), "404 Not Found\n");
});

test("a rewrite changes target, Host and fields of the request, and fields of the response", async () => {
  const request = "GET /v1/x?y HTTP/1.1|Host: a|X-Client: forged|Cookie: c=1|X-Node: kept||";
  rig.backend.script = answerHead(wire(OK));
  const answer = await ask(request);
  assert.equal(answer, "HTTP/1.1 200 OK|X-Route: api|Content-Length: 2||ok");
  const [received = ""] = rig.backend.received;
  const id = /\|X-Id: ([0-9a-f]{12}-\d+)\|/u.exec(received)?.[1] ?? "none";
  assert.equal(
    received,
    `GET /api/x?y HTTP/1.1|Host: web.internal|X-Node: kept|${told("a")}X-Client: 127.0.0.1|X-Id: ${id}|X-Node: test||`,
  );
});

test("what a rewrite takes out of the head does not come in by the trailers", async () => {
  const body = "0|Cookie: c=1|X-Client: forged|X-Checksum: 5||";
  rig.backend.script = (connection) => {
    if (connection.text.includes("X-Checksum: 5\r\n\r\n")) connection.send(wire(OK));
  };
  await ask(`POST /v1/t HTTP/1.1|Host: a|Transfer-Encoding: chunked||${body}`);
  assert.equal(rig.backend.received[0]?.split("chunked||")[1], "0|X-Checksum: 5||");
});

test("dot segments are resolved before the backend sees them, and the routes compare what it sees", async () => {
  const asked = ["GET /split//../x HTTP/1.1|Host: a|", "GET /away/..//split/%2e/%41 HTTP/1.1|Host: a|"];
  const forwarded = ["/split/x", "//split/A"].map((target) => `GET ${target} HTTP/1.1|Host: a|${told("a")}|`);
  rig.backend.script = answerEach(forwarded, () => wire(OK));
  for (const request of asked) assert.match(await ask(`${request}|`), /^HTTP\/1.1 200 /u);
  assert.deepEqual(rig.backend.received, [forwarded.join("")]);
});

test("a split and a route by method lead to their pool; what no route matches gets 404", async () => {
  const asked = ["GET /split HTTP/1.1|Host: a|", "POST / HTTP/1.1|Host: a|Content-Length: 0|"];
  const forwarded = [
    `GET /split HTTP/1.1|Host: a|${told("a")}|`,
    `POST / HTTP/1.1|Host: a|${told("a")}Content-Length: 0||`,
  ];
  rig.backend.script = answerEach(forwarded, () => wire(OK));
  for (const request of asked) assert.match(await ask(`${request}|`), /^HTTP\/1.1 200 /u);
  assert.match(await ask("GET / HTTP/1.1|Host: a||"), /^HTTP\/1.1 404 /u);
  assert.deepEqual(rig.backend.received, [forwarded.join("")]);
});
