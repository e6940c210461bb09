// A process that asks at a fixed rate, whatever the answers do (an open loop: a slow proxy does not slow its clients
// down), or as fast as the answers come, and prints a ClientReport as JSON. Argument: a ClientOrder as JSON. Times
// count from the moment a request was due, so that waiting for a free connection counts too. Apart from wrk because
// that has neither a rate nor WebSocket.

import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { type Case, renderRequest } from "./cases.ts";

export interface ClientOrder {
  readonly each: Omit<Case, "answer">;
  readonly answerBytes: number;
  readonly port: number;
  readonly seconds: number;
  /** Requests per second, at random moments; null: the next one on each connection as soon as it is answered. */
  readonly rate: number | null;
}

export interface ClientReport {
  readonly requests: number;
  readonly failures: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Random moments repeat from run to run, so that all proxies get the same ones. */
const SEED = 20_261_121;
/** Answers that are awaited after the last request. */
const LATE_MS_MAX = 2000;

/** One message to the main thread at each moment. */
function pace(moments: Float64Array): void {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  const startedMs = nowMs();
  for (const moment of moments) {
    const waitMs = startedMs + moment - nowMs();
    if (waitMs > 0) Atomics.wait(clock, 0, 0, waitMs);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread, no window
    parentPort?.postMessage(startedMs + moment);
  }
}

/** A monotonic clock that both threads share, as performance.now() is not. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Moments in ms at which a Poisson process of that rate has an event. */
function drawMoments(rate: number, seconds: number): Float64Array {
  const moments: number[] = [];
  let state = SEED;
  for (let at = 0; at < seconds * 1000;) {
    // A linear congruential generator (Numerical Recipes): good enough for arrivals.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    at += (-Math.log((state + 1) / 4_294_967_297) * 1000) / rate;
    moments.push(at);
  }
  return Float64Array.from(moments);
}

/** One connection with at most one question on its way. */
class Asker {
  isOpen = false;
  private readonly order: ClientOrder;
  private readonly question: Buffer;
  private readonly onAnswer: (asker: Asker, dueMs: number) => void;
  private readonly onFailure: (asker: Asker) => void;
  private readonly buffer = Buffer.allocUnsafe(65_536);
  private socket: Socket | null = null;
  private dueMs = 0;
  private isAwaiting = false;
  /** Of the answer that is coming: bytes still missing, or the tail of a chunked one. -1: its head has not come. */
  private missing = -1;
  private tail = "";

  constructor(
    order: ClientOrder,
    question: Buffer,
    onAnswer: (asker: Asker, dueMs: number) => void,
    onFailure: (asker: Asker) => void,
  ) {
    this.order = order;
    this.question = question;
    this.onAnswer = onAnswer;
    this.onFailure = onFailure;
  }

  async open(): Promise<void> {
    const socket = this.connect();
    await once(socket, "connect");
    if (this.order.each.kind !== "websocket") return;
    const key = Buffer.alloc(16).toString("base64");
    const fields = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Key": key };
    const each = { ...this.order.each, answer: Buffer.alloc(0) };
    const upgrade = { ...each, fields: { ...fields, "Sec-WebSocket-Version": "13" } };
    socket.write(renderRequest(upgrade, this.order.port), "latin1");
    await new Promise<void>((resolve) => (this.onUpgraded = resolve));
  }

  private onUpgraded: (() => void) | null = null;

  ask(dueMs: number): void {
    this.dueMs = dueMs;
    this.isAwaiting = true;
    this.missing = this.order.each.kind === "websocket" ? 2 + this.order.answerBytes : -1;
    this.tail = "";
    if (this.order.each.kind === "single") this.connect();
    this.socket?.write(this.question);
  }

  close(): void {
    this.isAwaiting = false;
    this.socket?.destroy();
  }

  private connect(): Socket {
    const socket = connect({
      host: "127.0.0.1",
      port: this.order.port,
      noDelay: true,
      onread: {
        buffer: this.buffer,
        callback: (count) => {
          this.take(count);
          return true;
        },
      },
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      if (this.socket !== socket || !this.isAwaiting) return;
      this.isAwaiting = false;
      this.onFailure(this);
    });
    this.socket = socket;
    return socket;
  }

