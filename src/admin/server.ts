// The admin API of one node: HTTP + JSON on a Unix socket that only the node's own user can open. The
// socket also guards the runtime directory: a second vipair with the same one is refused.

import { lstat, mkdir, unlink } from "node:fs/promises";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { join } from "node:path";
import { ADMIN_PATHS, ADMIN_SOCKET } from "../protocol/admin.ts";
import type {
  AdminError,
  BackendName,
  BackendOrder,
  BackendOrderResult,
  ConfigFilesResult,
  ConfigPushOrder,
  ConfigPushResult,
  ConnectionsResult,
  MaintenanceOrder,
  MaintenanceResult,
  ReloadResult,
  ResumeResult,
  SwitchoverOrder,
  SwitchoverResult,
} from "../protocol/admin.ts";
import type { Status } from "../protocol/status.ts";
import { errorCode } from "../system/errno.ts";
import { http } from "../system/http.ts";
import type { Log } from "../system/log.ts";

const BODY_BYTES_MAX = 65_536;
/** The kernel's sun_path holds 108 bytes with the closing NUL. */
const SOCKET_PATH_BYTES_MAX = 107;
/** How long a live vipair may take to say who it is. */
const PEEK_TIMEOUT_MS = 1_000;
/** Each answer names the process, so that a second one can say whom it met. */
const PID_HEADER = "vipair-pid";

export type Outcome<Result> =
  { readonly kind: "done"; readonly result: Result } | { readonly kind: "refused"; readonly error: string };

export interface AdminServerOptions {
  /** Made when it is missing. */
  readonly runtimeDir: string;
  readonly log: Log;
  /** Why nothing but a reload can be asked yet; undefined: it can. Absent: always. */
  readonly objection?: () => string | undefined;
  readonly status: () => Promise<Status>;
  readonly reload: () => Promise<Outcome<ReloadResult>>;
  readonly configFiles: () => Promise<Outcome<ConfigFilesResult>>;
  readonly pushConfig: (order: ConfigPushOrder) => Promise<Outcome<ConfigPushResult>>;
  readonly switchover: (order: SwitchoverOrder) => Promise<Outcome<SwitchoverResult>>;
  readonly standby: (order: MaintenanceOrder) => Promise<Outcome<MaintenanceResult>>;
  readonly resume: (order: MaintenanceOrder) => Promise<Outcome<ResumeResult>>;
  readonly orderBackend: (order: BackendOrder) => Promise<Outcome<BackendOrderResult>>;
  readonly countConnections: (name: BackendName) => Promise<Outcome<ConnectionsResult>>;
}

export type StartResult =
  { readonly kind: "started" } | { readonly kind: "refused"; readonly problem: string };

