// What happened in a run, for people: one line per event that mattered. Advertisements that say what was
// said before are left out; with them a run is a thousand pages.

import type { Effect, Input, State, Step } from "../../src/election/state.ts";
import type { Elector } from "./elector.ts";
import type { Scenario } from "./scenario.ts";
import type { Witness } from "./world.ts";

export class Transcript implements Witness {
  readonly #lines: string[] = [];
  readonly #heard = new Map<string, string>();
  readonly #hasGroups: boolean;

  constructor(scenario: Scenario) {
    const { network, loop, hooks, events, priorities } = scenario;
    this.#hasGroups = priorities.length > 1;
    this.#lines.push(
      `seed ${String(scenario.seed)}${scenario.isSteady ? ", steady" : ""}: interval ${String(scenario.intervalMs)} ms, ` +
        `lease ${String(scenario.leaseMs)} ms, claim ${scenario.claim}, arbiter ${scenario.arbiter ? "gateway" : "none"}, ` +
        `preempt ${String(scenario.preempt)}, priorities ${priorities.map((both) => both.join(" ")).join(", ")}`,
      `weather: ${JSON.stringify({ ...network, loop, hooks })}`,
      ...events.map(({ time, fault }) => `planned: ${time.toFixed(1)} ${JSON.stringify(fault)}`),
      `healed:  ${scenario.healedAt.toFixed(1)}`,
    );
  }

  stepped(
    now: number,
    elector: Elector,
    input: Input | "start",
    before: State | undefined,
    after: Step,
  ): void {
    const { node } = elector.settings;
    const who = this.#hasGroups ? `${node}${String(elector.group)}` : node;
    const told = this.#tellInput(who, input);
    const effects = after.effects.map(tellEffect).filter((effect) => effect !== undefined);
    const kinds = [before?.phase.kind, after.state.phase.kind];
    const change = kinds[0] === kinds[1] ? "" : ` [${kinds.join(" > ")}]`;
    if (told === undefined && effects.length === 0 && change === "") return;
    this.happened(
      now,
      who,
      `${told ?? "same"}${change}${effects.map((effect) => `\n${" ".repeat(16)}${effect}`).join("")}`,
    );
  }

  happened(now: number, who: string, what: string): void {
    this.#lines.push(`${now.toFixed(1).padStart(10)}  ${who}  ${what}`);
  }

  conclude(verdict: string): void {
    this.#lines.push(verdict);
  }

  text(): string {
    return this.#lines.join("\n");
  }

  #tellInput(who: string, input: Input | "start"): string | undefined {
    if (input === "start") return "start";
    if (input.kind === "deadline" || input.kind === "renewed" || input.kind === "arbiter-answered") {
      return undefined;
    }
    if (input.kind !== "advertisement") return JSON.stringify(input);
    const { role, epoch, ready, intent, priority, damped } = input.advertisement;
    const words =
      `hears ${role} epoch ${String(epoch)} priority ${String(priority)}${ready ? " ready" : ""}` +
      `${damped ? " damped" : ""}${intent === "none" ? "" : ` ${intent}`}`;
    if (this.#heard.get(who) === words) return undefined;
    this.#heard.set(who, words);
    return words;
  }
}

function tellEffect(effect: Effect): string | undefined {
  switch (effect.kind) {
    case "advertise":
    case "renew":
      return undefined;
    case "log":
      return `log ${effect.level}: ${effect.event} ${JSON.stringify(effect.subject)}`;
    case "claim":
    case "announce":
    case "release":
    case "drain":
    case "read-queue":
    case "switchover-done":
    case "switchover-refused":
      return JSON.stringify(effect);
  }
}
