import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import type { Packet } from "../../protocol/index.js";
import { applicationKey, type HubSettings } from "../../server/main.js";
import { USAGE as RUN_USAGE } from "../../tcp-client/run.js";
import { USAGE as SEND_USAGE } from "../../tcp-client/send.js";
import { Signalbox, signalbox } from "../config/signalbox.js";
import { Driven, fakeHub, untilPacket } from "../jobs/driven.js";
import { at, ends, inline, is, type Language, NOBODY, PHP, PYTHON } from "../jobs/languages.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { startHub, type TestHub } from "../support/hub.js";
import { Page } from "../support/page.js";

const ID = "importer-ä😀";
const SECRET = "geheim: ß😀, und länger als 32 Bytes";
const KEY = `${ID}:${SECRET}`;
const UNFIT = "The proof does not fit this key.";
const LIMITS = { concurrency: 2, timeout: 60_000 };

/** No backend is trusted for where it is; pages come in. */
const guarded = (secret = SECRET): HubSettings => ({
  trust: "nobody",
  authenticate: [applicationKey({ [ID]: secret })],
  resources: { "/web": { authenticate: [] } },
});

/** What can run a job. */
interface Client {
  readonly name: string;
  readonly command: string;
  readonly driver: string;
  /** It keeps a connection by itself, and none of its reports fails for want of one; else each report looks for the hub. */
  readonly stays: boolean;
}

const clientOf = ({ needs, driver }: Language): Client => ({ name: needs, command: needs, driver, stays: false });
const NODE: Client = { name: "node", command: process.execPath, driver: "dist/test/auth/driver.js", stays: true };
const SCRIPTS: readonly Language[] = [PHP, PYTHON];
const CLIENTS: readonly Client[] = [NODE, ...SCRIPTS.map(clientOf)];

/** A hub behind a wire that is listened to, and a page on it. */
async function world(t: TestContext, settings: HubSettings = guarded()) {
  const hub = await startHub(t, settings);
  const page = await Page.open(t, `${hub.ws}/web`, { window: 8 });
  const proxy = await FaultProxy.start(t, hub.tcpPort);
  return { hub, page, proxy, address: `tcp://127.0.0.1:${proxy.port}` };
}

/** A job of that page, with this in the environment's SIGNALBOX_APPLICATION_KEY. */
function start(
  t: TestContext,
  { command, driver }: Client,
  address: string,
  uuid: string,
  key: string,
  env: NodeJS.ProcessEnv = {},
): Driven {
  return Driven.start(t, command, [driver, uuid], { SIGNALBOX_HUB: address, SIGNALBOX_APPLICATION_KEY: key, ...env });
}

/** A job of its own few lines. */
function few(t: TestContext, language: Language, code: string, env: NodeJS.ProcessEnv, uuid = NOBODY): Driven {
  // Where an installation hides what functions were called with, what an error shows would not be seen.
  const flags = language === PHP ? ["-d", "zend.exception_ignore_args=0", "-d", "zend.exception_string_param_max_len=15"] : [];
  return Driven.start(t, language.needs, [...flags, ...inline(language, code, uuid)], { PYTHONDONTWRITEBYTECODE: "1", ...env });
}

/** Started anew where that hub was. */
function again(t: TestContext, { wsPort, tcpPort }: TestHub, settings = guarded()): Promise<TestHub> {
  return startHub(t, { listen: [`ws://127.0.0.1:${wsPort}`, `tcp://127.0.0.1:${tcpPort}`], ...settings });
}

/** What was said over all connections. */
const said = (proxy: FaultProxy): Packet[] =>
  Buffer.from(proxy.heard, "latin1")
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Packet);

/** It hears of no job, and has heard of none: the answer is the next thing that comes. */
async function seesNothing(page: Page): Promise<void> {
  const { opcode, result } = await page.ask({ opcode: "jobs" });
  assert.deepEqual([opcode, result], ["next", []]);
}

/** All that a process has written, and that it has not shown the secret. */
function writtenBy(job: Driven): string {
  const written = `${job.answers.drain().join("\n")}\n${job.stderr}`;
  assert.doesNotMatch(written, /geheim/);
  return written;
}

const REFUSED: readonly (readonly [what: string, key: string, why: string])[] = [
  ["a wrong secret", `${ID}:geheim, aber ein anderes Geheimnis`, UNFIT],
  ["a key that the hub does not know", `jemand:${SECRET}`, UNFIT],
  ["no key", "", "Nothing was shown that application-key knows: log in first."],
];

