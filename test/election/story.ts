// A failover as a text that fits one screen. One node (a, unless the settings say otherwise) and its peer:
//
//     0  start                    listening: release, says leaving
//    10  released                 listening: says listening
//    20  hears active 1 ...       listening
//   832                           standby: says standby
//
// A line is a moment in ms, what happens to the node (nothing: time passes), then the phase in which it is
// afterwards and, behind a colon, all that it has done since the line before. Between two lines the node
// wakes at its deadlines; renewals succeed by themselves and are not listed, and neither are advertisements
// that repeat what was said. `...` after what the node hears: the peer says it again each interval.
// `interval-1000`, `lease-10000`: the peer's own times, where its file differs.

import assert from "node:assert/strict";
import type { Advertisement, Intent, PeerRole } from "../../src/election/advertisement.ts";
import type { Effect, Input, Settings, State, Step } from "../../src/election/state.ts";
import { nextDeadline, start, step } from "../../src/election/step.ts";
import { arbiterIntervalMs, leaseGoneMs } from "../../src/election/timing.ts";

/** The active-down interval of a is 3 * 256 + 64 = 832 ms, of b 3 * 256 + 128 = 896 ms. */
export const A: Settings = {
  group: "default",
  node: "a",
  peer: "b",
  priority: 192,
  peerPriority: 128,
  intervalMs: 256,
  leaseMs: 2000,
  expiryLateMs: 0,
  claim: "fast",
  preempt: false,
  preemptDelayMs: 5000,
  configHash: "hash",
  stopGraceMs: 4000,
  arbiter: false,
  roleChangesMax: 4,
};
export const B: Settings = { ...A, node: "b", peer: "a", priority: 128, peerPriority: 192 };
export const SAFE = { claim: "safe" } as const;

/** How a node that is in touch with an active peer, or is active itself, came to be so. */
export const STANDBY = `
     0  start               listening: release, says leaving
     0  released            listening: says listening
     0  hears active 1 ...  listening
  1000                      standby: says standby
`;
export const ACTIVE = `
     0  start                     listening: release, says leaving
     0  released                  listening: says listening
     0  hears stopped 0 ...       listening
   832                            claiming: claim 1 probe, says claiming
   832  claimed                   active: announce, says active
   833  hears standby 0 ready ...  active
  1000                            active
`;

/** The same later, when all announcements after the claim have been made. */
export const SETTLED = `
  ${ACTIVE}
  9999  active: announce, announce, announce, announce, announce
`;

/** Plays the story and compares it line by line. Returns the node as it is at the end. */
export function story(settings: Settings, ...parts: readonly string[]): State {
  const teller = new Teller(settings);
  const lines = parts.flatMap((part) => part.split("\n")).filter((line) => line.trim() !== "");
  for (const line of lines) {
    const [, time, input, phase, done] =
      /^\s*([\d.]+)(?:\s\s+(.*?))??\s\s+([\w-]+)(?::\s*(.*))?$/.exec(line) ?? [];
    assert.ok(time !== undefined && phase !== undefined, `not a line of a story: ${line}`);
    teller.tell(Number(time), input?.trim() ?? "");
    const expected = `${phase}: ${done ?? ""}`;
    assert.equal(
      `${teller.state.phase.kind}: ${teller.takeDone().join(", ")}`,
      expected,
      `at ${line.trim()}`,
    );
  }
  return teller.state;
}

class Teller {
  readonly #settings: Settings;
  #step: Step | undefined;
  #now = 0;
  #done: string[] = [];
  #said = "";
  #arbiterAt = Infinity;
  #heartbeat: { readonly said: Advertisement; at: number } | undefined;
  /** Renewals are left to the story, or without an answer. */
  #renews = true;
  #isFrozen = false;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  get state(): State {
    assert.ok(this.#step, "a story begins with: start");
    return this.#step.state;
  }

  takeDone(): readonly string[] {
    return this.#done.splice(0);
  }

  tell(time: number, input: string): void {
    if (input === "start") {
      this.#now = time;
      this.#after(start(this.#settings, time));
      return;
    }
    if (!this.#isFrozen) this.#pass(time);
    this.#now = time;
    if (input === "" && !this.#isFrozen) return;
    this.#isFrozen = false;
    this.#input(input);
  }

  #input(text: string): void {
    const [word = "", ...rest] = text.split(" ");
    switch (word) {
      case "":
      case "wakes":
        return this.#give({ kind: "deadline" });
      case "hears":
        return this.#hear(rest);
      case "silence":
        this.#heartbeat = undefined;
        return;
      case "freezes":
        this.#heartbeat = undefined;
        this.#isFrozen = true;
        return;
      case "renewals-hang":
        this.#renews = false;
        return;
      case "dead":
        return this.#silently({ kind: "peer-dead" });
      case "estranged":
        return this.#silently({ kind: "peer-estranged", problem: "another secret" });
      case "fault":
        return this.#give({ kind: "fault", cause: rest.join(" "), detail: "broken" });
      case "soft-fault":
        return this.#give({ kind: "fault", cause: rest.join(" "), detail: "broken", soft: true });
      case "impaired":
        return this.#give({ kind: "impaired", cause: "check", detail: "slow", weight: Number(rest[0]) });
      case "maintenance":
        return this.#give({ kind: "maintenance", on: rest[0] === "on", force: rest.includes("force") });
      case "arbiter":
        return this.#askArbiter(rest[0] ?? "");
      case "address-gone":
        return this.#give({ kind: "address-gone", reason: "somebody removed it" });
      case "forced-switchover":
        return this.#give({ kind: "switchover", force: true });
      case "recovered":
        return this.#give({ kind: "recovered", cause: rest.join(" ") });
      case "claimed":
        return this.#give({ kind: "claimed", epoch: this.state.epoch, startedAt: this.#now });
      case "claim-failed":
        return this.#give({ kind: "claim-failed", epoch: this.state.epoch, reason: "no such interface" });
      case "gone":
        return this.#give({ kind: "renew-failed", gone: true, reason: "not there" });
      case "renew-failed":
        return this.#give({ kind: "renew-failed", gone: false, reason: "exit 2" });
      case "released":
      case "drained":
      case "queue-read":
      case "switchover":
      case "resume":
      case "stop":
        return this.#give({ kind: word });
      default:
        assert.fail(`nothing of this name can happen: ${text}`);
    }
  }

  #silently(input: Input): void {
    this.#heartbeat = undefined;
    this.#give(input);
  }

