import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { Packet } from "../../protocol/index.js";
import type { HubSettings } from "../../server/main.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { startHub, type TestHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";
import { Page } from "../support/page.js";
import { commandMissing, ROOT, run } from "../support/process.js";
import { opensslMissing, selfSigned, signedBy } from "../transports/support-certificates.js";
import { Driven, fakeHub, untilPacket } from "./driven.js";
import { at, BASH, ends, inline, is, type Language, NOBODY, PHP, PYTHON } from "./languages.js";

/** A port of this host where nobody listens. */
const NO_HUB = "tcp://127.0.0.1:1";

/** A hub, a page on it, and a job of that page that waits to be told what to do. */
async function world(t: TestContext, { needs, driver }: Language, settings: HubSettings = {}) {
  const hub = await startHub(t, settings);
  const page = await Page.open(t, `${hub.ws}/web`, { window: 8 });
  const job = Driven.start(t, needs, [driver, page.uuid], { SIGNALBOX_HUB: `tcp://127.0.0.1:${hub.tcpPort}` });
  return { hub, page, job };
}

function alone(t: TestContext, { needs, driver }: Language, address: string, args = [NOBODY]): Driven {
  return Driven.start(t, needs, [driver, ...args], { SIGNALBOX_HUB: address });
}

/** The page wants its job to stop, and hears that the job has been told. */
async function cancel(page: Page, reason = "lunch"): Promise<void> {
  page.say({ opcode: "cancel", reason });
  assert.equal((await untilPacket(page, is("cancel"))).status, "sent");
}

const whys = (hub: TestHub): unknown[] =>
  hub.log
    .of("peer.closed")
    .filter(({ kind }) => kind === "backend")
    .map(({ why }) => why);

function again(t: TestContext, { wsPort, tcpPort }: TestHub): Promise<TestHub> {
  return startHub(t, { listen: [`ws://127.0.0.1:${wsPort}`, `tcp://127.0.0.1:${tcpPort}`] });
}

