import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ROOT } from "../support/process.js";
import { ELSEWHERE } from "./elsewhere.js";

/** The rows of SECURITY.md: the threats of each, and how they stand. */
const rows = readFileSync(join(ROOT, "SECURITY.md"), "utf8")
  .split("\n")
  .map((line) => /^\| ([\d, ]+) \|.*\| ([^|]+) \|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, threats = "", state = ""]) => ({ threats: threats.split(", ").map(Number), state }));

describe("SECURITY.md", () => {
  test("says of every threat, once, how it stands", () => {
    assert.deepEqual(
      rows.flatMap(({ threats }) => threats),
      Array.from({ length: 88 }, (_, i) => i + 1),
    );
    for (const { threats, state } of rows) assert.match(state, /^(met|yours|not yet)(; |$)/, `${threats}`);
  });

  test("calls `not yet` what has a reason why it is not tried, and nothing else", () => {
    const late = rows.filter(({ state }) => state === "not yet").flatMap(({ threats }) => threats);
    assert.ok(late.length > 0);
    for (const threat of late)
      assert.ok(
        ELSEWHERE.get(threat)?.some((place) => typeof place === "string"),
        `${threat}`,
      );
  });
});
