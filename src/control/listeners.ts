// Which listeners are open: those on plain addresses always, those on virtual addresses while this node
// holds the addresses. Workers open and close sockets; this says which and when.

import type { Bind, ListenerConfig, VirtualAddress } from "../config/config.ts";
import { formatAddress } from "../config/config.ts";
import type { ListenerStatus } from "../protocol/status.ts";
import type { SocketAddress } from "./listening-sockets.ts";
import type { Workers } from "./workers.ts";

export class Listeners {
  readonly #workers: Workers;
  readonly #virtualAddresses: readonly VirtualAddress[];
  #configs: readonly ListenerConfig[];
  /** Groups whose addresses this node holds. */
  readonly #held = new Set<string>();

  constructor(options: {
    readonly workers: Workers;
    readonly listeners: readonly ListenerConfig[];
    readonly virtualAddresses: readonly VirtualAddress[];
  }) {
    this.#workers = options.workers;
    this.#configs = options.listeners;
    this.#virtualAddresses = options.virtualAddresses;
  }

  /** Opens those on plain addresses. One that fails is tried again by the workers; status tells why. */
  async start(): Promise<void> {
    await this.#open(this.#configs.filter(({ bind }) => bind.kind === "address"));
  }

  /** The virtual addresses of the group are on the interfaces. */
  async openOnVirtualAddresses(group: string): Promise<void> {
    this.#held.add(group);
    await Promise.all([
      this.#openIn(
        group,
        this.#configs.filter(({ bind }) => bind.kind === "vip"),
      ),
      // One that names such an address could not be opened before; its next try must not be waited for.
      this.#open(
        this.#configs.filter(({ bind }) => bind.kind === "address" && this.#serves(group, bind.host)),
      ),
    ]);
  }

  async closeOnVirtualAddresses(group: string, { graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#held.delete(group);
    const names = this.#configs.filter(({ bind }) => bind.kind === "vip").map(({ name }) => name);
    await Promise.all(names.map((name) => this.#workers.close(name, { graceMs, place: group })));
  }

  /** Whether all clients come in through virtual addresses. */
  areAllVirtual(): boolean {
    return this.#configs.every(({ bind }) => bind.kind === "vip");
  }

  /**
   * Closes what is gone or moved, opens what is new or moved, and leaves the others alone. Call it when
   * the workers have the new configuration.
   */
  async reload(
    listeners: readonly ListenerConfig[],
    { graceMs }: { readonly graceMs: number },
  ): Promise<void> {
    const before = new Map(this.#configs.map((config) => [config.name, formatBind(config.bind)]));
    const after = new Map(listeners.map((config) => [config.name, formatBind(config.bind)]));
    this.#configs = listeners;
    const closing = [...before].filter(([name, bind]) => after.get(name) !== bind);
    // The sockets stop to accept at once; the connections that came through them end in their own time.
    for (const [name] of closing) {
      for (const place of ["", ...this.#held]) void this.#workers.close(name, { graceMs, place });
    }
    const opening = listeners.filter(({ name, bind }) => before.get(name) !== formatBind(bind));
    await Promise.all([
      this.#open(opening.filter(({ bind }) => bind.kind === "address")),
      ...[...this.#held].map((group) =>
        this.#openIn(
          group,
          opening.filter(({ bind }) => bind.kind === "vip"),
        ),
      ),
    ]);
  }

  /**
   * Why clients of this group's addresses would not be served though they should be; undefined when they would.
   * A listener on all addresses belongs to all groups, one on another address of the machine to none.
   */
  problem(group: string): string | undefined {
    for (const { name, bind } of this.#configs) {
      if (bind.kind === "address" && !this.#serves(group, bind.host)) continue;
      const problem = this.#workers.listenerProblem(name, { place: bind.kind === "vip" ? group : "" });
      if (problem !== null) return `listener ${name}: ${problem}`;
    }
    return undefined;
  }

  /** A listener counts as open when it is so on all its addresses. */
  status(): ListenerStatus[] {
    return this.#configs.map(({ name, bind }) => {
      const { open, problem } = this.#workers.listenerStatus(name);
      return { name, bind: formatBind(bind), open: open && problem === null, problem };
    });
  }

  /** Whether clients of the group's addresses come in through a listener on this host, or on all addresses. */
  #serves(group: string, host: string): boolean {
    return this.#virtualAddresses.some(
      ({ group: name, address }) =>
        name === group && (host === address || host === (address.includes(":") ? "::" : "0.0.0.0")),
    );
  }

  /** Those on plain addresses. */
  async #open(configs: readonly ListenerConfig[]): Promise<void> {
    await Promise.all(
      configs.flatMap(({ name, bind }) =>
        bind.kind === "vip" ? [] : this.#workers.open(name, [{ host: bind.host, port: bind.port }]),
      ),
    );
  }

  /** Those on virtual addresses, on the addresses of one group. */
  async #openIn(group: string, configs: readonly ListenerConfig[]): Promise<void> {
    const hosts = this.#virtualAddresses.filter((address) => address.group === group);
    await Promise.all(
      configs.map(({ name, bind: { port } }) =>
        this.#workers.open(
          name,
          hosts.map(({ address }): SocketAddress => ({ host: address, port })),
          { exclusive: false, place: group },
        ),
      ),
    );
  }
}

function formatBind(bind: Bind): string {
  return bind.kind === "vip" ? `vip:${String(bind.port)}` : formatAddress(bind.host, bind.port);
}