/** Hubs that greet who comes from their own host at once. */
const TRUSTING: readonly (readonly [what: string, settings: HubSettings])[] = [
  ["that knows no keys", {}],
  ["that knows other keys", { ...guarded(), trust: "local", authenticate: [applicationKey({ other: SECRET })] }],
];

for (const client of CLIENTS) {
  const { name, stays } = client;

  describe(`[AUTH-6] jobs from ${name}, with an application key`, LIMITS, () => {
    test("the page sees the job; its secret was not said, and nothing between hello and proof", async (t) => {
      const { hub, page, proxy, address } = await world(t);
      const job = start(t, client, address, page.uuid, KEY);
      assert.equal(await job.step("progress 1 3 Börne – Σ😀"), "go");
      assert.equal((await untilPacket(page, at(1))).message, "Börne – Σ😀");
      assert.equal(await job.step("done"), "ended");
      assert.equal((await ends(page)).state, "done");
      assert.deepEqual([await job.exited, job.stderr], [0, ""]);
      const [hello, proof, ...rest] = said(proxy);
      assert.deepEqual([hello?.opcode, hello?.key, hello?.token, proof?.opcode], ["hello", ID, undefined, "proof"]);
      assert.equal(rest[0]?.opcode, "progress");
      assert.doesNotMatch(JSON.stringify([said(proxy), hub.log.lines]), /geheim/);
    });

    test("the proof is the HMAC of what PROTOCOL.md says; a challenge may come in pieces", async (t) => {
      const lines: Packet[] = [];
      const answers: Readonly<Record<string, string>> = {
        hello: '{"opcode":"challenge","nonce":"n-ä😀"}\n',
        proof: '{"opcode":"ready","uuid":"b","window":8,"limits":{},"time":0}\n',
        quit: "",
      };
      const address = await fakeHub(t, (line, socket) => {
        const packet = JSON.parse(line) as Packet;
        lines.push(packet);
        const bytes = Buffer.from(answers[packet.opcode] ?? '{"opcode":"next","status":"sent","n":1}\n');
        for (let from = 0; from < bytes.length; from += 7) socket.write(bytes.subarray(from, from + 7));
      });
      const job = start(t, client, address, NOBODY, KEY);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      const mac = createHmac("sha256", SECRET).update(`signalbox.1\n${ID}\nn-ä😀`).digest("hex");
      assert.deepEqual(lines[1], { opcode: "proof", mac });
      assert.deepEqual([lines[0]?.opcode, lines[2]?.opcode], ["hello", "progress"]);
    });

    for (const [what, key, why] of REFUSED)
      test(`${what}: the page sees nothing, and the job is told why`, async (t) => {
        const { hub, page, address } = await world(t);
        const job = start(t, client, address, page.uuid, key);
        assert.equal(await job.step("progress 1 3 Reading"), stays ? `error ${why}` : `error unauthorized: ${why}`);
        assert.equal(await job.exited, 1);
        assert.ok(writtenBy(job).split(why).length <= 2, job.stderr);
        await seesNothing(page);
        assert.ok(hub.log.of("peer.refused").every(({ code, reason }) => code === 4401 && reason === why));
        assert.deepEqual(hub.log.of("peer.opened").length, 1);
      });

    test("it is challenged anew on each connection, and goes on", async (t) => {
      const { page, proxy, address } = await world(t, { ...guarded(), jobLostAfter: 20_000 });
      const job = start(t, client, address, page.uuid, KEY);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      const { started } = await untilPacket(page, at(1));
      proxy.breakAll();
      await job.step("progress 2 3 Reading");
      assert.equal((await untilPacket(page, at(2))).started, started);
      assert.equal(await job.step("done"), "ended");
      assert.equal((await ends(page)).state, "done");
      assert.deepEqual([await job.exited, job.stderr], [0, ""]);
      const macs = said(proxy)
        .filter(is("proof"))
        .map(({ mac }) => mac);
      assert.deepEqual([macs.length, new Set(macs).size], [2, 2]);
    });

    test("a hub that was started anew lets it in again; it does not know the page", async (t) => {
      const { hub, page, proxy, address } = await world(t);
      const job = start(t, client, address, page.uuid, KEY);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      await hub.stop();
      await again(t, hub);
      let answer = await job.step("progress 2 3 Reading");
      while (answer === "held") answer = await job.step("progress 2 3 Reading");
      assert.equal(answer, "gone");
      assert.equal(await job.step("done"), "ended");
      assert.deepEqual([await job.exited, job.stderr], [0, ""]);
      assert.equal(said(proxy).filter(is("proof")).length, 2);
    });

    test("a hub that was started anew and does not know the key any more is no reason to stop", async (t) => {
      const { hub, page, address } = await world(t);
      const job = start(t, client, address, page.uuid, KEY);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      await hub.stop();
      const next = await again(t, hub, guarded("ein anderes Geheimnis, das lang genug ist"));
      let answer = await job.step("progress 2 3 Reading");
      while (answer === "held") answer = await job.step("progress 2 3 Reading");
      assert.equal(answer, stays ? "gone" : "go");
      assert.match(await job.step("done"), stays ? /^ended$/ : /^error unreachable.*4401/);
      assert.equal(await job.exited, stays ? 0 : 1);
      assert.equal(writtenBy(job).split("goes on without its hub: The hub closed the connection: 4401").length, stays ? 1 : 2, job.stderr);
      assert.equal(next.log.of("peer.refused")[0]?.reason, UNFIT);
    });

    for (const [what, settings] of TRUSTING)
      test(`a hub of its own host ${what} does not challenge: the page sees the job`, async (t) => {
        const { page, proxy, address } = await world(t, settings);
        const job = start(t, client, address, page.uuid, KEY);
        assert.equal(await job.step("progress 1 3 Reading"), "go");
        await untilPacket(page, at(1));
        assert.equal(await job.step("done"), "ended");
        assert.equal((await ends(page)).state, "done");
        assert.deepEqual([await job.exited, job.stderr], [0, ""]);
        assert.deepEqual(said(proxy).filter(is("proof")), []);
      });

    for (const key of ["geheim", ":geheim", "geheim:"])
      test(`\`${key}\` in the environment is no key: that is said, and not what it is`, async (t) => {
        const job = start(t, client, "tcp://127.0.0.1:1", NOBODY, key);
        assert.equal(await job.exited, 1);
        assert.match(writtenBy(job), /Expected SIGNALBOX_APPLICATION_KEY to be ID:SECRET\.$/m);
      });
  });
}

