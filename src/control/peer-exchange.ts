// A question to the peer and its answer, each a text that may be longer than a frame. Whoever wants a text pulls it,
// part by part, one part at a time: so no more than one frame ever stands between two heartbeats, and what a path
// loses, or a connection that is behind drops, is pulled again. The same message comes over every connection; each
// pull has a turn, so that it is answered once.
//
//   asker      ask ──▶            ◀── pull question   part ──▶  …            ◀── answered   pull answer ──▶  …   done ──▶
//
// One question of each node at a time. What the texts mean is none of this file's business (config-sync.ts).

import { randomInt } from "node:crypto";
import type { ExchangeMessage } from "./peer-frame.ts";
import { EXCHANGE_BYTES_MAX, EXCHANGE_PART_BYTES_MAX } from "./peer-frame.ts";

/** A pull, or a question of which nothing is heard, is sent again after this. */
const AGAIN_MS = 300;

/** Nothing has come for so long: the peer does not answer. It may have to look at its disk. */
const PATIENCE_MS = 25_000;

const ID_MAX = 2 ** 47;

export type ExchangeAnswer =
  | { readonly kind: "answer"; readonly text: string }
  /** In words that follow the peer's name. */
  | { readonly kind: "none"; readonly problem: string };

export interface PeerExchangeOptions {
  /** Sends once to the peer, on every connection that is not behind. */
  readonly send: (message: ExchangeMessage) => void;
  /** The answer to a question of the peer's, as text. Never rejects. */
  readonly answer: (question: string) => Promise<string>;
}

type Document = "question" | "answer";

interface Asked {
  readonly id: number;
  readonly question: Served;
  readonly settle: (answer: ExchangeAnswer) => void;
  answer: Puller | undefined;
}

interface Answering {
  readonly id: number;
  readonly question: Puller;
  /** Undefined: the question is not known yet, or what it asks is being done. */
  answer: Served | undefined;
}

export class PeerExchange {
  readonly #options: PeerExchangeOptions;
  #asked: Asked | undefined;
  #again: NodeJS.Timeout | undefined;
  #patience: NodeJS.Timeout | undefined;
  #answering: Answering | undefined;
  /** What a question asks is being done: it is not left for another one. */
  #isBusy = false;

  constructor(options: PeerExchangeOptions) {
    this.#options = options;
  }

