import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { JobInfo } from "../../apps/jobs/packets.js";
import type { Packet } from "../../protocol/index.js";
import type { HubSettings } from "../../server/main.js";
import { AbortError, type BackendClient, connect, type Job, type Outcome } from "../../tcp-client/index.js";
import { backend, type Script } from "../client/kinds.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { startHub, type TestHub } from "../support/hub.js";
import { JobPage } from "./job-page.js";

const NOBODY = "00000000-0000-4000-8000-000000000000";
const LIMITS = { timeout: 20_000, concurrency: 4 };

async function join(t: TestContext, url: string): Promise<BackendClient> {
  const client = await connect(url);
  t.after(() => client.close());
  return client;
}

interface World {
  readonly hub: TestHub;
  readonly page: JobPage;
  readonly client: BackendClient;
}

async function world(t: TestContext, settings: HubSettings = {}): Promise<World> {
  const hub = await startHub(t, settings);
  return { hub, page: await JobPage.open(t, hub.ws), client: await join(t, backend.url(hub)) };
}

/** As `world`, with a connection that can be cut. */
async function brittleWorld(t: TestContext, settings: HubSettings = {}): Promise<World & { proxy: FaultProxy }> {
  const hub = await startHub(t, settings);
  const proxy = await FaultProxy.start(t, hub.tcpPort);
  return { hub, proxy, page: await JobPage.open(t, hub.ws), client: await join(t, `tcp://127.0.0.1:${proxy.port}`) };
}

/** The next event of the client. */
const event = (client: BackendClient, type: string): Promise<unknown> =>
  new Promise((resolve) => client.addEventListener(type, resolve, { once: true }));

