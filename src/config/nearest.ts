// Which known word an operator most likely meant.

/** The closest of `known` when it is close enough to be a slip of the finger; undefined otherwise. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const name of known) {
    const distance = isNear(word, name) ? editDistance(word.toLowerCase(), name.toLowerCase()) : Infinity;
    if (distance < (best?.distance ?? Infinity)) best = { name, distance };
  }
  return best?.name;
}

/** For an operator who named a thing that is not there: what there is, and what was meant perhaps. Without a full stop. */
export function noSuch(what: string, word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  const names = [known.slice(0, -1).join(", "), ...known.slice(-1)].filter(Boolean).join(" and ");
  return `there is no ${what} "${word}", only ${names}${meant === undefined ? "" : `. Did you mean ${meant}?`}`;
}

/** One to three slips, by the length of the word; or cut short; or only the case or the separators differ. */
export function isNear(word: string, name: string): boolean {
  if (bareLetters(word) === bareLetters(name)) return true;
  if (word.length >= 3 && name.toLowerCase().startsWith(word.toLowerCase())) return true;
  const slipsMax = name.length <= 4 ? 1 : name.length <= 8 ? 2 : 3;
  // A distance is never less than the difference in length, and long words need not be measured.
  if (Math.abs(word.length - name.length) > slipsMax) return false;
  return editDistance(word.toLowerCase(), name.toLowerCase()) <= Math.min(slipsMax, name.length - 1);
}

/** `advertisement_interval` and `advertisementInterval` are one word. */
function bareLetters(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, "");
}

/** Damerau-Levenshtein, optimal string alignment: insert, delete, replace, swap two neighbours. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const deleted = (previous[j] ?? 0) + 1;
      const inserted = (current[j - 1] ?? 0) + 1;
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? (beforePrevious[j - 2] ?? 0) + 1 : Infinity;
      current.push(Math.min(replaced, deleted, inserted, swapped));
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}
