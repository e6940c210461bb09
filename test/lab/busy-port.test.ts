// A standby on which another program has the port: the classic slip of a first installation.

import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Lab } from "./lab.ts";
import { VIP } from "./lab-config.ts";
import { labIsMissing } from "./requirements.ts";

const skip = labIsMissing();
const lab = new Lab({ bind: "vip:80" });

before(() => (skip === false ? lab.up() : undefined));
after(() => lab.down());

test(
  "a standby that cannot open its listener does not take over: no request fails, and the reason is told",
  { skip },
  async (t) => {
    const { active, standby } = await lab.settle();
    const program = join(import.meta.dirname, "..", "support", "backend.ts");
    const stranger = lab.network.spawn(standby, [process.execPath, program, "stranger", "0.0.0.0", "80"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => stranger.kill("SIGKILL"));
    assert.ok(stranger.stdout !== null);
    await once(stranger.stdout, "data");

    const meter = await lab.startMeter(VIP);
    await meter.mark("switchover");
    await assert.rejects(lab.vipair(active, "switchover"), /not ready|did not take over/);
    await lab.waitForRole(active, "active", { withinMs: 1000 });
    await sleep(1000);
    await meter.stop();
    const report = await meter.outageSince("switchover");
    meter.close();
    assert.equal(report.failed, 0, JSON.stringify(report.outages));
    assert.ok(!Object.keys(report.backends).includes("stranger"), JSON.stringify(report.backends));
    assert.deepEqual(await lab.holders(), [active]);
    const told = lab.logOf(standby).filter((line) => line.includes("port 80") && line.includes("in use"));
    assert.ok(told.length > 0, lab.logOf(standby).join("\n"));

    const ended = once(stranger, "exit");
    stranger.kill("SIGKILL");
    await ended;
    await lab.settle();
    await lab.vipair(active, "switchover");
    await lab.waitForRole(standby, "active", { withinMs: 1000 });
  },
);
