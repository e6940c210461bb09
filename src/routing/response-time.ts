// How fast a backend answers: the peak EWMA of Finagle and linkerd. A slower answer counts at once and in full, faster
// ones are believed little by little, and what nobody has confirmed for a while fades, so that a backend which
// was slow is tried again.

/** The time in which a value loses all but 1/e of its weight. */
const DECAY_MS = 10_000;

/** What a worker sees of a backend at work. One object for as long as the backend is known: it moves all the time. */
export interface BackendLoad {
  /** Requests and tunnels that it has of this worker now. */
  active: number;
  /** The peak EWMA of its response times as of `respondedAtMs`; 0: it has not answered yet. */
  responseMs: number;
  respondedAtMs: number;
}

export function createLoad(): BackendLoad {
  return { active: 0, responseMs: 0, respondedAtMs: 0 };
}

/** It has answered after `responseMs`, now. */
export function observeResponse(load: BackendLoad, responseMs: number, nowMs: number): void {
  const known = load.responseMs;
  const share = known === 0 || responseMs >= known ? 0 : remains(load, nowMs);
  load.responseMs = responseMs + (known - responseMs) * share;
  load.respondedAtMs = nowMs;
}

/** What it may take now; 0: it has not answered yet. */
export function expectedResponseMs(load: BackendLoad, nowMs: number): number {
  return load.responseMs === 0 ? 0 : load.responseMs * remains(load, nowMs);
}

function remains(load: BackendLoad, nowMs: number): number {
  return Math.exp((load.respondedAtMs - nowMs) / DECAY_MS);
}
