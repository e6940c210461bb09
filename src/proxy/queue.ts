// Where requests of a pool wait while every backend that may take them is full. Apart from the pool because it has a
// life of its own: places are taken, left, timed out, and given out when a backend has room again.
//
//   no room ──join──> waiting ──a backend has room──> granted
//                        ├──too long, or nobody is left who could serve──> turned away
//                        └──the client has gone: leave
//
// Sticky clients wait for their own backend, and go first when it has room; all others wait in one row. In it stand requests
// that some backends have failed, too, and those keep nobody from the backends that they do not want. Room is given out after
// whatever made it has been done with: a connection that was freed is idle by then, and used again.

import type { QueueConfig } from "../config/resilience-config.ts";
import type { Backend } from "./backend.ts";
import type { Context } from "./context.ts";
import type { PoolRequest } from "./pool.ts";
import type { Expiring } from "./timers.ts";

/** A request that can wait. */
export interface Queueable extends PoolRequest {
  /** Last of all: this backend has room for it. */
  granted(backend: Backend): void;
  /** Last of all: it has waited in vain. True: it has found another way. */
  turnedAway(why: "queue-timeout" | "no-backend"): boolean;
}

/** What a queue asks of its pool. */
export interface QueuedPool {
  /** Without regard to the queue; null: nobody has room. */
  pick(request: PoolRequest): Backend | null;
  /** As in Place; null: nobody is full, so that waiting would not help. */
  wantedBy(request: PoolRequest): string | null;
}

/** The place of one request. */
export class Place implements Expiring {
  deadlineAt: number;
  readonly request: Queueable;
  /** The backend of its bond; "": any. */
  wanted: string;
  private readonly queue: Queue;

  constructor(
    queue: Queue,
    request: Queueable,
    { wanted, deadlineAt }: Pick<Place, "wanted" | "deadlineAt">,
  ) {
    this.queue = queue;
    this.request = request;
    this.wanted = wanted;
    this.deadlineAt = deadlineAt;
  }

  /** The request has gone. */
  leave(): void {
    this.queue.remove(this);
  }

  expire(): void {
    this.queue.turnAway(this, "queue-timeout");
  }
}

export class Queue {
  /** Requests that found it full, or were turned away and had no other way. */
  overflows = 0;
  private readonly context: Context;
  private readonly pool: QueuedPool;
  private lengthMax = 0;
  private timeoutMs = 0;
  /** By what they want; a set keeps their order. */
  private readonly rows = new Map<string, Set<Place>>();
  private size = 0;
  /** Backends with room that has not been given out. */
  private readonly freed = new Set<string>();
  private isServing = false;

  constructor(context: Context, pool: QueuedPool) {
    this.context = context;
    this.pool = pool;
  }

  configure({ length, timeoutMs }: QueueConfig): void {
    this.lengthMax = Math.ceil(length / this.context.workers);
    this.timeoutMs = timeoutMs;
  }

  /** Requests that wait now. */
  get length(): number {
    return this.size;
  }

  /** Clients that are bound to this backend wait for it. */
  isWanted(name: string): boolean {
    return this.size > 0 && this.rows.has(name);
  }

  /** Somebody in the common row would take its room, and be overtaken. */
  isAwaited(backend: Backend): boolean {
    if (this.size === 0) return false;
    for (const { request } of this.rows.get("") ?? []) if (!request.tried.includes(backend)) return true;
    return false;
  }

  /** A place until `until` at the latest; null: the queue is full. */
  join(
    request: Queueable,
    { wanted, until }: { readonly wanted: string; readonly until: number },
  ): Place | null {
    if (this.size >= this.lengthMax) {
      this.overflows += 1;
      this.context.tally.hasChanged = true;
      return null;
    }
    const deadlineAt = Math.min(until, this.context.timers.after(this.timeoutMs));
    const place = new Place(this, request, { wanted, deadlineAt });
    this.add(place);
    // Those before it may be waiting for others.
    this.serveSoon(wanted);
    return place;
  }

  /** A request or tunnel of this backend is over. */
  noteFreed(backend: Backend): void {
    if (this.size > 0) this.serveSoon(backend.name);
  }

  /** As `reconsider`, when whatever has changed that is done with. */
  reconsiderSoon(): void {
    queueMicrotask(() => {
      this.reconsider();
    });
  }

  /** Who may serve, or how much, is another matter now. */
  reconsider(): void {
    if (this.size === 0) return;
    const bound = [...this.rows].filter(([wanted]) => wanted !== "");
    const places = [...bound, ["", this.rows.get("") ?? []] as const].flatMap(([, row]) => [...row]);
    for (const place of places) this.offer(place);
  }

  remove(place: Place): void {
    const row = this.rows.get(place.wanted);
    if (row?.delete(place) !== true) return;
    if (row.size === 0) this.rows.delete(place.wanted);
    this.size -= 1;
    this.context.tally.hasChanged = true;
    this.context.timers.unwatch(place);
  }

  turnAway(place: Place, why: "queue-timeout" | "no-backend"): void {
    this.remove(place);
    if (place.request.turnedAway(why)) return;
    this.overflows += 1;
    this.context.tally.hasChanged = true;
  }

  private add(place: Place): void {
    const row = this.rows.get(place.wanted) ?? new Set();
    this.rows.set(place.wanted, row.add(place));
    this.size += 1;
    this.context.tally.hasChanged = true;
    this.context.timers.watch(place);
  }

  private serveSoon(wanted: string): void {
    this.freed.add(wanted);
    if (this.isServing) return;
    this.isServing = true;
    queueMicrotask(() => {
      this.serve();
    });
  }

  private serve(): void {
    this.isServing = false;
    const freed = [...this.freed];
    this.freed.clear();
    for (const wanted of freed) if (wanted !== "") this.serveRow(wanted);
    this.serveRow("");
  }

  /** In their order, until one finds no room. */
  private serveRow(wanted: string): void {
    for (const place of this.rows.get(wanted) ?? []) {
      // One that was tried elsewhere may find none where others do.
      if (!this.offer(place) && place.request.tried.length === 0) return;
    }
  }

  /** False: it waits on. */
  private offer(place: Place): boolean {
    const { request, wanted } = place;
    const backend = this.pool.pick(request);
    if (backend !== null) {
      this.remove(place);
      request.granted(backend);
      return true;
    }
    const wants = this.pool.wantedBy(request);
    if (wants === null) this.turnAway(place, "no-backend");
    else if (wants !== wanted) this.move(place, wants);
    return wants === null;
  }

  /** Its own backend may not serve any more, or may again. */
  private move(place: Place, wanted: string): void {
    this.remove(place);
    place.wanted = wanted;
    this.add(place);
  }
}
