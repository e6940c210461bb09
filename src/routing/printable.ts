// What a backend says, for people: it goes into logs and onto terminals, where control characters move cursors, and
// marks of writing direction turn lines round.

/** A reason stands in a line of a status; it may tell an operator what to do with a path or two. */
const CHARACTERS_MAX = 500;

/** The text without characters that show nothing (each becomes "?"), and cut where it is too long to be read. */
export function printable(text: string): string {
  const line = text.replaceAll(/(?!\t)[\p{C}\p{Zl}\p{Zp}]/gu, "?");
  return line.length > CHARACTERS_MAX ? `${line.slice(0, CHARACTERS_MAX)}…` : line;
}
