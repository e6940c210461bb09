// A mistake in a configuration while it is being collected: known by its path in the file; its line and
// column are looked up at the end. Every check of this folder reports mistakes in this shape.

/** Keys and list positions from the top of the file down. */
export type Path = readonly (string | number)[];

export interface Mistake {
  readonly path: Path;
  /** `key`: the key itself is wrong (unknown, misplaced). `value`: what stands behind it. */
  readonly at: "key" | "value";
  /** What is wrong and what to do, in a sentence or two. */
  readonly message: string;
}

/** `pools.web.backends[1].address`; keys that are not plain words stand in brackets and quotes. */
export function formatPath(path: Path): string {
  return path
    .map((part, index) => {
      if (typeof part === "number") return `[${String(part)}]`;
      if (!/^[\w-]+$/.test(part)) return `[${JSON.stringify(part)}]`;
      return index === 0 ? part : `.${part}`;
    })
    .join("");
}

/** Of a field that something decides by, on listeners that keep such fields out. */
export const UNDERSCORES_STAY_OUT =
  "Fields with _ in their name do not come in. Use underscoreHeaders: pass on the listener, or another field.";
