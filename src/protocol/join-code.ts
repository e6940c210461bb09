// The code that lets a second node into a pair: 60 random bits in twelve characters that people read aloud and type.
// Crockford's base 32 has no I, L, O and U, so that nothing is taken for 1 or 0 and no words come out.

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUP_LENGTH = 4;

/** How many characters a code has, and how many random bytes make one. */
export const JOIN_CODE_LENGTH = 12;

/** `K7QF-3M0Z-9TXA`: five bits of each of JOIN_CODE_LENGTH random bytes. */
export function formatJoinCode(random: Uint8Array): string {
  const characters = [...random.subarray(0, JOIN_CODE_LENGTH)].map((byte) => ALPHABET[byte & 31] ?? "");
  return characters.map((one, i) => (i > 0 && i % GROUP_LENGTH === 0 ? `-${one}` : one)).join("");
}

/**
 * The code as formatJoinCode() writes it. Case, dashes, dots and blanks do not count, O is 0, I and L are 1. undefined:
 * it cannot be one.
 */
export function readJoinCode(text: string): string | undefined {
  const bare = text.toUpperCase().replaceAll(/[\s.-]/g, "");
  const characters = bare.replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  if (characters.length !== JOIN_CODE_LENGTH) return undefined;
  const values = Array.from(characters, (one) => ALPHABET.indexOf(one));
  return values.includes(-1) ? undefined : formatJoinCode(Uint8Array.from(values));
}
