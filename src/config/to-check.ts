// From the values of a file that kept to the schema to the checks of a pool. Part of to-pool.ts.

import type { z } from "zod";
import type { AgentConfig, HealthConfig, HealthTiming, TcpDialogue } from "./check-config.ts";
import { type agent, CHECK_DEFAULTS, type health } from "./check-schema.ts";
import { readDuration } from "./quantity.ts";

type HealthFile = z.output<typeof health>;
type HttpFile = Extract<HealthFile, { readonly kind: "http" | "https" }>;

export function toHealth(file: HealthFile): HealthConfig {
  switch (file.kind) {
    case "none":
      return file;
    case "tcp": {
      const { kind, port, send, expect } = file;
      const dialogue: TcpDialogue | undefined =
        expect === undefined ? undefined : { send: send ?? "", expect };
      return {
        kind,
        ...(port === undefined ? {} : { port }),
        ...(dialogue === undefined ? {} : { dialogue }),
        ...toTiming(file),
      };
    }
    case "http":
      return { ...toHttp(file), ...toTiming(file) };
    case "https": {
      const { verify, serverName, ca } = file;
      const tls = {
        verify,
        ...(serverName === undefined ? {} : { serverName }),
        ...(ca === undefined ? {} : { caFile: ca }),
      };
      return { ...toHttp(file), tls, ...toTiming(file) };
    }
    case "exec":
      return { kind: "exec", command: file.command, ...toTiming(file) };
  }
}

function toHttp(file: HttpFile) {
  const { kind, path, method, host, port, expectedStatus, expectedHeaders, expectedBody, json } = file;
  return {
    kind,
    path,
    method,
    expectedStatus,
    expectedHeaders,
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(expectedBody === undefined ? {} : { expectedBody }),
    ...(json === undefined ? {} : { json: toRules(json) }),
  };
}

function toRules({ degradedWeight, ...rules }: NonNullable<HttpFile["json"]>) {
  return { ...rules, degradedWeightPercent: degradedWeight };
}

function toTiming(file: Exclude<HealthFile, { readonly kind: "none" }>): HealthTiming {
  const { interval, fastInterval, downInterval, timeout, rise, fall } = file;
  return {
    intervalMs: interval,
    fastIntervalMs: fastInterval ?? Math.min(interval, FAST_INTERVAL_MS),
    downIntervalMs: downInterval ?? interval,
    timeoutMs: timeout,
    rise,
    fall,
  };
}

const fast = readDuration(CHECK_DEFAULTS.fastInterval);
const FAST_INTERVAL_MS = fast.kind === "ok" ? fast.value : 0;

export function toAgent({ port, send, interval, timeout }: z.output<typeof agent>): AgentConfig {
  return { port, send: send ?? "", intervalMs: interval, timeoutMs: timeout };
}
