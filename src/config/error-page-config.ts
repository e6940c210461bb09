// Error pages after parsing: what a listener says in place of the plain words when it answers itself. A page that stands
// in a file is read by whoever may read it, and travels to the workers as an ErrorPage of protocol/worker.ts.

/** By status (`503`) or, for all of a class that have no page of their own, by class (`5xx`). */
export type ErrorPagesConfig = Readonly<Record<string, ErrorPageConfig>>;

export interface ErrorPageConfig {
  readonly contentType: string;
  readonly source:
    | { readonly kind: "text"; readonly body: string }
    /** Relative: to the config file. */
    | { readonly kind: "file"; readonly file: string };
}
