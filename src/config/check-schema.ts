// What can be configured of the checks of backends and of their agents. Part of pool-schema.ts.

import { z } from "zod";
import * as values from "./check-values.ts";
import { readExpression } from "./expression.ts";
import { commandLine, count, duration, either, file, kindOf, port } from "./fields.ts";
import { section, statusRanges, text, yesOrNo } from "./fields.ts";
import { readProgram } from "./file-values.ts";
import { readHostField, readPath } from "./http-values.ts";
import { readCheckRegex } from "./regex.ts";
import type { Reading } from "./reading.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Defaults of health checks, which the cross-checks need where the file is silent. */
export const CHECK_DEFAULTS = { interval: "1s", fastInterval: "200ms", timeout: "500ms" };

const timing = {
  interval: duration({ fromMs: 50, toMs: HOUR })
    .prefault(CHECK_DEFAULTS.interval)
    .describe(
      "From one check to the next, less up to a tenth by chance, so that the checks of many backends and of both nodes drift apart.",
    ),
  fastInterval: z
    .exactOptional(duration({ fromMs: 20, toMs: HOUR }))
    .describe(
      `The interval while the next check may change the state of the backend. ${CHECK_DEFAULTS.fastInterval} when absent, or \`interval\` if that is shorter.`,
    ),
  downInterval: z
    .exactOptional(duration({ fromMs: 50, toMs: HOUR }))
    .describe("The interval while the backend is down. `interval` when absent."),
  timeout: duration({ fromMs: 10, toMs: MINUTE })
    .prefault(CHECK_DEFAULTS.timeout)
    .describe("A check without an answer by then has failed. At most the interval."),
  rise: count({ from: 1, to: 100 }).prefault(2).describe("Good checks in a row that bring a backend back."),
  fall: count({ from: 1, to: 100 }).prefault(2).describe("Bad checks in a row that take a backend down."),
};

const checkPort = () =>
  z.exactOptional(port()).describe("Where the check connects. The backend's port when absent.");

const hostField = () =>
  text({ title: "host", write: "a host, such as www.example.lan", read: readHostField });

const pathField = () => text({ title: "path", write: "a path, such as /health", read: readPath });

const methodField = () =>
  text({ title: "method", write: "a method, such as GET", read: values.readCheckMethod });

const bytes = (example: string) =>
  text({ title: "text with escapes", write: `a text, such as '${example}'`, read: values.readBytes });

/** A text that is found as it is, or a regular expression. */
function textOrRegex(readText: (written: string) => Reading<string>) {
  const write = "a text, or a map with a regex, such as { regex: 'ok|ready' }";
  const title = "text, or map with a regex";
  return either(
    text({ title: "text", write, read: readText }).transform((found) => ({
      kind: "text" as const,
      text: found,
    })),
    section({
      regex: text({
        title: "regular expression",
        write: "a regular expression in quotes",
        read: readCheckRegex,
      }).describe("A regular expression in the syntax of RE2; found anywhere unless it has `^` or `$`."),
    }).transform(({ regex }) => ({ kind: "regex" as const, regex })),
    { write },
  ).meta({ title });
}

const rule = () =>
  z.exactOptional(text({ title: "rule", write: `a rule, such as 'status == "ok"'`, read: readExpression }));

const json = section({
  healthy: rule().describe("The check is good only when this is true."),
  unhealthy: rule().describe("The check is bad when this is true, whatever `healthy` says."),
  degraded: rule().describe("The backend is degraded while this is true: it is used at `degradedWeight`."),
  degradedWeight: count({ from: 1, to: 100 })
    .prefault(50)
    .describe("Percent of its weight that a degraded backend has."),
}).meta({ anyOf: [{ required: ["healthy"] }, { required: ["unhealthy"] }, { required: ["degraded"] }] });

const httpKeys = {
  path: pathField().prefault("/").describe("What the check asks for."),
  method: methodField().prefault("GET").describe("The method of the check."),
  host: z.exactOptional(hostField()).describe("Sent as Host. The backend's address when absent."),
  port: checkPort(),
  expectedStatus: statusRanges()
    .prefault("200-399")
    .describe('The good status codes: `200`, `"200-399"`, or a list of such.'),
  expectedHeaders: z
    .record(
      text({ title: "header field", write: "the name of a header field", read: values.readFieldName }),
      text({
        title: "text",
        write: "the value of the field, or '*' for any",
        read: values.readExpectedField,
      }),
      { error: "Write a map of header fields and their values, such as { x-ready: '*' }." },
    )
    .prefault({})
    .describe(
      'Header fields that the answer must have, and their whole values; `"*"` takes any. Names in any case, values as they are.',
    ),
  expectedBody: z
    .exactOptional(textOrRegex(values.readBodyText))
    .describe(
      "A text that must be in the first 64 KiB of the body, or `{ regex: … }` for the first 8 KiB. Either this or `json`.",
    ),
  json: z
    .exactOptional(json)
    .describe(
      "Rules on a body in JSON of at most 64 KiB: see [health.md](health.md). Either this or `expectedBody`.",
    ),
};