  #hear([role = "", epoch = "0", ...rest]: readonly string[]): void {
    const isResigned = ["leaving", "fault", "maintenance", "stopped"].includes(role);
    const intents: readonly Intent[] = ["offer", "order", "request"];
    const impairment = numberIn(rest, "impaired") ?? 0;
    const said: Advertisement = {
      group: this.#settings.group,
      node: this.#settings.peer ?? "newcomer",
      role: role as PeerRole,
      priority: isResigned ? 0 : Math.max(1, this.#settings.peerPriority - impairment),
      impairment,
      damped: rest.includes("damped"),
      epoch: Number(epoch),
      heard: numberIn(rest, "heard") ?? 0,
      ready: rest.includes("ready"),
      intent: intents.find((intent) => rest.includes(intent)) ?? "none",
      configHash: "hash",
      intervalMs: numberIn(rest, "interval") ?? this.#settings.intervalMs,
      leaseGoneMs: leaseGoneMs({
        leaseMs: numberIn(rest, "lease") ?? this.#settings.leaseMs,
        expiryLateMs: numberIn(rest, "late") ?? this.#settings.expiryLateMs,
      }),
    };
    this.#heartbeat = rest.includes("...") ? { said, at: this.#now + said.intervalMs } : undefined;
    this.#give({ kind: "advertisement", advertisement: said });
  }

  /** `answers`: now, and again each interval. `silent`: no more. `missing`: there is none. */
  #askArbiter(word: string): void {
    if (word === "answers") {
      this.#arbiterAt = this.#now + arbiterIntervalMs(this.#settings.intervalMs);
      return this.#give({ kind: "arbiter-answered" });
    }
    this.#arbiterAt = Infinity;
    if (word === "missing") this.#give({ kind: "arbiter-missing" });
  }

  /** Time passes up to, and with, this moment. */
  #pass(until: number): void {
    for (;;) {
      const deadline = nextDeadline(this.#settings, this.state);
      const beat = this.#heartbeat?.at ?? Infinity;
      const next = Math.min(deadline, beat, this.#arbiterAt);
      if (next > until) return;
      this.#now = next;
      if (this.#arbiterAt === next) {
        this.#arbiterAt += arbiterIntervalMs(this.#settings.intervalMs);
        this.#give({ kind: "arbiter-answered" });
        continue;
      }
      if (this.#heartbeat !== undefined && beat === next) {
        this.#heartbeat.at += this.#heartbeat.said.intervalMs;
        this.#give({ kind: "advertisement", advertisement: this.#heartbeat.said });
      } else this.#give({ kind: "deadline" });
    }
  }

  #give(input: Input): void {
    this.#after(step(this.#settings, this.state, input, this.#now));
  }

  #after(next: Step): void {
    this.#step = next;
    let renews = false;
    for (const effect of next.effects) {
      if (effect.kind === "renew" && this.#renews) renews = true;
      else this.#note(effect);
    }
    if (renews) this.#give({ kind: "renewed", startedAt: this.#now });
  }

  #note(effect: Effect): void {
    switch (effect.kind) {
      case "log":
        return;
      case "advertise": {
        const { role, intent } = effect.advertisement;
        const said = intent === "none" ? role : `${role} ${intent}`;
        if (said !== this.#said) this.#done.push(`says ${said}`);
        this.#said = said;
        return;
      }
      case "claim": {
        const how = `${effect.handover ? " handover" : ""}${effect.probe ? " probe" : ""}`;
        this.#done.push(`claim ${String(effect.epoch)}${how}`);
        return;
      }
      case "switchover-refused":
        this.#done.push(`refused (${effect.reason})`);
        return;
      case "switchover-done":
        this.#done.push("done");
        return;
      case "renew":
      case "release":
      case "announce":
      case "drain":
      case "read-queue":
        this.#done.push(effect.kind);
    }
  }
}

/** The number behind the dash: `interval-1000`. */
function numberIn(words: readonly string[], name: string): number | undefined {
  const found = words.find((word) => word.startsWith(`${name}-`));
  return found === undefined ? undefined : Number(found.slice(name.length + 1));
}
