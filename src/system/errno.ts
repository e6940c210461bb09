// The code of a failed system call, as Node reports it. Apart, because every door outside meets it.

/** `ENOENT`, `EACCES`, `ERR_...`: the error's code; undefined when it has none or is no Error. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
