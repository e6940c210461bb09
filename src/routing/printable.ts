// What a backend says, for people: it goes into logs and onto terminals, where control characters move cursors, and
// marks of writing direction turn lines round.

/** A reason is read in a line of a status. */
const CHARACTERS_MAX = 200;

/** The text without characters that show nothing (each becomes "?"), and no longer than a line. */
export function printable(text: string): string {
  const line = text.replaceAll(/(?!\t)[\p{C}\p{Zl}\p{Zp}]/gu, "?");
  return line.length > CHARACTERS_MAX ? `${line.slice(0, CHARACTERS_MAX)}…` : line;
}
