// Requests as a test makes them: one, awaited, with its answer as a value.

import { request } from "node:http";

export interface Answer {
  readonly status: number;
  /** Without the newline at its end. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface AskOptions {
  readonly host: string;
  readonly port?: number;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** A GET on a connection of its own; rejects when there is no whole answer in time. */
export async function ask({
  host,
  port = 8080,
  path = "/",
  headers = {},
  timeoutMs = 5_000,
}: AskOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host, port, path, headers, agent: false, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        let body = "";
        response.on("data", (bytes: Buffer) => (body += bytes.toString()));
        response.on("error", reject);
        response.on("end", () => {
          resolve({ status: response.statusCode ?? 0, body: body.trimEnd(), headers: response.headers });
        });
      },
    );
    sent.on("error", reject);
    sent.end();
  });
}
