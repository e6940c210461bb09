import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { PeerLink } from "../../src/control/peer-link.ts";
import { monotonicClock } from "../../src/system/clock.ts";
import { advertisementOf, eventually, GROUPS, newPlace, nodeOf, SECRET } from "./peer-pair.ts";
import type { Place } from "./peer-pair.ts";

const INTERVAL_MS = 50;

interface Lone {
  readonly link: PeerLink;
  readonly heard: string[];
  readonly events: string[];
  readonly logged: string[];
}

/** Node a without a second node. */
function loneNode(t: TestContext, place: Place): Lone {
  const heard: string[] = [];
  const events: string[] = [];
  const logged: string[] = [];
  const logLine = (_subject: object, event: string): void => {
    logged.push(event);
  };
  const link = new PeerLink({
    self: { name: "a" },
    groups: GROUPS,
    peer: undefined,
    paths: [{ self: place.a, peer: undefined }],
    port: place.port,
    secret: SECRET,
    intervalMs: INTERVAL_MS,
    silenceMs: INTERVAL_MS * 3.5,
    clock: monotonicClock,
    log: { debug: logLine, info: logLine, warn: logLine, error: logLine },
    events: {
      advertisement: ({ node, role }) => heard.push(`${node} ${role}`),
      changes: () => {},
      config: () => {},
      dead: () => events.push("dead"),
      estranged: () => events.push("estranged"),
      connected: () => events.push("connected"),
      disconnected: () => events.push("disconnected"),
    },
  });
  t.after(() => link.stop());
  link.start();
  const timer = setInterval(() => link.send(advertisementOf("a", { role: "active" })), INTERVAL_MS);
  t.after(() => clearInterval(timer));
  return { link, heard, events, logged };
}

test("without a second node nobody is dialled, so nobody is judged dead", async (t) => {
  const place = await newPlace();
  const { link, events } = loneNode(t, place);
  // Longer than two dials would take.
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.deepEqual(events, []);
  assert.deepEqual([link.status().connected, link.status().problem], [false, null]);
});

test("whoever has the secret hears what the node is, and is heard, before any file names it", async (t) => {
  const place = await newPlace();
  const a = loneNode(t, place);
  const b = nodeOf(t, "b", place);
  b.say({ role: "listening" });
  await eventually(() => b.heard.some(({ role }) => role === "active") && a.heard.includes("b listening"));
  assert.ok(!b.events.includes("estranged") && !b.events.includes("never-there"), b.events.join(", "));
  assert.ok(a.logged.includes("a second node is in touch that the file of this one does not name"));
});

test("whoever has another secret is told nothing", async (t) => {
  const place = await newPlace();
  const a = loneNode(t, place);
  const b = nodeOf(t, "b", place, { secret: "another secret, as long as it must be" });
  b.say();
  await eventually(() => b.events.includes("estranged"));
  assert.deepEqual([a.heard, a.events, b.heard], [[], [], []]);
});

test("whoever calls itself by the node's own name is told nothing", async (t) => {
  const place = await newPlace();
  const a = loneNode(t, place);
  const impostor = nodeOf(t, "b", place, { selfName: "a", peerName: "b" });
  impostor.say();
  await eventually(() => impostor.events.includes("estranged"));
  assert.deepEqual([a.heard, impostor.heard], [[], []]);
});

test("a third node is turned away while a second one is in touch, and knows that somebody answers", async (t) => {
  const place = await newPlace();
  const a = loneNode(t, place);
  const b = nodeOf(t, "b", place);
  b.say();
  await eventually(() => a.heard.includes("b standby"));
  const third = await newPlace();
  const c = nodeOf(t, "b", { ...place, b: third.b }, { selfName: "c" });
  c.say();
  await eventually(() => c.events.includes("estranged"));
  assert.deepEqual(new Set(a.heard), new Set(["b standby"]));
  assert.ok(a.logged.includes("peer link: c would be a third node"), a.logged.join(", "));
});

test("when the second node stands in the file, its connection lasts, and there is a second one soon", async (t) => {
  const place = await newPlace();
  const a = loneNode(t, place);
  const b = nodeOf(t, "b", place);
  const timer = setInterval(() => b.say({ role: "standby" }), INTERVAL_MS);
  t.after(() => clearInterval(timer));
  await eventually(() => a.heard.includes("b standby"));
  a.link.meet({ name: "b" }, [{ self: place.a, peer: place.b }]);
  await eventually(() => a.link.status().connections === 2 && b.link.status().connections === 2);
  assert.deepEqual([a.events, b.events], [["connected"], ["connected"]]);
});

test("when another node stands in the file, whoever came meanwhile is a stranger", async (t) => {
  const place = await newPlace();
  const a = loneNode(t, place);
  const c = nodeOf(t, "b", place, { selfName: "c" });
  c.say();
  await eventually(() => a.heard.includes("c standby"));
  const other = await newPlace();
  a.link.meet({ name: "b" }, [{ self: place.a, peer: other.b }]);
  await eventually(() => c.events.includes("estranged"));
  const b = nodeOf(t, "b", { ...place, b: other.b });
  b.say();
  await eventually(() => a.heard.includes("b standby"));
});

test("from the start of the second node on its port is never refused, whenever the file names it", async (t) => {
  const place = await newPlace();
  const a = loneNode(t, place);
  const b = nodeOf(t, "b", place);
  const timer = setInterval(() => b.say({ role: "standby" }), INTERVAL_MS);
  t.after(() => clearInterval(timer));
  a.link.meet({ name: "b" }, [{ self: place.a, peer: place.b }]);
  await eventually(() => a.link.status().connections === 2);
  assert.ok(!b.events.includes("never-there") && !b.events.includes("estranged"), b.events.join(", "));
});
