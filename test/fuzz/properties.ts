// What must hold for any bytes, judged with Node's parser as the second opinion:
//
//   1. what vipair accepts, llhttp accepts in strict mode, as the same messages;
//   2. what vipair forwards, llhttp reads as the same message again, one for one;
//   3. neither depends on how the bytes were split.
//
// A broken property throws an AssertionError that shows both sides.

import assert from "node:assert/strict";
import { SENDER, forwardRequests, forwardResponse } from "./engine.ts";
import { type Message, type Reading, isMethodKnown, readRequests, readResponses } from "./node-parser.ts";

export interface RequestCase {
  readonly input: string;
  readonly splits: readonly number[];
}

export interface ResponseCase extends RequestCase {
  /** Of the request that is answered. */
  readonly method: "GET" | "HEAD";
  readonly minor: 0 | 1;
}

/** RFC 9110 7.6.1, and the framing, which is each hop's own. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);
/** Written by this hop. */
const TOLD: ReadonlySet<string> = new Set([
  "forwarded",
  "host",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
]);

/** Returns how many messages were accepted, so that a run can say that it looked at some. */
export async function checkRequests({ input, splits }: RequestCase): Promise<number> {
  const result = forwardRequests(input, splits);
  const whole = forwardRequests(input, []);
  assert.deepEqual(whole.ends, result.ends, "what is accepted depends on how it was split");
  assert.equal(whole.stopped, result.stopped, "the end depends on how the bytes were split");
  let start = 0;
  for (const [i, end] of result.ends.entries()) {
    const message = input.slice(start, end);
    start = end;
    const method = /^(?:\r\n)*([^ ]*)/u.exec(message)?.[1] ?? "";
    // The one thing in which llhttp is narrower by choice.
    if (!isMethodKnown(method)) continue;
    const given = theOne(await readRequests(message), { what: "accepted", bytes: message });
    const forwarded = result.forwarded[i] ?? "";
    const passed = theOne(await readRequests(forwarded), { what: "forwarded", bytes: forwarded });
    assertSameRequest(given, passed);
    const passedWhole = theOne(await readRequests(whole.forwarded[i] ?? ""), {
      what: "forwarded",
      bytes: "",
    });
    assert.deepEqual(passedWhole, passed, "what is forwarded depends on how the bytes were split");
  }
  await checkTogether(input.slice(0, result.ends.at(-1) ?? 0), result.ends.length);
  return result.ends.length;
}

/** All that was accepted is as many messages for llhttp, one behind the other on one connection. */
async function checkTogether(accepted: string, count: number): Promise<void> {
  // Behind an Upgrade llhttp reads nothing on; methods that it does not know end it.
  if (/\r\nupgrade[ \t]*:/iu.test(accepted)) return;
  const { messages, fault } = await readRequests(accepted);
  if (fault === "HPE_INVALID_METHOD") return;
  assert.equal(fault, null, `accepted, but not by llhttp: ${JSON.stringify(accepted)}`);
  assert.equal(messages.length, count, `another number of messages for llhttp: ${JSON.stringify(accepted)}`);
}

export async function checkResponse({ input, splits, method, minor }: ResponseCase): Promise<number> {
  const result = forwardResponse(input, splits, { method, minor });
  const whole = forwardResponse(input, [], { method, minor });
  assert.deepEqual(whole.ends, result.ends, "what is accepted depends on how it was split");
  const [end] = result.ends;
  if (end === undefined) return 0;
  const accepted = input.slice(0, end);
  const given = await readResponses(accepted, method);
  assert.equal(given.fault, null, `accepted, but not by llhttp: ${JSON.stringify(accepted)}`);
  const bytes = result.forwarded.join("");
  const passed = await readResponses(bytes, method);
  assert.equal(passed.fault, null, `forwarded what llhttp refuses: ${JSON.stringify(bytes)}`);
  const expected = minor === 1 ? given.messages : given.messages.slice(-1);
  assert.equal(passed.messages.length, expected.length, JSON.stringify(bytes));
  for (const [i, message] of expected.entries()) {
    const got = passed.messages[i];
    assert.ok(got !== undefined);
    assert.equal(statusOf(got.start), statusOf(message.start));
    assert.equal(got.body, message.body);
    assert.deepEqual(endToEnd(got), endToEnd(message));
    assertTrailersAmong(got, message);
  }
  return 1;
}

