// Asks the arbiter, all the time, whether it is there, so that the answer is known when the election needs it
// (DESIGN section 5, rule 6). The arbiter is the default gateway of an interface that carries virtual
// addresses, or an address that the operator named. Neither peer nor arbiter: this node is the isolated one.
//
//   on the same link   IPv4: ARP, IPv6: neighbour solicitation; answered by whatever answers no ping
//   further away       ICMP echo
//
// What is sent and received is the business of scripts/hooks/ask-arbiter, since Node has no raw sockets. The
// pace is ours: each question is a line to that program. So a frozen control process finds no heap of old
// answers when it goes on, and the one that may be there is known to be old by its question.

import { readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../system/clock.ts";
import { Companion } from "../system/companion.ts";
import type { Log } from "../system/log.ts";
import type { AddressPlace } from "./interface-watch.ts";
import { defaultGateways, linkOf, readKernelRoutes } from "../system/kernel-routes.ts";
import type { KernelRoute } from "../system/kernel-routes.ts";
import { isOwnAddress } from "../system/own-addresses.ts";

/** How often the routes are looked at, which costs some 0.1 ms. */
const LOOK_MS = 1000;

/** An answer counts for so many questions back; an older one says nothing about now. */
const QUESTIONS_OPEN = 3;

/** Silent: so many questions in a row without an answer, and so long. Lost packets are no news. */
const SILENT = { questions: 3, ms: 1000 } as const;

const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "scripts", "hooks", "ask-arbiter");

export type ArbiterMethod = "arp" | "ndp" | "icmp";

export interface ArbiterOptions {
  /** Without an address: the default gateway, whichever it is now, or the last one when there is none. */
  readonly config: { readonly address?: string };
  /** Canonical. Their interfaces are the ones whose gateway counts; they are never asked and never ask. */
  readonly virtualAddresses: readonly AddressPlace[];
  /** Between two questions: arbiterIntervalMs() of election/timing.ts, 50 to 1000. */
  readonly intervalMs: number;
  readonly log: Log;
  readonly clock: Clock;
  /** For each question that was answered, once, as soon as the answer is here. */
  readonly onAnswer: () => void;
  /** For tests: another program and other routes. */
  readonly program?: string;
  readonly readRoutes?: typeof readKernelRoutes;
}

export interface ArbiterStatus {
  /** Who is asked; null: nobody, since no gateway was found yet or the address is unfit; see problem. */
  readonly address: string | null;
  readonly method: ArbiterMethod | null;
  /** Since the last answer; null before the first of this arbiter. */
  readonly lastAnswerMs: number | null;
  /** Why there are no answers, in words a person can act on; null when there are. */
  readonly problem: string | null;
}

interface Target {
  readonly address: string;
  readonly method: ArbiterMethod;
  /** undefined: whichever the kernel's routes say. */
  readonly interface: string | undefined;
}

/** The arbiter as it is now, and the program that asks it. */
interface Asking {
  readonly target: Target;
  readonly program: Companion;
  number: number;
  /** The newest questions, at most QUESTIONS_OPEN. */
  readonly open: { readonly number: number; readonly atMs: number }[];
  unanswered: number;
  lastAnswerAtMs: number | undefined;
  /** What the program said last; its next answer ends it. */
  problem: string | undefined;
  /** Told in the log; undefined: nothing yet. */
  loggedAnswering: boolean | undefined;
}

export class Arbiter {
  readonly #options: ArbiterOptions;
  readonly #interfaces: readonly string[];
  readonly #silentAfter: number;
  #asking: Asking | undefined;
  /** Why no look finds anybody to ask. */
  #problem: string | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #askTimer: NodeJS.Timeout | undefined;

  constructor(options: ArbiterOptions) {
    this.#options = options;
    this.#interfaces = [...new Set(options.virtualAddresses.map((place) => place.interface))];
    this.#silentAfter = Math.max(SILENT.questions, Math.ceil(SILENT.ms / options.intervalMs));
  }