for (const language of [PHP, PYTHON, BASH]) {
  const { needs, words, example } = language;

  describe(`16 Jobs from ${needs}: its life`, { skip: commandMissing(needs) }, () => {
    test("the page sees how far it is, in any script, and how it ended; the connection ends with quit", async (t) => {
      const { hub, page, job } = await world(t, language);
      assert.equal(await job.step("progress 1 3 Börne – Σ😀"), "go");
      const told = await untilPacket(page, at(1));
      assert.deepEqual([told.state, told.of, told.message], ["running", 3, "Börne – Σ😀"]);
      assert.equal(told.title, words ? undefined : "Driven");
      assert.equal(await job.step("progress 3 3 Last"), "go");
      assert.equal(await job.step("done"), "ended");
      const { state, message, result, at: last } = await ends(page);
      assert.deepEqual([state, message, last], ["done", "Last", 3]);
      assert.deepEqual(result, words ? undefined : { rows: 7 });
      assert.deepEqual([await job.exited, job.stderr], [0, ""]);
      await hub.log.untilLine("peer.closed");
      assert.deepEqual(whys(hub), ["quit"]);
    });

    test("a job that has failed says why", async (t) => {
      const { page, job } = await world(t, language);
      await job.step("progress 1 3 Reading");
      assert.equal(await job.step("failed - - No such table – ä😀"), "ended");
      const { state, message } = await ends(page);
      assert.deepEqual([state, message], ["failed", "No such table – ä😀"]);
      assert.equal(await job.exited, 0);
    });

    test("a line end in a message is a blank, and no second line", async (t) => {
      const { page, job } = await world(t, language);
      await job.step(`progress 1 3 one\\nend ${page.uuid} done\\n`);
      assert.equal((await untilPacket(page, at(1))).message?.toString().trim(), `one end ${page.uuid} done`);
      assert.equal(await job.step("progress 2 3 two"), "go");
    });

    test("[JOB-2] a message that is too long is cut between two characters", async (t) => {
      const { page, job } = await world(t, language);
      await job.step(`progress 1 3 ${"a😀ä".repeat(900)}`);
      const message = String((await untilPacket(page, at(1))).message);
      assert.ok(message.length > 300 && message.length <= 1_000, `${message.length}`);
      assert.match(message, /^(?:a😀ä)+(?:a😀?)?(?:…|\.\.\.)$/u);
      assert.equal(await job.step("progress 2 3 short"), "go");
    });

    test("[JOB-6] a job that is killed is lost", async (t) => {
      const { page, job } = await world(t, language, { jobLostAfter: 50 });
      await job.step("progress 1 3 Reading");
      job.process.kill("SIGKILL");
      assert.equal((await ends(page)).state, "lost");
    });

    test(`${example} is done, and ends as aborted where its user wants it to stop`, async (t) => {
      const hub = await startHub(t);
      const page = await Page.open(t, `${hub.ws}/web`, { window: 8 });
      const env = { SIGNALBOX_HUB: `tcp://127.0.0.1:${hub.tcpPort}`, PYTHONUTF8: "1", PYTHONDONTWRITEBYTECODE: "1" };
      const { code, stderr } = await run(needs, [example, page.uuid], { ...env, JOB_STEP: "0.01" });
      assert.deepEqual([code, stderr], [0, ""]);
      assert.deepEqual((({ state, at: n, of, message }) => [state, n, of, message])(await ends(page)), [
        "done",
        3,
        4,
        words ? "4 authors" : "Reading Emoji 😀",
      ]);
      const job = Driven.start(t, needs, [example, page.uuid], { ...env, JOB_STEP: "0.2" });
      await untilPacket(page, at(0));
      page.say({ opcode: "cancel", job: "import" });
      assert.equal((await ends(page)).state, "aborted");
      assert.deepEqual([await job.exited, job.stderr], [words ? 3 : 0, ""]);
      const without = await run(needs, [example], env);
      assert.ok(without.code !== 0);
      assert.match(without.stderr, /usage: .*UUID/);
    });
  });

  describe(`16 Jobs from ${needs}: its user wants it to stop`, { skip: commandMissing(needs) }, () => {
    for (const [name, noticed] of [
      ["its first report behind that", 2],
      ["one in the middle", 3],
      ["the last one", 4],
    ] as const) {
      test(`[JOB-5] it hears so with ${name}, and ends by itself`, async (t) => {
        const { page, job } = await world(t, language);
        for (let n = 1; n < noticed; n++) assert.equal(await job.step(`progress ${n} 4 Step ${n}`), "go");
        await untilPacket(page, is("progress"));
        await cancel(page);
        assert.equal(await job.step(`progress ${noticed} 4 Step ${noticed}`), "stop lunch");
        assert.equal((await ends(page)).state, "aborted");
        assert.deepEqual([await job.exited, job.stderr], [0, ""]);
      });
    }

    test("what was done before it heard of that is done", async (t) => {
      const { page, job } = await world(t, language);
      await job.step("progress 4 4 Last");
      await cancel(page);
      assert.equal(await job.step("done"), "ended");
      assert.equal((await ends(page)).state, "done");
      assert.equal(await job.exited, 0);
    });
  });

  describe(`16 Jobs from ${needs}: trouble`, { skip: commandMissing(needs) }, () => {
    test("without a hub it does its work, says so once, and fails only to tell its end", async (t) => {
      const job = alone(t, language, NO_HUB);
      for (let n = 1; n <= 3; n++) assert.equal(await job.step(`progress ${n} 3 Reading`), "go");
      assert.match(await job.step("done"), /^error/);
      assert.equal(await job.exited, 1);
      assert.equal(job.stderr.split("goes on without its hub").length, 2, job.stderr);
      assert.match(words ? job.stderr : "unreachable", /was not told|unreachable/);
    });

    test("a hub that listens and never answers holds a report up for its timeout, not longer, and then rarely", async (t) => {
      const job = alone(t, language, await fakeHub(t, () => {}));
      const began = performance.now();
      for (let n = 1; n <= 100; n++) {
        assert.equal(await job.step(`progress ${n} 100 Reading`), "go");
        assert.ok(performance.now() - began < 6_000, "each report waits for 1 s");
      }
      assert.match(await job.step("done"), /^error/);
      assert.equal(await job.exited, 1);
    });

    test("it looks for its hub at most once a second, and complains once", async (t) => {
      const attempts: number[] = [];
      const address = await fakeHub(t, (_line, socket) => {
        attempts.push(performance.now());
        socket.destroy();
      });
      const job = alone(t, language, address);
      while (attempts.length < 3) assert.equal(await job.step("progress 1 3 Reading"), "go");
      for (const [n, time] of attempts.entries()) assert.ok(n === 0 || time - (attempts[n - 1] ?? 0) > 900, String(attempts));
      job.process.kill("SIGKILL");
      await job.exited;
      assert.equal(job.stderr.split("goes on without its hub").length, 2, job.stderr);
    });

    test("it outlives its hub: it goes on while there is none, and its end is heard by the next one", async (t) => {
      const { hub, job } = await world(t, language);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      await hub.stop();
      assert.equal(await job.step("progress 2 3 Reading"), "go");
      await again(t, hub);
      assert.equal(await job.step("done"), "ended");
      assert.equal(await job.exited, 0);
      assert.match(job.stderr, /goes on without its hub/);
    });

    test("a hub that was started anew between two reports is found at once; it does not know the page", async (t) => {
      const { hub, job } = await world(t, language);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      await hub.stop();
      await again(t, hub);
      assert.equal(await job.step("progress 2 3 Reading"), "gone");
      assert.equal(await job.step("progress 3 3 Reading"), "gone");
      assert.equal(await job.step("done"), "ended");
      assert.deepEqual([await job.exited, job.stderr], [0, ""]);
    });

    test("[JOB-7] the run goes on over another connection where its own broke", async (t) => {
      const hub = await startHub(t, { jobLostAfter: 20_000 });
      const page = await Page.open(t, `${hub.ws}/web`, { window: 8 });
      const proxy = await FaultProxy.start(t, hub.tcpPort);
      const job = alone(t, language, `tcp://127.0.0.1:${proxy.port}`, [page.uuid]);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      const { started } = await untilPacket(page, at(1));
      proxy.breakAll();
      assert.equal(await job.step("progress 2 3 Reading"), "go");
      assert.equal((await untilPacket(page, at(2))).started, started);
      proxy.breakAll();
      assert.equal(await job.step("done"), "ended");
      const end = await ends(page);
      assert.deepEqual([end.started, end.state], [started, "done"]);
      assert.deepEqual([await job.exited, job.stderr], [0, ""]);
    });

    test("where the page has gone it goes on to its end", async (t) => {
      const { hub, job, page } = await world(t, language);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      page.say({ opcode: "quit" });
      await page.closed;
      await hub.log.untilLine("peer.closed");
      assert.equal(await job.step("progress 2 3 Reading"), "gone");
      assert.equal(await job.step("done"), "ended");
      assert.deepEqual([await job.exited, job.stderr], [0, ""]);
    });

    test("[JOB-10] while the page is away it goes on", async (t) => {
      const { hub, job, page } = await world(t, language);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      page.socket.terminate();
      await hub.log.untilLine("peer.away");
      assert.equal(await job.step("progress 2 3 Reading"), "go");
      assert.equal(await job.step("done"), "ended");
      assert.deepEqual([await job.exited, job.stderr], [0, ""]);
    });

    test("a report that is wrong is an error with its code, and so is a UUID that is none", async (t) => {
      const { job, hub } = await world(t, language);
      const wrong = await job.step("progress 4 3 Reading");
      assert.match(wrong, /^error/);
      assert.equal(await job.exited, 1);
      assert.match(`${wrong} ${job.stderr}`, /bad-message.* (`at`|AT\/OF)/s);
      const nameless = alone(t, language, `tcp://127.0.0.1:${hub.tcpPort}`, ["nobody"]);
      assert.match(await nameless.step("progress 1 3 Reading"), /^error/);
      assert.equal(await nameless.exited, 1);
      const address = alone(t, language, "http://127.0.0.1", [NOBODY]);
      assert.equal(await address.exited, 1);
      assert.match(`${address.answers.drain()} ${address.stderr}`, /tcp:\/\/HOST:PORT/);
    });

    test("[JOB-7] a job that somebody else has ended is told so, and says nothing more", async (t) => {
      const { job, hub, page } = await world(t, language);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      const other = await LineClient.open(t, hub.tcpPort);
      await other.hello();
      assert.equal((await other.ask({ opcode: "end", uuid: page.uuid, state: "failed", message: "by hand" })).status, "sent");
      const answer = await job.step("progress 2 3 Reading");
      assert.match(answer, /^error/);
      assert.equal(await job.exited, 1);
      assert.match(`${answer} ${job.stderr}`, /job-ended/);
      assert.deepEqual([(await ends(page)).message, page.packets.drain()], ["by hand", []]);
    });

    test("a refusal that says nothing about the report is trouble of the hub: it goes on", async (t) => {
      const refusal = words ? "next refused unavailable No way." : refused("unavailable");
      const job = alone(t, language, await fakeHub(t, (line, socket) => socket.write(`${answer(line, refusal)}\n`)));
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      assert.match(await job.step("done"), /^error/);
      assert.equal(await job.exited, 1);
      assert.match(job.stderr, /unavailable/);
    });

    test("[OPEN-8] a job that the hub never let in is told so", async (t) => {
      const close = words ? "close 4003 Not you." : '{"opcode":"close","code":4003,"error":"Not you."}';
      const job = alone(t, language, await fakeHub(t, (_line, socket) => socket.end(`${close}\n`)));
      const said = await job.step("progress 1 3 Reading");
      assert.match(said, /^error/);
      assert.equal(await job.exited, 1);
      assert.match(`${said} ${job.stderr}`, /Not you/);
    });
  });
}

