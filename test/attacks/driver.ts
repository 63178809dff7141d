import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, type TestContext, test } from "node:test";
import type { Attack, AttackGroup } from "./attack.js";
import { Bystander } from "./bystander.js";
import { checkBystander, checkFiles, checkLog, checkMemory, checkProcess, lookAt } from "./checks.js";
import { HubProcess } from "./hub-process.js";
import { cannotLook } from "./vital-signs.js";

/** For one attack and what is looked at behind it, ms. */
const TIMEOUT = 30_000;

/** A hub process, and a page of it that has nothing to do with any attack. */
interface Scene {
  readonly hub: HubProcess;
  readonly bystander: Bystander;
}

/** Runs groups of attacks, each group on a hub process of its own, which must be as well after each attack as before. */
export function attackAll(groups: readonly AttackGroup[]): void {
  for (const { name, hub: options, attacks } of groups) {
    describe(name, { skip: cannotLook }, () => {
      let scene: Scene;
      before(async () => {
        const hub = await HubProcess.start(options);
        scene = { hub, bystander: await Bystander.open({ url: hub.ws, hubPid: hub.pid }) };
      });
      for (const attack of attacks) {
        const title = `[${attack.threats.join(", ")}] ${attack.name}`;
        test(title, { timeout: TIMEOUT }, (t) => underAttack(t, scene, attack));
      }
      after(async () => {
        await scene?.bystander.close();
        assert.equal(await scene?.hub.stop(), 0, "after all of that it stops as it should");
      });
    });
  }
}

/** One attack, then the five things that must be as they were. */
async function underAttack(t: TestContext, { hub, bystander }: Scene, attack: Attack): Promise<void> {
  for (const event of attack.logs ?? []) await hub.log.untilFree(event);
  const secret = `s3cr3t-${randomBytes(6).toString("hex")}`;
  const seen = lookAt(hub);
  await bystander.report();
  const { ws: wsPort, tcp: tcpPort } = hub.ports;
  const target = { hub, wsPort, tcpPort, bystander: bystander.uuid, secret, from: seen.from };
  // Within, so that all it has opened is closed when it is over.
  await t.test("the hub reacts as documented", (inner) => attack.run({ ...target, t: inner }));
  await checkBystander(bystander);
  checkProcess(hub, seen, attack);
  await checkLog(hub, seen, secret, attack);
  await checkFiles(seen);
  await checkMemory(seen, attack);
}
