// A client that asks as fast as it is answered: keep-alive connections, each with one request on its way at any
// time. It exists to use up the processor; what it counts only proves that it did. As a process of its own:
//   node test/lab/load.ts HOST CONNECTIONS SECONDS

import { Agent, get } from "node:http";

export interface LoadReport {
  readonly answered: number;
  readonly failed: number;
}

/** Resolves when the time is over and the last answers have come. */
async function load(options: {
  readonly host: string;
  readonly connections: number;
  readonly seconds: number;
}): Promise<LoadReport> {
  const { host, connections, seconds } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const endMs = performance.now() + seconds * 1000;
  let answered = 0;
  let failed = 0;
  const ask = async () =>
    new Promise<void>((resolve) => {
      const request = get({ host, port: 80, agent }, (response) => {
        response.resume();
        response.on("end", () => {
          answered += response.statusCode === 200 ? 1 : 0;
          failed += response.statusCode === 200 ? 0 : 1;
          resolve();
        });
        response.on("error", () => {
          failed += 1;
          resolve();
        });
      });
      request.on("error", () => {
        failed += 1;
        // Not a loop that burns the processor on refused connections: that would prove nothing.
        setTimeout(resolve, 10);
      });
    });
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (performance.now() < endMs) await ask();
    }),
  );
  agent.destroy();
  return { answered, failed };
}

if (import.meta.main) {
  const [host = "", connections = "1", seconds = "1"] = process.argv.slice(2);
  const report = await load({ host, connections: Number(connections), seconds: Number(seconds) });
  console.log(JSON.stringify(report));
}
