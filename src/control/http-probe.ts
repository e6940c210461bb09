// Looks at a backend over HTTP or HTTPS: asks once on a connection of its own, and judges status, header fields and
// body.

import { readFile } from "node:fs/promises";
import type { ClientRequest, IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { resolve } from "node:path";
import type { CheckTls, HttpCheck, JsonRulesConfig } from "../config/check-config.ts";
import { formatAddress } from "../config/config.ts";
import { type Expression, parseExpression } from "../config/expression.ts";
import { quote } from "../config/reading.ts";
import { type JsonRules, judgePage } from "../routing/json-rules.ts";
import { errorCode } from "../system/errno.ts";
import { http, https } from "../system/http.ts";
import { lookUpName } from "../system/name-lookup.ts";
import { untrustedReason } from "../system/trusted-file.ts";
import { bad, probeOver } from "./probe.ts";
import type { ProbeResult, Prober } from "./probe.ts";
import type { Target } from "./tcp-probe.ts";
import { compileMatch } from "./text-match.ts";

/** A health page is small; what comes beyond this is not read. */
const BODY_BYTES_MAX = 65_536;
const HEAD_BYTES_MAX = 16_384;
/** Of status 1xx. Without a limit a backend that sends nothing else keeps this process busy until the timeout. */
const INTERIM_RESPONSES_MAX = 10;

export interface HttpProbeOptions {
  readonly timeoutMs: number;
  /** Relative files stand there. */
  readonly configDir: string;
}

export function httpProber(target: Target, check: HttpCheck, options: HttpProbeOptions): Prober {
  const judgeBody = bodyJudge(check);
  const port = check.port ?? target.port;
  const head = {
    host: target.host,
    lookup: lookUpName,
    port,
    method: check.method,
    path: check.path,
    agent: false,
    maxHeaderSize: HEAD_BYTES_MAX,
    headers: {
      host: check.host ?? formatAddress(target.host, port),
      "user-agent": "vipair-health",
      connection: "close",
    },
  };
  const listen = (sent: ClientRequest, finish: (result: ProbeResult) => void) => {
    let interim = 0;
    sent.on("information", ({ statusCode }) => {
      interim += 1;
      if (interim > INTERIM_RESPONSES_MAX)
        finish(bad("it announces a response, again and again", statusCode));
    });
    sent.on("response", (response) => {
      judgeResponse(response, { check, judgeBody, finish });
    });
    sent.end();
    return sent;
  };
  const { timeoutMs, configDir } = options;
  const { tls } = check;
  if (tls === undefined)
    return async (abort) => probeOver({ timeoutMs, abort }, (finish) => listen(http.request(head), finish));
  const serverName = serverNameOf(target, check, tls);
  return async (abort) => {
    const trust = tls.caFile === undefined ? {} : await readAuthorities(resolve(configDir, tls.caFile));
    if (typeof trust === "string") return bad(trust);
    // RFC 6066 3: SNI carries names, never addresses. Node takes the empty one for none.
    const secure = { rejectUnauthorized: tls.verify, servername: serverName ?? "", ...trust };
    return probeOver({ timeoutMs, abort }, (finish) => listen(https.request({ ...head, ...secure }), finish));
  };
}

function serverNameOf({ host }: Target, check: HttpCheck, tls: CheckTls): string | undefined {
  const sent = check.host?.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  const name = tls.serverName ?? sent ?? host;
  return isIP(name) === 0 ? name : undefined;
}

/** Read anew for each look, as a person may renew them. A text says why they cannot be used (rule 14). */
async function readAuthorities(path: string): Promise<{ readonly ca: Buffer } | string> {
  try {
    return untrustedReason(path) ?? { ca: await readFile(path) };
  } catch (error) {
    return `the certificates in ${path} cannot be read: ${errorCode(error) ?? String(error)}`;
  }
}

type BodyJudge = {
  /** Of no more than BODY_BYTES_MAX; `isWhole` false: there is more. */
  readonly judge: (body: string, isWhole: boolean, code: number) => ProbeResult;
} | null;

/** null: what the body says is of no interest. */
function bodyJudge({ expectedBody, json }: HttpCheck): BodyJudge {
  if (json !== undefined) {
    const rules = compileRules(json);
    return {
      judge: (body, isWhole, code) =>
        isWhole ? judgeJson(rules, body, code) : bad("the body is too long for JSON to be read", code),
    };
  }
  if (expectedBody === undefined) return null;
  const { isIn, verb } = compileMatch(expectedBody);
  return {
    judge: (body, isWhole, code) => {
      if (isIn(body)) return { kind: "good", code };
      return bad(`${isWhole ? "the body" : "the first 64 KiB of the body"} does not ${verb}`, code);
    },
  };
}

function compileRules({ healthy, unhealthy, degraded }: JsonRulesConfig): JsonRules {
  return {
    ...(healthy === undefined ? {} : { healthy: compileRule(healthy) }),
    ...(unhealthy === undefined ? {} : { unhealthy: compileRule(unhealthy) }),
    ...(degraded === undefined ? {} : { degraded: compileRule(degraded) }),
  };
}

function compileRule(text: string): Expression {
  const parsed = parseExpression(text);
  if (parsed.kind === "invalid") throw new Error(`a rule that the configuration took: ${parsed.problem}`);
  return parsed.expression;
}

function judgeJson(rules: JsonRules, body: string, code: number): ProbeResult {
  let page: unknown;
  try {
    page = JSON.parse(body);
  } catch {
    return bad("the body is not JSON", code);
  }
  const verdict = judgePage(rules, page);
  if (verdict.kind === "bad") return bad(verdict.reason, code);
  return {
    kind: "good",
    code,
    ...(verdict.degraded === null ? {} : { degraded: verdict.degraded }),
    ...(verdict.doubt === null ? {} : { doubt: verdict.doubt }),
  };
}

function judgeResponse(
  response: IncomingMessage,
  {
    check,
    judgeBody,
    finish,
  }: {
    readonly check: HttpCheck;
    readonly judgeBody: BodyJudge;
    readonly finish: (result: ProbeResult) => void;
  },
): void {
  const code = response.statusCode ?? 0;
  const problem = headProblem(response, check);
  if (problem !== undefined) {
    finish(bad(problem, code));
    return;
  }
  const kept: Buffer[] = [];
  let bytes = 0;
  const judge = (isWhole: boolean) => {
    if (judgeBody === null) finish({ kind: "good", code });
    else
      finish(judgeBody.judge(Buffer.concat(kept, Math.min(bytes, BODY_BYTES_MAX)).toString(), isWhole, code));
  };
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (judgeBody !== null) kept.push(chunk);
    if (bytes > BODY_BYTES_MAX) judge(false);
  });
  response.on("end", () => {
    judge(true);
  });
  response.on("error", () => {
    finish(bad("the response was cut off", code));
  });
}

function headProblem(
  { statusCode: code = 0, headers }: IncomingMessage,
  { expectedStatus, expectedHeaders }: HttpCheck,
): string | undefined {
  if (!expectedStatus.some(({ from, to }) => code >= from && code <= to)) return `status ${String(code)}`;
  for (const [name, expected] of Object.entries(expectedHeaders)) {
    const found = headers[name];
    if (found === undefined) return `header field ${name} is missing`;
    const value = typeof found === "string" ? found : found.join(", ");
    if (expected !== null && value !== expected)
      return `header field ${name} is ${quote(value)}, not ${quote(expected)}`;
  }
  return undefined;
}
