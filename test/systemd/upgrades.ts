// A chapter of the story of two machines: the package is replaced, half, forwards and backwards, while the client asks.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OpenLoopReport } from "../../src/cli/open-loop-client.ts";
import { assertNoneFailed } from "../lab/meter.ts";
import { waitUntil } from "../support/wait-until.ts";
import type { Machines } from "./machines.ts";
import type { Packages } from "./packages.ts";
import { install, versionOf } from "./service.ts";

export interface Story {
  readonly machines: Machines;
  readonly packages: () => Packages;
  /** What the client sees while something is done, until the pair is at rest again. */
  readonly outageOf: (label: string, act: () => Promise<void>) => Promise<OpenLoopReport>;
}

export function tellOfUpgrades({ machines, packages, outageOf }: Story): void {
  describe("upgraded", () => {
    it("half: unpacked when the power went, it serves, and is configured afterwards", async () => {
      const { active, standby } = await machines.settle();
      const report = await outageOf("half an upgrade of the standby", async () => {
        await standby.run("dpkg", "--unpack", standby.copyIn(packages().later));
        await machines.cutPower(standby);
        await machines.network.plugCable(standby.place);
        await machines.boot(standby);
        await machines.settle();
        await standby.run("dpkg", "--configure", "vipair");
      });
      assertNoneFailed(report);
      assert.equal((await machines.settle()).active.name, active.name);
      await install(standby, packages().current);
    });

    it("one machine after the other: no request fails", async () => {
      const { active, standby } = await machines.settle();
      const report = await outageOf("upgrade", async () => {
        await install(standby, packages().later);
        await machines.settle();
        await install(active, packages().later);
      });
      for (const machine of machines.both) assert.equal(await versionOf(machine), packages().laterVersion);
      assertNoneFailed(report);
      assert.equal(
        (await machines.settle()).active.name,
        standby.name,
        "the role moved once, from the one that was active",
      );
    });

    it("back to the version before, too", async () => {
      const { active, standby } = await machines.settle();
      const report = await outageOf("downgrade", async () => {
        await install(standby, packages().current);
        await machines.settle();
        await install(active, packages().current);
      });
      assertNoneFailed(report);
    });

    it("the active while the other one is on its way: it waits for that one, and no request fails", async () => {
      const { active, standby } = await machines.settle();
      const report = await outageOf("upgrade of both", async () => {
        const other = install(standby, packages().later);
        await waitUntil(async () => !(await standby.isActive("vipair.service")), {
          what: "the standby to be stopped",
          withinMs: 20_000,
        });
        await Promise.all([other, install(active, packages().later)]);
      });
      assertNoneFailed(report);
    });
  });
}
