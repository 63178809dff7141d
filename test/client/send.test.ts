import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { USAGE } from "../../tcp-client/send.js";
import { Signalbox, type Surroundings, signalbox } from "../config/signalbox.js";
import { startHub } from "../support/hub.js";
import { TestInbox } from "../support/inbox.js";
import { backend, freePort, join, page, type Script } from "./kinds.js";

const NOBODY = "00000000-0000-4000-8000-000000000000";
const GREETING = '{"opcode":"ready","uuid":"u","window":8,"limits":{},"time":0}';

/** A hub, and a page that keeps what it is told. */
async function hubWithPage(t: TestContext): Promise<{ hub: string; uuid: string; heard: TestInbox<unknown> }> {
  const hub = await startHub(t);
  const client = await join(t, page, page.url(hub));
  const heard = new TestInbox<unknown>();
  client.addEventListener("message", ({ packet }) => heard.push(packet.message));
  return { hub: backend.url(hub), uuid: client.uuid, heard };
}

/** Two of the tests take as long as `signalbox send` waits for a hub, 5 s. */
const PARALLEL = { concurrency: 4, timeout: 30_000 };

describe("signalbox send", PARALLEL, () => {
  describe("what it sends", PARALLEL, () => {
    const TEXTS: readonly [name: string, words: readonly string[], text: string][] = [
      ["several words are one text", ["half", "way"], "half way"],
      ["a word may be empty or have blanks", ["a  b", ""], "a  b "],
      ["emoji stay what they are", ["Grüße", "😀"], "Grüße 😀"],
      ["a text may start with a dash", ["-5", "degrees"], "-5 degrees"],
      ["a text may look like a flag", ["--help", "is", "no", "flag", "--"], "--help is no flag --"],
      ["a text behind `--` is taken as it is", ["--", "--hub", "is", "down", "--"], "--hub is down --"],
      ["a text may be a command", ["broadcast", "feedback"], "broadcast feedback"],
      ["a text may have line ends", ["one\ntwo"], "one\ntwo"],
    ];
    for (const [name, words, text] of TEXTS) {
      test(`${name}: ${JSON.stringify(words)}`, async (t) => {
        const { hub, uuid, heard } = await hubWithPage(t);
        const finished = await signalbox(t, ["send", "--hub", hub, "feedback", uuid, ...words]);
        assert.deepEqual(finished, { code: 0, stdout: "sent 1\n", stderr: "" });
        assert.equal(await heard.next(), text);
      });
    }

    test("a broadcast takes all words behind it", async (t) => {
      const { hub, heard } = await hubWithPage(t);
      assert.equal((await signalbox(t, ["send", "--hub", hub, "broadcast", "feedback", "-1", "😀"])).stdout, "sent 1\n");
      assert.equal(await heard.next(), "feedback -1 😀");
    });

    test("`-` sends each line of standard input, CRLF or not, the last one without line end too", async (t) => {
      const { hub, uuid, heard } = await hubWithPage(t);
      const finished = await signalbox(t, ["send", "--hub", hub, "feedback", uuid, "-"], { input: "one\r\n😀 two\n\n-three" });
      assert.deepEqual(finished, { code: 0, stdout: "sent 1\n".repeat(4), stderr: "" });
      assert.deepEqual(heard.drain(), ["one", "😀 two", "", "-three"]);
    });

    test("`-` sends a line as soon as it is there", async (t) => {
      const { hub, uuid, heard } = await hubWithPage(t);
      const process = new Signalbox(t, ["send", "--hub", hub, "feedback", uuid, "-"], { input: undefined });
      for (const line of ["10 %", "20 %"]) {
        process.type(`${line}\n`);
        assert.equal(await process.lines.next(), "sent 1");
        assert.equal(await heard.next(), line);
      }
    });

    test("`-` without any line sends nothing, and that is no failure", async (t) => {
      const { hub, uuid } = await hubWithPage(t);
      assert.deepEqual(await signalbox(t, ["send", "--hub", hub, "feedback", uuid, "-"], { input: "" }), {
        code: 0,
        stdout: "",
        stderr: "",
      });
    });

    test("the hub is SIGNALBOX_HUB, unless --hub says otherwise", async (t) => {
      const { hub } = await hubWithPage(t);
      const SIGNALBOX_HUB = hub;
      assert.equal((await signalbox(t, ["send", "broadcast", "x"], { env: { SIGNALBOX_HUB } })).stdout, "sent 1\n");
      const flag = ["send", "--hub", hub, "broadcast", "x"];
      assert.equal((await signalbox(t, flag, { env: { SIGNALBOX_HUB: "tcp://127.0.0.1:1" } })).stdout, "sent 1\n");
    });
  });

  describe("its exit code", PARALLEL, () => {
    /** What it says to a hub that does as the test wants, and how it ends. */
    async function sendTo(t: TestContext, script: Script, surroundings: Surroundings = {}) {
      const said: Record<string, unknown>[] = [];
      const url = await backend.impostor(t, (text, wire) => {
        said.push(JSON.parse(text));
        script(text, wire);
      });
      return { said, finished: await signalbox(t, ["send", "--hub", url, "broadcast", "x"], surroundings) };
    }

    const wantsKey: Script = (_text, wire) => {
      wire.say('{"opcode":"close","code":4003,"error":"A backend of another host needs a key."}');
      wire.end();
    };

    test("0: sent, to however many", async (t) => {
      const hub = await startHub(t);
      const finished = await signalbox(t, ["send", "--hub", backend.url(hub), "broadcast", "x"]);
      assert.deepEqual(finished, { code: 0, stdout: "sent 0\n", stderr: "" });
    });

    test("1: nobody listens there", async (t) => {
      const url = `tcp://127.0.0.1:${await freePort()}`;
      const { code, stdout, stderr } = await signalbox(t, ["send", "--hub", url, "broadcast", "x"]);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /^signalbox send: No connection to the hub .*ECONNREFUSED.*\n$/);
    });

    test("1: somebody listens there and says nothing", async (t) => {
      const { finished } = await sendTo(t, () => {});
      assert.equal(finished.code, 1);
      assert.match(finished.stderr, /^signalbox send: No connection to the hub/);
    });

    test("1: what listens there is no hub", async (t) => {
      const { finished } = await sendTo(t, (_text, wire) => wire.say("HTTP/1.1 400 Bad Request"));
      assert.equal(finished.code, 1);
      assert.match(finished.stderr, /^signalbox send: .*no hub.*\n$/);
    });

    test("1: the hub wants a key", async (t) => {
      const { finished } = await sendTo(t, wantsKey);
      assert.deepEqual(finished, { code: 1, stdout: "", stderr: "signalbox send: A backend of another host needs a key.\n" });
    });

    test("1: the connection breaks before the answer", async (t) => {
      const { finished } = await sendTo(t, (text, wire) => (text.includes("hello") ? wire.say(GREETING) : wire.drop()));
      assert.deepEqual([finished.code, finished.stdout], [1, ""]);
      assert.match(finished.stderr, /^signalbox send: .+\n$/);
    });

    const WRONG: readonly (readonly [args: readonly string[], sentence: RegExp])[] = [
      [[], /Expected `feedback`, `broadcast`, .*`break` or `check`\./],
      [["nonsense"], /Expected `feedback`, .* or `check`, got `nonsense`\./],
      [["state"], /Expected a KEY behind `state`\./],
      [["who"], /Expected one PATTERN behind `who`\./],
      [["check", "books", "4711"], /Expected SPACE ID FENCE behind `check`/],
      [["check", "books", "4711", "x"], /Expected FENCE to be an integer, got `x`\./],
      [["break", "books", "the", "id"], /Expected SPACE ID behind `break`, each one word; a blank in it stands in quotes\./],
      [["nonsense", "broadcast", "x"], /got `nonsense`/],
      [["broadcast"], /Expected a text\./],
      [["broadcast", "--"], /Expected a text\./],
      [["feedback"], /Expected the UUID of a page/],
      [["feedback", NOBODY], /Expected a text\./],
      [["--hub"], /--hub/],
      [["--nonsense", "broadcast", "x"], /--nonsense/],
      [["--key", "secret", "broadcast", "x"], /--key/],
      [["broadcast", "--hub", "tcp://127.0.0.1:1", "x"], /`--hub` stands in front of the command; as text: behind `--`\./],
      [["feedback", NOBODY, "x", "--hub", "tcp://127.0.0.1:1"], /`--hub` stands in front/],
    ];
    for (const [args, sentence] of WRONG) {
      test(`2: wrong usage, what is wrong in one line, and how it is used: ${args.join(" ")}`, async (t) => {
        const { code, stdout, stderr } = await signalbox(t, ["send", ...args]);
        assert.deepEqual([code, stdout], [2, ""]);
        const [first = "", ...rest] = stderr.split("\n");
        assert.match(first, /^signalbox send: /);
        assert.match(first, sentence);
        assert.equal(rest.join("\n"), `\n${USAGE}`);
      });
    }

    test("2: what is no address is named", async (t) => {
      const { code, stderr } = await signalbox(t, ["send", "--hub", "http://127.0.0.1:8097", "broadcast", "x"]);
      assert.equal(code, 2);
      assert.match(stderr, /tcp:\/\/HOST:PORT.*`http:\/\/127\.0\.0\.1:8097`/);
    });

    test("0: held, the page is away and may return", async (t) => {
      const url = await backend.impostor(t, (text, wire) =>
        wire.say(text.includes("hello") ? GREETING : '{"opcode":"next","fyi":"","status":"held","held":1}'),
      );
      const finished = await signalbox(t, ["send", "--hub", url, "feedback", NOBODY, "x"]);
      assert.deepEqual(finished, { code: 0, stdout: "held 1\n", stderr: "" });
    });

    test("3: gone, nobody has that UUID", async (t) => {
      const { hub } = await hubWithPage(t);
      const finished = await signalbox(t, ["send", "--hub", hub, "feedback", NOBODY, "x"]);
      assert.deepEqual(finished, { code: 3, stdout: "gone\n", stderr: "" });
    });

    test("3: gone in the middle of standard input; the rest is sent all the same", async (t) => {
      const said: string[] = [];
      const url = await backend.impostor(t, (text, wire) => {
        const { message } = JSON.parse(text);
        if (message === undefined) wire.say(GREETING);
        else if (said.push(message) === 2) wire.say('{"opcode":"next","fyi":"","status":"gone"}');
        else wire.say('{"opcode":"next","fyi":"","status":"sent","n":1}');
      });
      const finished = await signalbox(t, ["send", "--hub", url, "feedback", NOBODY, "-"], { input: "one\ntwo\nthree\n" });
      assert.deepEqual(finished, { code: 3, stdout: "sent 1\ngone\nsent 1\n", stderr: "" });
      assert.deepEqual(said.slice(0, 3), ["one", "two", "three"]);
    });

    test("4: refused, with the hub's sentence", async (t) => {
      const { hub } = await hubWithPage(t);
      const { code, stdout, stderr } = await signalbox(t, ["send", "--hub", hub, "feedback", "", "x"]);
      assert.deepEqual([code, stdout], [4, ""]);
      assert.match(stderr, /^signalbox send: bad-message: Expected exactly one of `uuid`.*\n$/);
    });

    test("4: refused in the middle of standard input; the rest is sent all the same", async (t) => {
      let count = 0;
      const url = await backend.impostor(t, (text, wire) => {
        if (JSON.parse(text).message === undefined) wire.say(GREETING);
        else if (++count === 2) wire.say('{"opcode":"next","fyi":"","status":"refused","error":{"code":"no","message":"Not this one."}}');
        else wire.say('{"opcode":"next","fyi":"","status":"sent","n":1}');
      });
      const finished = await signalbox(t, ["send", "--hub", url, "feedback", NOBODY, "-"], { input: "one\ntwo\nthree\n" });
      assert.deepEqual(finished, { code: 4, stdout: "sent 1\nsent 1\n", stderr: "signalbox send: no: Not this one.\n" });
    });

    test("[OPEN-8] the key comes from the environment alone, and is never printed", async (t) => {
      const { said, finished } = await sendTo(t, wantsKey, { env: { SIGNALBOX_BACKEND_KEY: "s3cret" } });
      assert.equal(said[0]?.token, "s3cret");
      assert.doesNotMatch(finished.stdout + finished.stderr, /s3cret/);
      assert.ok(!("token" in ((await sendTo(t, wantsKey)).said[0] as object)));
    });

    test("the codes are those that its usage documents", () => {
      const codes = /Exit code: (.*)\n$/s.exec(USAGE)?.[1] ?? "";
      assert.deepEqual(
        codes.split(/ ·\s/).map((each) => each.split(/[ ,]/).slice(0, 2).join(" ")),
        ["0 done", "1 no", "2 wrong", "3 gone", "4 refused"],
      );
    });
  });

  test("[STATE-8] state sets and gets, who lists, delete ends", PARALLEL, async (t) => {
    const { hub } = await hubWithPage(t);
    const sent = (...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
      signalbox(t, ["send", "--hub", hub, ...words]);
    assert.match((await sent("state", "machine/7", '{"on":true}')).stdout, /^done {"key":"machine\/7","version":\d+}\n$/);
    assert.match((await sent("state", "machine/8", "half", "way")).stdout, /^done /);
    assert.match((await sent("state", "machine/7")).stdout, /^done {"machine\/7":{"value":{"on":true},"version":\d+}}\n$/);
    assert.match((await sent("state", "machine/8")).stdout, /"value":"half way"/);
    assert.equal((await sent("who", "machine/*")).stdout, "done {}\n");
    assert.equal((await sent("delete", "machine/7")).stdout, "done\n");
    assert.equal((await sent("state", "machine/7")).stdout, "done {}\n");
  });

  test("[LOCK-9] locks lists, check says stale with 4, break takes with 0 and finds nobody with 3", PARALLEL, async (t) => {
    const hub = await startHub(t);
    const editor = await join(t, page, page.url(hub));
    const { result } = await editor.send({ opcode: "lock", space: "books", ids: ["a b"] });
    const fence = (result as { mine: Record<string, number> }).mine["a b"];
    const sent = (...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
      signalbox(t, ["send", "--hub", backend.url(hub), ...words]);
    assert.match((await sent("locks", "books")).stdout, /^done {"mine":{},"held":{"a b":{"by":"somebody",/);
    assert.equal((await sent("check", "books", "a b", String(fence))).code, 0);
    assert.deepEqual(await sent("break", "books", "a b"), { code: 0, stdout: "done\n", stderr: "" });
    assert.deepEqual(await sent("break", "books", "a b"), { code: 3, stdout: "gone\n", stderr: "" });
    const stale = await sent("check", "books", "a b", String(fence));
    assert.deepEqual(stale, { code: 4, stdout: "", stderr: "signalbox send: stale: held by nobody\n" });
  });
});