function theOne(
  reading: Reading,
  { what, bytes }: { readonly what: string; readonly bytes: string },
): Message {
  const [message, ...more] = reading.messages;
  assert.equal(reading.fault, null, `${what}, but not by llhttp: ${JSON.stringify(bytes)}`);
  assert.ok(message !== undefined && more.length === 0, `${what}, no one message: ${JSON.stringify(bytes)}`);
  return message;
}

function assertSameRequest(given: Message, passed: Message): void {
  const [method = "", target = "", version = ""] = given.start.split(" ");
  const { authority, origin } = originOf(method, target, given);
  assert.equal(passed.start, `${method} ${origin} HTTP/1.1`);
  assert.equal(passed.body, given.body);
  const kept = endToEnd(given).filter(([name]) => !TOLD.has(name) && !name.includes("_"));
  const isOld = version === "HTTP/1.0";
  const expectation = (name: string): boolean => name !== "expect" || (!isOld && hasBodyFraming(given));
  assert.deepEqual(
    endToEnd(passed).filter(([name]) => !TOLD.has(name)),
    kept.filter(([name]) => expectation(name)),
  );
  assert.deepEqual(
    passed.fields.filter(([name]) => TOLD.has(name.toLowerCase())),
    toldOf(authority),
  );
  assertTrailersAmong(passed, given);
}

function hasBodyFraming(message: Message): boolean {
  return message.fields.some(([name]) => /^(?:content-length|transfer-encoding)$/iu.test(name));
}

function originOf(
  method: string,
  target: string,
  given: Message,
): { readonly authority: string; readonly origin: string } {
  const host = given.fields.find(([name]) => name.toLowerCase() === "host")?.[1] ?? "";
  const absolute = /^https?:\/\/([^/?]*)(.*)$/iu.exec(target);
  if (absolute === null) return { authority: host, origin: target };
  const [, authority = "", rest = ""] = absolute;
  if (rest === "") return { authority, origin: method === "OPTIONS" ? "*" : "/" };
  return { authority, origin: rest.startsWith("/") ? rest : `/${rest}` };
}

/** Exactly these, exactly once, whatever the request said. */
function toldOf(authority: string): [string, string][] {
  const host = authority === "" ? "" : `;host="${authority}"`;
  return [
    ["Host", authority],
    ["X-Forwarded-For", SENDER.address],
    ["X-Forwarded-Proto", SENDER.scheme],
    ...(authority === "" ? [] : [["X-Forwarded-Host", authority] satisfies [string, string]]),
    ["X-Real-IP", SENDER.address],
    ["Forwarded", `for=${SENDER.address}${host};proto=${SENDER.scheme}`],
  ];
}

/** Fields that concern more than one hop, names in small letters. */
function endToEnd(message: Message): [string, string][] {
  const nominated = message.fields
    .filter(([name]) => name.toLowerCase() === "connection")
    .flatMap(([, value]) => value.toLowerCase().split(","))
    .map((option) => option.replaceAll(/^[ \t]+|[ \t]+$/gu, ""))
    .filter((name) => !TOLD.has(name) && name !== "expect");
  return message.fields
    .map(([name, value]): [string, string] => [name.toLowerCase(), value])
    .filter(([name]) => !HOP_BY_HOP.has(name) && !nominated.includes(name));
}

/** Trailers may be left out, never changed or made up. */
function assertTrailersAmong(passed: Message, given: Message): void {
  const lines = given.trailers.map(([name, value]) => `${name}: ${value}`);
  for (const [name, value] of passed.trailers)
    assert.ok(lines.includes(`${name}: ${value}`), `trailer ${name}`);
}

function statusOf(start: string): string {
  return start.slice(9, 12);
}
