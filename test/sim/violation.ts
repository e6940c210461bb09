// What an invariant throws: the rule that does not hold, and what broke it.

export class Violation extends Error {
  override readonly name = "Violation";
}

export function fail(rule: string, detail: string): never {
  throw new Violation(`${rule}${detail === "" ? "" : `: ${detail}`}`);
}
