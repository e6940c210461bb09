// A sample backend: answers every GET with its name, so that a test or a demo sees who answered.
// GET /health answers 200, or 503 after POST /fail until POST /recover. In a process of its own:
//   node test/support/backend.ts NAME HOST PORT

import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";

export interface Backend {
  readonly name: string;
  readonly port: number;
  /** Requests answered, health checks not counted. */
  requests(): number;
  setHealthy(healthy: boolean): void;
  /** Cuts every connection. */
  close(): Promise<void>;
}

/** Port 0: one that the OS gives. Resolves when it accepts connections. */
export async function startBackend(options: {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}): Promise<Backend> {
  let requests = 0;
  let healthy = true;
  const server: Server = createServer((request, response) => {
    const { url, method } = request;
    if (method === "POST" && (url === "/fail" || url === "/recover")) healthy = url === "/recover";
    const isHealthCheck = url === "/health";
    if (!isHealthCheck) requests += 1;
    const body = Buffer.from(`${options.name}\n`);
    response.writeHead(isHealthCheck && !healthy ? 503 : 200, {
      "content-type": "text/plain",
      "content-length": body.length,
    });
    response.end(body);
    request.resume();
  });
  server.listen(options.port, options.host);
  await once(server, "listening");
  return {
    name: options.name,
    port: (server.address() as AddressInfo).port,
    requests: () => requests,
    setHealthy: (value) => {
      healthy = value;
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

if (import.meta.main) {
  const [name = "backend", host = "127.0.0.1", port = "0"] = process.argv.slice(2);
  const backend = await startBackend({ name, host, port: Number(port) });
  console.log(`${name} listens on ${host}:${String(backend.port)}`);
}