/** Works until it is told to stop. */
const untilAborted = (_job: Job, signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

const pick = ({ state, at, of, message, title, result }: JobInfo): object =>
  JSON.parse(JSON.stringify({ state, at, of, message, title, result }));

describe("run: how a job begins and ends", LIMITS, () => {
  test("the page is told that it runs before it reports, and what it returns is the result", async (t) => {
    const { page, client } = await world(t);
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const work = async (job: Job): Promise<object> => {
      await gate;
      assert.deepEqual(await job.progress({ at: 40, of: 2_400, message: "Reading" }), { status: "sent", n: 1 });
      return { rows: 7 };
    };
    const done = client.run(page.uuid, "import", work, { title: "Import", cancellable: false });
    const [first] = await page.until((job) => job.state === "running");
    assert.deepEqual([first?.job, first?.title, first?.cancellable, first?.at], ["import", "Import", false, undefined]);
    go();
    assert.deepEqual(await done, { rows: 7 });
    const end = await page.end("import");
    assert.deepEqual(pick(end), { state: "done", at: 40, of: 2_400, message: "Reading", title: "Import", result: { rows: 7 } });
  });

  test("the task begins at once, and may be one that does not wait for anything", async (t) => {
    const { page, client } = await world(t);
    let begun = false;
    const done = client.run(page.uuid, "job", () => {
      begun = true;
      return 7;
    });
    assert.equal(begun, true);
    assert.equal(await done, 7);
    assert.equal((await page.end("job")).result, 7);
  });

  test("what it throws is how it failed, and rejects", async (t) => {
    const { page, client } = await world(t);
    const error = new Error("The disk is full.");
    const run = client.run(page.uuid, "job", async (job) => {
      void job.progress({ message: "Writing" });
      throw error;
    });
    await assert.rejects(run, (thrown) => thrown === error);
    assert.deepEqual(pick(await page.end("job")), { state: "failed", message: "The disk is full." });
  });

  test("what it throws may be anything, and long", async (t) => {
    const { page, client } = await world(t);
    const fail = (thrown: unknown): Promise<void> =>
      client.run(page.uuid, "job", () => {
        throw thrown;
      });
    await assert.rejects(fail(new Error("😀".repeat(1_000))), Error);
    assert.equal((await page.end("job")).message, "😀".repeat(500));
    await assert.rejects(fail(new Error(`x${"😀".repeat(1_000)}`)), Error);
    assert.equal((await page.end("job")).message, `x${"😀".repeat(499)}`);
    await fail(undefined).catch((thrown) => assert.equal(thrown, undefined));
    assert.equal((await page.end("job")).message, "undefined");
  });

  for (const [what, result, name] of [
    ["more than 8 KiB", "x".repeat(10_000), "RefusedError"],
    ["no JSON", 1n, "TypeError"],
    ["more than the hub takes at all", "x".repeat(2 ** 20), "RefusedError"],
  ] as const) {
    test(`a result that is ${what} fails the job and rejects: neither side is left waiting`, async (t) => {
      const { page, client } = await world(t);
      const run = client.run<unknown>(page.uuid, "job", () => result);
      await assert.rejects(run, { name });
      const { state, message } = await page.end("job");
      assert.equal(state, "failed");
      assert.match(String(message), /result|BigInt|maxMessage/);
    });
  }

  test("the same job twice at once is a TypeError, one after the other is another run", async (t) => {
    const { page, client } = await world(t);
    const first = client.run(page.uuid, "job", untilAborted);
    await assert.rejects(
      client.run(page.uuid, "job", () => assert.fail("It was started.")),
      { name: "TypeError", message: /`job`/ },
    );
    await page.until(({ state }) => state === "running");
    page.cancel("job");
    await assert.rejects(first, AbortError);
    const before = await page.end("job");
    await client.run(page.uuid, "job", () => {});
    assert.ok((await page.end("job")).started > before.started);
  });

  test("what is no UUID or no name is a TypeError, before anything is started", async (t) => {
    const { page, client } = await world(t);
    for (const [uuid, name] of [
      ["", "job"],
      [page.uuid, ""],
      [page.uuid, "x".repeat(257)],
    ] as const)
      await assert.rejects(
        client.run(uuid, name, () => assert.fail("It was started.")),
        TypeError,
      );
  });

  test("several jobs of several pages run on one connection, and each page hears of its own", async (t) => {
    const { hub, page, client } = await world(t);
    const other = await JobPage.open(t, hub.ws);
    const jobs = [page, other].flatMap((each) => ["a", "b", "c"].map((name) => ({ each, name })));
    const results = await Promise.all(
      jobs.map(({ each, name }, n) =>
        client.run(each.uuid, name, async (job) => {
          await job.progress({ at: n, of: 10 });
          return n;
        }),
      ),
    );
    assert.deepEqual(results, [0, 1, 2, 3, 4, 5]);
    for (const [n, { each, name }] of jobs.entries()) assert.equal((await each.end(name)).at, n);
  });
});

describe("run: what it says meanwhile", LIMITS, () => {
  test("of a million reports that nobody awaits only the newest waits, and the last is out before the end", async (t) => {
    const { page, client } = await world(t);
    const promises = new Set<Promise<Outcome>>();
    await client.run(page.uuid, "job", (job) => {
      for (let at = 1; at <= 1_000_000; at++) promises.add(job.progress({ at, of: 1_000_000 }));
    });
    assert.ok(promises.size <= 3, `${promises.size} promises`);
    assert.equal((await page.end("job")).at, 1_000_000);
    assert.deepEqual(
      await Promise.all(promises),
      [...promises].map(() => ({ status: "sent", n: 1 })),
    );
    const [progress, end] = page.all.slice(-2);
    assert.deepEqual([progress?.opcode, progress?.at, end?.opcode], ["progress", 1_000_000, "end"]);
  });

  test("what is left out stays as it was, null makes it unknown, also where reports are merged", async (t) => {
    const { page, client } = await world(t);
    await client.run(page.uuid, "job", (job) => {
      void job.progress({ message: "One", title: "Title" });
      void job.progress({ at: 1, of: 2 });
      void job.progress({ message: undefined, of: null });
    });
    assert.deepEqual(pick(await page.end("job")), { state: "done", at: 1, message: "One", title: "Title" });
  });

  test("what the hub has taken is not said again", async (t) => {
    const { client, said } = await scripted(t, () => ({ status: "sent", n: 1 }));
    const work = async (job: Job): Promise<void> => {
      await job.progress({ message: "One" });
      await job.progress({ at: 1 });
    };
    await client.run(NOBODY, "job", work, { title: "Title" });
    const fields = ["title", "message", "at"] as const;
    assert.deepEqual(
      said.filter(({ opcode }) => opcode === "progress").map((packet) => fields.filter((field) => field in packet)),
      [["title"], ["message"], ["at"]],
    );
  });

  test("held and gone are outcomes, not errors: the job goes on", async (t) => {
    const { hub, page, client } = await world(t);
    const work = async (job: Job): Promise<string> => (await job.progress({ at: 1 })).status;
    assert.equal(await client.run(NOBODY, "job", work), "gone");
    page.drop();
    await hub.log.untilLine("peer.away");
    assert.equal(await client.run(page.uuid, "job", work), "held");
  });

  test("what is no number rejects at once, and the process is warned once of reports that nobody awaits", async (t) => {
    const { page, client } = await world(t);
    const warnings: string[] = [];
    const warned = new Promise<void>((resolve) => {
      const onWarning = ({ name, message }: Error): void => {
        if (name !== "SignalboxWarning") return;
        warnings.push(message);
        resolve();
      };
      process.on("warning", onWarning);
      t.after(() => process.off("warning", onWarning));
    });
    await client.run(page.uuid, "import", async (job) => {
      for (const at of [Number.NaN, Number.POSITIVE_INFINITY]) void job.progress({ at, of: 40 });
      await assert.rejects(job.progress({ at: Number.NaN }), RangeError);
      assert.equal((await job.progress({ at: 1, of: 40 })).status, "sent");
    });
    await warned;
    assert.deepEqual(warnings, ["A report of job import was not taken: Expected `at` to be a finite number, got NaN."]);
  });

  test("a refused report rejects for who awaits it, nobody else, and spoils nothing", async (t) => {
    const { page, client } = await world(t);
    await client.run(page.uuid, "job", async (job) => {
      await job.progress({ at: 1 });
      void job.progress({ at: 5, of: 3 });
      await assert.rejects(job.progress({ at: 5, of: 3 }), { name: "RefusedError", code: "bad-message" });
      await job.progress({ at: 3 });
    });
    assert.deepEqual(pick(await page.end("job")), { state: "done", at: 3 });
  });

  test("what is reported behind the end is refused, and not sent", async (t) => {
    const { page, client } = await world(t);
    let late: Job | undefined;
    await client.run(page.uuid, "job", (job) => {
      late = job;
    });
    await assert.rejects(late?.progress({ at: 1 }) as Promise<Outcome>, { name: "RefusedError", code: "job-ended" });
    assert.equal((await page.end("job")).at, undefined);
  });
});

describe("run: stopping", LIMITS, () => {
  test("the page's cancel aborts the signal of a job that says nothing, and run rejects with its reason", async (t) => {
    const { page, client } = await world(t);
    const run = client.run(page.uuid, "job", untilAborted);
    await page.until(({ state }) => state === "running");
    page.cancel("job", "lunch");
    await assert.rejects(run, { name: "AbortError", code: "ABORT_ERR", reason: "lunch", message: /lunch/ });
    assert.deepEqual(pick(await page.end("job")), { state: "aborted" });
  });

  test("it aborts the one that is meant, of this page", async (t) => {
    const { hub, page, client } = await world(t);
    const other = await JobPage.open(t, hub.ws);
    const signals: AbortSignal[] = [];
    const keep = (job: Job, signal: AbortSignal): Promise<never> => {
      signals.push(signal);
      return untilAborted(job, signal);
    };
    const runs = [client.run(page.uuid, "a", keep), client.run(page.uuid, "b", keep), client.run(other.uuid, "b", keep)];
    const settled = Promise.allSettled(runs);
    for (const [each, name] of [
      [page, "a"],
      [page, "b"],
      [other, "b"],
    ] as const)
      await each.until(({ job }) => job === name);
    page.cancel("b");
    await page.end("b");
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [false, true, false],
    );
    client.close();
    await settled;
  });

  test("an answer `cancel` aborts as well, where nothing is pushed", async (t) => {
    const { client, said } = await scripted(t, ({ opcode }) =>
      opcode === "progress" ? { status: "cancel", reason: "lunch" } : { status: "sent", n: 1 },
    );
    const run = client.run(NOBODY, "job", untilAborted);
    await assert.rejects(run, { name: "AbortError", reason: "lunch" });
    assert.equal(said.at(-1)?.state, "aborted");
  });

  test("a job that finishes all the same has ended as aborted, with its result", async (t) => {
    const { page, client } = await world(t);
    const run = client.run(page.uuid, "job", async (job, signal) => {
      await untilAborted(job, signal).catch(() => {});
      return { rows: 3 };
    });
    await page.until(({ state }) => state === "running");
    page.cancel("job");
    await assert.rejects(run, AbortError);
    assert.deepEqual(pick(await page.end("job")), { state: "aborted", result: { rows: 3 } });
  });

  test("what it throws on its way out is said, and run rejects with the reason of the signal", async (t) => {
    const { page, client } = await world(t);
    const run = client.run(page.uuid, "job", async (job, signal) => {
      await untilAborted(job, signal).catch(() => {});
      throw new Error("Half of it is written.");
    });
    await page.until(({ state }) => state === "running");
    page.cancel("job");
    await assert.rejects(run, AbortError);
    assert.deepEqual(pick(await page.end("job")), { state: "aborted", message: "Half of it is written." });
  });

  test("the signal stops what Node can stop, and the page keeps the last message", async (t) => {
    const { page, client } = await world(t);
    const run = client.run(page.uuid, "job", async (job, signal) => {
      void job.progress({ message: "Waiting" });
      await sleep(60_000, undefined, { signal });
    });
    await page.until(({ message }) => message === "Waiting");
    page.cancel("job");
    await assert.rejects(run, AbortError);
    assert.deepEqual(pick(await page.end("job")), { state: "aborted", message: "Waiting" });
  });
});

