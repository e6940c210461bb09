// Whether a file may be believed by a program that runs as root: nobody but root can change it, or put
// another one in its place. DESIGN section 5, rule 14: hooks and configuration that others can write would
// make anybody who can write them root.

import { lstatSync, readlinkSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";

/** As many as the kernel follows (path_resolution(7)). */
const SYMLINKS_MAX = 40;

const ROOT_ID = 0;
const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_OTHERS = 0o002;
const STICKY = 0o1000;

/**
 * Why root should not trust this file, in a sentence with what to do; undefined when it may, when this
 * process is not root, or when there is no such file: that is for whoever opens it to say.
 */
export function untrustedReason(path: string): string | undefined {
  return process.getuid?.() === ROOT_ID ? findUntrustedSteps(path, { owner: ROOT_ID }) : undefined;
}

/**
 * Follows the path as the kernel does, one step at a time, through every symbolic link on the way: each
 * step must belong to root or to `owner`, and be writable by nobody else. Two things are fine: the group
 * root, and a sticky directory (/tmp), in which only its owner can replace a file. A list of
 * access rights beyond the mode (setfacl) is not seen: only the owner can have given it.
 */
export function findUntrustedSteps(path: string, { owner }: { readonly owner: number }): string | undefined {
  const steps = resolveSteps(path.startsWith("/") ? path : join(process.cwd(), path));
  if (steps === undefined) return undefined;
  const foreign = steps.filter(({ stats }) => stats.uid !== ROOT_ID && stats.uid !== owner);
  const writable = steps.filter((step) => isWritableByOthers(step));
  if (foreign.length === 0 && writable.length === 0) return undefined;

  const findings = [
    ...foreign.map((step) => `${step.path} belongs to uid ${String(step.stats.uid)}`),
    ...writable.map((step) => `${step.path} can be written by ${writersOf(step.stats)}`),
  ];
  // Without -h a link's target would change its owner, not the link.
  const chown = foreign.some(({ stats }) => stats.isSymbolicLink()) ? "chown -h" : "chown";
  const remedies = [
    ...(foreign.length === 0 ? [] : [`${chown} root:root ${pathsOf(foreign)}`]),
    ...(writable.length === 0 ? [] : [`chmod go-w ${pathsOf(writable)}`]),
  ];
  return (
    `${path} could be changed by someone other than root: ${findings.join(", ")}. ` +
    `Run ${remedies.join("; ")}, or put it where only root can write`
  );
}

interface Step {
  /** Without links, up to the last name in it. */
  readonly path: string;
  readonly stats: Stats;
}

/** Every directory, link and file that the kernel passes on the way; undefined when the way does not lead anywhere. */
function resolveSteps(path: string): readonly Step[] | undefined {
  const names = path.split("/");
  const steps = new Map<string, Step>();
  let here = "/";
  let symlinks = 0;
  try {
    steps.set(here, { path: here, stats: lstatSync(here) });
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      if (name === "" || name === ".") continue;
      if (name === "..") {
        here = dirname(here);
        continue;
      }
      const next = join(here, name);
      const stats = lstatSync(next);
      steps.set(next, { path: next, stats });
      if (!stats.isSymbolicLink()) {
        here = next;
        continue;
      }
      symlinks += 1;
      if (symlinks > SYMLINKS_MAX) return undefined;
      const target = readlinkSync(next);
      if (target.startsWith("/")) here = "/";
      names.unshift(...target.split("/"));
    }
  } catch {
    return undefined;
  }
  return [...steps.values()];
}

function isWritableByOthers({ stats }: Step): boolean {
  // The mode of a link means nothing: whoever can write its directory can change it.
  if (stats.isSymbolicLink()) return false;
  // What stands in a sticky directory is a step of its own, with an owner of its own.
  if (stats.isDirectory() && (stats.mode & STICKY) !== 0) return false;
  return writersOf(stats) !== null;
}

function writersOf({ mode, gid }: Stats): string | null {
  if ((mode & WRITABLE_BY_OTHERS) !== 0) return "everybody";
  return (mode & WRITABLE_BY_GROUP) !== 0 && gid !== ROOT_ID ? `group ${String(gid)}` : null;
}

function pathsOf(steps: readonly Step[]): string {
  return steps.map(({ path }) => path).join(" ");
}
