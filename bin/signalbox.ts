#!/usr/bin/env node
import { environmentName, flagName, isForFiles, OPTION_NAMES, OPTIONS, OptionError } from "../server/options.js";

const USAGE = `signalbox, a hub between backend processes and browser pages

  signalbox [serve] [OPTIONS]           run the hub
  signalbox send feedback UUID TEXT     report to the page that has this UUID
  signalbox send broadcast TEXT         tell all pages
  signalbox send state KEY VALUE        set a value that pages watch; locks, check, break: help send
  signalbox run --uuid UUID -- COMMAND  run a command as a job of that page
  signalbox help [serve|send|run]       more about it
  signalbox version                     which one this is
`;

/** Wrong usage. */
const EXIT_USAGE = 2;

const COMMANDS: Readonly<Record<string, (argv: string[]) => Promise<number>>> = {
  async serve(argv) {
    const { serve } = await import("../server/serve.js");
    await serve(argv);
    return 0;
  },
  async send(argv) {
    const { send } = await import("../tcp-client/send.js");
    return send(argv);
  },
  async run(argv) {
    const { run } = await import("../tcp-client/run.js");
    return run(argv);
  },
  async help([topic]) {
    const text = topic === undefined ? USAGE : await TOPICS[topic]?.();
    if (text === undefined) return wrong(`unknown topic \`${topic}\``);
    process.stdout.write(text);
    return 0;
  },
  async version() {
    process.stdout.write(`${(await import("../server/config.js")).readVersion()}\n`);
    return 0;
  },
};

/** What `help` knows more about. */
const TOPICS: Readonly<Record<string, (() => Promise<string>) | undefined>> = Object.assign(Object.create(null), {
  serve: async () => serveHelp(),
  send: async () => (await import("../tcp-client/send.js")).USAGE,
  run: async () => (await import("../tcp-client/run.js")).USAGE,
});

/** Flags that stand for commands. */
const FLAGS: Readonly<Record<string, string | undefined>> = { "--help": "help", "-h": "help", "--version": "version" };

function wrong(complaint: string): number {
  process.stderr.write(`signalbox: ${complaint}\n\n${USAGE}`);
  return EXIT_USAGE;
}

function serveHelp(): string {
  const rows = OPTION_NAMES.map((name) => {
    const { secret, unit, about } = OPTIONS[name];
    const given = OPTIONS[name].default;
    const where = secret ? environmentName(name) : isForFiles(name) ? "(file only)" : `--${flagName(name)}`;
    const shown =
      isForFiles(name) || given === "" || (Array.isArray(given) && given.length === 0)
        ? ""
        : ` [${[given].flat().join(" ")}${unit ? ` ${unit}` : ""}]`;
    return `  ${where.padEnd(28)} ${about}${shown}\n`;
  });
  return `signalbox [serve] [--config FILE] [OPTIONS]

Options come from signalbox.config.js or .json, then from the environment (SIGNALBOX_MAX_MESSAGE), then
from flags (--max-message); what comes later wins.

${rows.join("")}`;
}

async function main(): Promise<number> {
  const [given = "serve", ...rest] = process.argv.slice(2);
  const first = FLAGS[given] ?? given;
  if (first.startsWith("-")) return COMMANDS.serve?.([first, ...rest]) ?? 0;
  const command = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  if (command === undefined) return wrong(`unknown command \`${first}\``);
  const helpWanted = rest[0] === "--help" || rest[0] === "-h";
  return helpWanted ? (COMMANDS.help?.(first in TOPICS ? [first] : []) ?? 0) : command(rest);
}

try {
  // Nothing is left behind that is worth waiting for: a hub that does not close, standard input that does not end.
  process.exit(await main());
} catch (error) {
  const known = error instanceof OptionError || error instanceof TypeError || (error as NodeJS.ErrnoException).code !== undefined;
  process.stderr.write(`signalbox: ${known ? (error as Error).message : (error as Error).stack}\n`);
  process.exit(1);
}
