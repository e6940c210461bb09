// Clients that ask at a steady rate, whether or not they were answered (an open loop), on kept connections, and note
// what each of them got. A machine that stands still makes the rate lower and the next moments denser, and loses nothing.

import { Agent, request } from "node:http";

export interface SteadyOptions {
  readonly host: string;
  readonly port: number;
  readonly perSecond: number;
  /** At once; requests that are due wait for one. Absent: as many as there are requests. */
  readonly connections?: number;
  /** Requests in all. Absent: until `stop`. */
  readonly limit?: number;
}

export interface Seen {
  readonly asked: number;
  /** How many got each answer: "200 one" for a status and a body. */
  readonly answers: Readonly<Record<string, number>>;
  /** How many got no whole answer, for each reason. */
  readonly failures: Readonly<Record<string, number>>;
}

/** Not what an answer may take, but when to give up. */
const TIMEOUT_MS = 30_000;

export class SteadyLoad {
  readonly #options: SteadyOptions;
  readonly #agent: Agent;
  readonly #startedAtMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #answers = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  #asked = 0;
  #settled = 0;
  #wake: (() => void) | null = null;

  /** Asks from now on. */
  constructor(options: SteadyOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, maxSockets: options.connections ?? Infinity });
    this.#timer = setInterval(() => {
      this.#askAllDue();
    }, 1000 / options.perSecond);
  }

  get asked(): number {
    return this.#asked;
  }

  /** Ends when that many more have been asked. */
  async untilAsked(more: number): Promise<void> {
    const wanted = this.#asked + more;
    while (this.#asked < wanted) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** Asks no more. Ends when each request has its answer, or none. */
  async stop(): Promise<Seen> {
    clearInterval(this.#timer);
    while (this.#settled < this.#asked) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#agent.destroy();
    return {
      asked: this.#asked,
      answers: Object.fromEntries(this.#answers),
      failures: Object.fromEntries(this.#failures),
    };
  }

  #askAllDue(): void {
    const due = ((performance.now() - this.#startedAtMs) * this.#options.perSecond) / 1000;
    while (this.#asked < Math.min(due, this.#options.limit ?? Infinity)) this.#ask();
    this.#awake();
  }

  #ask(): void {
    this.#asked += 1;
    const { host, port } = this.#options;
    const fail = (error: Error): void => {
      this.#settle(this.#failures, error.message);
    };
    const sent = request(
      { host, port, agent: this.#agent, signal: AbortSignal.timeout(TIMEOUT_MS) },
      (response) => {
        let body = "";
        response.on("data", (bytes: Buffer) => (body += bytes.toString()));
        response.on("error", fail);
        response.on("end", () => {
          this.#settle(this.#answers, `${String(response.statusCode)} ${body.trimEnd()}`);
        });
      },
    );
    sent.on("error", fail);
    sent.end();
  }

  #settle(counts: Map<string, number>, what: string): void {
    this.#settled += 1;
    counts.set(what, (counts.get(what) ?? 0) + 1);
    this.#awake();
  }

  #awake(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