  start(): void {
    this.#look();
    this.#lookTimer = setInterval(() => {
      this.#look();
    }, LOOK_MS);
    this.#askTimer = setInterval(() => {
      this.#ask();
    }, this.#options.intervalMs);
  }

  stop(): void {
    clearInterval(this.#lookTimer);
    clearInterval(this.#askTimer);
    this.#asking?.program.stop();
    this.#asking = undefined;
  }

  status(): ArbiterStatus {
    const asking = this.#asking;
    if (asking === undefined) {
      return { address: null, method: null, lastAnswerMs: null, problem: this.#problem ?? null };
    }
    const { target, lastAnswerAtMs } = asking;
    return {
      address: target.address,
      method: target.method,
      lastAnswerMs: lastAnswerAtMs === undefined ? null : this.#options.clock() - lastAnswerAtMs,
      problem: asking.problem ?? (this.#isSilent(asking) ? silence(target) : null),
    };
  }

  #look(): void {
    const routes = (this.#options.readRoutes ?? readKernelRoutes)();
    if (routes === undefined) return;
    const found = this.#findTarget(routes);
    if (found.kind !== "target") {
      if (this.#problem === found.problem) return;
      this.#problem = found.problem;
      // A route goes with its interface, and a node that is cut off needs its arbiter more than ever.
      const isAskedOn = found.kind === "no-gateway" && this.#asking !== undefined;
      const consequence = isAskedOn ? "the last gateway is asked on" : "there is no arbiter";
      this.#options.log.warn({ problem: found.problem }, consequence);
      if (isAskedOn) return;
      this.#asking?.program.stop();
      this.#asking = undefined;
      return;
    }
    this.#problem = undefined;
    const { target } = found;
    const current = this.#asking?.target;
    if (
      current?.address === target.address &&
      current.method === target.method &&
      current.interface === target.interface
    ) {
      return;
    }
    this.#asking?.program.stop();
    this.#asking = this.#begin(target);
    this.#options.log.info({ ...target }, "arbiter found");
    this.#ask();
  }

  #findTarget(
    routes: readonly KernelRoute[],
  ):
    | { readonly kind: "target"; readonly target: Target }
    | { readonly kind: "no-gateway" | "unfit"; readonly problem: string } {
    const { config, virtualAddresses } = this.#options;
    let target: Target;
    if (config.address === undefined) {
      const [route] = defaultGateways(routes, this.#interfaces);
      if (route === undefined) return { kind: "no-gateway", problem: noGateway(this.#interfaces) };
      target = toTarget(route.gateway, route.interface);
    } else {
      target = toTarget(config.address, linkOf(routes, config.address, this.#interfaces));
    }
    // It would always answer.
    const isVirtual = virtualAddresses.some(({ address }) => address === target.address);
    if (isVirtual || isOwnAddress(target.address) === true) {
      const whose = isVirtual ? "a virtual address of this pair" : "an address of this machine";
      const advice = "set pair.arbiter.address to another machine's, or pair.arbiter.kind to none";
      return { kind: "unfit", problem: `the arbiter ${target.address} is ${whose}: ${advice}` };
    }
    return { kind: "target", target };
  }

  #begin(target: Target): Asking {
    const { virtualAddresses, log, program = PROGRAM } = this.#options;
    const asking: Asking = {
      target,
      program: new Companion({
        program,
        args: [
          target.method,
          target.address,
          target.interface ?? "-",
          ...virtualAddresses.map(({ address }) => address),
        ],
        onLine: (line) => {
          this.#hear(asking, line);
        },
        onComplaint: (line) => {
          log.debug({ arbiter: target.address, line }, "ask-arbiter complains");
        },
        onEnd: (reason) => {
          const problem = `${target.address} cannot be asked: ${reason}`;
          if (problem !== asking.problem) log.warn({ problem }, "the arbiter cannot be asked");
          asking.problem = problem;
        },
      }),
      number: 0,
      open: [],
      unanswered: 0,
      lastAnswerAtMs: undefined,
      problem: undefined,
      loggedAnswering: undefined,
    };
    asking.program.start();
    return asking;
  }

  #ask(): void {
    const asking = this.#asking;
    if (asking === undefined) return;
    if (this.#isSilent(asking) && asking.loggedAnswering !== false) {
      asking.loggedAnswering = false;
      this.#options.log.warn(
        { arbiter: asking.target.address, problem: asking.problem },
        "the arbiter is silent",
      );
    }
    asking.number += 1;
    asking.unanswered += 1;
    asking.open.push({ number: asking.number, atMs: this.#options.clock() });
    if (asking.open.length > QUESTIONS_OPEN) asking.open.shift();
    asking.program.write(`${String(asking.number)}\n`);
  }

  #hear(asking: Asking, line: string): void {
    if (asking !== this.#asking) return;
    const [, word, rest = ""] = /^(answer|problem) (.+)$/.exec(line) ?? [];
    if (word === "problem") asking.problem = rest;
    if (word !== "answer") return;
    const index = asking.open.findIndex((question) => String(question.number) === rest);
    const question = asking.open[index];
    if (question === undefined) return;
    // It and those before it are answered.
    asking.open.splice(0, index + 1);
    const now = this.#options.clock();
    // The process was frozen in between.
    if (now - question.atMs > QUESTIONS_OPEN * this.#options.intervalMs) return;

    asking.unanswered = 0;
    asking.problem = undefined;
    asking.lastAnswerAtMs = now;
    if (asking.loggedAnswering !== true) {
      asking.loggedAnswering = true;
      this.#options.log.info({ arbiter: asking.target.address }, "the arbiter answers");
    }
    this.#options.onAnswer();
  }

  /** Counted in questions, so that a process that was frozen does not blame the arbiter. */
  #isSilent(asking: Asking): boolean {
    return asking.unanswered > this.#silentAfter;
  }
}

function toTarget(address: string, link: string | undefined): Target {
  if (link === undefined) return { address, method: "icmp", interface: undefined };
  if (!hasNeighbours(link)) return { address, method: "icmp", interface: link };
  return { address, method: isIPv4(address) ? "arp" : "ndp", interface: link };
}

/** Whether an interface has neighbours with MAC addresses: Ethernet and what looks like it. */
function hasNeighbours(name: string): boolean {
  const read = (field: string) => Number(readFileSync(`/sys/class/net/${name}/${field}`, "latin1"));
  try {
    // linux/if_arp.h ARPHRD_ETHER, linux/if.h IFF_NOARP
    return read("type") === 1 && (read("flags") & 0x80) === 0;
  } catch {
    // It has just gone; the next look finds other routes.
    return true;
  }
}

function noGateway(interfaces: readonly string[]): string {
  const where = interfaces.join(", ");
  return `no default gateway on ${where}: name a machine there with pair.arbiter.address, or set pair.arbiter.kind to none`;
}

function silence({ address, method, interface: link }: Target): string {
  const asked = method === "icmp" ? "a ping" : method === "arp" ? "ARP" : "a neighbour solicitation";
  return `${address} does not answer ${asked}${link === undefined ? "" : ` on ${link}`}`;
}