for (const language of SCRIPTS) {
  const { needs } = language;
  const php = needs === "php";

  describe(`[AUTH-6] jobs from ${needs}: the option \`key\``, LIMITS, () => {
    /** A job with this key, that reports once and is done. */
    const withKey = (key: string): string =>
      php
        ? `$job = new Signalbox\\Job("UUID", "job", ["key" => ${key}]); $job->progress(1, 3); $job->done();`
        : `job = Job("UUID", key=${key})\njob.progress(1, 3)\njob.done()`;
    const pair = php ? `["id" => "${ID}", "secret" => "${SECRET}"]` : `("${ID}", "${SECRET}")`;

    test("an id and a secret are an application key, whatever the environment says", async (t) => {
      const { hub, page } = await world(t);
      const env = { SIGNALBOX_HUB: `tcp://127.0.0.1:${hub.tcpPort}`, SIGNALBOX_APPLICATION_KEY: `${ID}:another` };
      const job = few(t, language, withKey(pair), env, page.uuid);
      await untilPacket(page, at(1));
      assert.equal((await ends(page)).state, "done");
      assert.deepEqual([await job.exited, writtenBy(job)], [0, "\n"]);
    });

    test("a string is the backend key; of the environment's keys that of the application comes first", async (t) => {
      const hellos: Packet[] = [];
      const address = await fakeHub(t, (line, socket) => {
        const { opcode, ...said } = JSON.parse(line) as Packet;
        if (opcode === "hello") hellos.push(said as unknown as Packet);
        socket.write(opcode === "hello" ? '{"opcode":"ready","uuid":"b"}\n' : '{"opcode":"next","status":"sent","n":1}\n');
      });
      const both = { SIGNALBOX_HUB: address, SIGNALBOX_APPLICATION_KEY: KEY, SIGNALBOX_BACKEND_KEY: "backend" };
      const none = php ? "null" : "None";
      for (const [key, env] of [
        ['"own"', both],
        [none, both],
        [none, { ...both, SIGNALBOX_APPLICATION_KEY: "" }],
      ] as const) {
        const job = few(t, language, withKey(key), env);
        assert.deepEqual([await job.exited, writtenBy(job)], [0, "\n"]);
      }
      assert.deepEqual(hellos, [
        { resource: "/", token: "own" },
        { resource: "/", key: ID },
        { resource: "/", token: "backend" },
      ]);
    });

    // In two pieces: a stack trace may show the line of the script.
    const geheim = php ? '"ge" . "heim"' : '"ge" "heim"';
    const WRONG = php
      ? [
          '["id" => "x"]',
          `["secret" => ${geheim}]`,
          `["id" => "", "secret" => ${geheim}]`,
          '["id" => "x", "secret" => 7]',
          `["x", ${geheim}]`,
          `["id" => "x", "secret" => ${geheim} . "\\xff"]`,
          "7",
        ]
      : [
          `("", ${geheim})`,
          '("x", "")',
          '("x", 7)',
          '("x", b"ge" b"heim")',
          `("x", ${geheim}, "y")`,
          `{"id": "x", "secret": ${geheim}}`,
          `("x", ${geheim} "\\udcff")`,
          "7",
        ];
    for (const key of WRONG)
      test(`${key} is none: that is said, and not what it is`, async (t) => {
        const job = few(t, language, withKey(key), { SIGNALBOX_HUB: "tcp://127.0.0.1:1" });
        assert.notEqual(await job.exited, 0);
        assert.match(writtenBy(job), /Expected (the option key|`key`) to be a string, or/);
      });

    test("where the address is none, neither key is shown", async (t) => {
      for (const key of [geheim, php ? `["id" => "x", "secret" => ${geheim}]` : `("x", ${geheim})`]) {
        const job = few(t, language, withKey(key), { SIGNALBOX_HUB: "http://127.0.0.1" });
        assert.notEqual(await job.exited, 0);
        assert.match(writtenBy(job), /Expected a hub's address/);
      }
    });

    test("it can be caught, and the script goes on", async (t) => {
      const { page, address } = await world(t);
      const code = php
        ? `$job = new Signalbox\\Job("UUID");
           try { $job->progress(1, 3); } catch (Signalbox\\JobError $error) { echo $error->getCode(), "\\n"; }
           echo "went on\\n";`
        : `job = Job("UUID")\ntry:\n    job.progress(1, 3)\nexcept Error as error:\n    print(error.code)\nprint("went on")`;
      const job = few(t, language, code, { SIGNALBOX_HUB: address, SIGNALBOX_APPLICATION_KEY: `jemand:${SECRET}` }, page.uuid);
      assert.deepEqual([await job.exited, writtenBy(job)], [0, "unauthorized\nwent on\n"]);
      await seesNothing(page);
    });
  });

  describe(`[AUTH-6] jobs from ${needs}: the wire`, LIMITS, () => {
    test("a hub that challenges and then says nothing holds a report up no longer than another that hangs", async (t) => {
      const challenge = '{"opcode":"challenge","nonce":"n"}\n';
      const address = await fakeHub(t, (line, socket) => line.includes('"hello"') && socket.write(challenge));
      const job = start(t, clientOf(language), address, NOBODY, KEY);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      assert.match(await job.step("done"), /^error unreachable/);
    });

    test("a challenge without a nonce is none of a hub", async (t) => {
      for (const nonce of ["", ',"nonce":7', ',"nonce":"\\ud800"']) {
        const address = await fakeHub(t, (_line, socket) => socket.write(`{"opcode":"challenge"${nonce}}\n`));
        const job = start(t, clientOf(language), address, NOBODY, KEY);
        assert.equal(await job.step("progress 1 3 Reading"), "go");
        assert.match(await job.step("done"), /^error unreachable/);
        assert.match(writtenBy(job), /is no hub/);
      }
    });
  });
}

describe("[AUTH-6] jobs from python3: the locale", LIMITS, () => {
  test("the environment's key is UTF-8, whatever the locale says", async (t) => {
    const { page, address } = await world(t);
    const ascii = { LC_ALL: "C", PYTHONUTF8: "0", PYTHONCOERCECLOCALE: "0" };
    const job = start(t, clientOf(PYTHON), address, page.uuid, KEY, ascii);
    assert.equal(await job.step("progress 1 3 Reading"), "go");
    await untilPacket(page, at(1));
  });
});

describe("[AUTH-6] signalbox run, with an application key", LIMITS, () => {
  const args = (address: string, uuid: string, ...command: string[]): string[] => [
    "run",
    "--hub",
    address,
    "--uuid",
    uuid,
    "--",
    ...command,
  ];
  const SCRIPT = ["sh", "-c", "echo 40%; exit 3"];

  for (const [what, settings] of [["that challenges", guarded()], ...TRUSTING] as const)
    test(`a hub ${what}: the page sees the command`, async (t) => {
      const { page, address } = await world(t, settings);
      const finished = await signalbox(t, args(address, page.uuid, ...SCRIPT), { env: { SIGNALBOX_APPLICATION_KEY: KEY } });
      assert.deepEqual(finished, { code: 3, stdout: "40%\n", stderr: "" });
      const { state, at: last } = await ends(page);
      assert.deepEqual([state, last], ["failed", 40]);
    });

  for (const [what, key, why] of REFUSED)
    test(`${what}: the page sees nothing, the command runs, and it is said once why`, async (t) => {
      const { page, address } = await world(t);
      const { code, stdout, stderr } = await signalbox(t, args(address, page.uuid, ...SCRIPT), { env: { SIGNALBOX_APPLICATION_KEY: key } });
      assert.deepEqual([code, stdout], [3, "40%\n"]);
      const sentence = `No connection to the hub ${address} (${why}); the command goes on, and its progress is not shown.`;
      assert.equal(stderr, `signalbox run: ${sentence}\n`);
      await seesNothing(page);
    });

  test("it is challenged anew on each connection, and goes on", async (t) => {
    const { page, proxy, address } = await world(t, { ...guarded(), jobLostAfter: 20_000 });
    const surroundings = { env: { SIGNALBOX_APPLICATION_KEY: KEY }, input: undefined };
    const command = new Signalbox(t, args(address, page.uuid, "cat"), surroundings);
    command.type("10%\n");
    await untilPacket(page, at(10));
    proxy.breakAll();
    command.type("20%\n");
    await untilPacket(page, at(20));
    command.endInput();
    assert.equal((await ends(page)).state, "done");
    assert.equal((await command.ended).code, 0);
    assert.equal(said(proxy).filter(is("proof")).length, 2);
  });

  test("a hub that was started anew lets it in again", async (t) => {
    const { hub, page, address } = await world(t);
    const surroundings = { env: { SIGNALBOX_APPLICATION_KEY: KEY }, input: undefined };
    const command = new Signalbox(t, args(address, page.uuid, "cat"), surroundings);
    command.type("10%\n");
    await untilPacket(page, at(10));
    await hub.stop();
    const next = await again(t, hub);
    assert.equal((await next.log.untilLine("peer.opened")).kind, "backend");
    command.endInput();
    const { code, stderr } = await command.ended;
    assert.deepEqual([code, stderr.split("\n").length], [0, 2], stderr);
  });

  test("what is no key is wrong usage, and not shown", async (t) => {
    const env = { SIGNALBOX_APPLICATION_KEY: "geheim" };
    const finished = await signalbox(t, args("tcp://127.0.0.1:1", NOBODY, "true"), { env });
    const stderr = `signalbox run: Expected SIGNALBOX_APPLICATION_KEY to be ID:SECRET.\n\n${RUN_USAGE}`;
    assert.deepEqual(finished, { code: 2, stdout: "", stderr });
  });
});

describe("[AUTH-6] signalbox send, with an application key", LIMITS, () => {
  const args = (address: string, uuid: string): string[] => ["send", "--hub", address, "feedback", uuid, "Grüße 😀"];

  for (const [what, settings] of [["that challenges", guarded()], ...TRUSTING] as const)
    test(`a hub ${what}: the page hears it, and so does that of a hub started anew`, async (t) => {
      const { hub, page, address } = await world(t, settings);
      const env = { SIGNALBOX_APPLICATION_KEY: KEY };
      assert.deepEqual(await signalbox(t, args(address, page.uuid), { env }), { code: 0, stdout: "sent 1\n", stderr: "" });
      assert.equal((await page.packets.next()).message, "Grüße 😀");
      await hub.stop();
      const next = await Page.open(t, `${(await again(t, hub, settings)).ws}/web`, { window: 8 });
      assert.deepEqual(await signalbox(t, args(address, next.uuid), { env }), { code: 0, stdout: "sent 1\n", stderr: "" });
      assert.equal((await next.packets.next()).message, "Grüße 😀");
    });

  for (const [what, key, why] of REFUSED)
    test(`${what}: the page hears nothing, and it is said why`, async (t) => {
      const { page, address } = await world(t);
      const finished = await signalbox(t, args(address, page.uuid), { env: { SIGNALBOX_APPLICATION_KEY: key } });
      assert.deepEqual(finished, { code: 1, stdout: "", stderr: `signalbox send: ${why}\n` });
      await seesNothing(page);
    });

  test("what is no key is wrong usage, and not shown", async (t) => {
    const { code, stderr } = await signalbox(t, args("tcp://127.0.0.1:1", NOBODY), { env: { SIGNALBOX_APPLICATION_KEY: "geheim:" } });
    assert.equal(code, 2);
    assert.match(stderr, /^signalbox send: Expected SIGNALBOX_APPLICATION_KEY to be ID:SECRET\.$/m);
    assert.doesNotMatch(stderr, /geheim/);
  });

  test("both usages name it", () => {
    for (const usage of [RUN_USAGE, SEND_USAGE]) assert.match(usage, /SIGNALBOX_APPLICATION_KEY \(ID:SECRET\)/);
  });
});
