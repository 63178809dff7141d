import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { loadConfig } from "../../server/config.js";
import { environmentName, flagName, OPTION_NAMES, OPTIONS, OptionError, type Options } from "../../server/options.js";
import { folder } from "./signalbox.js";

const APP = "export default { opcodes: { order() {} } };";
const esm = (options: string): string => `export default ${options};`;

/** Nothing but flags and environment: a folder without a file. */
const load = (argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Partial<Options>> => loadConfig(argv, env, "/nonexistent");

describe("flags", () => {
  const GOOD: readonly [argv: readonly string[], options: Partial<Options>][] = [
    [[], {}],
    [["--max-message", "2048"], { maxMessage: 2048 }],
    [["--max-message=2048"], { maxMessage: 2048 }],
    [["--max-message=1", "--max-message=2"], { maxMessage: 2 }],
    [["--demo"], { demo: true }],
    [["--listen", "ws://127.0.0.1:0", "--listen=unix:/hub.sock"], { listen: ["ws://127.0.0.1:0", "unix:/hub.sock"] }],
    [["--origins", "https://a.example,https://b.example"], { origins: ["https://a.example", "https://b.example"] }],
  ];
  for (const [argv, options] of GOOD) test(argv.join(" ") || "none", async () => assert.deepEqual(await load(argv), options));

  const BAD: readonly [argv: readonly string[], message: RegExp][] = [
    [["--max-mesage", "2048"], /^Unknown flag `--max-mesage`: did you mean `--max-message`\?$/],
    [["--maxMessage=2048"], /^Unknown flag `--maxMessage`: did you mean `--max-message`\?$/],
    [["--conf", "x"], /did you mean `--config`/],
    [["--resources", "x"], /^Unknown flag `--resources`/],
    [["--max-message"], /--max-message/],
    [["--max-message", "many"], /^Expected `maxMessage` to be an integer .*`many`/],
    [["--demo=no"], /--demo/],
    [["-x"], /-x/],
    [["extra"], /extra/],
  ];
  for (const [argv, message] of BAD) {
    test(`refused: ${argv.join(" ")}`, () => assert.rejects(load(argv), { name: "OptionError", message }));
  }

  for (const argv of [["--backend-key", "s3cret"], ["--backend-key=s3cret"]]) {
    test(`a secret is no flag, for every process can read a command line; where it belongs is said: ${argv[0]}`, async () => {
      await assert.rejects(load(argv), ({ message }: Error) => /SIGNALBOX_BACKEND_KEY/.test(message) && !message.includes("s3cret"));
    });
  }
});

describe("the environment", () => {
  const GOOD: readonly [env: NodeJS.ProcessEnv, options: Partial<Options>][] = [
    [{ SIGNALBOX_MAX_MESSAGE: "2048" }, { maxMessage: 2048 }],
    [{ SIGNALBOX_BACKEND_KEY: "key" }, { backendKey: "key" }],
    [{ SIGNALBOX_DEMO: "no" }, { demo: false }],
    [{ SIGNALBOX_LISTEN: "ws://127.0.0.1:0,tcp://127.0.0.1:0" }, { listen: ["ws://127.0.0.1:0", "tcp://127.0.0.1:0"] }],
    [{ SIGNALBOX_HUB: "tcp://127.0.0.1:8097", PATH: "/bin", signalbox_demo: "1" }, {}],
  ];
  for (const [env, options] of GOOD) test(JSON.stringify(env), async () => assert.deepEqual(await load([], env), options));

  const BAD: readonly [env: NodeJS.ProcessEnv, message: RegExp][] = [
    [{ SIGNALBOX_MAX_MESAGE: "1" }, /^Unknown environment variable `SIGNALBOX_MAX_MESAGE`: did you mean `SIGNALBOX_MAX_MESSAGE`\?$/],
    [{ SIGNALBOX_MAX_MESSAGE: "" }, /^Expected `maxMessage` to be an integer/],
    [{ SIGNALBOX_RESOURCES: "{}" }, /`resources` can only be given in a configuration file/],
  ];
  for (const [env, message] of BAD) {
    test(`refused: ${JSON.stringify(env)}`, () => assert.rejects(load([], env), { name: "OptionError", message }));
  }
});

describe("flags and environment, whatever they are", () => {
  const NUMBERS = OPTION_NAMES.filter((name) => OPTIONS[name].type === "integer");
  const word = fc.oneof(
    fc.constantFrom(...OPTION_NAMES).map((name) => `--${flagName(name)}`),
    fc.tuple(fc.constantFrom(...NUMBERS), fc.nat()).map(([name, number]) => `--${flagName(name)}=${number}`),
    fc.constantFrom("--", "-", "--=", "-x", "--no-demo", "--demo", "--__proto__", "--__proto__=1", "--constructor"),
    fc.string({ unit: "binary" }),
  );
  const variable = fc.oneof(
    fc.constantFrom(...OPTION_NAMES).map(environmentName),
    fc.string({ unit: "grapheme-ascii" }).map((name) => `SIGNALBOX_${name}`),
  );
  const env = fc.dictionary(variable, fc.oneof(fc.nat().map(String), fc.string({ unit: "binary" })), { maxKeys: 3 });

  test("they are options or refused in a sentence, never anything else", async () => {
    const property = fc.asyncProperty(fc.array(word, { maxLength: 3 }), env, async (argv, env) => {
      try {
        // Files are looked for by what these two name.
        const options = await load(
          argv.filter((word) => !word.startsWith("--config")),
          { ...env, SIGNALBOX_CONFIG: undefined },
        );
        for (const name of Object.keys(options)) assert.ok((OPTION_NAMES as string[]).includes(name), name);
      } catch (error) {
        assert.ok(error instanceof OptionError && error.message !== "", String(error));
      }
    });
    await fc.assert(property, { numRuns: 1_000 });
  });
});

describe("configuration files", () => {
  test("signalbox.config.js or .json of the working folder is read, .js before .json", async (t) => {
    const json = { "signalbox.config.json": { maxDepth: 10 } };
    assert.deepEqual(await loadConfig([], {}, folder(t, json)), { maxDepth: 10 });
    assert.deepEqual(await loadConfig([], {}, folder(t, { ...json, "signalbox.config.js": esm("{ maxDepth: 20 }") })), { maxDepth: 20 });
  });

  test("a .js file may be a module of either kind", async (t) => {
    const cwd = folder(t, { "a.mjs": esm("{ maxDepth: 10 }"), "b.cjs": "module.exports = { maxDepth: 20 };" });
    assert.deepEqual(await loadConfig(["--config", "a.mjs"], {}, cwd), { maxDepth: 10 });
    assert.deepEqual(await loadConfig(["--config", "b.cjs"], {}, cwd), { maxDepth: 20 });
  });

  test("--config names another, and comes before SIGNALBOX_CONFIG", async (t) => {
    const cwd = folder(t, { "a.json": { maxDepth: 10 }, "b.json": { maxDepth: 20 }, "signalbox.config.json": { maxDepth: 30 } });
    assert.deepEqual(await loadConfig([], { SIGNALBOX_CONFIG: "a.json" }, cwd), { maxDepth: 10 });
    assert.deepEqual(await loadConfig(["--config", join(cwd, "b.json")], { SIGNALBOX_CONFIG: "a.json" }, cwd), { maxDepth: 20 });
  });

  test("the environment comes before the file, a flag before both", async (t) => {
    const cwd = folder(t, { "signalbox.config.json": { maxDepth: 10, maxWindow: 10, maxMessage: 10_000 } });
    const env = { SIGNALBOX_MAX_WINDOW: "20", SIGNALBOX_MAX_MESSAGE: "20000" };
    assert.deepEqual(await loadConfig(["--max-message=30000"], env, cwd), { maxDepth: 10, maxWindow: 20, maxMessage: 30_000 });
  });

  const BAD: readonly [name: string, content: string | object, message: RegExp][] = [
    ["a.json", "{ maxDepth: 10 }", /a\.json: .*JSON/],
    ["a.json", "5", /a\.json: expected an object of options, got `5`/],
    ["a.json", "null", /a\.json: expected an object of options, got null/],
    ["a.json", "[]", /a\.json: expected an object of options, got an array/],
    ["a.mjs", "export const options = {};", /a\.mjs: expected an object of options, got `undefined`/],
    ["a.mjs", "export default {", /a\.mjs: /],
    ["a.mjs", "throw new Error('on purpose');", /a\.mjs: on purpose/],
    ["a.json", { resources: null }, /`resources` to be an object of apps by path, got null/],
    ["a.json", { resources: "./app.mjs" }, /`resources` to be an object of apps by path, got `\.\/app\.mjs`/],
    ["a.json", { resources: ["./app.mjs"] }, /`resources` to be an object of apps by path, got an array/],
    ["a.json", { resources: { "/orders": "./missing.mjs" } }, /missing\.mjs/],
    ["a.json", { resources: { "/orders": "./empty.mjs" } }, /\.\/empty\.mjs: expected an app as the default export, got none/],
  ];
  for (const [name, content, message] of BAD) {
    test(`refused by name: ${name} with ${JSON.stringify(content)}`, async (t) => {
      const cwd = folder(t, { [name]: content, "app.mjs": APP, "empty.mjs": "export const app = {};" });
      await assert.rejects(loadConfig(["--config", name], {}, cwd), { name: "OptionError", message });
    });
  }

  test("a file that is not there is named", async (t) => {
    for (const name of ["missing.js", "missing.json"]) {
      await assert.rejects(loadConfig(["--config", name], {}, folder(t)), {
        name: "OptionError",
        message: new RegExp(`${name}: no such file\\.$`),
      });
    }
  });

  test("an app that is not there is named, and not who imported it", async (t) => {
    const cwd = folder(t, { "a.json": { resources: { "/orders": "./orders.mjs" } } });
    await assert.rejects(loadConfig(["--config", "a.json"], {}, cwd), { name: "OptionError", message: /orders\.mjs: no such file\.$/ });
  });

  test("an app that imports signalbox where it is not installed: what to do is said", async (t) => {
    const cwd = folder(t, {
      "a.json": { resources: { "/orders": "./orders.mjs" } },
      "orders.mjs": 'import { Refusal } from "signalbox"; export default { opcodes: { order() { throw new Refusal("a", "b"); } } };',
    });
    await assert.rejects(loadConfig(["--config", "a.json"], {}, cwd), {
      name: "OptionError",
      message: /orders\.mjs: .*install signalbox there: npm i \/path\/to\/signalbox\.tgz$/,
    });
  });

  test("an app that imports something else that is missing: Node's own sentence", async (t) => {
    const cwd = folder(t, { "a.json": { resources: { "/orders": "./orders.mjs" } }, "orders.mjs": 'import "no-such-package";' });
    await assert.rejects(loadConfig(["--config", "a.json"], {}, cwd), {
      name: "OptionError",
      message: /Cannot find package 'no-such-package'/,
    });
  });

  test("apps are loaded from beside the file that names them, one or a list, values as they are", async (t) => {
    const cwd = folder(t);
    const config = join(cwd, "config");
    mkdirSync(config);
    writeFileSync(join(config, "a.mjs"), 'export default { name: "a", opcodes: {} };');
    writeFileSync(join(config, "b.mjs"), 'export default { name: "b", opcodes: {} };');
    const resources = `{ "/one": "./a.mjs", "/two": ["b.mjs", ${JSON.stringify(join(config, "a.mjs"))}, { name: "c", opcodes: {} }] }`;
    writeFileSync(join(config, "hub.mjs"), esm(`{ resources: ${resources} }`));
    const loaded = (await loadConfig(["--config", "config/hub.mjs"], {}, cwd)).resources ?? {};
    const names = Object.entries(loaded).map(([path, apps]) => [path, ...[apps].flat().map((app) => (app as { name: string }).name)]);
    assert.deepEqual(names, [
      ["/one", "a"],
      ["/two", "b", "a", "c"],
    ]);
  });
});
