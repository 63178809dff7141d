import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MemoryTable } from "../../server/cluster/memory-table.js";
import { Prefixes } from "../../server/cluster/prefixes.js";
import { Versions } from "../../server/cluster/versions.js";
import { holds } from "../protocol/arbitraries.js";
import { TestClock } from "../support/clock.js";

const key = fc.array(fc.constantFrom("a", "b", "ä", "/", "\0", "😀"), { maxLength: 5 }).map((parts) => parts.join(""));
const keys = fc.array(key, { maxLength: 30 });

describe("prefixes", () => {
  test("fit what begins with one of them, however they overlap", () => {
    holds(keys, key, (prefixes, text) => {
      assert.equal(
        new Prefixes(prefixes).fit(text),
        prefixes.some((prefix) => text.startsWith(prefix)),
      );
    });
  });

  test("a read finds what a look at every key would find, each once, and no more than its limit", () => {
    holds(keys, keys, keys, fc.integer({ min: 1, max: 40 }), (stored, named, prefixes, limit) => {
      const table = new MemoryTable(new Versions(new TestClock()));
      table.change(
        "hub",
        stored.map((each, i) => ({ do: "set", key: each, by: "x", value: 1, owned: i % 2 === 0 })),
        false,
        [],
      );
      const expected = new Set(stored.filter((each) => named.includes(each) || prefixes.some((prefix) => each.startsWith(prefix))));
      assert.deepEqual(new Set(table.read({ keys: named, prefixes }).keys()), expected);
      assert.equal(table.read({ keys: named, prefixes, limit }).size, Math.min(limit, expected.size));
      for (const { owner } of table.read({ prefixes: [""], owned: true }).values()) assert.equal(owner, "x");
    });
  });
});