const refused = (code: string): string => `{"opcode":"next","status":"refused","error":{"code":"${code}","message":"No way."}}`;
const SENT = '{"opcode":"next","status":"sent","n":1}';

/** `ready` to a hello, this to all else. */
function answer(line: string, next: string): string {
  return line.includes('"hello"') ? '{"opcode":"ready","uuid":"b"}' : next;
}

for (const language of [PHP, PYTHON]) {
  const { needs } = language;

  describe(`16 Jobs from ${needs}: the wire`, { skip: commandMissing(needs) }, () => {
    test("bytes come as they like, long lines and lines nobody asked for are passed over", async (t) => {
      const others = [
        `{"opcode":"feedback","message":"${"ä😀".repeat(180_000)}"}`,
        `{"opcode":"cancel","uuid":"${NOBODY}","job":"another","reason":"not this one"}`,
        '{"opcode":"news"}',
      ];
      const address = await fakeHub(t, (line, socket) => {
        const bytes = Buffer.from(`${line.includes("progress") ? `${others.join("\n")}\n` : ""}${answer(line, SENT)}\n`);
        // Cut where no character ends.
        for (let from = 0; from < bytes.length; from += 9_999) socket.write(bytes.subarray(from, from + 9_999));
      });
      const job = alone(t, language, address);
      for (let n = 1; n <= 3; n++) assert.equal(await job.step(`progress ${n} 3 Reading`), "go");
      assert.equal(await job.step("done"), "ended");
      assert.deepEqual([await job.exited, job.stderr], [0, ""]);
    });

    test("[JOB-5] a cancel that was pushed is heard, even where the connection ends before any answer", async (t) => {
      const address = await fakeHub(t, (line, socket, connection) => {
        if (connection > 1 && line.includes('"progress"')) return;
        const pushed = `{"opcode":"cancel","uuid":"${NOBODY}","job":"job","reason":"lunch"}`;
        if (line.includes('"progress"')) socket.end(`${pushed}\n`);
        else socket.write(`${answer(line, SENT)}\n`);
      });
      const job = alone(t, language, address);
      assert.equal(await job.step("progress 1 3 Reading"), "stop lunch");
      assert.equal(await job.exited, 0);
    });

    test("[JOB-5] a cancel that only the answer says is heard", async (t) => {
      const stop = '{"opcode":"next","fyi":"","status":"cancel","reason":"lunch"}';
      const next = (line: string): string => answer(line, line.includes('"progress"') ? stop : SENT);
      const job = alone(t, language, await fakeHub(t, (line, socket) => socket.write(`${next(line)}\n`)));
      assert.equal(await job.step("progress 1 3 Reading"), "stop lunch");
      assert.equal(await job.exited, 0);
    });

    test("[JOB-7] an end whose answer was lost is said again, with the same run; that it is late means that it was heard", async (t) => {
      const said: Packet[] = [];
      const address = await fakeHub(t, (line, socket, connection) => {
        if (line.includes('"end"')) said.push(JSON.parse(line) as Packet);
        if (line.includes('"end"') && connection === 1) socket.destroy();
        else socket.write(`${answer(line, connection === 1 ? SENT : refused("job-ended"))}\n`);
      });
      const job = alone(t, language, address);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      assert.equal(await job.step("done"), "ended");
      assert.deepEqual([await job.exited, job.stderr], [0, ""]);
      assert.equal(said.length, 2);
      assert.deepEqual(said[0], said[1]);
      assert.match(String(said[0]?.run), /^[0-9a-f]{32}$/);
    });

    test("what listens there and is no hub is no reason to stop", async (t) => {
      const job = alone(t, language, await fakeHub(t, (_line, socket) => socket.write("220 mail.example ESMTP\n")));
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      assert.match(await job.step("done"), /^error unreachable/);
      assert.match(job.stderr, /is no hub/);
    });

    test("[OPEN-8] the key of the environment is shown in the hello", async (t) => {
      const hellos: Packet[] = [];
      const address = await fakeHub(t, (line, socket) => {
        if (line.includes('"hello"')) hellos.push(JSON.parse(line) as Packet);
        socket.write(`${answer(line, SENT)}\n`);
      });
      const env = { SIGNALBOX_HUB: `${address}/php`, SIGNALBOX_BACKEND_KEY: "geheim-ä" };
      const job = Driven.start(t, needs, [language.driver, NOBODY], env);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      assert.deepEqual(hellos, [{ opcode: "hello", resource: "/php", token: "geheim-ä" }]);
    });

    test("a unix socket", async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "signalbox-"));
      t.after(() => rmSync(folder, { recursive: true }));
      const address = `unix:${folder}/hub.sock`;
      const hub = await startHub(t, { listen: ["ws://127.0.0.1:0", address] });
      const page = await Page.open(t, `${hub.ws}/web`, { window: 8 });
      const job = alone(t, language, address, [page.uuid, "a name with blanks"]);
      assert.equal(await job.step("progress 1 3 Reading"), "go");
      assert.equal(await job.step("done"), "ended");
      const { job: name, state } = await ends(page);
      assert.deepEqual([name, state], ["a name with blanks", "done"]);
    });

    test("TLS, where the hub's certificate is trusted", { skip: opensslMissing() }, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "signalbox-"));
      t.after(() => rmSync(folder, { recursive: true }));
      const authority = selfSigned(folder, "authority");
      const { certFile, keyFile } = signedBy(authority, folder, "hub");
      const tls = { tlsCert: certFile, tlsKey: keyFile, backendKey: "geheim" };
      const hub = await startHub(t, { listen: ["ws://127.0.0.1:0", "tls://127.0.0.1:0"], ...tls });
      const page = await Page.open(t, `${hub.ws}/web`, { window: 8 });
      const address = hub.listeners.find((each) => each.startsWith("tls:")) ?? "";
      const env = { SIGNALBOX_HUB: address, SSL_CERT_FILE: authority.certFile };
      const job = Driven.start(t, needs, [language.driver, page.uuid], env);
      for (let n = 1; n <= 3; n++) assert.equal(await job.step(`progress ${n} 3 Reading`), "go");
      assert.equal(await job.step("done"), "ended");
      assert.equal((await ends(page)).state, "done");
      const stranger = alone(t, language, address, [page.uuid]);
      assert.equal(await stranger.step("progress 1 3 Reading"), "go");
      assert.match(await stranger.step("done"), /^error unreachable/);
    });
  });
}

