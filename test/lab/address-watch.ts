// Who held which address when. One long-lived `ip monitor` per node tells of every change as the kernel makes it,
// also of a lease that ends on a node where no process lives any more. Polling would cost more processor
// time than the pair itself, and would miss short overlaps.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** Milliseconds on the monotonic clock of the test process. `toMs` null: still held. */
interface Holding {
  readonly node: string;
  readonly address: string;
  readonly fromMs: number;
  /** When its lease was set last. */
  setMs: number;
  toMs: number | null;
}

/** Open it before the address is claimed for the first time; close() ends its processes. */
export class AddressWatch {
  readonly #addresses: readonly [string, ...string[]];
  readonly #holdings: Holding[] = [];
  readonly #monitors: ChildProcess[] = [];

  /** Every question below is about the first of them unless it names another. */
  constructor(addresses: readonly [string, ...string[]]) {
    this.#addresses = addresses;
  }

  open(nodes: Readonly<Record<string, string>>): void {
    for (const [node, namespace] of Object.entries(nodes)) {
      const monitor = spawn("ip", ["-n", namespace, "-oneline", "monitor", "address"], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      this.#monitors.push(monitor);
      createInterface({ input: monitor.stdout }).on("line", (line) => {
        this.#read(node, line);
      });
    }
  }

  /** So that a test which kills all processes of a node spares these. */
  get pids(): ReadonlySet<number> {
    return new Set(this.#monitors.flatMap(({ pid }) => (pid === undefined ? [] : [pid])));
  }

  async close(): Promise<void> {
    for (const monitor of this.#monitors.splice(0)) {
      if (monitor.exitCode !== null || monitor.signalCode !== null) continue;
      monitor.kill();
      await once(monitor, "exit");
    }
  }

  /** The nodes that hold the address at that moment. */
  holdersAt(atMs: number, address?: string): string[] {
    return this.#of(address)
      .filter(({ fromMs, toMs }) => fromMs <= atMs && (toMs ?? Infinity) > atMs)
      .map(({ node }) => node);
  }

  /** When the node began to hold the address that it still holds; null when it does not hold it. */
  heldSince(node: string, address?: string): number | null {
    return this.#held(node, address)?.fromMs ?? null;
  }

  /** When the lease of the address that the node still holds was set or renewed last; null when it does not hold it. */
  renewedAt(node: string, address?: string): number | null {
    return this.#held(node, address)?.setMs ?? null;
  }

  /** The last moment since which `node` alone has held the address without a break, up to now; null when it does not, or not alone. */
  soleHolderSince(node: string, address?: string): number | null {
    const heldSince = this.heldSince(node, address);
    if (heldSince === null) return null;
    const others = this.#of(address).filter((holding) => holding.node !== node);
    if (others.some(({ toMs }) => toMs === null)) return null;
    return Math.max(heldSince, ...others.map(({ toMs }) => toMs ?? 0));
  }

  /** For how long more than one node held the address since then. */
  overlapMs(sinceMs: number, address?: string): number {
    const now = performance.now();
    const moments = this.#of(address).flatMap(({ fromMs, toMs }) => [fromMs, toMs ?? now]);
    const borders = [sinceMs, now, ...moments.filter((moment) => moment > sinceMs && moment < now)].toSorted(
      (left, right) => left - right,
    );
    return borders.reduce((sum, border, index) => {
      const previous = borders[index - 1];
      return previous !== undefined && this.holdersAt(previous, address).length > 1
        ? sum + border - previous
        : sum;
    }, 0);
  }

  /** When nodes began to hold the address since then. */
  claimsSince(sinceMs: number, address?: string): { readonly node: string; readonly atMs: number }[] {
    return this.#of(address)
      .filter(({ fromMs }) => fromMs >= sinceMs)
      .map(({ node, fromMs }) => ({ node, atMs: fromMs }));
  }

  #held(node: string, address?: string): Holding | undefined {
    return this.#of(address).findLast((holding) => holding.node === node && holding.toMs === null);
  }

  #of(address: string = this.#addresses[0]): Holding[] {
    return this.#holdings.filter((holding) => holding.address === address);
  }

  // "2: eth0    inet 10.77.0.100/24 scope global ...", with "Deleted " before it when the address has gone. A renewal
  // repeats the first form.
  #read(node: string, line: string): void {
    const address = this.#addresses.find((candidate) => line.includes(` ${candidate}/`));
    if (address === undefined) return;
    const held = this.#held(node, address);
    const now = performance.now();
    if (line.startsWith("Deleted")) {
      if (held !== undefined) held.toMs = now;
    } else if (held === undefined) {
      this.#holdings.push({ node, address, fromMs: now, setMs: now, toMs: null });
    } else {
      held.setMs = now;
    }
  }
}
