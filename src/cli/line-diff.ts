// Two texts as a unified diff, the form that `diff -u` and `patch` have. The shortest way from one to the other by
// Myers' algorithm ("An O(ND) difference algorithm", 1986); texts that have little in common are shown as replaced,
// because nobody reads the shortest way between those and its cost grows with the square of its length.

/** Lines around a change that have not changed. */
const CONTEXT = 3;

/** Lines that went or came, beyond which the middle counts as replaced. */
const EDITS_MAX = 2000;

const NO_NEWLINE = "\\ No newline at end of file";

export interface NamedText {
  /** For the head of the diff. */
  readonly name: string;
  readonly text: string;
}

/** One line of the way: in both texts, only in the first, only in the second. */
interface Step {
  readonly kind: " " | "-" | "+";
  readonly line: string;
}

/** Without a newline at the end; empty when the texts are equal. */
export function unifiedDiff(from: NamedText, to: NamedText): string {
  if (from.text === to.text) return "";
  const steps = diffLines(splitLines(from.text), splitLines(to.text));
  return [`--- ${from.name}`, `+++ ${to.name}`, ...hunksOf(steps)].join("\n");
}

/** Each with its newline, so that the lack of one at the end is a difference. */
function splitLines(text: string): readonly string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function diffLines(from: readonly string[], to: readonly string[]): readonly Step[] {
  let start = 0;
  while (start < from.length && start < to.length && from[start] === to[start]) start += 1;
  let end = 0;
  while (
    end < from.length - start &&
    end < to.length - start &&
    from[from.length - 1 - end] === to[to.length - 1 - end]
  ) {
    end += 1;
  }
  const middle = [from.slice(start, from.length - end), to.slice(start, to.length - end)] as const;
  return [
    ...stepsOf(" ", from.slice(0, start)),
    ...(shortestWay(...middle) ?? [...stepsOf("-", middle[0]), ...stepsOf("+", middle[1])]),
    ...stepsOf(" ", from.slice(from.length - end)),
  ];
}

function stepsOf(kind: Step["kind"], lines: readonly string[]): readonly Step[] {
  return lines.map((line) => ({ kind, line }));
}

/** undefined: it is too long to be looked for. */
function shortestWay(from: readonly string[], to: readonly string[]): readonly Step[] | undefined {
  // How far each diagonal (lines of `from` less lines of `to`) is got with so many edits, and before each of them.
  const furthest = new Map([[1, 0]]);
  const trace: ReadonlyMap<number, number>[] = [];
  const most = Math.min(from.length + to.length, EDITS_MAX);
  for (let edits = 0; edits <= most; edits += 1) {
    trace.push(new Map(furthest));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      let x = comesDown(furthest, { diagonal, edits })
        ? (furthest.get(diagonal + 1) ?? 0)
        : (furthest.get(diagonal - 1) ?? 0) + 1;
      while (x < from.length && x - diagonal < to.length && from[x] === to[x - diagonal]) x += 1;
      furthest.set(diagonal, x);
      if (x >= from.length && x - diagonal >= to.length) return walkBack({ from, to, trace });
    }
  }
  return undefined;
}

/** Whether the way to this diagonal ends with a line of `to`. */
function comesDown(
  furthest: ReadonlyMap<number, number>,
  { diagonal, edits }: { readonly diagonal: number; readonly edits: number },
): boolean {
  if (diagonal === -edits) return true;
  return diagonal !== edits && (furthest.get(diagonal - 1) ?? 0) < (furthest.get(diagonal + 1) ?? 0);
}

function walkBack({
  from,
  to,
  trace,
}: {
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly trace: readonly ReadonlyMap<number, number>[];
}): readonly Step[] {
  const steps: Step[] = [];
  let x = from.length;
  let y = to.length;
  for (const [edits, furthest] of [...trace.entries()].toReversed()) {
    const diagonal = x - y;
    const before = comesDown(furthest, { diagonal, edits }) ? diagonal + 1 : diagonal - 1;
    const beforeX = edits === 0 ? 0 : (furthest.get(before) ?? 0);
    const beforeY = edits === 0 ? 0 : beforeX - before;
    while (x > beforeX && y > beforeY) {
      x -= 1;
      y -= 1;
      steps.push({ kind: " ", line: from[x] ?? "" });
    }
    if (x > beforeX) {
      x -= 1;
      steps.push({ kind: "-", line: from[x] ?? "" });
    } else if (y > beforeY) {
      y -= 1;
      steps.push({ kind: "+", line: to[y] ?? "" });
    }
  }
  return steps.toReversed();
}

function hunksOf(steps: readonly Step[]): readonly string[] {
  const lines: string[] = [];
  const place = { from: 0, to: 0 };
  let index = 0;
  while (index < steps.length) {
    const first = steps.findIndex(({ kind }, at) => at >= index && kind !== " ");
    if (first === -1) break;
    const start = Math.max(index, first - CONTEXT);
    for (const step of steps.slice(index, start)) advance(place, step);
    const end = endOfHunk(steps, first);
    const hunk = steps.slice(start, end);
    lines.push(headOf(hunk, place), ...hunk.flatMap(render));
    for (const step of hunk) advance(place, step);
    index = end;
  }
  return lines;
}

/** Changes that share their context are one hunk. */
function endOfHunk(steps: readonly Step[], first: number): number {
  let last = first;
  for (let at = first; at < steps.length && at - last <= 2 * CONTEXT; at += 1) {
    if (steps[at]?.kind !== " ") last = at;
  }
  return Math.min(steps.length, last + CONTEXT + 1);
}

function advance(place: { from: number; to: number }, { kind }: Step): void {
  if (kind !== "+") place.from += 1;
  if (kind !== "-") place.to += 1;
}

function headOf(hunk: readonly Step[], { from, to }: { readonly from: number; readonly to: number }): string {
  const side = (before: number, without: Step["kind"]) => {
    const count = hunk.filter(({ kind }) => kind !== without).length;
    // Nothing there: the line after which it would stand.
    const line = count === 0 ? before : before + 1;
    return count === 1 ? String(line) : `${String(line)},${String(count)}`;
  };
  return `@@ -${side(from, "+")} +${side(to, "-")} @@`;
}

function render({ kind, line }: Step): readonly string[] {
  return line.endsWith("\n") ? [`${kind}${line.slice(0, -1)}`] : [`${kind}${line}`, NO_NEWLINE];
}