/** A job of its own few lines, behind the client's import. */
async function script(t: TestContext, language: Language, code: string, settings: HubSettings = {}) {
  const hub = await startHub(t, settings);
  const page = await Page.open(t, `${hub.ws}/web`, { window: 8 });
  const env = { SIGNALBOX_HUB: `tcp://127.0.0.1:${hub.tcpPort}`, PYTHONDONTWRITEBYTECODE: "1" };
  return { hub, page, job: Driven.start(t, language.needs, inline(language, code, page.uuid), env) };
}

describe("16 Jobs from python3: leaving the `with`", { skip: commandMissing("python3") }, () => {
  const inside = (code: string): string => `
with Job("UUID") as job:
    job.progress(1, 3)
    ${code}
print("behind", job.cancelled, flush=True)
`;

  test("by an exception: failed with its text, and the exception goes on its way", async (t) => {
    const { page, job } = await script(t, PYTHON, inside('raise RuntimeError("no such table")'));
    const { state, message } = await ends(page);
    assert.deepEqual([state, message, await job.exited], ["failed", "no such table", 1]);
    assert.match(job.stderr, /RuntimeError: no such table/);
  });

  test("by Cancelled: aborted, the program goes on behind it; `except Exception` does not take it", async (t) => {
    const code = `
    for line in sys.stdin:
        try:
            job.progress(2)
            print("go", flush=True)
        except Exception as error:
            print("swallowed", error, flush=True)`;
    const { page, job } = await script(t, PYTHON, inside(code.trimStart()));
    assert.equal(await job.step("on"), "go");
    await untilPacket(page, at(1));
    await cancel(page);
    assert.equal(await job.step("on"), "behind True");
    assert.equal((await ends(page)).state, "aborted");
    assert.equal(await job.exited, 0);
  });

  test("by sys.exit(): done without a complaint, failed with one; by KeyboardInterrupt: aborted", async (t) => {
    for (const [code, expected] of [
      ["sys.exit()", "done"],
      ['sys.exit("no more paper")', "failed"],
      ["raise KeyboardInterrupt", "aborted"],
    ] as const) {
      const { page, job } = await script(t, PYTHON, inside(code));
      assert.equal((await ends(page)).state, expected);
      assert.equal((await job.exited) === 0, expected === "done");
    }
  });

  test("with a result that cannot be told: failed, and why", async (t) => {
    for (const [code, expected] of [
      ["job.result = object()", /bad-json/],
      ["job.result = 'x' * 9_000", /bad-message: .*8192/],
      ["job.result = 'x' * 2_000_000", /too-big/],
    ] as const) {
      const { page, job } = await script(t, PYTHON, inside(code));
      const { state, message } = await ends(page);
      assert.equal(state, "failed");
      assert.match(String(message), expected);
      assert.equal(await job.exited, 1);
    }
  });

  test("several threads report for one job", async (t) => {
    const code = `
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: job.progress(n, 400, f"ä {n}"), range(400)))`;
    const { page, job } = await script(t, PYTHON, inside(code.trimStart()));
    assert.equal((await ends(page)).state, "done");
    assert.deepEqual([await job.exited, job.stderr], [0, ""]);
  });
});

