// How a pool chooses among its backends, after parsing. Part of config.ts.

/** docs/balancing.md tells what each is good for; src/routing/policies.ts is what each does. */
export type BalanceConfig =
  | { readonly kind: "round-robin" }
  | { readonly kind: "least-connections" }
  | { readonly kind: "least-response-time" }
  | { readonly kind: "random" }
  | { readonly kind: "first" }
  | { readonly kind: "source-hash" }
  /** `query`: the part behind the "?" counts too. */
  | { readonly kind: "uri-hash"; readonly query: boolean }
  /** `header` in lower case. */
  | { readonly kind: "header-hash"; readonly header: string }
  | { readonly kind: "cookie-hash"; readonly cookie: string };

/** A cookie of the balancer's own, by which a client comes back to the backend that it had. */
export interface StickyConfig {
  readonly cookie: string;
  /** null: as long as the client's session, which the client defines. */
  readonly ttlMs: number | null;
  readonly path: string;
  /** auto: when the client came over https. */
  readonly secure: "auto" | "always" | "never";
  readonly httpOnly: boolean;
  readonly sameSite: "lax" | "strict" | "none";
  /** What becomes of a client whose backend is down or draining: another backend, or 503. */
  readonly fallback: "another" | "refuse";
}

/** The cookie of a sticky pool that names none: a browser keeps one of a name, so pools of one host must not share it. */
export function stickyCookie(pool: string): string {
  return `vipair-${pool}`;
}
