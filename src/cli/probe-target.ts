// Where `vipair probe` asks: a URL and an optional other host name, as a person types them, turned into what a
// connection and a request need.

export interface ProbeTarget {
  /** As it is shown. */
  readonly url: string;
  readonly isTls: boolean;
  /** IP literal without brackets, or a name. */
  readonly host: string;
  readonly port: number;
  /** With the query; what goes into the request line. */
  readonly path: string;
  readonly hostField: string;
  /** For the TLS handshake; null when the host is an address. */
  readonly serverName: string | null;
}

export type TargetReading =
  | { readonly kind: "target"; readonly target: ProbeTarget }
  | { readonly kind: "invalid"; readonly problem: string };

const DEFAULT_PORTS = { "http:": 80, "https:": 443 } as const;
const HOST_PATTERN = /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/iu;

/** `http://HOST[:PORT][/PATH]` or https. `host` replaces the host that is asked for, not the one that is connected to. */
export function readTarget(
  text: string,
  { host }: { readonly host?: string | undefined } = {},
): TargetReading {
  if (!/^https?:\/\//iu.test(text) || !URL.canParse(text)) return invalid(whyNoUrl(text));
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return invalid("A user name in the URL is not supported.");
  if (host !== undefined && !HOST_PATTERN.test(host)) {
    return invalid(`"${host}" is not a host name. Write for example --host www.example.com`);
  }
  const scheme = url.protocol === "https:" ? "https:" : "http:";
  const name = withoutPort(host ?? url.hostname);
  return {
    kind: "target",
    target: {
      url: `${url.origin}${url.pathname}${url.search}`,
      isTls: scheme === "https:",
      host: withoutBrackets(url.hostname),
      port: url.port === "" ? DEFAULT_PORTS[scheme] : Number(url.port),
      path: `${url.pathname}${url.search}`,
      hostField: host ?? url.host,
      serverName: isAddress(name) ? null : name,
    },
  };
}

/** What to write instead, as far as it can be guessed. */
function whyNoUrl(text: string): string {
  if (/^(?!https?:)[a-z][a-z\d+.-]*:\/\//iu.test(text)) {
    return `"${text}" cannot be asked: only http:// and https:// can`;
  }
  const [, scheme = "http:", rest = ""] = /^(https?:)?\/*(.*)$/isu.exec(text) ?? [];
  const meant = `${scheme}//${rest}`;
  const isLikely = meant !== text && URL.canParse(meant);
  return `"${text}" is not a URL. Write ${isLikely ? meant : "for example http://192.168.1.50:8080/"}`;
}

function invalid(problem: string): TargetReading {
  return { kind: "invalid", problem };
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/u, "");
}

function withoutBrackets(host: string): string {
  return host.startsWith("[") ? host.slice(1, -1) : host;
}

/** A URL's host is one of three: an IPv6 address in brackets, four numbers, a name. */
function isAddress(host: string): boolean {
  return host.startsWith("[") || /^\d+(?:\.\d+){3}$/u.test(host);
}