describe("run: close", LIMITS, () => {
  test("aborts what is running, and the page is told at once, though the job takes its time", async (t) => {
    const { page, client } = await world(t);
    let go = (): void => {};
    const run = client.run(page.uuid, "job", async (job, signal) => {
      void job.progress({ at: 1 });
      void job.progress({ at: 2 });
      await untilAborted(job, signal).catch(() => {});
      await new Promise<void>((resolve) => {
        go = resolve;
      });
    });
    run.catch(() => {});
    await page.until(({ state }) => state === "running");
    client.close();
    assert.deepEqual(pick(await page.end("job")), { state: "aborted", at: 2 });
    go();
    await assert.rejects(run, { name: "AbortError", reason: "closed" });
    await assert.rejects(
      client.run(page.uuid, "job", () => assert.fail("It was started.")),
      { name: "ClosedError", code: 1000 },
    );
  });

  test("an end that is on its way is still answered", async (t) => {
    const { page, client } = await world(t);
    const run = client.run(page.uuid, "job", () => 7);
    await new Promise(setImmediate);
    client.close();
    assert.equal(await run, 7);
    assert.equal((await page.end("job")).state, "done");
  });

  test("without a connection, a run that has something to say settles with what the task returned", async (t) => {
    const { page, proxy, client } = await brittleWorld(t);
    const closed = event(client, "close");
    proxy.goAway();
    await closed;
    const run = client.run(page.uuid, "job", async (job) => (await job.progress({ at: 1 })).status);
    await new Promise(setImmediate);
    client.close();
    assert.equal(await run, "held");
  });

  test("a hub that will not have this client any more: reports are gone, the job goes on, run settles", async (t) => {
    const { client, leave } = await scripted(t, () => ({ status: "sent", n: 1 }));
    const closed = event(client, "close");
    const run = client.run(NOBODY, "job", async (job) => {
      await job.progress({ at: 1 });
      leave();
      await closed;
      return (await job.progress({ at: 2 })).status;
    });
    assert.equal(await run, "gone");
  });
});

