// Something at the other end of the peer link that is not a vipair: it has the pair's secret or not, and says
// what a test makes it say. Dials and listens from the peer's own address, as only the peer's machine could.

import { createServer } from "node:https";
import { once } from "node:events";
import { connect, type ConnectionOptions } from "node:tls";
import type { TcpNetConnectOpts } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { deriveKey, nameHint } from "../../src/control/peer-security.ts";
import { PSK_TLS } from "../../src/system/psk-tls.ts";

export interface FakePeerOptions {
  /** The name of the node that it pretends to be. */
  readonly name: string;
  readonly address: string;
  /** Of the real node. */
  readonly to: string;
  readonly port: number;
  readonly secret: string;
}

/** Connects to the real node with the secret; rejects when that is refused. */
export async function dialAsPeer({ name, address, to, port, secret }: FakePeerOptions): Promise<WebSocket> {
  const target: ConnectionOptions & Pick<TcpNetConnectOpts, "localAddress"> = {
    host: to,
    port,
    localAddress: address,
    ...PSK_TLS,
    pskCallback: () => ({ psk: deriveKey(secret), identity: name }),
    checkServerIdentity: () => undefined,
  };
  const socket = connect(target);
  socket.on("error", () => undefined);
  await once(socket, "secureConnect");
  const webSocket = new WebSocket("ws://peer/v1", { createConnection: () => socket });
  webSocket.on("error", () => undefined);
  await once(webSocket, "open");
  return webSocket;
}

/** Answers whoever dials with the pair's secret; `say` is called with each connection. Ends in the way to close it. */
export async function listenAsPeer(
  { name, address, port, secret }: FakePeerOptions,
  say: (webSocket: WebSocket) => void,
): Promise<() => Promise<void>> {
  const server = createServer({
    ...PSK_TLS,
    pskIdentityHint: nameHint(name),
    pskCallback: () => deriveKey(secret),
  });
  const webSockets = new WebSocketServer({ server });
  webSockets.on("connection", (webSocket) => {
    webSocket.on("error", () => undefined);
    say(webSocket);
  });
  server.on("tlsClientError", () => undefined);
  server.listen(port, address);
  await once(server, "listening");
  let isOpen = true;
  return async () => {
    if (!isOpen) return;
    isOpen = false;
    for (const webSocket of webSockets.clients) webSocket.terminate();
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  };
}
