import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Feed } from "../../apps/keys/feed.js";
import { type MaybePromise, whenKnown } from "../../protocol/index.js";
import type { Handler } from "../../server/app.js";
import { AppHost } from "../../server/app-host.js";
import { MemoryTable } from "../../server/cluster/memory-table.js";
import { Connection } from "../../server/connection.js";
import { isFound, plant, runSeeds } from "../simulation/seeds.js";
import { simulateState } from "./simulate.js";

describe("18 State: tables that answer late or not at all, pages that vanish, slow readers", () => {
  test("[STATE-3, STATE-4, STATE-5, STATE-6] who watches a key ends with what it holds, and misses nothing while it is swift", () =>
    runSeeds(simulateState, "dist/test/state/simulation.test.js", 200));
});

describe("18 State: the simulation finds a bug that is planted", () => {
  test("the snapshot is taken before the watch is in force", async (t) => {
    plant(t, AppHost.prototype, "handle", (right) => {
      return function (this: AppHost, handler, packet, peer) {
        if (packet.opcode !== "watch") return right.call(this, handler, packet, peer);
        const snapshot = right.call(this, this.app.opcodes.get as Handler, packet, peer) as MaybePromise<unknown>;
        return whenKnown(snapshot, () => {
          void Promise.resolve(right.call(this, handler, packet, peer)).catch(() => {});
          return snapshot;
        });
      };
    });
    assert.ok(await isFound(simulateState));
  });

  test("whoever does not take it at once is never told of a key", async (t) => {
    plant(t, Feed.prototype, "ready", (right) => {
      return function (this: Feed, peer, news) {
        return news.key.endsWith("1") ? peer.writable : right.call(this, peer, news);
      };
    });
    assert.ok(await isFound(simulateState));
  });

  test("who stops watching a key is not told what it missed of the others", async (t) => {
    plant(t, Feed.prototype, "forget", (right) => {
      return function (this: Feed, peer) {
        right.call(this, peer, () => true);
      };
    });
    assert.ok(await isFound(simulateState));
  });

  test("a deletion is not told", async (t) => {
    plant(t, AppHost.prototype, "changed", (right) => {
      return function (this: AppHost, changes) {
        right.call(
          this,
          changes.filter(({ entry }) => entry !== undefined),
        );
      };
    });
    assert.ok(await isFound(simulateState));
  });

  test("what goes with its owner stays", async (t) => {
    plant(t, AppHost.prototype, "closed", () => () => {});
    assert.ok(await isFound(simulateState));
  });

  test("what goes with its owner goes when its connection does", async (t) => {
    plant(t, Connection.prototype, "lost", () => {
      return function (this: Connection, why) {
        this.abandon(why);
      };
    });
    assert.ok(await isFound(simulateState));
  });

  test("`if` is not looked at", async (t) => {
    plant(t, MemoryTable.prototype, "mayDo", (right) => {
      return function (this: MemoryTable, step, entry) {
        return right.call(this, "if" in step ? { ...step, if: undefined } : step, entry);
      };
    });
    assert.ok(await isFound(simulateState));
  });
});
