// Looks up the names of backends, for connections and checks. The system's resolver cannot be stopped: who gives up
// leaves the question behind, and while no name server answers each question stays for half a minute. So each name
// is asked for once at a time, and whoever wants it meanwhile hears the same answer; without that a check of a
// name every second would leave more and more questions behind.

import { type LookupAddress, type LookupOptions, lookup } from "node:dns";
import type { LookupFunction } from "node:net";

/** Of one name. Most of them have given up already. */
const WAITING_MAX = 10_000;

type Callback = Parameters<LookupFunction>[2];

/** The system's resolver. */
type Resolver = (
  name: string,
  options: LookupOptions,
  callback: (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family: number) => void,
) => void;

/** For the option `lookup` of a connection. Addresses never get here. */
export const lookUpName: LookupFunction = shareLookups(lookup);

/** The resolver, asked for one name once at a time. */
export function shareLookups(resolve: Resolver): LookupFunction {
  const waiting = new Map<string, Callback[]>();
  return (name, options, callback) => {
    const question = JSON.stringify([name, options.family, options.hints, options.all, options.order]);
    const asked = waiting.get(question);
    if (asked !== undefined) {
      if (asked.length < WAITING_MAX) asked.push(callback);
      else process.nextTick(callback, new Error("too many wait for this name"), "");
      return;
    }
    const callbacks = [callback];
    waiting.set(question, callbacks);
    resolve(name, options, (...answer) => {
      waiting.delete(question);
      for (const tell of callbacks) tell(...answer);
    });
  };
}
