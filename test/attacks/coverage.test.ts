import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ROOT } from "../support/process.js";
import { DIALOG } from "./dialog.js";
import { ELSEWHERE, type OtherTest } from "./elsewhere.js";
import { FEEDBACK } from "./feedback.js";
import { FRAMES } from "./frames.js";
import { HANDSHAKE } from "./handshake.js";
import { LOCKS } from "./locks.js";
import { PROCESS } from "./process.js";
import { RESUME } from "./resume.js";
import { TCP } from "./tcp.js";

/** Rows of the threat table. */
const THREATS = Array.from({ length: 88 }, (_, i) => i + 1);

const attacks = [HANDSHAKE, FRAMES, DIALOG, FEEDBACK, TCP, LOCKS, RESUME, PROCESS].flat().flatMap((group) => group.attacks);
const attacked = new Set(attacks.flatMap(({ threats }) => threats));

describe("every threat is met", () => {
  test("by an attack on a hub process, by a test elsewhere, or by a reason why not", () => {
    const open = THREATS.filter((threat) => !attacked.has(threat) && !ELSEWHERE.has(threat));
    assert.deepEqual(open, []);
  });

  test("there are no others", () => {
    const known = new Set(THREATS);
    assert.deepEqual(
      [...attacked, ...ELSEWHERE.keys()].filter((threat) => !known.has(threat)),
      [],
    );
  });

  test("names of attacks are their own", () => {
    const names = attacks.map(({ name }) => name);
    assert.deepEqual(
      names.filter((name, i) => names.indexOf(name) !== i),
      [],
    );
  });

  for (const [threat, places] of ELSEWHERE)
    for (const place of places) {
      if (typeof place === "string") continue;
      test(`[${threat}] ${place.file}: ${place.name}`, () => assert.ok(isThere(place), "the test is there"));
    }
});

/** A name may stand in a template; what is looked for is one that is a test's or a group's, and no comment. */
function isThere({ file, name }: OtherTest): boolean {
  const source = readFileSync(join(ROOT, file), "utf8");
  return source.split("\n").some((line) => line.includes(name) && /\b(test|describe)\(|^\s*[`"]/.test(line));
}
