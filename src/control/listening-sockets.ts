// Binds the sockets that workers listen on. The control process binds because only it may use ports
// below 1024; it keeps no socket longer than a worker needs to take it over.
//
// Sockets are bound with SO_REUSEPORT, one per worker and address, so that the kernel spreads the
// connections. The price: another process of the same user can join the group without any error, and
// takes its share of the connections in silence. probeAddress() looks for such a stranger first, by
// binding without SO_REUSEPORT. Two processes that probe in the same millisecond can still miss each
// other; that window is not worth a lock.

import { createServer, isIPv6 } from "node:net";
import type { Server, Socket } from "node:net";
import { formatAddress } from "../config/config.ts";

/**
 * Connections that wait to be accepted, per socket. After a failover all clients connect at once; the
 * kernel lowers the number to net.core.somaxconn, which is 4096 on current kernels.
 */
const BACKLOG = 4096;

export interface SocketAddress {
  /** IPv4 or IPv6 literal. */
  readonly host: string;
  readonly port: number;
}

export type BindResult =
  { readonly kind: "bound"; readonly server: Server } | { readonly kind: "failed"; readonly problem: string };

/**
 * A listening socket in a SO_REUSEPORT group. Connections that arrive before the caller closes the
 * server come to `onConnection`, paused and unread. An IPv6 address never takes IPv4 connections,
 * so that `0.0.0.0:80` and `[::]:80` can stand side by side.
 */
export async function bindListeningSocket(
  address: SocketAddress,
  onConnection: (socket: Socket) => void,
): Promise<BindResult> {
  const server = createServer({ pauseOnConnect: true }, onConnection);
  return listen(server, address, { reusePort: true });
}

/** Why nobody can listen on this address alone right now; null when it is free. */
export async function probeAddress(address: SocketAddress): Promise<string | null> {
  // A client that meets the probe is cut off; without the probe it would have been refused.
  const server = createServer((socket) => socket.destroy());
  const result = await listen(server, address, { reusePort: false });
  if (result.kind === "failed") return result.problem;
  await new Promise((resolve) => result.server.close(resolve));
  return null;
}

async function listen(
  server: Server,
  { host, port }: SocketAddress,
  { reusePort }: { readonly reusePort: boolean },
): Promise<BindResult> {
  return new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      resolve({ kind: "failed", problem: describeBindError(error, { host, port }) });
    });
    server.once("listening", () => {
      // From here on an error can only be a failed accept (out of file descriptors); the socket stays.
      server.on("error", () => undefined);
      resolve({ kind: "bound", server });
    });
    server.listen({ host, port, reusePort, ipv6Only: isIPv6(host), backlog: BACKLOG });
  });
}

function describeBindError(error: NodeJS.ErrnoException, { host, port }: SocketAddress): string {
  switch (error.code) {
    case "EADDRINUSE":
      return `port ${String(port)} on ${host} is in use by another process`;
    case "EADDRNOTAVAIL":
      return `no interface of this machine has the address ${host}`;
    case "EACCES":
      return `this user may not listen on port ${String(port)} (below 1024 it takes root or CAP_NET_BIND_SERVICE)`;
    case undefined:
    default:
      return `cannot listen on ${formatAddress(host, port)}: ${error.message}`;
  }
}
