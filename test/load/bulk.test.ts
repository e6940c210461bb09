// Large bodies: every byte arrives, and the worker's memory stays what it was. VIPAIR_BULK_MIB sets the size;
// `npm run soak` takes 1024.

import assert from "node:assert/strict";
import { test } from "node:test";
import { askOnce, get, serve } from "../proxy/harness.ts";
import { spawnEchoBackend, transfer } from "./bulk.ts";

const MIB = 1 << 20;
const SIZE_MIB = Number(process.env["VIPAIR_BULK_MIB"] ?? "256");
const GROWTH_MIB_MAX = 64;

for (const direction of ["up", "down"] as const) {
  for (const framing of ["length", "chunked"] as const) {
    test(`${String(SIZE_MIB)} MiB ${direction}, ${framing}: unchanged, and memory grows by at most 64 MiB`, async (t) => {
      const backend = await spawnEchoBackend();
      t.after(() => {
        backend.kill();
      });
      const { worker, port } = await serve(t, { ports: [backend.port], isAlone: true });
      assert.match(await askOnce(port, get("/bytes/2/1", "Connection: close")), /^HTTP\/1\.1 200 /u);
      const { pid } = worker.process;
      const result = await transfer({ direction, framing, bytes: SIZE_MIB * MIB }, { port, pid, seed: 7 });
      const grownMib = result.grownBytes / MIB;
      t.diagnostic(`grown by ${grownMib.toFixed(1)} MiB, ${(SIZE_MIB / result.seconds).toFixed(0)} MiB/s`);
      assert.equal(result.isUnchanged, true);
      assert.ok(grownMib <= GROWTH_MIB_MAX, `grown by ${grownMib.toFixed(1)} MiB`);
    });
  }
}