  private take(count: number): void {
    if (this.onUpgraded !== null) {
      if (this.buffer.toString("latin1", 0, 12) === "HTTP/1.1 101") this.onUpgraded();
      this.onUpgraded = null;
      return;
    }
    if (!this.isAwaiting) return;
    let bodyBytes = count;
    if (this.missing === -1) {
      const end = this.buffer.subarray(0, count).indexOf("\r\n\r\n");
      const head = this.buffer.toString("latin1", 0, end);
      // All heads of the benchmark come in one read.
      if (end === -1 || !head.startsWith("HTTP/1.1 200")) {
        this.socket?.destroy();
        return;
      }
      bodyBytes -= end + 4;
      const length = /\r\ncontent-length: *(\d+)/iu.exec(head)?.[1];
      this.missing = length === undefined ? Infinity : Number(length);
    }
    this.missing -= bodyBytes;
    if (this.missing === Infinity) {
      this.tail = (this.tail + this.buffer.toString("latin1", Math.max(0, count - 5), count)).slice(-5);
      if (this.tail === "0\r\n\r\n") this.missing = 0;
    }
    if (this.missing > 0) return;
    this.isAwaiting = false;
    if (this.order.each.kind === "single") this.socket?.destroy();
    this.onAnswer(this, this.dueMs);
  }
}

async function main(order: ClientOrder): Promise<void> {
  const { each, rate, seconds } = order;
  const question = renderQuestion(order);
  const idle: Asker[] = [];
  const waiting: number[] = [];
  const took: number[] = [];
  let failures = 0;
  let hasEnded = rate === null ? false : null;
  const next = (asker: Asker): void => {
    const dueMs = rate === null ? nowMs() : waiting.shift();
    if (dueMs !== undefined && hasEnded !== true) asker.ask(dueMs);
    else idle.push(asker);
  };
  const answered = (asker: Asker, dueMs: number): void => {
    took.push(nowMs() - dueMs);
    next(asker);
  };
  const failed = (asker: Asker): void => {
    failures += 1;
    if (each.kind === "single") next(asker);
  };
  const askers = Array.from({ length: each.connections }, () => new Asker(order, question, answered, failed));
  if (each.kind !== "single") await Promise.all(askers.map((asker) => asker.open()));
  const startedMs = nowMs();
  if (rate === null) {
    for (const asker of askers) next(asker);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    hasEnded = true;
  } else {
    idle.push(...askers);
    const moments = drawMoments(rate, seconds);
    const pacer = new Worker(new URL(import.meta.url), { workerData: moments });
    pacer.on("message", (dueMs: number) => {
      const asker = idle.shift();
      if (asker === undefined) waiting.push(dueMs);
      else asker.ask(dueMs);
    });
    await once(pacer, "exit");
    const untilMs = nowMs() + LATE_MS_MAX;
    while (took.length + failures < moments.length && nowMs() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    failures = moments.length - took.length;
  }
  const report: ClientReport = {
    requests: took.length,
    failures,
    seconds: (nowMs() - startedMs) / 1000,
    ...percentiles(took),
  };
  for (const asker of askers) asker.close();
  process.stdout.write(JSON.stringify(report));
}

function percentiles(took: number[]): { readonly p50Ms: number; readonly p99Ms: number } {
  const sorted = Float64Array.from(took).toSorted();
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** A request, or a masked frame (RFC 6455 5.2) with a mask of zeros. */
function renderQuestion({ each, answerBytes, port }: ClientOrder): Buffer {
  if (each.kind !== "websocket") {
    return Buffer.from(renderRequest({ ...each, answer: Buffer.alloc(0) }, port), "latin1");
  }
  const frame = Buffer.alloc(6 + answerBytes, "x");
  frame.set([0x81, 0x80 | answerBytes, 0, 0, 0, 0]);
  return frame;
}

if (isMainThread) await main(JSON.parse(process.argv[2] ?? "") as ClientOrder);
else pace(workerData as Float64Array);