  ask(question: string): Promise<ExchangeAnswer> {
    const document = Buffer.from(question);
    if (this.#asked !== undefined) return Promise.resolve(none("is being asked something else already"));
    if (document.length > EXCHANGE_BYTES_MAX) return Promise.resolve(none("takes no text as long as this"));
    return new Promise((resolve) => {
      const id = randomInt(1, ID_MAX);
      const settle = (answer: ExchangeAnswer): void => {
        clearTimeout(this.#again);
        clearTimeout(this.#patience);
        this.#asked?.answer?.close();
        this.#asked = undefined;
        resolve(answer);
      };
      this.#asked = { id, question: new Served(document), settle, answer: undefined };
      this.#noteProgress();
      this.#sayAsk();
    });
  }

  receive(message: ExchangeMessage): void {
    switch (message.step) {
      case "ask":
        return this.#takeQuestion(message);
      case "answered":
        return this.#takeAnswer(message);
      case "pull": {
        const served =
          message.of === "question" ? this.#ownQuestion(message.id) : this.#ownAnswer(message.id);
        if (message.of === "question") this.#noteProgress();
        const part = served?.take(message);
        if (part === undefined) return;
        const { id, of, offset } = message;
        return this.#options.send({ kind: "exchange", id, step: "part", of, offset, data: part });
      }
      case "part": {
        if (message.of === "question") {
          if (this.#answering?.id === message.id) this.#answering.question.take(message);
        } else if (this.#asked?.id === message.id) {
          this.#noteProgress();
          this.#asked.answer?.take(message);
        }
        return;
      }
      case "done":
        if (this.#answering?.id === message.id && !this.#isBusy) this.#answering = undefined;
    }
  }

  /** The peer is out of touch: nobody knows what became of a question. */
  disconnected(): void {
    this.#asked?.settle(none("went out of touch before it answered"));
    this.#answering?.question.close();
  }

  close(): void {
    this.#asked?.settle(none("was not waited for: this node stops"));
    this.#answering?.question.close();
  }

  #ownQuestion(id: number): Served | undefined {
    return this.#asked?.id === id ? this.#asked.question : undefined;
  }

  #ownAnswer(id: number): Served | undefined {
    return this.#answering?.id === id ? this.#answering.answer : undefined;
  }

  /** Again and again: the first one may have met a connection that is behind, and so may the word that it is answered. */
  #sayAsk(): void {
    if (this.#asked === undefined) return;
    const { id, question, answer } = this.#asked;
    if (answer === undefined)
      this.#options.send({ kind: "exchange", id, step: "ask", bytes: question.bytes });
    this.#again = setTimeout(() => this.#sayAsk(), AGAIN_MS);
  }

  #noteProgress(): void {
    if (this.#asked === undefined) return;
    const { settle } = this.#asked;
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => settle(none("does not answer")), PATIENCE_MS);
  }

  #takeQuestion({ id, bytes }: Extract<ExchangeMessage, { step: "ask" }>): void {
    if (this.#answering?.id === id) {
      const { answer } = this.#answering;
      if (answer !== undefined) this.#sayAnswered(id, answer);
      return;
    }
    if (this.#isBusy) return;
    // Whoever asks something else has given up what it asked before.
    this.#answering?.question.close();
    const question = this.#pull({ id, of: "question", bytes }, (text) => void this.#answer(id, text));
    this.#answering = { id, question, answer: undefined };
    question.start();
  }

  async #answer(id: number, question: string): Promise<void> {
    this.#isBusy = true;
    const text = await this.#options.answer(question);
    this.#isBusy = false;
    if (this.#answering?.id !== id) return;
    const answer = new Served(Buffer.from(text));
    this.#answering.answer = answer;
    this.#sayAnswered(id, answer);
  }

  #sayAnswered(id: number, answer: Served): void {
    this.#options.send({ kind: "exchange", id, step: "answered", bytes: answer.bytes });
  }

  #takeAnswer({ id, bytes }: Extract<ExchangeMessage, { step: "answered" }>): void {
    if (this.#asked?.id !== id || this.#asked.answer !== undefined) return;
    const { settle } = this.#asked;
    const answer = this.#pull({ id, of: "answer", bytes }, (text) => {
      this.#options.send({ kind: "exchange", id, step: "done" });
      settle({ kind: "answer", text });
    });
    this.#asked.answer = answer;
    answer.start();
  }

  #pull(
    { id, of, bytes }: { readonly id: number; readonly of: Document; readonly bytes: number },
    done: (text: string) => void,
  ): Puller {
    return new Puller({
      bytes,
      pull: (offset, turn) => {
        this.#options.send({ kind: "exchange", id, step: "pull", of, offset, turn });
      },
      done,
    });
  }
}

function none(problem: string): ExchangeAnswer {
  return { kind: "none", problem };
}

/** A text that the other side pulls. */
class Served {
  readonly #document: Buffer;
  #lastTurn = 0;

  constructor(document: Buffer) {
    this.#document = document;
  }

  get bytes(): number {
    return this.#document.length;
  }

  /** The part that begins there, in base64; undefined: this pull has been answered, or there is none. */
  take({ offset, turn }: { readonly offset: number; readonly turn: number }): string | undefined {
    if (turn <= this.#lastTurn || offset >= this.#document.length) return undefined;
    this.#lastTurn = turn;
    return this.#document.subarray(offset, offset + EXCHANGE_PART_BYTES_MAX).toString("base64");
  }
}

interface PullerOptions {
  readonly bytes: number;
  readonly pull: (offset: number, turn: number) => void;
  readonly done: (text: string) => void;
}

/** Pulls a text from the other side. */
class Puller {
  readonly #options: PullerOptions;
  readonly #parts: Buffer[] = [];
  #received = 0;
  #turn = 0;
  #triesLeft = PATIENCE_MS / AGAIN_MS;
  #again: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(options: PullerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#pull();
  }

  /** A part that was pulled twice counts once; one that does not fit is none. */
  take({ offset, data }: { readonly offset: number; readonly data: string }): void {
    if (this.#isOver || offset !== this.#received) return;
    const part = Buffer.from(data, "base64");
    if (part.length === 0 || this.#received + part.length > this.#options.bytes) return;
    this.#parts.push(part);
    this.#received += part.length;
    this.#triesLeft = PATIENCE_MS / AGAIN_MS;
    if (this.#received < this.#options.bytes) return this.#pull();
    this.close();
    this.#options.done(Buffer.concat(this.#parts).toString());
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#again);
  }

  #pull(): void {
    clearTimeout(this.#again);
    if (this.#triesLeft <= 0) return this.close();
    this.#triesLeft -= 1;
    this.#turn += 1;
    this.#options.pull(this.#received, this.#turn);
    this.#again = setTimeout(() => this.#pull(), AGAIN_MS);
  }
}
