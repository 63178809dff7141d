import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { JOB_TRANSITIONS, type JobState } from "../../apps/jobs/job.js";
import { jobs } from "../../apps/jobs/jobs.js";
import { locks } from "../../apps/locks/locks.js";
import { standard } from "../../apps/standard.js";
import { state } from "../../apps/state/state.js";
import { CREDIT_FREE, NOT_FORWARDED, SUBPROTOCOL } from "../../protocol/index.js";
import { type State, TRANSITIONS } from "../../server/connection.js";
import { OPTIONS, type OptionName, resolveOptions } from "../../server/options.js";
import { chapter, codesIn, PROTOCOL, rule, sources, table } from "./document.js";

const HUB = ["protocol", "server", "apps/standard.ts", "apps/jobs", "apps/keys", "apps/locks", "apps/state"];
const OPTION_DEFAULTS = resolveOptions({});
const CITING = ["protocol", "client", "server", "apps", "web-client", "tcp-client", "bin", "bench", "examples", "test"];

const matches = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1] as string);

describe("PROTOCOL.md and the code: rules", () => {
  const RULES = matches(PROTOCOL, /^- `\[([A-Z]+-\d+)\]`/gm);

  test("rules are numbered from 1 in each family, without gap or duplicate", () => {
    const families = new Map<string, number[]>();
    for (const each of RULES) {
      const [family, number] = each.split("-") as [string, string];
      families.set(family, [...(families.get(family) ?? []), Number(number)]);
    }
    for (const [family, numbers] of families) {
      assert.deepEqual(
        numbers,
        numbers.map((_, i) => i + 1),
        family,
      );
    }
  });

  test("a rule that the document cites is one of its own", () => {
    for (const cited of matches(PROTOCOL, /\[([A-Z]+-\d+)\]/g)) assert.ok(RULES.includes(cited), cited);
  });

  for (const [path, text] of sources(...CITING)) {
    const cited = new Set(matches(text, /\[([A-Z]+-\d+)\]/g));
    if (cited.size === 0) continue;
    test(`${path}: what it cites is in the document`, () => {
      assert.deepEqual(
        [...cited].filter((each) => !RULES.includes(each)),
        [],
      );
    });
  }
});

describe("PROTOCOL.md and the code: words", () => {
  const documented = codesIn(chapter(10).split("Error codes in `refused`:")[1] as string).filter((code) => !code.startsWith("["));
  const sourceText = [...sources(...HUB).values()].join("\n");

  test("[NEXT-5] every error code that the hub uses is in the document", () => {
    const used = matches(sourceText, /(?:new Refusal|\brefused)\(\s*"([^"]+)"/g);
    assert.ok(used.includes("bad-json") && used.includes("app-error"));
    for (const code of used) assert.ok(documented.includes(code), code);
  });

  test("[NEXT-5] every error code of the document is known to the hub", () => {
    for (const code of documented) assert.match(sourceText, new RegExp(`["\`]${code}["\`]`));
  });

  test("[STD-8] the opcodes of chapter 7 are those of the built-in apps, and `quit`", () => {
    const opcodes = table("opcode").map(({ opcode }) => codesIn(opcode as string)[0]);
    assert.deepEqual(opcodes, [...Object.keys(standard().opcodes), "quit"]);
  });

  test("[WORD-4] the words of chapter 8 are those of the built-in apps, and `quit`", () => {
    const words = matches(chapter(8), /^ {4}([a-z]+) .*→ {2}next (?!refused)/gm);
    const apps = [standard(), jobs(OPTION_DEFAULTS), locks(OPTION_DEFAULTS), state(OPTION_DEFAULTS)];
    assert.deepEqual(words, [...apps.flatMap((app) => Object.keys(app.words ?? {})), "quit"]);
  });

  test("[STD-1] what is not forwarded", () => {
    assert.deepEqual(codesIn(rule("STD-1"))[0]?.split(" "), [...NOT_FORWARDED]);
  });

  test("[NEXT-6] what needs no credit", () => {
    const sentence = rule("NEXT-6").split(" are no messages")[0] as string;
    assert.deepEqual(codesIn(sentence), [...CREDIT_FREE]);
  });

  test("the subprotocol", () => assert.ok(codesIn(chapter(3)).includes(SUBPROTOCOL)));
});

