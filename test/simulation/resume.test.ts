import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeenReporter } from "../../client/seen.js";
import { SentTexts } from "../../client/sent.js";
import { Connection } from "../../server/connection.js";
import { Frame } from "../../server/frame.js";
import { Kept } from "../../server/kept.js";
import { Messages } from "../../server/messages.js";
import { Outbox } from "../../server/outbox.js";
import { isFound, plant, runSeeds } from "./seeds.js";
import { simulate } from "./simulate.js";

describe("14 Resume: random cuts, delays, half-open and double connections, slow readers", () => {
  test("what a page's code saw is what was acknowledged, each once, in order per sender; or fresh was raised", () =>
    runSeeds(simulate, "dist/test/simulation/resume.test.js"));
});

describe("14 Resume: the simulation finds a bug that is planted", () => {
  test("the hub forgets one packet when it sends again", async (t) => {
    plant(t, Kept.prototype, "all", (right) => {
      return function (this: Kept) {
        return right.call(this).slice(1);
      };
    });
    assert.ok(await isFound(simulate));
  });

  test("the page counts one packet twice", async (t) => {
    plant(t, SeenReporter.prototype, "add", (right) => {
      return function (this: SeenReporter, characters, now, until) {
        if (this.count === 3) this.count++;
        right.call(this, characters, now, until);
      };
    });
    assert.ok(await isFound(simulate));
  });

  test("the hub merges an event as if it were state", async (t) => {
    plant(t, Outbox.prototype, "push", (right) => {
      return function (this: Outbox, frame) {
        right.call(this, frame.kind.answers ? frame : new Frame(frame.text, { ...frame.kind, key: frame.kind.key ?? "all events" }));
      };
    });
    assert.ok(await isFound(simulate));
  });

  test("the page says seen before its code has finished", async (t) => {
    plant(t, SeenReporter.prototype, "add", (right) => {
      return function (this: SeenReporter, characters, now) {
        right.call(this, characters, now);
      };
    });
    assert.ok(await isFound(simulate));
  });

  test("a hello that was overtaken takes the page back", async (t) => {
    plant(t, Connection.prototype, "isOlder", () => () => false);
    assert.ok(await isFound(simulate));
  });

  test("a reload leaves the buffer open", async (t) => {
    plant(t, Messages.prototype, "dropBuffer", () => () => {});
    assert.ok(await isFound(simulate));
  });

  test("the page forgets to send again what the hub has not counted", async (t) => {
    plant(t, SentTexts.prototype, "forEach", () => () => {});
    assert.ok(await isFound(simulate));
  });
});
