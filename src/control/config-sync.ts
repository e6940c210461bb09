// The configuration file on both nodes: what stands in the peer's, this node's file copied there, and the peer's copy
// taken here. A file is looked at as a text; the control process parses none on this way, because a large one would
// hold up its heartbeats: `vipair check` does that, in a process of its own.
//
// A push never overwrites what nobody has seen: it goes only over a file that is as it was when both were the same
// last (which is remembered on the disk), or as the last look at it has shown it.

import { createHash, randomBytes } from "node:crypto";
import { isUtf8 } from "node:buffer";
import { readdirSync, readFileSync } from "node:fs";
import { open, readFile, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { ConfigFilesResult, ConfigPushResult, ReloadResult } from "../protocol/admin.ts";
import type { NewerFile } from "../protocol/status.ts";
import { wallTime } from "../system/clock.ts";
import { replaceFile } from "../system/atomic-file.ts";
import { errorCode } from "../system/errno.ts";
import type { Log } from "../system/log.ts";
import type { CheckResult } from "./config-check.ts";
import { type Answer, type PutQuestion, readAnswer, readQuestion } from "./config-talk.ts";
import { PeerExchange } from "./peer-exchange.ts";
import type { ConfigMessage } from "./peer-frame.ts";

/** As the parser takes. */
const FILE_BYTES_MAX = 1024 * 1024;

/** Of what pushes have replaced; the oldest go. */
const BACKUPS_MAX = 5;

/** Beside the file, while it is being looked at. */
const CANDIDATE = /\.pushed-[0-9a-f]{8}$/;
const BACKUP = /\.backup-\d{8}T\d{9}Z$/;

export type SyncOutcome<T> =
  { readonly kind: "done"; readonly result: T } | { readonly kind: "refused"; readonly reason: string };

export interface ConfigSyncOptions {
  /** Absolute: this node's file. */
  readonly path: string;
  /** What must survive a reboot is kept there. */
  readonly stateDir: string;
  /** The name of this node. */
  readonly node: string;
  /** Of the other one; undefined: the pair has no second node yet. */
  readonly peer: () => string | undefined;
  /** Why nothing can be asked, in words that follow the peer's name; undefined when it can. */
  readonly obstacle: () => string | undefined;
  /** Sends once to the peer, if there is a connection. */
  readonly send: (message: ConfigMessage) => void;
  /** Whether the configuration lets the peer change this node's file. */
  readonly acceptsConfig: () => boolean;
  /** Everything that is wrong with a file, and with the files it names, for the node of that name. */
  readonly check: (path: string) => Promise<CheckResult>;
  /** As SIGHUP. */
  readonly reload: () => Promise<SyncOutcome<ReloadResult>>;
  readonly log: Log;
}

type FileText =
  | { readonly kind: "text"; readonly text: string; readonly digest: string }
  | { readonly kind: "unreadable"; readonly problem: string };

export class ConfigSync {
  readonly #options: ConfigSyncOptions;
  readonly #exchange: PeerExchange;
  readonly #memory: string;
  /** Of the file that both nodes had when they were the same last. */
  #common: string | undefined;
  /** Of the peer's file, as an operator was last shown it. */
  #shown: string | undefined;
  /** Of the file that this node has read last, and of the one that the peer says that it has. */
  #ours: string | undefined;
  #theirs: string | undefined;
  /** Copies to the peer that are on their way. */
  #pushes = 0;

  constructor(options: ConfigSyncOptions) {
    this.#options = options;
    this.#exchange = new PeerExchange({
      send: options.send,
      answer: (question) => this.#answer(question),
    });
    this.#memory = join(options.stateDir, "config-sync.json");
    this.#common = readMemory(this.#memory);
  }

  /** After the start, and after each reload. */
  async noteRead(): Promise<void> {
    const file = await readConfigFile(this.#options.path);
    this.#ours = file.kind === "text" ? file.digest : undefined;
    this.linkConnected();
    await this.#compare();
  }

  linkConnected(): void {
    if (this.#ours !== undefined) this.#options.send({ kind: "config-file", digest: this.#ours });
  }

  linkDisconnected(): void {
    this.#theirs = undefined;
    this.#exchange.disconnected();
  }

  receive(message: ConfigMessage): void {
    if (message.kind === "exchange") return this.#exchange.receive(message);
    if (message.digest === this.#theirs) return;
    this.#theirs = message.digest;
    void this.#compare();
  }

  close(): void {
    this.#exchange.close();
  }

  /** By what both have read last: a file that was changed since and not loaded is seen by a diff. */
  newer(): NewerFile {
    if (this.#ours === undefined || this.#theirs === undefined) return null;
    if (this.#ours === this.#theirs) return "neither";
    if (this.#common === undefined) return null;
    const hasOurs = this.#ours !== this.#common;
    const hasTheirs = this.#theirs !== this.#common;
    return hasOurs && hasTheirs ? "both" : hasOurs ? "self" : "peer";
  }

  /** Both files as they are on the disks now. */
  async files(): Promise<SyncOutcome<ConfigFilesResult>> {
    const ours = await readConfigFile(this.#options.path);
    if (ours.kind === "unreadable") return refused(ours.problem);
    const theirs = await this.#askForFile();
    if (theirs.kind === "refused") return theirs;
    const { node, path } = this.#options;
    const { peer, path: peerPath, text } = theirs.result;
    this.#shown = digestOf(text);
    await this.#rememberIfSame(ours.digest, this.#shown);
    return {
      kind: "done",
      result: { node, path, text: ours.text, peer: { node: peer, path: peerPath, text } },
    };
  }

  /** Copies this node's file to the peer; both reload. `dryRun`: the peer looks at it and that is all. */
  async push(order: PushOrder): Promise<SyncOutcome<ConfigPushResult>> {
    this.#pushes += 1;
    try {
      return await this.#push(order);
    } finally {
      this.#pushes -= 1;
    }
  }

  async #push({ force, dryRun }: PushOrder): Promise<SyncOutcome<ConfigPushResult>> {
    const { path, check, reload, log } = this.#options;
    const ours = await readConfigFile(path);
    if (ours.kind === "unreadable") return refused(ours.problem);
    const checked = await check(path);
    if (checked.kind === "mistakes") return refused(`this node's own file is no good:\n${checked.text}`);
    const theirs = await this.#askForFile();
    if (theirs.kind === "refused") return theirs;
    const { peer, text } = theirs.result;
    const digest = digestOf(text);
    await this.#rememberIfSame(ours.digest, digest);
    if (digest === ours.digest) {
      return { kind: "done", result: { kind: "same", peer } };
    }
    if (!force && !dryRun && digest !== this.#common && digest !== this.#shown) {
      return refused(
        `the file of ${peer} has changed since both were the same last. Look at \`vipair config diff\` and push again, or use --force`,
      );
    }
    const answer = await this.#ask({ op: "put", text: ours.text, expected: digest, dryRun });
    if (answer.kind === "refused") return answer;
    const { result } = answer;
    switch (result.kind) {
      case "refused":
        return refused(`${peer}: ${result.reason}`);
      case "good":
        return { kind: "done", result: { kind: "good", peer } };
      case "written": {
        log.info({ peer, digest: ours.digest.slice(0, 12) }, "the configuration was copied to the peer");
        await this.#remember(ours.digest);
        const own = await reload();
        const { backup, problem, needsRestart } = result;
        return {
          kind: "done",
          result: {
            kind: "written",
            peer: { node: peer, backup, problem, needsRestart },
            self:
              own.kind === "done"
                ? { problem: null, needsRestart: own.result.needsRestart }
                : { problem: own.reason, needsRestart: [] },
          },
        };
      }
      case "file":
        return refused(`${peer} answers something else than was asked`);
    }
  }

  /** To a question of the peer's. */
  async #answer(text: string): Promise<string> {
    const question = readQuestion(text);
    const answer: Answer =
      question === undefined
        ? {
            kind: "refused",
            reason: "does not understand what it was asked: is the same vipair on both nodes?",
          }
        : question.op === "file"
          ? await this.#answerFile()
          : await this.#take(question);
    return JSON.stringify(answer);
  }

  async #answerFile(): Promise<Answer> {
    const { path } = this.#options;
    const file = await readConfigFile(path);
    if (file.kind === "unreadable") return { kind: "refused", reason: file.problem };
    return { kind: "file", path, text: file.text };
  }

  /** The peer's file in place of ours: looked at first, written as a whole, loaded at once. */
  async #take({ text, expected, dryRun }: PutQuestion): Promise<Answer> {
    const { path, acceptsConfig, log, peer } = this.#options;
    if (!acceptsConfig()) {
      return {
        kind: "refused",
        reason: "its configuration says pair.acceptConfig: false; copy the file there",
      };
    }
    if (Buffer.byteLength(text) > FILE_BYTES_MAX) return { kind: "refused", reason: TOO_LARGE };
    // Two pushes that cross would make the two files change places.
    if (this.#pushes > 0) return { kind: "refused", reason: CROSSED };
    const old = await readConfigFile(path);
    if (old.kind === "unreadable") return { kind: "refused", reason: old.problem };
    if (old.digest !== expected) return { kind: "refused", reason: CHANGED };
    const problem = await this.#problemOf(text);
    if (problem !== undefined) return { kind: "refused", reason: problem };
    if (dryRun) return { kind: "good" };
    const backup = `${path}.backup-${wallTime().replaceAll(/[-:.]/g, "")}`;
    const replaced = await replaceFile({ path, text, newMode: 0o644, expected: old.text, backup });
    if (replaced.kind === "changed") return { kind: "refused", reason: CHANGED };
    if (replaced.kind === "failed") {
      log.error({ peer: peer(), problem: replaced.problem }, "the peer's configuration was not taken");
      return { kind: "refused", reason: replaced.problem };
    }
    log.info({ peer: peer(), backup: replaced.backup }, "the peer's configuration was taken");
    await this.#remember(digestOf(text));
    await removeOldest(path);
    const loaded = await this.#options.reload();
    return {
      kind: "written",
      backup: replaced.backup,
      problem: loaded.kind === "done" ? null : loaded.reason,
      needsRestart: loaded.kind === "done" ? loaded.result.needsRestart : [],
    };
  }

  /** Looked at beside the file, because what it names may be relative to its directory. */
  async #problemOf(text: string): Promise<string | undefined> {
    const { path, check } = this.#options;
    const candidate = `${path}.pushed-${randomBytes(4).toString("hex")}`;
    try {
      await removeMatching(path, CANDIDATE, 0);
      await writeCandidate(candidate, text);
      const checked = await check(candidate);
      return checked.kind === "good"
        ? undefined
        : `would not take it:\n${checked.text.replaceAll(candidate, path)}`;
    } catch (error) {
      return `${path} cannot be written: ${explain(error)}. Nothing has changed`;
    } finally {
      await rm(candidate, { force: true }).catch(() => undefined);
    }
  }

  async #askForFile(): Promise<
    SyncOutcome<{ readonly peer: string; readonly path: string; readonly text: string }>
  > {
    const answer = await this.#ask({ op: "file" });
    if (answer.kind === "refused") return answer;
    const peer = this.#options.peer() ?? "";
    if (answer.result.kind === "file") {
      const { path, text } = answer.result;
      return { kind: "done", result: { peer, path, text } };
    }
    const reason =
      answer.result.kind === "refused" ? answer.result.reason : "answers something else than was asked";
    return refused(`${peer}: ${reason}`);
  }

  async #ask(question: object): Promise<SyncOutcome<Answer>> {
    const { peer, obstacle } = this.#options;
    const name = peer();
    if (name === undefined) return refused("there is no second node yet: `sudo vipair invite` lets one join");
    const problem = obstacle();
    if (problem !== undefined) return refused(`${name} ${problem}`);
    const answered = await this.#exchange.ask(JSON.stringify(question));
    if (answered.kind === "none") {
      return refused(`${name} ${answered.problem}. \`vipair config diff\` shows what it has`);
    }
    const answer = readAnswer(answered.text);
    return answer === undefined
      ? refused(`${name} answers what this node does not understand: is the same vipair on both?`)
      : { kind: "done", result: answer };
  }

  async #compare(): Promise<void> {
    if (this.#ours !== undefined) await this.#rememberIfSame(this.#ours, this.#theirs);
  }

  async #rememberIfSame(ours: string, theirs: string | undefined): Promise<void> {
    if (ours === theirs) await this.#remember(ours);
  }

  async #remember(digest: string): Promise<void> {
    if (digest === this.#common) return;
    this.#common = digest;
    const text = `${JSON.stringify({ common: digest })}\n`;
    const stored = await replaceFile({ path: this.#memory, text, newMode: 0o600 });
    if (stored.kind === "failed") {
      this.#options.log.warn({ reason: stored.problem }, "which file both nodes had could not be stored");
    }
  }
}

interface PushOrder {
  readonly force: boolean;
  readonly dryRun: boolean;
}

const TOO_LARGE = "the file is larger than 1 MiB";
const CROSSED = "pushes its own file in this moment. Look at `vipair config diff` and push again";
const CHANGED = "its file has changed in this moment. Look at `vipair config diff` and push again";

function refused(reason: string): { readonly kind: "refused"; readonly reason: string } {
  return { kind: "refused", reason };
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

async function readConfigFile(path: string): Promise<FileText> {
  try {
    if ((await stat(path)).size > FILE_BYTES_MAX)
      return { kind: "unreadable", problem: `${path}: ${TOO_LARGE}` };
    const bytes = await readFile(path);
    // What is no text could not be compared, nor written as it was.
    if (!isUtf8(bytes)) return { kind: "unreadable", problem: `${path} is not a text in UTF-8` };
    const text = bytes.toString();
    return { kind: "text", text, digest: digestOf(text) };
  } catch (error) {
    return { kind: "unreadable", problem: `${path} cannot be read: ${explain(error)}` };
  }
}

/** A damaged one is worth no more than none: a push then asks for a look first. */
function readMemory(path: string): string | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof value !== "object" || value === null || !("common" in value)) return undefined;
    return typeof value.common === "string" && /^[0-9a-f]{64}$/.test(value.common) ? value.common : undefined;
  } catch {
    return undefined;
  }
}

async function writeCandidate(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
}

async function removeOldest(path: string): Promise<void> {
  // One that stays is no harm.
  await removeMatching(path, BACKUP, BACKUPS_MAX).catch(() => undefined);
}

/** All but the last `keep` by name. */
async function removeMatching(path: string, pattern: RegExp, keep: number): Promise<void> {
  const directory = dirname(path);
  const found = readdirSync(directory)
    .filter((name) => name.startsWith(`${basename(path)}.`) && pattern.test(name))
    .toSorted();
  const removed = found.slice(0, Math.max(0, found.length - keep));
  await Promise.all(removed.map((name) => rm(join(directory, name), { force: true })));
}

function explain(error: unknown): string {
  switch (errorCode(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return "the disk is full";
    case "EROFS":
      return "the file system is read-only, or the service may not write there";
    case "EACCES":
    case "EPERM":
      return "vipair may not write there";
    case "ENOENT":
      return "there is none";
    case undefined:
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
