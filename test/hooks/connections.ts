// Run inside a namespace by vip.test.ts. `serve PORT NAME`: answers each connection with NAME 60 ms
// after it spoke, and prints "ready". `connect ADDRESS PORT MS`: a new connection each 5 ms for that
// long, whatever became of the others; prints how they ended as JSON.

import { connect, createServer } from "node:net";

const ANSWER_AFTER_MS = 60;
const CONNECT_EACH_MS = 5;
const GIVE_UP_MS = 1500;

const [mode, ...args] = process.argv.slice(2);
if (mode === "serve") serve(Number(args[0]), args[1] ?? "");
else void connectSteadily(args[0] ?? "", Number(args[1]), Number(args[2]));

function serve(port: number, name: string): void {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => setTimeout(() => socket.end(name), ANSWER_AFTER_MS));
  });
  server.listen(port, "::", () => console.log("ready"));
}

async function connectSteadily(address: string, port: number, durationMs: number): Promise<void> {
  const ends: Promise<string>[] = [];
  const timer = setInterval(() => ends.push(connectOnce(address, port)), CONNECT_EACH_MS);
  await new Promise((resolve) => setTimeout(resolve, durationMs));
  clearInterval(timer);
  const counts: Record<string, number> = {};
  for (const end of await Promise.all(ends)) counts[end] = (counts[end] ?? 0) + 1;
  console.log(JSON.stringify(counts));
}

function connectOnce(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ host, port });
    const timer = setTimeout(() => {
      resolve("timeout");
      socket.destroy();
    }, GIVE_UP_MS);
    socket.on("connect", () => socket.write("GET"));
    socket.on("data", (data) => (answer += data.toString()));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(answer === "" ? "closed" : answer);
    });
  });
}
