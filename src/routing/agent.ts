// What a backend's agent says about its backend: a line of words as HAProxy's agent-check reads it (HAProxy 2.8,
// configuration.txt 5.2, agent-check). Each word changes what it is about and nothing else, and stays true until the
// agent takes it back: an agent that is silent, or only tells a weight, changes nothing else.
//
//   75%                  the share of its configured weight; 0% is no new requests
//   ready                ends drain and maint
//   drain                finish what is in flight, no new requests
//   maint                out of service
//   up                   ends down, fail and stopped
//   down, fail, stopped  it does not work; "#" and what follows says why. Older manuals have failed for fail
//
// Words stand in any order, with spaces, tabs or commas between them, in any case.

import { printable } from "./printable.ts";

export interface AgentState {
  readonly order: "ready" | "drain" | "maintenance";
  /** What is wrong, in the agent's words; null: it works. */
  readonly failure: string | null;
  /** Of the configured weight. */
  readonly weightPercent: number;
}

/** Before the agent has said anything. */
export const NOTHING_SAID: AgentState = { order: "ready", failure: null, weightPercent: 100 };

/** An agent may ask for more than the configured weight; a slip of it must not take all requests. */
const PERCENT_MAX = 1000;

export interface AgentAnswer {
  readonly state: AgentState;
  /** The line, fit for logs and terminals. */
  readonly said: string;
  /** Words that mean nothing. */
  readonly unknown: readonly string[];
}

/** The state after a line of the agent's, without its line feed. */
export function hearAgent(before: AgentState, line: string): AgentAnswer {
  const [words = "", ...rest] = line.split("#");
  const reason = printable(rest.join("#").trim());
  let state = before;
  const unknown: string[] = [];
  for (const word of words.split(/[\s,]+/).filter((one) => one !== "")) {
    const meant = understand(word.toLowerCase(), reason);
    if (meant === undefined) unknown.push(printable(word));
    else state = { ...state, ...meant };
  }
  return { state, said: printable(line.trim()), unknown };
}

function understand(word: string, reason: string): Partial<AgentState> | undefined {
  switch (word) {
    case "ready":
      return { order: "ready" };
    case "drain":
      return { order: "drain" };
    case "maint":
      return { order: "maintenance" };
    case "up":
      return { failure: null };
    case "down":
    case "fail":
    case "failed":
    case "stopped":
      return { failure: reason === "" ? word : `${word}: ${reason}` };
    default: {
      const percent = /^\d{1,4}%$/.test(word) ? Number.parseInt(word, 10) : PERCENT_MAX + 1;
      return percent > PERCENT_MAX ? undefined : { weightPercent: percent };
    }
  }
}
