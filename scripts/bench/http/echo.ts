// A process that sends each WebSocket message back, for as little work as possible: messages are unfragmented and
// shorter than 126 bytes, as those of the benchmark are. Arguments: the ports.

import { createHash } from "node:crypto";
import { type Socket, createServer } from "node:net";

/** RFC 6455 1.3 */
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const CLOSE_OPCODE = 8;

function serve(socket: Socket): void {
  let input = Buffer.alloc(0);
  let isOpen = false;
  socket.on("error", () => socket.destroy());
  socket.on("data", (bytes) => {
    input = input.length === 0 ? bytes : Buffer.concat([input, bytes]);
    if (!isOpen) {
      const end = input.indexOf("\r\n\r\n");
      if (end === -1) return;
      isOpen = true;
      socket.write(acceptUpgrade(input.toString("latin1", 0, end)));
      input = input.subarray(end + 4);
    }
    input = echoFrames(socket, input);
  });
}

function acceptUpgrade(head: string): string {
  const key = /^sec-websocket-key: *(\S+)/imu.exec(head)?.[1] ?? "";
  const accept = createHash("sha1").update(`${key}${ACCEPT_SUFFIX}`).digest("base64");
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

/** RFC 6455 5.2: two bytes, a mask of four, the payload; back it goes without the mask. Returns what is left over. */
function echoFrames(socket: Socket, input: Buffer): Buffer<ArrayBuffer> {
  let at = 0;
  while (input.length - at >= 6) {
    const length = (input[at + 1] ?? 0) & 127;
    if (input.length - at < 6 + length) break;
    const first = input[at] ?? 0;
    const frame = Buffer.allocUnsafe(2 + length);
    frame[0] = first;
    frame[1] = length;
    for (let i = 0; i < length; i += 1)
      frame[2 + i] = (input[at + 6 + i] ?? 0) ^ (input[at + 2 + (i & 3)] ?? 0);
    socket.write(frame);
    if ((first & 15) === CLOSE_OPCODE) socket.end();
    at += 6 + length;
  }
  return Buffer.from(input.subarray(at));
}

for (const port of process.argv.slice(2)) {
  createServer({ noDelay: true }, serve).listen(Number(port), "127.0.0.1");
}