describe("16 Jobs from php: particulars", { skip: commandMissing("php") }, () => {
  test("numbers as a database gives them, a message that is not UTF-8, one end only", async (t) => {
    const code = `
      $job = new Signalbox\\Job("UUID");
      $job->progress("1.5", "3", "B\\xf6rne");
      var_dump($job->done([1 => 2]), $job->failed("too late"));
      try { $job->progress(); } catch (Signalbox\\JobError $error) { echo $error->getCode(); }`;
    const { page, job } = await script(t, PHP, code);
    assert.equal((await untilPacket(page, at(1.5))).message, "B\ufffdrne");
    assert.equal((await ends(page)).state, "done");
    assert.deepEqual([await job.exited, job.stderr], [0, ""]);
    assert.deepEqual(job.answers.drain(), ["bool(true)", "bool(false)", "job-ended"]);
  });

  test("a result that cannot be told is an error, and does not end the job", async (t) => {
    const code = `
      $job = new Signalbox\\Job("UUID");
      foreach ([NAN, str_repeat("x", 9000), str_repeat("x", 2000000)] as $result) {
        try { $job->done($result); } catch (Signalbox\\JobError $error) { echo $error->getCode(), "\\n"; }
      }
      $job->failed("no result");`;
    const { page, job } = await script(t, PHP, code);
    const { state, message } = await ends(page);
    assert.deepEqual([state, message, await job.exited], ["failed", "no result", 0]);
    assert.deepEqual(job.answers.drain(), ["bad-json", "bad-message", "too-big"]);
  });

  test("an option that there is not is an error", async (t) => {
    const { job } = await script(t, PHP, 'new Signalbox\\Job("UUID", "job", ["tittle" => "x"]);');
    assert.equal(await job.exited, 255);
    assert.match(`${job.answers.drain()} ${job.stderr}`, /tittle/);
  });
});

