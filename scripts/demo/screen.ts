// The demo for a person: what happened scrolls by, and below it a few lines are redrawn in place: the two
// nodes, the request loop, the keys. Colours and cursor movements only; no alternate screen, so that the
// story stays in the terminal when the demo ends.

import type { ReadStream, WriteStream } from "node:tty";
import { describeNode, describeOutcome, describeStage, FREEZE_REMARK, readEvent } from "./report.ts";
import type { Account, Stage } from "./stage.ts";

const REDRAW_MS = 250;
/** A killed node comes back by itself, as a service manager would bring it back, only later. */
const RETURN_MS = 10_000;

const KEYS =
  "k kill the active   f freeze it, f again thaws   s switch over   b kill a backend, b again returns it";
const KEYS_TOO = `r return the killed node now (else after ${String(RETURN_MS / 1000)} s)   q quit`;

const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const CLEAR_BELOW = "\x1b[0J";
const CTRL_C = "\x03";
const CTRL_D = "\x04";

export class Screen {
  readonly #stage: Stage;
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #quit = Promise.withResolvers<void>();
  #drawnLines = 0;
  #redraw: NodeJS.Timeout | undefined;
  #return: NodeJS.Timeout | undefined;
  /** What is under way; only one thing at a time is done to the pair. */
  #busy: string | undefined;

  constructor(stage: Stage, terminal: { readonly input: ReadStream; readonly output: WriteStream }) {
    this.#stage = stage;
    this.#input = terminal.input;
    this.#output = terminal.output;
  }

  /** Starts the pair and obeys the keys until `q`. Throws when the pair does not start. */
  async run(): Promise<void> {
    this.#say("vipair demo");
    for (const line of describeStage(this.#stage)) this.#say(`  ${line}`);
    this.#say("");
    this.#listenToKeys();
    this.#output.write(HIDE_CURSOR);
    this.#busy = "starting the pair";
    this.#redraw = setInterval(() => void this.#refresh(), REDRAW_MS);
    await Promise.race([this.#stage.open(), this.#quit.promise]);
    this.#busy = undefined;
    await this.#quit.promise;
  }

  /** Gives the terminal back as it was. */
  close(): void {
    clearInterval(this.#redraw);
    clearTimeout(this.#return);
    this.#clear();
    this.#output.write(SHOW_CURSOR);
    if (this.#input.isTTY) this.#input.setRawMode(false);
    this.#input.pause();
  }

  // ------------------------------------------------------------ keys

  #listenToKeys(): void {
    this.#input.setRawMode(true);
    this.#input.setEncoding("utf8");
    this.#input.on("data", (keys: string) => {
      for (const key of keys) this.#obey(key);
    });
    // The terminal has gone, or somebody closed it.
    this.#input.on("end", this.#quit.resolve);
    this.#input.on("error", this.#quit.resolve);
    this.#input.resume();
  }

  #obey(key: string): void {
    const stage = this.#stage;
    switch (key) {
      case "q":
      case CTRL_C:
      case CTRL_D:
        this.#quit.resolve();
        return;
      case "k":
        return this.#act("killing the active", async () => {
          if (!stage.isWhole) return this.#refuse("kill");
          const account = await stage.killActive();
          this.#return = setTimeout(() => {
            this.#obey("r");
          }, RETURN_MS);
          this.#tell(account);
        });
      case "r":
        return this.#act("returning the killed node", async () => {
          clearTimeout(this.#return);
          const node = stage.nodes.find(({ condition }) => condition === "killed" || condition === "ended");
          if (node === undefined) this.#say("  no node is dead");
          else this.#tell(await stage.returnNode(node));
        });
      case "f":
        return this.#act("freezing or thawing", async () => {
          const frozen = stage.nodes.find(({ condition }) => condition === "frozen");
          if (frozen !== undefined) return this.#tell(await stage.thaw(frozen));
          if (!stage.isWhole) return this.#refuse("freeze");
          this.#tell(await stage.freezeActive());
          this.#say(`  ${FREEZE_REMARK}`);
        });
      case "s":
        return this.#act("switching over", async () => {
          if (stage.active === undefined) return this.#refuse("switch over from");
          this.#tell(await stage.switchOver());
        });
      case "b":
        return this.#act("killing or returning a backend", async () => {
          const dead = stage.backends.find((backend) => backend.process?.isRunning !== true);
          const [first] = stage.backends;
          if (dead !== undefined) this.#tell(await stage.returnBackend(dead));
          else if (first !== undefined) this.#tell(await stage.loseBackend(first));
        });
      default:
    }
  }

  #refuse(verb: string): void {
    this.#say(`  there is no active node to ${verb} with a ready standby beside it; wait, or press r or f`);
  }

  #act(what: string, perform: () => Promise<void>): void {
    if (this.#busy !== undefined) {
      this.#say(`  wait: ${this.#busy}`);
      return;
    }
    this.#busy = what;
    const settle = () => {
      this.#busy = undefined;
    };
    perform().then(settle, (error: unknown) => {
      settle();
      this.#say(`  ${error instanceof Error ? error.message : String(error)}`);
    });
  }

  // ------------------------------------------------------------ what is seen

  #tell(account: Account): void {
    this.#readLogs();
    this.#say(`> ${account.act}: ${describeOutcome(account)}`);
    for (const remark of account.remarks) this.#say(`  ${remark}`);
    for (const problem of account.problems) this.#say(`  problem: ${problem}`);
  }

  async #refresh(): Promise<void> {
    await this.#stage.look();
    this.#readLogs();
    this.#clear();
    this.#draw();
  }

  #readLogs(): void {
    const events = this.#stage.nodes.flatMap((node) =>
      node.newLogLines().flatMap((line) => readEvent(node.name, line) ?? []),
    );
    for (const { time, text } of events.toSorted((a, b) => a.time.localeCompare(b.time))) {
      this.#say(`  ${time === "" ? "" : new Date(time).toTimeString().slice(0, 8)}  ${text}`);
    }
  }

  /** A line that stays. */
  #say(line: string): void {
    this.#clear();
    this.#output.write(`${line}\n`);
    if (this.#redraw !== undefined) this.#draw();
  }

  #clear(): void {
    if (this.#drawnLines === 0) return;
    this.#output.write(`\x1b[${String(this.#drawnLines)}A\r${CLEAR_BELOW}`);
    this.#drawnLines = 0;
  }

  #draw(): void {
    // A terminal that does not know its size says 0.
    const columns = this.#output.columns > 0 ? this.#output.columns : 200;
    const lines = ["", ...this.#stage.nodes.map(describeNode), this.#describeLoop(), KEYS, KEYS_TOO];
    // A line that wraps would take two, and the next redraw would leave one behind.
    this.#output.write(lines.map((line) => `${line.slice(0, columns - 1)}\n`).join(""));
    this.#drawnLines = lines.length;
  }

  #describeLoop(): string {
    const { client } = this.#stage;
    const report = this.#stage.isOpen ? client.report() : undefined;
    const loop =
      report === undefined
        ? "loop   not started"
        : `loop   ${String(report.total)} requests, ${String(report.failed)} failed, median ${String(report.latencyMs?.p50 ?? "-")} ms`;
    return this.#busy === undefined ? loop : `${loop}   (${this.#busy} ...)`;
  }
}
