// A configuration in which nobody has written anything yet, as the package installs it: comments alone. It is no mistake, and no configuration.

/** Whether nothing stands in the text but comments. */
export function isNotConfigured(text: string): boolean {
  return text.split("\n").every((line) => /^\s*(?:#|$)/u.test(line));
}

/** What to do about it, in words for an operator. */
export function describeNotConfigured(file: string): string {
  return `not configured: run 'sudo vipair init' or edit ${file}, then 'systemctl reload vipair'`;
}
