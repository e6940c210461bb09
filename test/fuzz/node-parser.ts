// The second opinion: Node's own HTTP parser (llhttp, strict), asked through node:http with streams in memory.
// It shares nothing with src/http1.

import { type IncomingMessage, METHODS, createServer, request } from "node:http";
import { Duplex } from "node:stream";

/** What a parser made of one message. Names and values as they came, one pair for each line. */
export interface Message {
  readonly start: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** latin1 */
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
}

/** The messages that were whole, and what was wrong with what followed them; null: nothing did. */
export interface Reading {
  readonly messages: readonly Message[];
  readonly fault: string | null;
}

const HEAD_BYTES_MAX = 65_536;

/** llhttp has a closed list of methods; RFC 9110 9.1 has not. */
export function isMethodKnown(method: string): boolean {
  return METHODS.includes(method);
}

/** A connection of which only the incoming half matters. */
function incoming(bytes: string): Duplex {
  const stream = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
  stream.push(Buffer.from(bytes, "latin1"));
  return stream;
}

/** Reads bytes as requests on one connection. */
export async function readRequests(bytes: string): Promise<Reading> {
  const messages: Message[] = [];
  let fault: string | null = null;
  const stream = incoming(bytes);
  const closed = new Promise<void>((resolve) => {
    stream.once("close", resolve);
  });
  let open = 0;
  const server = createServer({
    insecureHTTPParser: false,
    maxHeaderSize: HEAD_BYTES_MAX,
    keepAliveTimeout: 0,
  });
  server.maxHeadersCount = 0;
  const receive = (message: IncomingMessage, answer: { end: () => void }): void => {
    open += 1;
    collect(message, (whole) => {
      open -= 1;
      messages.push(whole);
      answer.end();
    });
  };
  server.on("request", receive);
  server.on("checkContinue", receive);
  server.on("checkExpectation", receive);
  server.on("clientError", (error: Error & { code?: string }) => {
    fault = error.code ?? error.message;
    stream.destroy();
  });
  server.emit("connection", stream);
  // What was pushed is read in the next turns; the end comes behind it.
  setImmediate(() => stream.push(null));
  await closed;
  server.close();
  if (fault === null && open > 0) fault = "incomplete";
  return { messages, fault };
}

/** Reads bytes as the answer to a request; interim responses come first. The connection closes behind them. */
export async function readResponses(bytes: string, method: string): Promise<Reading> {
  const messages: Message[] = [];
  return new Promise((resolve) => {
    const stream = incoming("");
    const settle = (fault: string | null): void => {
      resolve({ messages, fault });
      stream.destroy();
    };
    const asked = request({
      createConnection: () => stream,
      method,
      insecureHTTPParser: false,
      maxHeaderSize: HEAD_BYTES_MAX,
      headers: { connection: "close" },
    });
    asked.on("information", (head) => {
      messages.push({
        start: `HTTP/${head.httpVersion} ${String(head.statusCode)} ${head.statusMessage}`,
        fields: pairs(head.rawHeaders),
        body: "",
        trailers: [],
      });
    });
    asked.on("response", (message) => {
      message.on("error", (error) => {
        settle(error.message);
      });
      collect(message, (whole) => {
        messages.push(whole);
        settle(null);
      });
    });
    asked.on("upgrade", () => {
      settle("upgrade");
    });
    asked.on("error", (error: Error & { code?: string }) => {
      settle(error.code ?? error.message);
    });
    asked.end();
    setImmediate(() => {
      stream.push(Buffer.from(bytes, "latin1"));
      setImmediate(() => stream.push(null));
    });
  });
}

/** Calls `done` when the message is whole; never when it is cut. */
export function collect(message: IncomingMessage, done: (whole: Message) => void): void {
  let body = "";
  message.setEncoding("latin1");
  message.on("data", (text: string) => {
    body += text;
  });
  message.on("end", () => {
    if (!message.complete) return;
    const fields = pairs(message.rawHeaders);
    done({ start: startLine(message), fields, body, trailers: pairs(message.rawTrailers) });
  });
}

function startLine({ method, url, httpVersion, statusCode, statusMessage }: IncomingMessage): string {
  if (typeof method === "string") return `${method} ${url ?? ""} HTTP/${httpVersion}`;
  return `HTTP/${httpVersion} ${String(statusCode ?? 0)} ${statusMessage ?? ""}`;
}

function pairs(list: readonly string[]): [string, string][] {
  const result: [string, string][] = [];
  for (let i = 0; i + 1 < list.length; i += 2) result.push([list[i] ?? "", list[i + 1] ?? ""]);
  return result;
}
