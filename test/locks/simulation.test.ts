import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Feed } from "../../apps/keys/feed.js";
import { Notices } from "../../apps/locks/notices.js";
import { PageLocks } from "../../apps/locks/page-locks.js";
import { AppHost } from "../../server/app-host.js";
import type { Clock } from "../../server/clock.js";
import type { Leases } from "../../server/cluster/leases.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import { MemoryTable } from "../../server/cluster/memory-table.js";
import { Versions } from "../../server/cluster/versions.js";
import { isFound, plant, runSeeds } from "../simulation/seeds.js";
import { simulateLocks } from "./simulate.js";

describe("17 Locks: hubs that stand still, clocks that jump, pages that vanish, break and slow readers", () => {
  test("[LOCK-3, LOCK-5, LOCK-8, LOCK-10] fences only grow, nobody has what another has, and who lost a lock is told, once", () =>
    runSeeds(simulateLocks, "dist/test/locks/simulation.test.js", 200));
});

describe("17 Locks: the simulation finds a bug that is planted", () => {
  test("a lock is given back by somebody who does not have it", async (t) => {
    plant(t, MemoryTable.prototype, "mayDo", (right) => {
      return function (this: MemoryTable, step, entry) {
        return step.do === "free" ? entry !== undefined : right.call(this, step, entry);
      };
    });
    assert.ok(await isFound(simulateLocks));
  });

  test("fences follow the wall clock back", async (t) => {
    let last = 0;
    let at = 0;
    plant(t, Versions.prototype, "next", () => {
      return function (this: Versions) {
        const now = (this as unknown as { clock: Clock }).clock.time() * 1_000;
        last = now === at ? last + 1 : now;
        at = now;
        return last;
      };
    });
    assert.ok(await isFound(simulateLocks));
  });

  test("a lease is renewed before it is judged", async (t) => {
    plant(t, MemoryCluster.prototype, "renew", (right) => {
      return function (this: MemoryCluster, member) {
        (this as unknown as { leases: Leases }).leases.renew(member);
        right.call(this, member);
      };
    });
    assert.ok(await isFound(simulateLocks));
  });

  test("a lock of several takes those that are free", async (t) => {
    plant(t, MemoryTable.prototype, "change", (right) => {
      return function (this: MemoryTable, member, steps, _all, changes) {
        return right.call(this, member, steps, false, changes);
      };
    });
    assert.ok(await isFound(simulateLocks));
  });

  test("a page that has ended gives nothing back", async (t) => {
    plant(t, AppHost.prototype, "closed", () => () => {});
    assert.ok(await isFound(simulateLocks));
  });

  test("what a view has claimed is forgotten, and an unlock gives it back", async (t) => {
    plant(t, PageLocks.prototype, "space", (right) => {
      return function (this: PageLocks, name) {
        const space = right.call(this, name);
        space.viewing.clear();
        return space;
      };
    });
    assert.ok(await isFound(simulateLocks));
  });

  test("a slow page is not told the newest", async (t) => {
    plant(t, Feed.prototype, "ready", () => (peer) => peer.writable);
    assert.ok(await isFound(simulateLocks));
  });

  test("a page is not told what was taken from it", async (t) => {
    plant(t, Notices.prototype, "lost", () => () => {});
    assert.ok(await isFound(simulateLocks));
  });

  test("a page is told twice what was taken from it", async (t) => {
    plant(t, Notices.prototype, "lost", (right) => {
      return function (this: Notices, peer, keys) {
        for (let i = 0; i < 2; i++) right.call(this, peer, keys);
      };
    });
    assert.ok(await isFound(simulateLocks));
  });

  test("nobody hears that a page is away", async (t) => {
    plant(t, AppHost.prototype, "away", () => () => {});
    assert.ok(await isFound(simulateLocks));
  });

  test("a page that was loaded anew keeps listing", async (t) => {
    plant(t, AppHost.prototype, "back", (right) => {
      return function (this: AppHost, peer) {
        right.call(this, peer, false);
      };
    });
    assert.ok(await isFound(simulateLocks));
  });
});
