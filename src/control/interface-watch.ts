// What happens to the interfaces that carry virtual addresses: whether each could carry one (it exists, is
// up, and has a carrier), and whether a virtual address vanished from it. The truth is read, never pieced
// together: sysfs for the carrier, the process's own list of addresses. `ip monitor` runs beside us as the bell
// that says when to look, so that a pulled cable or a deleted address is known within milliseconds.
//
// A look costs about 0.1 ms, so there is also one each 100 ms: the kernel holds events about carriers back
// for up to a second when they come in a row (linkwatch), and `ip` may be missing, dead, or have missed some.
//
// Not `ip -json`: the ip of Debian 12 prints plain text for `monitor`, whatever it is asked for.

import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { VirtualAddress } from "../config/config.ts";
import { Companion } from "../system/companion.ts";
import { errorCode } from "../system/errno.ts";
import type { Log } from "../system/log.ts";

const POLL_MS = 100;

/** However fast events come, so long passes between two looks. */
const LOOK_PAUSE_MS = 20;

const MONITOR = ["setpriv", "--pdeathsig", "KILL", "ip", "-o", "monitor", "link", "address"] as const;

/** An address and the interface it is on. */
export type AddressPlace = Pick<VirtualAddress, "address" | "interface">;

export interface InterfaceWatchOptions {
  /** In canonical form, as config/ makes them. Their interfaces are the ones that are watched. */
  readonly addresses: readonly AddressPlace[];
  readonly log: Log;
  /** On each change, and once at the start; undefined: every interface could carry its addresses. */
  readonly onCarrier: (problem: string | undefined) => void;
  /**
   * One of the addresses was on its interface and is not any more, whoever removed it: also a release of
   * ours, also a lease that ended.
   */
  readonly onAddressGone: (gone: AddressPlace) => void;
  /** For tests: a program in place of `ip monitor`, and another pace than POLL_MS. */
  readonly monitor?: readonly [program: string, ...args: string[]];
  readonly pollMs?: number;
}

export class InterfaceWatch {
  readonly #options: InterfaceWatchOptions;
  readonly #interfaces: readonly string[];
  readonly #monitor: Companion;
  /** What the last look found; undefined: there was none yet. */
  #carrier: { readonly problem: string | undefined } | undefined;
  /** Addresses that were there at the last look. */
  #present: ReadonlySet<AddressPlace> = new Set();
  /** Those that the monitor saw being removed since. */
  #removed = new Set<AddressPlace>();
  #poll: NodeJS.Timeout | undefined;
  #pause: NodeJS.Timeout | undefined;
  #isRung = false;
  #loggedEnd: string | undefined;

  constructor(options: InterfaceWatchOptions) {
    this.#options = options;
    this.#interfaces = [...new Set(options.addresses.map((place) => place.interface))];
    const [program, ...args] = options.monitor ?? MONITOR;
    this.#monitor = new Companion({
      program,
      args,
      onLine: (line) => {
        this.#note(line);
        this.#ring();
      },
      // It has missed events ("No buffer space available").
      onComplaint: () => {
        this.#ring();
      },
      onEnd: (reason) => {
        this.#ring();
        if (reason === this.#loggedEnd) return;
        this.#loggedEnd = reason;
        options.log.warn(
          { program: "ip monitor", reason },
          "interfaces are only looked at from time to time: the monitor does not run",
        );
      },
    });
  }

  start(): void {
    this.#look();
    this.#poll = setInterval(() => {
      this.#look();
    }, this.#options.pollMs ?? POLL_MS);
    this.#monitor.start();
  }

  stop(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#pause);
    this.#monitor.stop();
  }

  /** One that was added and removed between two looks was never seen, and must be told nevertheless. */
  #note(line: string): void {
    const [, onInterface, address] = REMOVED.exec(line) ?? [];
    for (const place of this.#options.addresses) {
      if (place.address === address && place.interface === onInterface) this.#removed.add(place);
    }
  }

  /** Looks now, or as soon as the pause after the last look that was rung for has passed. */
  #ring(): void {
    this.#isRung = true;
    if (this.#pause !== undefined) return;
    this.#isRung = false;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      if (this.#isRung) this.#ring();
    }, LOOK_PAUSE_MS);
    this.#look();
  }

  #look(): void {
    const problem = this.#carrierProblem();
    if (this.#carrier === undefined || this.#carrier.problem !== problem) {
      this.#carrier = { problem };
      this.#options.onCarrier(problem);
    }
    for (const place of this.#lookForAddresses()) this.#options.onAddressGone(place);
  }

  #carrierProblem(): string | undefined {
    for (const name of this.#interfaces) {
      const problem = carrierProblem(name);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  /** The addresses that have gone since the last look. */
  #lookForAddresses(): readonly AddressPlace[] {
    const found = readAddresses();
    const removed = this.#removed;
    const before = this.#present;
    this.#removed = new Set();
    const present = new Set<AddressPlace>();
    const gone: AddressPlace[] = [];
    for (const place of this.#options.addresses) {
      const onInterface = found?.[place.interface];
      const isPresent =
        // The list lacks interfaces that are not running; what is on them is not known.
        onInterface?.some(({ address }) => address === place.address) ??
        (before.has(place) && !removed.has(place));
      if (isPresent) present.add(place);
      else if (before.has(place) || removed.has(place)) gone.push(place);
    }
    this.#present = present;
    return gone;
  }
}

/** "Deleted 2: eth0    inet 10.0.0.50/32 scope global eth0 ..." */
const REMOVED = /^Deleted \d+: (\S+)\s+inet6? ([0-9a-f.:]+)/;

/** This machine's addresses by running interface; undefined when the kernel does not tell just now. */
function readAddresses(): ReturnType<typeof networkInterfaces> | undefined {
  try {
    return networkInterfaces();
  } catch {
    // Out of file descriptors or memory: the next look may succeed.
    return undefined;
  }
}

/** Why the interface cannot carry an address, in a sentence; undefined when it can. */
function carrierProblem(name: string): string | undefined {
  try {
    // Reading `carrier` of an interface that is administratively down fails with EINVAL.
    return readFileSync(`/sys/class/net/${name}/carrier`, "utf8").trim() === "1"
      ? undefined
      : `no carrier on ${name}: is the cable plugged?`;
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return `interface ${name} does not exist`;
    if (code === "EINVAL") return `interface ${name} is down: ip link set ${name} up`;
    return `interface ${name} cannot be read: ${String(error)}`;
  }
}
