import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  environmentName,
  flagName,
  nearest,
  OPTION_NAMES,
  OPTIONS,
  OptionError,
  type OptionName,
  type Options,
  parseOption,
  resolveOptions,
} from "../../server/options.js";

const INTEGERS = OPTION_NAMES.filter((name) => OPTIONS[name].type === "integer");
const TIMES = INTEGERS.filter((name) => OPTIONS[name].unit === "ms");
/** The longest that a timer can wait; above it Node calls back at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

const resolve = (given: object): Options => resolveOptions(given as Partial<Options>);

describe("the table of options", () => {
  test("each has a meaning, a default that it allows, and each number a unit and a least value", () => {
    for (const name of OPTION_NAMES) {
      const { about, type, unit, min, default: value } = OPTIONS[name];
      assert.match(about, /\.$/, name);
      if (type === "integer") assert.ok(unit !== undefined && min !== undefined && (value as number) >= min, name);
    }
  });

  test("nothing given are the defaults, and they fit together", () => {
    assert.deepEqual(resolve({}), Object.fromEntries(OPTION_NAMES.map((name) => [name, OPTIONS[name].default])));
  });

  test("[END-6] handlers and apps together have less than 5 s to stop", () => {
    assert.ok(2 * OPTIONS.stopTimeout.default < 5_000);
  });

  const NAMES: readonly [OptionName, variable: string, flag: string][] = [
    ["listen", "SIGNALBOX_LISTEN", "listen"],
    ["maxMessage", "SIGNALBOX_MAX_MESSAGE", "max-message"],
    ["tlsClientCa", "SIGNALBOX_TLS_CLIENT_CA", "tls-client-ca"],
    ["localHandshakeTimeout", "SIGNALBOX_LOCAL_HANDSHAKE_TIMEOUT", "local-handshake-timeout"],
  ];
  for (const [name, variable, flag] of NAMES) {
    test(`${name} is ${variable} and --${flag}`, () => assert.deepEqual([environmentName(name), flagName(name)], [variable, flag]));
  }

  test("no two options have the same name anywhere", () => {
    for (const named of [environmentName, flagName]) assert.equal(new Set(OPTION_NAMES.map(named)).size, OPTION_NAMES.length);
  });
});

describe("options are checked", () => {
  const GOOD: readonly Partial<Options>[] = [
    { maxMessage: 1024 },
    { maxMessage: 4 << 20, maxQueued: (4 << 20) + 65_536 },
    { listen: [] },
    { origins: ["https://app.example"], allowedHosts: ["*"] },
    { demo: true, demoFolder: "/tmp" },
    { logLevel: "debug", logFormat: "json" },
    { backendKey: "key" },
    { resources: { "/orders": "./orders.js" } },
  ];
  for (const given of GOOD) {
    test(`allowed: ${JSON.stringify(given)}`, () => assert.deepEqual(resolve(given), { ...resolve({}), ...given }));
  }

  test("what is `undefined` is not given", () => {
    assert.deepEqual(resolve({ maxDepth: undefined, listen: undefined }), resolve({}));
  });

  const BAD: readonly [given: object, message: RegExp][] = [
    [{ maxMessage: 1023 }, /^Expected `maxMessage` to be an integer of at least 1024 \(bytes\), got `1023`\.$/],
    [{ maxMessage: "2048" }, /`maxMessage` .*got `2048`/],
    [{ maxMessage: 2048.5 }, /`maxMessage` .*got `2048\.5`/],
    [{ maxMessage: Number.NaN }, /`maxMessage` .*got `NaN`/],
    [{ maxMessage: Number.POSITIVE_INFINITY }, /`maxMessage` .*got `Infinity`/],
    [{ maxMessage: 2 ** 53 }, /`maxMessage`/],
    [{ maxMessage: null }, /`maxMessage` .*got null/],
    [{ maxMessage: 2 << 20 }, /^Expected `maxQueued` to be at least `maxMessage` \+ 65536 = 2162688 \(bytes\), got `2097152`\.$/],
    [{ maxQueued: 100_000 }, /`maxQueued` .*`maxMessage`/],
    [{ maxWindow: 0 }, /`maxWindow` .*at least 1 \(messages\), got `0`/],
    [{ listen: "ws://127.0.0.1:0" }, /`listen` .*list of strings, got `ws:\/\/127\.0\.0\.1:0`/],
    [{ listen: ["ws://127.0.0.1:0", 8097] }, /`listen` .*list of strings, got an array/],
    [{ origins: null }, /`origins` .*got null/],
    [{ trustedProxies: Array(257).fill("::1") }, /^Expected `trustedProxies` to be a list of at most 256 strings, got an array\.$/],
    [{ origins: [`http://${"a".repeat(1_018)}`] }, /`origins` to be like http:\/\/host:port/],
    [{ demo: "yes" }, /`demo` to be true or false, got `yes`/],
    [{ logLevel: "verbose" }, /`logLevel` to be one of error, warn, info, debug, got `verbose`/],
    [{ demoFolder: 5 }, /`demoFolder` to be a string, got `5`/],
    [{ resources: [] }, /`resources` to be an object of apps by path, got an array/],
    [{ resources: null }, /`resources` .*got null/],
    [{ maxMesage: 1024 }, /^Unknown option `maxMesage`: did you mean `maxMessage`\?$/],
    [{ max_message: 1024 }, /did you mean `maxMessage`/],
    [{ toString: 1 }, /^Unknown option `toString`/],
    [JSON.parse('{"__proto__":1}'), /^Unknown option `__proto__`/],
  ];
  for (const [given, message] of BAD) {
    test(`refused: ${JSON.stringify(given).slice(0, 60)}, ${message.source.slice(0, 40)}`, () => {
      assert.throws(() => resolve(given), { name: "OptionError", message });
    });
  }

  test("any values are options that fit together or refused, never anything else", () => {
    const value = fc.oneof(
      fc.anything(),
      fc.nat(),
      fc.boolean(),
      fc.string({ unit: "binary" }),
      fc.array(fc.string()),
      fc.constant(undefined),
    );
    const given = fc.dictionary(
      fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...OPTION_NAMES) }, { weight: 1, arbitrary: fc.string() }),
      value,
      {
        maxKeys: 4,
      },
    );
    fc.assert(
      fc.property(given, (given) => {
        try {
          const options = resolve(given);
          assert.deepEqual(Object.keys(options).sort(), [...OPTION_NAMES].sort());
          assert.ok(options.maxQueued > options.maxMessage);
        } catch (error) {
          assert.ok(error instanceof OptionError && /[.?]$/.test(error.message), String(error));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("a secret is not printed", () => {
    const secret = { "a secret": "s3cret" };
    assert.throws(() => resolve({ backendKey: secret }), {
      name: "OptionError",
      message: /`backendKey` to be a string, got something else/,
    });
    assert.throws(
      () => resolve({ backendKey: 5_318_008 }),
      ({ message }: Error) => !message.includes("5318008"),
    );
  });

  for (const name of TIMES) {
    test(`${name}: a time that no timer can wait is refused, for the timer would not wait at all`, () => {
      assert.equal(resolve({ [name]: LONGEST_TIMER })[name], LONGEST_TIMER);
      assert.throws(() => resolve({ [name]: LONGEST_TIMER + 1 }), {
        name: "OptionError",
        message: new RegExp(`\`${name}\` .*${LONGEST_TIMER}`),
      });
    });
  }
});

describe("options as text, from the environment or a flag", () => {
  const ROWS: readonly [OptionName, text: string, value: unknown][] = [
    ["maxMessage", "2048", 2048],
    ["maxMessage", "007", 7],
    ["demo", "1", true],
    ["demo", "true", true],
    ["demo", "yes", true],
    ["demo", "on", true],
    ["demo", "0", false],
    ["demo", "false", false],
    ["demo", "no", false],
    ["demo", "off", false],
    ["demo", "", false],
    ["listen", "ws://127.0.0.1:0, unix:/hub.sock", ["ws://127.0.0.1:0", "unix:/hub.sock"]],
    ["origins", " a ,, b,", ["a", "b"]],
    ["origins", "", []],
    ["backendKey", " as it is ", " as it is "],
    ["logLevel", "debug", "debug"],
  ];
  for (const [name, text, value] of ROWS) test(`${name}: ${JSON.stringify(text)}`, () => assert.deepEqual(parseOption(name, text), value));

  const BAD: readonly [OptionName, text: string, message: RegExp][] = [
    ["maxMessage", "", /^Expected `maxMessage` to be an integer .*got ``/],
    ["maxMessage", "1e6", /got `1e6`/],
    ["maxMessage", "-1", /got `-1`/],
    ["maxMessage", "1 MiB", /got `1 MiB`/],
    ["demo", "maybe", /^Expected `demo` to be true or false, got `maybe`/],
    ["resources", "{}", /`resources` can only be given in a configuration file/],
    // Empty ones count: what stands behind them must not be cut off unseen.
    ["origins", `${",".repeat(256)}http://last`, /^Expected `origins` to be a list of at most 256 strings/],
  ];
  for (const [name, text, message] of BAD) {
    test(`refused: ${name} ${JSON.stringify(text).slice(0, 60)}`, () =>
      assert.throws(() => parseOption(name, text), { name: "OptionError", message }));
  }

  test("any text is a value or refused, never anything else", () => {
    fc.assert(
      fc.property(fc.constantFrom(...OPTION_NAMES), fc.oneof(fc.string({ unit: "binary" }), fc.bigInt().map(String)), (name, text) => {
        try {
          resolve({ [name]: parseOption(name, text) });
        } catch (error) {
          assert.ok(error instanceof OptionError, String(error));
        }
      }),
    );
  });

  test("a number is the same as text", () => {
    fc.assert(
      fc.property(fc.constantFrom(...INTEGERS), fc.maxSafeNat(), (name, number) => assert.equal(parseOption(name, String(number)), number)),
    );
  });
});

describe("the nearest name", () => {
  const ROWS: readonly [given: string, nearest: OptionName][] = [
    ["maxMesage", "maxMessage"],
    ["MAXMESSAGE", "maxMessage"],
    ["origin", "origins"],
    ["listener", "listen"],
    ["tlsCertificate", "tlsCert"],
    ["maxBackend", "maxBackends"],
    ["RESOURCES", "resources"],
    ["demoFoldre", "demoFolder"],
  ];
  for (const [given, name] of ROWS) test(`${given} is probably ${name}`, () => assert.equal(nearest(given, OPTION_NAMES), name));

  test("a name is nearest to itself", () => {
    for (const name of OPTION_NAMES) assert.equal(nearest(name, OPTION_NAMES), name);
  });
});