describe("run: when the connection breaks", LIMITS, () => {
  test("the job goes on, its state is said again as a whole, and it is never lost", async (t) => {
    const { hub, page, proxy, client } = await brittleWorld(t, { jobLostAfter: 3_000 });
    const done = client.run(
      page.uuid,
      "job",
      async (job) => {
        await job.progress({ at: 1, of: 10, message: "One" });
        const closed = event(client, "close");
        proxy.goAway();
        await closed;
        assert.deepEqual(await job.progress({ at: 2 }), { status: "held" });
        assert.deepEqual(await job.progress({ at: 3 }), { status: "held" });
        const ready = event(client, "ready");
        proxy.comeBack();
        await ready;
        await page.until(({ at }) => at === 3);
        return 7;
      },
      { title: "Title" },
    );
    assert.equal(await done, 7);
    const end = await page.end("job");
    assert.deepEqual(pick(end), { state: "done", at: 3, of: 10, message: "One", title: "Title", result: 7 });
    assert.deepEqual([...new Set(page.all.map(({ started }) => started))], [end.started], "one run");
    const said = proxy.heard.split("\n").filter((line) => line.includes('"at":3'));
    assert.ok(
      said.some((line) => line.includes('"title":"Title"') && line.includes('"message":"One"') && line.includes('"of":10')),
      said.join("\n"),
    );
    assert.deepEqual(
      hub.log.of("job.ended").map(({ state }) => state),
      ["done"],
    );
  });

  test("[JOB-7] all reports of a run name it, also over another connection; another run has another name", async (t) => {
    const { page, proxy, client } = await brittleWorld(t);
    for (const name of ["one", "two"]) {
      await client.run(page.uuid, name, async (job) => {
        await job.progress({ at: 1 });
        const ready = event(client, "ready");
        proxy.breakAll();
        await ready;
      });
    }
    const said = proxy.heard
      .split("\n")
      .filter((line) => line.includes(page.uuid))
      .map((line) => JSON.parse(line) as Packet);
    const runs = (name: string): unknown[] => [...new Set(said.filter(({ job }) => job === name).map(({ run }) => run))];
    assert.equal(runs("one").length, 1);
    assert.match(String(runs("one")[0]), /^[0-9a-f-]{36}$/);
    assert.notDeepEqual(runs("one"), runs("two"));
  });

  test("a run that was lost meanwhile goes on as a new one with all that is known", async (t) => {
    const { hub, page, proxy, client } = await brittleWorld(t, { jobLostAfter: 1 });
    await client.run(
      page.uuid,
      "job",
      async (job) => {
        await job.progress({ at: 1, of: 10 });
        proxy.goAway();
        assert.equal((await page.end("job")).state, "lost");
        proxy.comeBack();
        await event(client, "ready");
      },
      { title: "Title" },
    );
    assert.deepEqual(pick(await page.end("job")), { state: "done", at: 1, of: 10, title: "Title" });
    assert.equal(hub.log.of("job.ended").length, 2);
  });

  test("a cancel while there was no connection is heard with the next one", async (t) => {
    const { page, proxy, client } = await brittleWorld(t);
    const run = client.run(page.uuid, "job", untilAborted);
    const rejected = assert.rejects(run, { name: "AbortError", reason: "lunch" });
    await page.until(({ state }) => state === "running");
    const closed = event(client, "close");
    proxy.goAway();
    await closed;
    page.cancel("job", "lunch");
    await page.until(({ state }) => state === "stopping");
    proxy.comeBack();
    await rejected;
    assert.equal((await page.end("job")).state, "aborted");
  });

  test("an end without a connection is said with the next one, behind the last report", async (t) => {
    const { page, proxy, client } = await brittleWorld(t);
    const run = client.run(page.uuid, "job", async (job) => {
      await job.progress({ at: 1 });
      const closed = event(client, "close");
      proxy.goAway();
      await closed;
      void job.progress({ at: 2 });
      return 7;
    });
    await event(client, "close");
    proxy.comeBack();
    assert.equal(await run, 7);
    assert.deepEqual(pick(await page.end("job")), { state: "done", at: 2, result: 7 });
  });

  test("an end whose answer was lost is said once more: that the hub has it already is what was wanted", async (t) => {
    const { client, said, drop } = await scripted(t, ({ opcode }) => {
      if (opcode === "end" && count("end") === 1) return drop();
      if (count("end") === 0) return { status: "sent", n: 1 };
      return { status: "refused", error: { code: "job-ended", message: "Done." } };
    });
    const count = (opcode: string): number => said.filter((packet) => packet.opcode === opcode).length;
    assert.equal(await client.run(NOBODY, "job", () => 7, { title: "Title" }), 7);
    assert.deepEqual(
      said.filter(({ opcode }) => opcode !== "hello").map(({ opcode, title, result }) => [opcode, title ?? result]),
      [
        ["progress", "Title"],
        ["end", 7],
        ["progress", "Title"],
        ["end", 7],
      ],
    );
  });

  test("an end that the way to the page's hub does not take yet is tried again", async (t) => {
    const { client, said } = await scripted(t, ({ opcode }) => {
      const first = said.filter((packet) => packet.opcode === "end").length === 1;
      if (opcode === "end" && first) return { status: "refused", error: { code: "unavailable", message: "Try again." } };
      return { status: "sent", n: 1 };
    });
    assert.equal(await client.run(NOBODY, "job", () => 7), 7);
    assert.deepEqual(
      said.map(({ opcode }) => opcode).filter((opcode) => opcode === "end"),
      ["end", "end"],
    );
  });

  test("a job that reports as fast as it can over a line that breaks again and again ends once, with its last state", async (t) => {
    const { hub, page, proxy, client } = await brittleWorld(t);
    let at = 0;
    await client.run(page.uuid, "job", async (job) => {
      for (let n = 0; n < 10; n++) {
        for (let m = 0; m < 100; m++) await job.progress({ at: ++at });
        const ready = event(client, "ready");
        proxy.breakAll();
        let back = false;
        void ready.then(() => {
          back = true;
        });
        for (; !back; await new Promise(setImmediate)) await job.progress({ at: ++at });
      }
    });
    const end = await page.end("job");
    assert.deepEqual([end.state, end.at], ["done", at]);
    assert.equal(hub.log.of("job.ended").length, 1);
  });
});

/** A hub that answers as the test wants; without an answer it says nothing. */
async function scripted(t: TestContext, answer: (packet: Packet) => object | undefined) {
  const said: Packet[] = [];
  const hub = { leave: (): void => {}, drop: (): undefined => undefined };
  const script: Script = (text, wire) => {
    hub.leave = () => {
      wire.say('{"opcode":"close","code":4003,"error":"Not you."}');
      wire.end();
    };
    hub.drop = () => void wire.drop();
    for (const line of text.split("\n")) {
      const packet = JSON.parse(line) as Packet;
      said.push(packet);
      const { opcode } = packet;
      if (opcode === "hello") wire.say('{"opcode":"ready","uuid":"u","window":8,"limits":{},"time":0}');
      const next = opcode === "hello" || opcode === "quit" ? undefined : answer(packet);
      if (next) wire.say(JSON.stringify({ opcode: "next", fyi: "", ...next }));
    }
  };
  const client = await join(t, await backend.impostor(t, script));
  return { client, said, leave: () => hub.leave(), drop: () => hub.drop() };
}