describe("PROTOCOL.md and the code: numbers", () => {
  const number = (text: string): number => Number(text.replaceAll(",", ""));

  for (const { name, default: value } of table("name")) {
    const option = codesIn(name as string)[0] as OptionName;
    test(`chapter 11: \`${option}\` is ${value}`, () => assert.equal(number(value as string), OPTIONS[option].default));
  }

  test("chapter 11: `localHandshakeTimeout`", () => {
    const value = /\(([\d,]+) from this host on TCP: `localHandshakeTimeout`\)/.exec(chapter(11))?.[1];
    assert.equal(number(value as string), OPTIONS.localHandshakeTimeout.default);
  });

  const UNITS: Readonly<Record<string, number>> = { "": 1, " ms": 1, " s": 1_000, " min": 60_000 };
  const inText = [...PROTOCOL.matchAll(/`(\w+)`(?: \(|, )([\d,]*\d)( s| ms| min|)\b/g)].filter(([, name]) =>
    Object.hasOwn(OPTIONS, name as string),
  );
  for (const [, name, value, unit] of inText) {
    test(`in the text: \`${name}\` is ${value}${unit}`, () => {
      assert.equal(number(value as string) * (UNITS[unit as string] as number), OPTIONS[name as OptionName].default);
    });
  }

  test("in the text: the options are found where they stand", () => {
    const found = new Set(inText.map(([, name]) => name));
    for (const name of ["maxDepth", "maxWindow", "handshakeTimeout", "appTimeout", "bufferTimeout", "pingInterval", "stopTimeout"]) {
      assert.ok(found.has(name), name);
    }
  });
});

describe("PROTOCOL.md and the code: the run of a job as a table", () => {
  const rows = table("run ↓ input →").map((row) => Object.values(row));

  test("chapter 16 has the states of the code", () => {
    assert.deepEqual(
      rows.map(([state]) => /\*\*(\w+)\*\*/.exec(state as string)?.[1]),
      Object.keys(JOB_TRANSITIONS),
    );
  });

  for (const [state, ...cells] of rows) {
    const name = /\*\*(\w+)\*\*/.exec(state as string)?.[1] as JobState;
    test(`chapter 16: ${name}`, () => {
      const { progress = "", cancel = "", done = "", failed = "", aborted = "", lost = "" } = JOB_TRANSITIONS[name];
      assert.deepEqual(cells, [progress, cancel, done, failed, aborted, lost]);
    });
  }
});

describe("PROTOCOL.md and the code: the opcodes of the apps", () => {
  const APPS = [
    [16, jobs(OPTION_DEFAULTS)],
    [17, locks(OPTION_DEFAULTS)],
    [18, state(OPTION_DEFAULTS)],
  ] as const;
  for (const [number, app] of APPS) {
    test(`chapter ${number} has those of ${app.name}`, () => {
      const opcodes = table("opcode", number).map(({ opcode }) => opcode as string);
      const said = opcodes.filter((opcode) => opcode.endsWith("C→H")).map((opcode) => codesIn(opcode)[0]);
      assert.deepEqual(said, Object.keys(app.opcodes));
    });
  }
});

describe("PROTOCOL.md and the code: the dialog as a table", () => {
  /** The document's columns as inputs. */
  const INPUTS: Readonly<Record<string, string>> = {
    reachable: "reachable",
    "wire lost": "lost",
    resumed: "resume",
    "`quit`, FIN, hub stops, grace over": "end",
    fault: "fault",
    "all answered": "answered",
  };
  const [header, ...columns] = Object.keys(table("state ↓ input →")[0] ?? {});
  const rows = table("state ↓ input →").map((row) => ({
    state: /\*\*(\w+)\*\*/.exec(row[header as string] as string)?.[1] as State,
    cells: new Map(columns.filter((column) => row[column] !== "").map((column) => [INPUTS[column], row[column]])),
  }));

  test("chapter 12 has the states and inputs of the code", () => {
    assert.deepEqual(
      rows.map(({ state }) => state),
      Object.keys(TRANSITIONS),
    );
    assert.deepEqual(columns, Object.keys(INPUTS));
  });

  for (const { state, cells } of rows) {
    test(`chapter 12: ${state}`, () => {
      assert.deepEqual(Object.fromEntries(cells), TRANSITIONS[state]);
    });
  }
});