interface Answer {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Endpoint {
  readonly method: "GET" | "POST";
  readonly answer: (order: Readonly<Record<string, unknown>>) => Promise<Answer>;
}

export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  readonly #server: Server;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#endpoints = new Map<string, Endpoint>([
      [
        ADMIN_PATHS.status,
        { method: "GET", answer: async () => ({ status: 200, body: await options.status() }) },
      ],
      [ADMIN_PATHS.config, { method: "GET", answer: () => answerOrder(options.configFiles()) }],
      [
        ADMIN_PATHS.configPush,
        {
          method: "POST",
          answer: async ({ force, dryRun }) =>
            isFlag(force) && isFlag(dryRun)
              ? answerOrder(options.pushConfig({ force: force === true, dryRun: dryRun === true }))
              : failure(400, "force and dryRun must be true or false"),
        },
      ],
      [ADMIN_PATHS.reload, { method: "POST", answer: () => answerOrder(options.reload()) }],
      [
        ADMIN_PATHS.switchover,
        {
          method: "POST",
          answer: async ({ group, force }) =>
            (typeof group === "string" || group === undefined) && isFlag(force)
              ? answerOrder(
                  options.switchover({ ...(group !== undefined && { group }), force: force === true }),
                )
              : failure(400, "group must be the name of a group, force true or false"),
        },
      ],
      [ADMIN_PATHS.standby, { method: "POST", answer: (order) => answerMaintenance(order, options.standby) }],
      [ADMIN_PATHS.resume, { method: "POST", answer: (order) => answerMaintenance(order, options.resume) }],
      [
        ADMIN_PATHS.backend,
        {
          method: "POST",
          answer: async (body) => {
            const order = readBackendOrder(body);
            return order === undefined
              ? failure(
                  400,
                  "pool and backend must be names, state drain, maintenance or ready; or weight a text",
                )
              : answerOrder(options.orderBackend(order));
          },
        },
      ],
      [
        ADMIN_PATHS.connections,
        {
          method: "POST",
          answer: async ({ pool, backend }) =>
            typeof pool === "string" && typeof backend === "string"
              ? answerOrder(options.countConnections({ pool, backend }))
              : failure(400, "pool and backend must be names"),
        },
      ],
    ]);
    this.#server = http.createServer((incoming, response) => void this.#serve(incoming, response));
  }

  /** Opens the socket; refused when another vipair lives in the directory or the directory cannot be used. */
  async start(): Promise<StartResult> {
    const { runtimeDir } = this.#options;
    const path = join(runtimeDir, ADMIN_SOCKET);
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
      return refused(`${path} is too long for a socket. Choose a shorter --runtime-dir`);
    }
    try {
      await mkdir(runtimeDir, { recursive: true, mode: 0o755 });
      const occupant = await findOccupant(path);
      if (occupant !== null) return refused(occupant);
      await this.#listen(path);
      return { kind: "started" };
    } catch (error) {
      return refused(`cannot use the runtime directory ${runtimeDir}: ${describeError(error)}`);
    }
  }

  /** Closes all connections and removes the socket. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
  }

  async #listen(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.once("listening", () => {
        this.#server.off("error", reject);
        resolve();
      });
      // listen() binds before it returns, so that the socket is born with mode 0600: chmod would come too late.
      const umask = process.umask(0o177);
      try {
        this.#server.listen(path);
      } finally {
        process.umask(umask);
      }
    });
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      respond(response, await this.#answer(incoming));
    } catch (error) {
      this.#options.log.error({ path: incoming.url, error: describeError(error) }, "admin request failed");
      respond(response, failure(500, "vipair could not answer. Its log says why"));
    }
  }

  async #answer(incoming: IncomingMessage): Promise<Answer> {
    const path = incoming.url ?? "";
    const endpoint = this.#endpoints.get(path);
    if (endpoint === undefined) return failure(404, `${path} is not part of the admin API`);
    if (incoming.method !== endpoint.method) {
      return { ...failure(405, `${path} takes ${endpoint.method}`), headers: { allow: endpoint.method } };
    }
    const objection = path === ADMIN_PATHS.reload ? undefined : this.#options.objection?.();
    if (objection !== undefined) return failure(409, objection);
    const body = await readBody(incoming);
    if (body === undefined) return failure(413, `the body is larger than ${String(BODY_BYTES_MAX)} bytes`);
    const order = parseOrder(body);
    if (order === undefined) return failure(400, "the body must be empty or a JSON object");
    return endpoint.answer(order);
  }
}

async function answerOrder<Result extends object>(asked: Promise<Outcome<Result>>): Promise<Answer> {
  const outcome = await asked;
  return outcome.kind === "done" ? { status: 200, body: outcome.result } : failure(409, outcome.error);
}

async function answerMaintenance<Result extends object>(
  { node, force }: Readonly<Record<string, unknown>>,
  carryOut: (order: MaintenanceOrder) => Promise<Outcome<Result>>,
): Promise<Answer> {
  if ((typeof node !== "string" && node !== undefined) || !isFlag(force)) {
    return failure(400, "node must be the name of a node, force true or false");
  }
  return answerOrder(carryOut({ ...(node !== undefined && { node }), force: force === true }));
}

/** undefined: it is none, or two in one. */
function readBackendOrder({
  pool,
  backend,
  state,
  weight,
}: Readonly<Record<string, unknown>>): BackendOrder | undefined {
  if (typeof pool !== "string" || typeof backend !== "string") return undefined;
  if (typeof weight === "string" && state === undefined) return { pool, backend, weight };
  if (weight !== undefined) return undefined;
  return state === "drain" || state === "maintenance" || state === "ready"
    ? { pool, backend, state }
    : undefined;
}

function failure(status: number, error: string): Answer {
  return { status, body: { error } satisfies AdminError };
}

function respond(response: ServerResponse, { status, body, headers }: Answer): void {
  // Nobody sends many requests here; without keep-alive an unread body is no problem either.
  response.writeHead(status, {
    ...headers,
    "content-type": "application/json",
    [PID_HEADER]: String(process.pid),
    connection: "close",
  });
  response.end(`${JSON.stringify(body)}\n`);
}

/** The whole body; undefined when it is too large. */
async function readBody(incoming: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    if (!(chunk instanceof Buffer)) continue;
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
  }
  return Buffer.concat(chunks).toString();
}

/** Absent counts as false. */
function isFlag(value: unknown): value is boolean | undefined {
  return value === undefined || typeof value === "boolean";
}

/** No body means no wishes; undefined when it is no JSON object. */
function parseOrder(body: string): Readonly<Record<string, unknown>> | undefined {
  if (body === "") return {};
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Who or what is in the way of a new socket; null when nothing is. The socket file of a dead process
 * is removed; anything that is no socket is left to its owner.
 */
async function findOccupant(path: string): Promise<string | null> {
  try {
    if (!(await lstat(path)).isSocket()) return `${path} is not a socket. Remove it`;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return null;
    throw error;
  }
  const peek = await peekAt(path);
  if (peek.kind === "alive") {
    const who = peek.pid === undefined ? "it does not say its pid" : `pid ${peek.pid}`;
    return `another vipair runs with this runtime directory, ${who}. Stop it or choose another --runtime-dir`;
  }
  await unlink(path);
  return null;
}

async function peekAt(path: string): Promise<{ kind: "dead" } | { kind: "alive"; pid: string | undefined }> {
  return new Promise((resolve, reject) => {
    const peek = http.request(
      { socketPath: path, path: "/", agent: false, timeout: PEEK_TIMEOUT_MS },
      (response) => {
        const pid = response.headers[PID_HEADER];
        response.resume();
        resolve({ kind: "alive", pid: typeof pid === "string" ? pid : undefined });
      },
    );
    // It took the connection but says nothing: frozen, perhaps, yet there.
    peek.on("timeout", () => {
      resolve({ kind: "alive", pid: undefined });
      peek.destroy();
    });
    peek.on("error", (error) => {
      const code = errorCode(error);
      if (code === "ECONNREFUSED" || code === "ENOENT") resolve({ kind: "dead" });
      else if (code === "EACCES") reject(error);
      else resolve({ kind: "alive", pid: undefined });
    });
    peek.end();
  });
}

function refused(problem: string): StartResult {
  return { kind: "refused", problem };
}

function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
