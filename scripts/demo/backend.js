// A sample backend, as a process of its own so that it can be killed like one: answers every request with
// its name, /health too. Ends when its stdin ends, so it never outlives the demo.
//   node scripts/demo/backend.ts NAME HOST PORT
import { createServer } from "node:http";
const [name = "backend", host = "127.0.0.1", port = "0"] = process.argv.slice(2);
const backend = createServer((_request, response) => {
  response.setHeader("content-type", "text/plain");
  response.end(`${name}\n`);
});
backend.listen({ host, port: Number(port) }, () => {
  console.log("listening");
});
process.stdin.on("end", () => process.exit(0)).resume();
