// A heartbeat path of two nodes with a cable between them that a test can cut. Each node dials an end of the
// cable, which carries the bytes on to the other node. While it is cut nothing comes through and nobody is
// told: sockets hang, as they do when a real cable is pulled.

import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import type { TestContext } from "node:test";
import { newAddress } from "./peer-pair.ts";

export class Cable {
  /** What each node sees of the path. */
  readonly a: { readonly self: string; readonly peer: string };
  readonly b: { readonly self: string; readonly peer: string };
  readonly #port: number;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  private constructor(port: number) {
    this.a = { self: newAddress(), peer: newAddress() };
    this.b = { self: newAddress(), peer: newAddress() };
    this.#port = port;
  }

  static async lay(t: TestContext, port: number): Promise<Cable> {
    const cable = new Cable(port);
    t.after(() => cable.refuse());
    await cable.#carry(cable.a.peer, { from: cable.b.peer, to: cable.b.self });
    await cable.#carry(cable.b.peer, { from: cable.a.peer, to: cable.a.self });
    return cable;
  }

  /** What is open hangs from now on, and so does what is dialled. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** What is dialled from now on comes through; what hung is gone. */
  mend(): void {
    this.#isCut = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Ends what is open; what is dialled from now on is refused. */
  refuse(): void {
    for (const server of this.#servers.splice(0)) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #carry(at: string, { from, to }: { readonly from: string; readonly to: string }): Promise<void> {
    const server = createServer({ noDelay: true }, (near) => {
      this.#keep(near);
      if (this.#isCut) {
        near.pause();
        return;
      }
      const far = connect({ host: to, port: this.#port, localAddress: from, noDelay: true });
      this.#keep(far);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        one.on("data", (bytes) => {
          if (!this.#isCut) other.write(bytes);
        });
        one.on("close", () => {
          if (!this.#isCut) other.destroy();
        });
      }
    });
    this.#servers.push(server);
    server.listen(this.#port, at);
    await once(server, "listening");
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
