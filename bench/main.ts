/** `npm run bench`: the hub beside plain `ws` and `socket.io`, in one run, as CPU time and memory of the server. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Arena } from "./arena.js";
import { choosePinning, describeMachine, pinGenerator } from "./machine.js";
import { parsers } from "./parsers.js";
import { formatSection, isMet, type Section } from "./report.js";
import { broadcast } from "./scenarios/broadcast.js";
import { deafPage } from "./scenarios/deaf-page.js";
import { feedback } from "./scenarios/feedback.js";
import { flood } from "./scenarios/flood.js";
import { idlePages } from "./scenarios/idle-pages.js";
import { jobs } from "./scenarios/jobs.js";
import { state } from "./scenarios/state.js";
import { view } from "./scenarios/view.js";
import { within } from "./within.js";

const USAGE = "npm run bench -- [--only lock-step|window|feedback|idle|deaf|flood|jobs|view|state|parse] [--record] [--profile FOLDER]";

/** For all together, ms. It takes about ten minutes. */
const TIMEOUT = 1_500_000;
const RESULTS = new URL("../../bench/RESULTS.md", import.meta.url);

const SCENARIOS: Readonly<Record<string, (arena: Arena) => Promise<Section>>> = {
  "lock-step": (arena) => broadcast(arena, { title: "Broadcast, one publisher in lock-step", publishers: 1, window: 1, bar: 1 }),
  window: (arena) => broadcast(arena, { title: "Broadcast, eight publishers of window 32", publishers: 8, window: 32, bar: 0.2 }),
  feedback,
  idle: idlePages,
  deaf: deafPage,
  flood,
  jobs,
  view,
  state,
  parse: (arena) => parsers((text) => arena.progress(text)),
};

interface Arguments {
  readonly names: readonly string[];
  readonly record: boolean;
  readonly profile: string | undefined;
}

/** @throws Error with a sentence for whoever typed it */
function readArguments(argv: readonly string[]): Arguments {
  const options = { only: { type: "string" }, record: { type: "boolean" }, profile: { type: "string" } } as const;
  const { only, record = false, profile } = parseArgs({ args: [...argv], options }).values;
  if (only !== undefined && !Object.hasOwn(SCENARIOS, only)) throw new Error(`Expected a scenario's name after --only, got ${only}.`);
  if (record && (only !== undefined || profile !== undefined))
    throw new Error("Expected --record alone: results are of all scenarios, without a profiler.");
  return { names: only === undefined ? Object.keys(SCENARIOS) : [only], record, profile };
}

async function run(arena: Arena, names: readonly string[], print: (text: string) => void): Promise<boolean> {
  let allMet = true;
  for (const name of names) {
    const section = await (SCENARIOS[name] as (arena: Arena) => Promise<Section>)(arena);
    print(formatSection(section));
    allMet &&= section.bars.every(isMet);
  }
  return allMet;
}

async function main({ names, record, profile }: Arguments): Promise<void> {
  const pinning = choosePinning();
  if (pinning) pinGenerator(pinning);
  const arena = new Arena({ pinning, profile }, (text) => process.stderr.write(`${text}\n`));
  endServersWith(arena);
  const texts: string[] = [];
  const print = (text: string): void => {
    texts.push(text);
    process.stdout.write(`${text}\n`);
  };
  print(["# Benchmark", "", ...describeMachine(pinning).map((line) => `${line}  `), ""].join("\n"));
  try {
    if (!(await within(TIMEOUT, "the benchmark", run(arena, names, print)))) process.exitCode = 1;
    if (record) writeFileSync(RESULTS, `${texts.join("\n").trimEnd()}\n`);
  } finally {
    await arena.stopAll();
  }
}

/** Children end with us, however we end. */
function endServersWith(arena: Arena): void {
  process.on("exit", () => arena.killAll());
  process.on("SIGINT", () => process.exit(130));
  process.on("SIGTERM", () => process.exit(143));
}

function parseOrExit(): Arguments {
  try {
    return readArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}\n`);
    process.exit(2);
  }
}

main(parseOrExit()).then(
  () => process.exit(),
  (error: Error) => {
    process.stderr.write(`FAILED: ${error.stack}\n`);
    process.exit(1);
  },
);