describe("16 Jobs from bash: particulars", { skip: commandMissing("bash") }, () => {
  const trapped = (code: string): string => `set -euo pipefail
signalbox_open UUID
signalbox_trap
${code}
`;

  test("signalbox_trap: failed with the exit code, done without one, however the script ends", async (t) => {
    for (const [code, state, message, exit] of [
      ["false", "failed", "It ended with exit code 1.", 1],
      ["exit 7", "failed", "It ended with exit code 7.", 7],
      ["signalbox_progress 4/3 wrong", "failed", "It ended with exit code 1.", 1],
      ["kill -TERM $$; sleep 5", "failed", "It ended with exit code 143.", 143],
      [":", "done", undefined, 0],
      ["signalbox_end failed by hand", "failed", "by hand", 0],
    ] as const) {
      const { page, job } = await script(t, BASH, trapped(code));
      const end = await ends(page);
      assert.equal(end.state, state, code);
      assert.equal(end.message, message);
      assert.equal(await job.exited, exit, code);
    }
  });

  test("signalbox_trap: aborted where the user wants it to stop, also behind a pipe, in another process", async (t) => {
    const loops = [
      "while read -r _; do signalbox_progress 1/3; echo go; done",
      "cat | while read -r _; do signalbox_progress 1/3; echo go; done",
    ];
    for (const loop of loops) {
      const { page, job } = await script(t, BASH, trapped(loop));
      assert.equal(await job.step("on"), "go");
      await untilPacket(page, at(1));
      await cancel(page);
      job.process.stdin?.end("on\n");
      assert.equal((await ends(page)).state, "aborted");
      assert.equal(await job.exited, 3);
    }
  });

  test("signalbox_trap does not take the place of another trap", async (t) => {
    const { job } = await script(t, BASH, "trap 'echo mine' EXIT; signalbox_open UUID; signalbox_trap || exit 4");
    assert.equal(await job.exited, 4);
    assert.match(job.stderr, /signalbox_at_exit/);
    assert.deepEqual(job.answers.drain(), ["mine"]);
  });

  test("what plain words cannot say is refused with a sentence: a name with blanks, another kind of address", async (t) => {
    const code = `
      signalbox_progress 1/3; echo "$?"
      signalbox_open UUID "two words"; echo "$?"
      SIGNALBOX_HUB=unix:/run/hub.sock signalbox_open UUID; echo "$?"
      SIGNALBOX_TIMEOUT=soon signalbox_open UUID; echo "$?"`;
    const { job } = await script(t, BASH, code);
    assert.equal(await job.exited, 0);
    assert.deepEqual(job.answers.drain(), ["1", "1", "1", "1"]);
    const sentences = [/signalbox_open first/, /without blanks/, /tcp:\/\/HOST:PORT/, /whole seconds/];
    for (const sentence of sentences) assert.match(job.stderr, sentence);
  });

  test("[OPEN-9] a message that ends like the line of a browser is a message", async (t) => {
    const { page, job } = await script(t, BASH, trapped("signalbox_progress 1/3 GET / HTTP/1.1"));
    assert.match(String((await untilPacket(page, at(1))).message), /^GET \/ HTTP\/1.1/);
    assert.equal((await ends(page)).state, "done");
    assert.deepEqual([await job.exited, job.stderr], [0, ""]);
  });

  test("the script's own $!, IFS, functions and descriptors stay as they are", async (t) => {
    const code = `
      true & before=$!
      IFS=, SIGNALBOX_TIMEOUT=1
      SIGNALBOX_HUB=${NO_HUB} signalbox_open UUID 2>/dev/null; signalbox_end done 2>/dev/null
      signalbox_open UUID named; signalbox_progress 1/3 one two; signalbox_end done
      [[ $! == "$before" && $IFS == , && -z $SIGNALBOX_FD ]] && wait && echo same`;
    const { page, job } = await script(t, BASH, code);
    const { job: name, message } = await ends(page);
    assert.deepEqual([name, message, await job.exited, job.stderr], ["named", "one two", 0, ""]);
    assert.deepEqual(job.answers.drain(), ["same"]);
  });

  test("a connection that a subshell found broken does not kill the script", async (t) => {
    const hub = await startHub(t);
    const page = await Page.open(t, `${hub.ws}/web`, { window: 8 });
    const proxy = await FaultProxy.start(t, hub.tcpPort);
    const code = `. "${ROOT}/tcp-client/bash/signalbox.sh"
      signalbox_open ${page.uuid}; echo opened; read -r _
      (signalbox_progress 1/3); signalbox_progress 2/3; signalbox_end done; echo "$?"`;
    const job = Driven.start(t, "bash", ["-c", code], { SIGNALBOX_HUB: `tcp://127.0.0.1:${proxy.port}` });
    assert.equal(await job.answers.next(), "opened");
    proxy.breakAll();
    assert.equal(await job.step("on"), "0");
    const { state, at: last } = await ends(page);
    assert.deepEqual([state, last, await job.exited, job.stderr], ["done", 2, 0, ""]);
  });

  test("a program that is to outlive the script does not keep a dead one alive", async (t) => {
    const code = trapped('sleep 30 {SIGNALBOX_FD}>&- >/dev/null 2>&1 & echo "$!"; signalbox_progress 1/3; read -r _');
    const { page, job } = await script(t, BASH, code, { jobLostAfter: 50 });
    const sleeper = Number(await job.answers.next());
    t.after(() => process.kill(sleeper));
    await untilPacket(page, at(1));
    job.process.kill("SIGKILL");
    assert.equal((await ends(page)).state, "lost");
  });
});
