// The rules for requests that the configuration can change: fields with underscores, TRACE.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { OK } from "./harness.ts";
import { answerEach, assertRefused, openRig, shown, told, wire } from "./strict-rig.ts";

const FIELDS =
  "X_Forwarded_For: 6.6.6.6|Content_Length: 5|Transfer_Encoding: chunked|X-Good: yes|_: x|X-Bad_Name: y";
const REQUEST = `GET / HTTP/1.1|Host: a|${FIELDS}||`;

describe("underscoreHeaders: drop", () => {
  const rig = openRig({ listener: { underscoreHeaders: "drop" } });
  test("fields with an underscore in their name are left out", async () => {
    const forwarded = `GET / HTTP/1.1|Host: a|X-Good: yes|${told("a")}|`;
    rig.backend.script = answerEach([forwarded], () => OK);
    const client = await rig.client();
    client.send(wire(REQUEST));
    await client.receives("ok");
    assert.deepEqual(rig.backend.received, [forwarded]);
  });

  test("a response keeps its fields with an underscore", async () => {
    const answer = wire("HTTP/1.1 200 OK|X_A: 1|Content-Length: 2||ok");
    rig.backend.script = answerEach([`GET / HTTP/1.1|Host: a|${told("a")}|`], () => answer);
    const client = await rig.client();
    client.send(wire("GET / HTTP/1.1|Host: a||"));
    assert.equal(await client.receives("ok"), answer);
  });
});

describe("underscoreHeaders: refuse", () => {
  const rig = openRig({ listener: { underscoreHeaders: "refuse" } });
  test("a request with such a field gets 400", async () => {
    const client = await rig.client();
    client.send(wire(REQUEST));
    assertRefused(await client.endsOrCloses(), 400);
    assert.equal(rig.backend.connections.length, 0);
  });
});

describe("underscoreHeaders: pass", () => {
  const rig = openRig({ listener: { underscoreHeaders: "pass" } });
  test("such fields are passed on, and mean nothing here", async () => {
    const forwarded = `GET / HTTP/1.1|Host: a|${FIELDS}|${told("a")}|`;
    rig.backend.script = answerEach([forwarded], () => OK);
    const client = await rig.client();
    client.send(wire(REQUEST));
    await client.receives("ok");
    assert.deepEqual(rig.backend.received, [forwarded]);
  });
});

describe("trace: pass", () => {
  const rig = openRig({ listener: { trace: "pass" } });
  test("RFC 9110 9.3.8: TRACE is passed on", async () => {
    const forwarded = `TRACE / HTTP/1.1|Host: a|${told("a")}|`;
    rig.backend.script = answerEach([forwarded], () => OK);
    const client = await rig.client();
    client.send(wire("TRACE / HTTP/1.1|Host: a||"));
    assert.equal(shown(await client.receives("ok")), shown(OK));
    assert.deepEqual(rig.backend.received, [forwarded]);
  });

  test("RFC 9110 7.6.2: TRACE has one forward less", async () => {
    const forwarded = `TRACE / HTTP/1.1|Host: a|Max-Forwards: 1|${told("a")}|`;
    rig.backend.script = answerEach([forwarded], () => OK);
    const client = await rig.client();
    client.send(wire("TRACE / HTTP/1.1|Host: a|Max-Forwards: 2||"));
    await client.receives("ok");
    assert.deepEqual(rig.backend.received, [forwarded]);
  });

  test("RFC 9110 9.3.8: TRACE without a forward is shown what arrived here, without credentials", async () => {
    const shownOf = "TRACE /x HTTP/1.1|Host: a|X: y|Max-Forwards: 0||";
    const client = await rig.client();
    client.send(
      wire(
        "TRACE /x HTTP/1.1|Host: a|X:y|Cookie: a=b|Authorization: x|Proxy-Authorization: y|Max-Forwards: 0||",
      ),
    );
    const text = shown(await client.receives("\r\n\r\nTRACE")).replace(/Date: [^|]*/u, "Date");
    const length = String(wire(shownOf).length);
    assert.equal(
      text,
      `HTTP/1.1 200 OK|Date|Content-Type: message/http|Content-Length: ${length}||${shownOf}`,
    );
    assert.equal(rig.backend.connections.length, 0);
  });

  for (const [body, framing] of [
    ["a length", "Content-Length: 1||x"],
    ["chunks", "Transfer-Encoding: chunked||0||"],
  ] as const) {
    test(`RFC 9110 9.3.8: TRACE with ${body} gets 400`, async () => {
      const client = await rig.client();
      client.send(wire(`TRACE / HTTP/1.1|Host: a|${framing}`));
      assertRefused(await client.endsOrCloses(), 400);
      assert.equal(rig.backend.connections.length, 0);
    });
  }

  test("CONNECT is refused all the same", async () => {
    const client = await rig.client();
    client.send(wire("CONNECT a:443 HTTP/1.1|Host: a:443||"));
    assertRefused(await client.endsOrCloses(), 501);
    assert.equal(rig.backend.connections.length, 0);
  });
});