const HTTP_HINTS = {
  expect: "Unknown key. Use expectedBody for what must be in the answer.",
  send: "Unknown key. An HTTP check sends a request: see method, path and host.",
  command: "Unknown key. Use kind: exec for a program.",
};

const HTTPS_KEYS = ["verify", "serverName", "ca"];
const NO_HTTP = Object.fromEntries(
  [...Object.keys(httpKeys), ...HTTPS_KEYS]
    .filter((key) => key !== "port")
    .map((key) => [key, "Unknown key. It belongs to kind: http and kind: https."]),
);

const tcp = section(
  {
    kind: z
      .literal("tcp")
      .describe("Good when the backend accepts a connection, and answers as `expect` says if that is there."),
    port: checkPort(),
    send: z
      .exactOptional(bytes("PING\\r\\n"))
      .describe(
        "Sent when connected, together with `expect`. Escapes are `\\r`, `\\n`, `\\t`, `\\0`, `\\\\` and `\\x1f` for any byte; write it in single quotes, as YAML reads the escapes itself in double ones.",
      ),
    expect: z
      .exactOptional(textOrRegex(values.readBytes))
      .describe(
        "A text with the escapes of `send` that must be in the first 16 KiB that the backend sends, or `{ regex: … }` for the first 8 KiB. To a regular expression each byte is the character of that number.",
      ),
    ...timing,
  },
  {
    hints: {
      ...NO_HTTP,
      command: HTTP_HINTS.command,
      expectedBody: "Unknown key. Use expect: a tcp check has no body.",
    },
  },
);

const http = section(
  {
    kind: z.literal("http").describe("Good when the backend answers a request as expected."),
    ...httpKeys,
    ...timing,
  },
  {
    hints: {
      ...HTTP_HINTS,
      ...Object.fromEntries(HTTPS_KEYS.map((key) => [key, "Unknown key. It belongs to kind: https."])),
    },
  },
);

const https = section(
  {
    kind: z.literal("https").describe("As `http`, over TLS."),
    ...httpKeys,
    verify: yesOrNo()
      .prefault(true)
      .describe(
        "Whether the certificate must be valid and made out to `serverName`. Write `false` to take any, self-signed ones too.",
      ),
    serverName: z
      .exactOptional(
        text({
          title: "host name",
          write: "a host name, such as www.example.lan",
          read: values.readServerName,
        }),
      )
      .describe(
        "Sent as the server name of TLS, and checked against the certificate. `host` without its port when absent, or else the backend's address.",
      ),
    ca: z
      .exactOptional(file())
      .describe(
        "A file with certificates in PEM that are trusted in place of the system's. Relative to the configuration file.",
      ),
    ...timing,
  },
  { hints: HTTP_HINTS },
);

const exec = section(
  {
    kind: z.literal("exec").describe("Good when a program ends with 0."),
    command: commandLine({
      title: "path of a program, or a list: program and arguments",
      write:
        "the path of a program, or a list of program and arguments, such as [/usr/local/bin/check-web, --fast]",
      read: readProgram,
    }).describe(
      "The program; a list when it has arguments. No shell is involved. A name without a slash is looked for in PATH; any other relative path is relative to the configuration file. It gets `VIPAIR_BACKEND_ADDRESS`, `VIPAIR_BACKEND_PORT`, `VIPAIR_BACKEND_NAME` and `VIPAIR_BACKEND_POOL` in its environment, and nothing else but PATH. When it ends or its time is over, what it left running in its process group is killed.",
    ),
    ...timing,
  },
  { hints: { ...NO_HTTP, port: "Unknown key. The program is told the backend's port." } },
);

export const health = kindOf(
  [
    tcp,
    http,
    https,
    exec,
    section({ kind: z.literal("none").describe("No checks: the backend always counts as up.") }),
  ],
  { example: "{ kind: tcp }" },
);

export const AGENT_DEFAULTS = { interval: "1s", timeout: "500ms" };

/** As HAProxy's agent-check. */
export const agent = section({
  port: port().describe("Where the agent of a backend listens, at the backend's address."),
  send: z.exactOptional(bytes("web\\n")).describe("Sent when connected; escapes as in `health.send`."),
  interval: duration({ fromMs: 50, toMs: HOUR })
    .prefault(AGENT_DEFAULTS.interval)
    .describe("From one question to the next, less up to a tenth by chance."),
  timeout: duration({ fromMs: 10, toMs: MINUTE })
    .prefault(AGENT_DEFAULTS.timeout)
    .describe("An agent that has not said a line by then has said nothing. At most the interval."),
});

/** What one backend has otherwise. */
export const backendCheck = section({
  port: z.exactOptional(port()).describe("As `health.port` of the pool, for this backend."),
  host: z.exactOptional(hostField()).describe("As `health.host` of the pool, for this backend."),
  path: z.exactOptional(pathField()).describe("As `health.path` of the pool, for this backend."),
  method: z.exactOptional(methodField()).describe("As `health.method` of the pool, for this backend."),
  agentPort: z.exactOptional(port()).describe("As `agent.port` of the pool, for this backend."),
});
