// Whether an interface could carry a virtual address: it exists, is up, and has a carrier (a cable with
// something at its other end). Read from sysfs, which costs microseconds, often enough that a pulled cable
// is known long before the election needs to know.

import { readFileSync } from "node:fs";

const POLL_MS = 100;

export interface CarrierWatchOptions {
  readonly interfaces: readonly string[];
  /** On each change, and once at the start; undefined: all is well. */
  readonly onChange: (problem: string | undefined) => void;
}

export class CarrierWatch {
  readonly #options: CarrierWatchOptions;
  #problem: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CarrierWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#problem = this.#look();
    this.#options.onChange(this.#problem);
    this.#timer = setInterval(() => {
      const problem = this.#look();
      if (problem === this.#problem) return;
      this.#problem = problem;
      this.#options.onChange(problem);
    }, POLL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): string | undefined {
    for (const name of this.#options.interfaces) {
      const problem = carrierProblem(name);
      if (problem !== undefined) return problem;
    }
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
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") return `interface ${name} does not exist`;
    if (code === "EINVAL") return `interface ${name} is down: ip link set ${name} up`;
    return `interface ${name} cannot be read: ${String(error)}`;
  }
}
