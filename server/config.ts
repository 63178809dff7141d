import { existsSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { quoted } from "../protocol/index.js";
import type { App } from "./app.js";
import {
  type AppsOption,
  checkValue,
  environmentName,
  flagName,
  isForFiles,
  isSettings,
  nearest,
  OPTION_NAMES,
  OPTIONS,
  OptionError,
  type OptionName,
  type Options,
  parseOption,
  type ResourceOption,
} from "./options.js";

/** Read where no `--config` names another. */
const DEFAULT_FILES = ["signalbox.config.js", "signalbox.config.json"];

/** Environment names that are not options: they belong to the clients. */
const OTHER_NAMES: ReadonlySet<string> = new Set(["SIGNALBOX_HUB", "SIGNALBOX_CONFIG", "SIGNALBOX_APPLICATION_KEY"]);

/**
 * The options from file, environment and flags; what comes later wins.
 * @throws OptionError that names what is wrong and where it stands
 */
export async function loadConfig(argv: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<Partial<Options>> {
  const flags = parseFlags(argv);
  const file = flags.config ?? env.SIGNALBOX_CONFIG ?? DEFAULT_FILES.find((name) => existsSync(resolve(cwd, name)));
  const fromFile = file === undefined ? {} : await readFile(resolve(cwd, file));
  return { ...fromFile, ...fromEnvironment(env), ...flags.options };
}

/** The package's own version. Its `package.json` is two folders above the compiled file. */
export function readVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

async function readFile(path: string): Promise<Partial<Options>> {
  const options = path.endsWith(".json") ? readJson(path) : await importDefault(path);
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw new OptionError(`${path}: expected an object of options, got ${quoted(options)}.`);
  const { resources } = options as Partial<Options>;
  if (resources === undefined) return options;
  checkValue("resources", resources);
  return { ...options, resources: await loadResources(resources, dirname(path)) };
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new OptionError(`${path}: ${reasonOf(error, path)}`);
  }
}

async function importDefault(path: string): Promise<unknown> {
  try {
    return ((await import(pathToFileURL(path).href)) as { default?: unknown }).default;
  } catch (error) {
    throw new OptionError(`${path}: ${reasonOf(error, path)}`);
  }
}

/** Node's own sentences name the hub's file as the importer, and not what to do about it. */
function reasonOf(error: unknown, path: string): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (!existsSync(path)) return "no such file.";
  if (code !== "ERR_MODULE_NOT_FOUND" || !message.includes("'signalbox'")) return message;
  return `it imports \`signalbox\`, which is not installed in ${dirname(path)}: install signalbox there: npm i /path/to/signalbox.tgz`;
}

/** Apps named by the path of their module are imported, beside the file that names them. */
async function loadResources(resources: Options["resources"], folder: string): Promise<Options["resources"]> {
  const loaded: Record<string, ResourceOption> = Object.create(null);
  for (const [pattern, given] of Object.entries(resources)) {
    loaded[pattern] = isSettings(given) ? { ...given, apps: await loadApps(given.apps ?? [], folder) } : await loadApps(given, folder);
  }
  return loaded;
}

async function loadApps(given: AppsOption, folder: string): Promise<App[]> {
  const apps: App[] = [];
  for (const each of [given].flat() as (App | string)[]) apps.push(typeof each === "string" ? await loadApp(each, folder) : each);
  return apps;
}

async function loadApp(module: string, folder: string): Promise<App> {
  const app = await importDefault(isAbsolute(module) ? module : resolve(folder, module));
  if (app === undefined) throw new OptionError(`${module}: expected an app as the default export, got none.`);
  return app as App;
}

function fromEnvironment(env: NodeJS.ProcessEnv): Partial<Options> {
  const names = new Map(OPTION_NAMES.map((name) => [environmentName(name), name]));
  const options: Record<string, unknown> = {};
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith("SIGNALBOX_") || OTHER_NAMES.has(variable) || text === undefined) continue;
    const name = names.get(variable);
    if (name === undefined)
      throw new OptionError(`Unknown environment variable ${quoted(variable)}: did you mean \`${nearest(variable, [...names.keys()])}\`?`);
    options[name] = parseOption(name, text);
  }
  return options as Partial<Options>;
}

function parseFlags(argv: readonly string[]): { config: string | undefined; options: Partial<Options> } {
  const names = OPTION_NAMES.filter((name) => !OPTIONS[name].secret && !isForFiles(name));
  const flags = Object.fromEntries(names.map((name) => [flagName(name), flagType(name)]));
  checkFlags(argv, [...Object.keys(flags), "config"]);
  const { values } = parse(argv, { ...flags, config: { type: "string" } });
  const options: Record<string, unknown> = {};
  for (const name of names) {
    const value = values[flagName(name)];
    if (value !== undefined) options[name] = fromFlag(name, value);
  }
  return { config: values.config as string | undefined, options: options as Partial<Options> };
}

type FlagType = { type: "string" | "boolean"; multiple?: boolean };

function flagType(name: OptionName): FlagType {
  const { type } = OPTIONS[name];
  return type === "flag" ? { type: "boolean" } : { type: "string", multiple: type === "list" };
}

function fromFlag(name: OptionName, value: unknown): unknown {
  if (typeof value === "boolean") return value;
  return Array.isArray(value) ? value.flatMap((each) => parseOption(name, each)) : parseOption(name, value as string);
}

/** Before `parseArgs`, whose own sentence does not name the nearest flag. */
function checkFlags(argv: readonly string[], known: readonly string[]): void {
  for (const word of argv) {
    const flag = /^--([^=]+)/.exec(word)?.[1];
    const secret = OPTION_NAMES.find((name) => OPTIONS[name].secret && flagName(name) === flag);
    if (secret) throw new OptionError(`\`--${flag}\` is no flag, every process could read it: set ${environmentName(secret)} instead.`);
    if (flag !== undefined && !known.includes(flag))
      throw new OptionError(`Unknown flag \`--${flag}\`: did you mean \`--${nearest(flag, known)}\`?`);
  }
}

function parse(argv: readonly string[], options: Record<string, FlagType>): { values: Record<string, unknown> } {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: false });
  } catch (error) {
    throw new OptionError((error as Error).message);
  }
}
