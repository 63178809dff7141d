import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JobInfo } from "../../apps/jobs/packets.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import { TestClock } from "../support/clock.js";
import { codeOf, JobHub } from "./world.js";

const GRACE = 30_000;

describe("16 Jobs: what a page is told", () => {
  test("of every field of a report; what is left out stays, null makes it unknown again [JOB-2]", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    backend.progress({ at: 40, of: 2_400, message: "Reading", title: "Import", cancellable: false });
    const [told] = hub.page.read();
    const { started, ...rest } = told as unknown as JobInfo;
    assert.ok(Math.abs(started - Date.now()) < 60_000);
    assert.deepEqual(rest, {
      opcode: "progress",
      job: "job",
      state: "running",
      at: 40,
      of: 2_400,
      message: "Reading",
      title: "Import",
      cancellable: false,
    });
    hub.clock.advance(1_000);
    backend.progress({ at: 41, message: null });
    const [next] = hub.page.read() as unknown as JobInfo[];
    assert.deepEqual([next?.at, next?.of, next?.message, next?.title, next?.cancellable], [41, 2_400, undefined, "Import", false]);
    assert.equal(next?.rate, 1);
    assert.equal(next?.left, 2_359_000);
  });

  test("[JOB-4] the first report at once, the last always, at most ten a second; the last is out before the end", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    const at: number[] = [];
    const look = (): void => {
      for (const packet of hub.page.read()) if (packet.opcode === "progress") at.push(packet.at as number);
    };
    for (let n = 0; n < 1_000; n++) {
      assert.equal(backend.progress({ at: n, of: 1_000 }).status, "sent");
      look();
      if (n === 0) assert.deepEqual(at, [0]);
      hub.clock.advance(1);
    }
    look();
    assert.ok(at.length >= 9 && at.length <= 11, `${at.length} updates in a second`);
    backend.progress({ at: 1_000 });
    backend.end("done", { result: { rows: 7 } });
    const last = hub.page.read();
    assert.deepEqual(
      last.map(({ opcode, at: n }) => [opcode, n]),
      [
        ["progress", 1_000],
        ["end", 1_000],
      ],
    );
    assert.deepEqual(last[1]?.result, { rows: 7 });
    hub.clock.advance(1_000);
    assert.deepEqual(hub.page.read(), [], "nothing follows the end");
  });

  test("[JOB-4] without a further report the last is told when its time has come", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    backend.progress({ at: 1 });
    backend.progress({ at: 2 });
    backend.progress({ at: 3 });
    assert.deepEqual(
      hub.page.read().map(({ at }) => at),
      [1],
    );
    hub.clock.advance(99);
    assert.deepEqual(hub.page.read(), []);
    hub.clock.advance(1);
    assert.deepEqual(
      hub.page.read().map(({ at }) => at),
      [3],
    );
  });
});

describe("16 Jobs: stopping", () => {
  test("[JOB-5] the next report is answered cancel, every connection that reported is told at once, once", () => {
    const hub = new JobHub();
    const [one, two, script] = [hub.backend(), hub.backend(), hub.script()];
    for (const backend of [one, two]) backend.progress({ at: 1 });
    script.say(`progress ${hub.page.uuid} 2/10 Working`);
    assert.deepEqual(script.texts(), ["next sent 1"]);
    hub.page.read();
    hub.page.say({ opcode: "cancel", reason: "lunch" });
    const pushed = { opcode: "cancel", uuid: hub.page.uuid, job: "job", reason: "lunch" };
    for (const backend of [one, two]) assert.deepEqual(backend.peer.read(), [pushed]);
    assert.deepEqual(script.texts(), []);
    assert.deepEqual(hub.page.read()[0], { opcode: "cancel", job: "job", status: "sent" });
    hub.page.say({ opcode: "cancel" });
    assert.deepEqual(one.progress({ at: 3 }), { status: "cancel", reason: "lunch" });
    assert.deepEqual(one.pushes, []);
    script.say(`progress ${hub.page.uuid} 3/10`);
    assert.deepEqual(script.texts(), ["next cancel lunch"]);
    one.end("aborted");
    assert.equal(hub.page.read().findLast(({ opcode }) => opcode === "end")?.state, "aborted");
  });

  test("[WIN-5] stopping works with all credit used up, messages under way and one beyond the window", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    backend.progress();
    hub.page.read();
    for (let n = 0; n < 8; n++) hub.page.say({ opcode: "feedback", uuid: hub.page.uuid, wait: "page", message: n });
    hub.page.say({ opcode: "cancel" });
    assert.equal(backend.peer.read()[0]?.opcode, "cancel");
    assert.equal(hub.page.read().findLast(({ opcode }) => opcode === "cancel")?.status, "sent");
  });

  test("[JOB-8] what cannot be stopped, is not there, or does not react: said so", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    const refusal = (fields: object): unknown => {
      const [packet] = hub.page.ask({ opcode: "cancel", ...fields });
      return [packet?.job, packet?.status, codeOf(packet)];
    };
    assert.deepEqual(refusal({ job: "none" }), ["none", "refused", "no-job"]);
    backend.progress({ job: "held fast", cancellable: false });
    hub.page.read();
    assert.deepEqual(refusal({ job: "held fast" }), ["held fast", "refused", "not-cancellable"]);
    assert.deepEqual(refusal({ job: "held fast", uuid: "another" }), ["held fast", "refused", "not-yours"]);
    assert.deepEqual(refusal({ job: 7 }), [undefined, "refused", "bad-message"]);
    backend.progress({});
    hub.page.read();
    assert.deepEqual(refusal({}), ["job", "sent", undefined]);
    hub.clock.advance(9_999);
    assert.equal(
      hub.page.read().find(({ opcode }) => opcode === "cancel"),
      undefined,
    );
    hub.clock.advance(1);
    assert.deepEqual(hub.page.read()[0], { opcode: "cancel", job: "job", status: "unanswered" });
    assert.equal(hub.list().find(({ job }) => job === "job")?.unanswered, true);
    backend.end("aborted");
    assert.equal(hub.list().find(({ job }) => job === "job")?.unanswered, undefined);
  });

  test("[JOB-1] only a backend reports, only the page cancels", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    backend.progress();
    const other = hub.peer({ hello: {} });
    for (const opcode of ["progress", "end"]) {
      const [next] = other.ask({ opcode, uuid: hub.page.uuid, state: "done" });
      assert.equal(codeOf(next), "not-a-backend");
    }
    assert.equal(codeOf(other.ask({ opcode: "cancel" })[0]), "no-job");
    backend.peer.say({ opcode: "cancel", uuid: hub.page.uuid });
    assert.equal(codeOf(backend.peer.read()[0]), "not-yours");
    assert.equal(hub.list()[0]?.state, "running");
  });
});

describe("16 Jobs: a job always ends", () => {
  test("[JOB-6] lost when its connection has died, and not before", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    backend.progress({ at: 87, of: 100 });
    backend.die();
    hub.clock.advance(4_999);
    assert.equal(hub.list()[0]?.state, "running");
    hub.clock.advance(1);
    const end = hub.page.read().find(({ opcode }) => opcode === "end");
    assert.deepEqual([end?.state, end?.at], ["lost", 87]);
  });

  test("[JOB-6] not lost while another connection that reported stands, or if one reports in time", () => {
    const hub = new JobHub();
    const [one, two] = [hub.backend(), hub.backend()];
    one.progress();
    two.progress();
    one.die();
    hub.clock.advance(1_000_000);
    assert.equal(hub.list()[0]?.state, "running");
    two.die();
    hub.clock.advance(4_000);
    const three = hub.backend();
    three.progress();
    hub.clock.advance(1_000_000);
    assert.equal(hub.list()[0]?.state, "running");
  });

  test("[JOB-6] a script that says quit each time is lost after a long silence only", () => {
    const hub = new JobHub();
    for (let n = 0; n < 3; n++) {
      const script = hub.script();
      script.say(`progress ${hub.page.uuid}~backup ${n}/3`);
      script.say("quit");
      assert.deepEqual(script.texts(), ["next sent 1", "next done"]);
      hub.clock.advance(899_999);
      assert.equal(hub.list()[0]?.state, "running");
    }
    hub.clock.advance(1);
    const { state, message } = hub.list()[0] as JobInfo;
    assert.deepEqual([state, message], ["lost", "Nothing was heard of it for long."]);
  });

  test("[JOB-9] what has ended is forgotten, and makes room; what runs is not pushed out", () => {
    const hub = new JobHub({ maxJobs: 2 });
    const backend = hub.backend();
    backend.progress({ job: "a" });
    backend.progress({ job: "b" });
    const refused = backend.progress({ job: "c" }).error as { code: string; message: string };
    assert.equal(refused.code, "too-many-jobs");
    assert.match(refused.message, /`maxJobs` 2/);
    backend.end("done", { job: "b" });
    backend.progress({ job: "c" });
    assert.deepEqual(
      hub.list().map(({ job }) => job),
      ["a", "c"],
    );
    backend.end("failed", { job: "c", message: "No more disk." });
    hub.clock.advance(599_999);
    assert.equal(hub.list()[1]?.message, "No more disk.");
    hub.clock.advance(1);
    assert.deepEqual(
      hub.list().map(({ job }) => job),
      ["a"],
    );
  });
});

describe("16 Jobs: surviving the page", () => {
  const back = (hub: JobHub) => hub.peer({ hello: { window: 8, resume: hub.page.ready?.resume, seen: hub.page.connection.sent } });

  test("[JOB-10] for a page that is away what ended waits; when it is back it gets all of it at once", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    backend.progress({ job: "a", at: 1, of: 9 });
    backend.progress({ job: "b", at: 1, of: 9 });
    hub.page.read();
    const seen = 2;
    hub.page.connection.lost("lost");
    assert.deepEqual(backend.progress({ job: "a", at: 5 }), { status: "held", held: 1 });
    assert.deepEqual(backend.end("done", { job: "b", result: "b's" }), { status: "held", held: 1 });
    const again = hub.peer({ hello: { window: 8, resume: hub.page.ready?.resume, seen } });
    assert.equal(again.ready?.resumed, true);
    assert.deepEqual(
      again.rest.map(({ opcode }) => opcode),
      ["end", "jobs"],
    );
    const list = again.rest[1]?.jobs as JobInfo[];
    assert.deepEqual(
      list.map(({ job, state, at, result }) => [job, state, at, result]),
      [
        ["a", "running", 5, undefined],
        ["b", "done", 1, "b's"],
      ],
    );
    assert.equal(backend.progress({ job: "a", at: 6 }).status, "sent");
  });

  test("[JOB-10] a page that does not return: held, then gone; nothing of it stays", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    backend.progress();
    const pending = new JobHub().clock.pending;
    hub.page.connection.lost("lost");
    hub.clock.advance(GRACE - 1);
    assert.equal(backend.progress().status, "held");
    hub.clock.advance(1);
    assert.deepEqual(backend.progress(), { status: "gone" });
    assert.deepEqual(backend.end(), { status: "gone" });
    assert.equal(hub.log.of("job.orphaned").length, 1);
    backend.die();
    assert.equal(hub.clock.pending, pending, "no timer is left behind");
  });

  test("[JOB-10] a page that is loaded anew is told everything, also where its old connection was not seen to end", () => {
    const hub = new JobHub();
    hub.backend().progress({ at: 7 });
    hub.page.read();
    const hello = { window: 8, resume: hub.page.ready?.resume, seen: 1 };
    const again = hub.peer({ hello: { ...hello, reload: true } });
    assert.deepEqual(
      again.rest.map(({ opcode }) => opcode),
      ["jobs"],
    );
  });

  test("[JOB-10] a list never stands in front of what came before it: on a slow line, away twice, an end comes first", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    backend.progress({ run: "r1", at: 9 });
    hub.page.read();
    let { ready } = hub.page;
    hub.page.connection.lost("lost");
    const slow = hub.peer({ hello: { window: 8, resume: ready?.resume, seen: 1 } });
    slow.stuck = true;
    ({ ready } = slow);
    hub.page.connection.lost("lost");
    backend.end("done", { run: "r1", result: "r1's" });
    backend.progress({ run: "r2", at: 1 });
    const seen = slow.rest.length + 1;
    const back = hub.peer({ hello: { window: 8, resume: ready?.resume, seen } });
    assert.equal(back.ready?.resumed, true);
    const order = back.rest.map(({ opcode }) => opcode);
    assert.ok(order.indexOf("end") < order.lastIndexOf("jobs"), order.join(" "));
  });

  test("[JOB-10] a page without jobs is told nothing of them", () => {
    const hub = new JobHub();
    hub.page.connection.lost("lost");
    assert.deepEqual(back(hub).rest, []);
  });
});

describe("16 Jobs: bad input is refused by name, and changes nothing", () => {
  const BAD: readonly (readonly [what: string, fields: object, named: RegExp])[] = [
    ["a negative at", { at: -1 }, /`at`/],
    ["at as text", { at: "5" }, /`at`/],
    ["at above of", { at: 11, of: 10 }, /`at`.*at most `of` 10, got `11`/],
    ["at above the of of before", { at: 101 }, /at most `of` 100/],
    ["of = 0", { at: 0, of: 0 }, /`of`/],
    ["a job name of 1 MB", { job: "x".repeat(1_000_000) }, /`job`.*256 characters/],
    ["an object as job name", { job: {} }, /`job`/],
    ["a message of 1 MB", { message: "x".repeat(1_000_000) }, /`message`.*1000/],
    ["a title that is a number", { title: 7 }, /`title`/],
    ["cancellable as text", { cancellable: "no" }, /`cancellable`/],
    ["a UUID that is none", { uuid: "x" }, /`uuid`/],
    ["a run of 65 characters", { run: "x".repeat(65) }, /`run`/],
  ];
  for (const [what, fields, named] of BAD) {
    test(`[JOB-2] ${what}`, () => {
      const hub = new JobHub();
      const backend = hub.backend();
      backend.progress({ at: 5, of: 100, message: "before" });
      const before = hub.list();
      const { status, error } = backend.progress(fields) as { status?: unknown; error?: { code: string; message: string } };
      assert.deepEqual([status, error?.code], ["refused", "bad-message"]);
      assert.match(error?.message ?? "", named);
      assert.ok((error?.message ?? "").length < 300);
      assert.deepEqual(hub.list(), before);
    });
  }

  for (const words of ["140%", "-3%", "NaN/5", "5/0", "7/5", "1.2.3/5", "NaN%"]) {
    test(`[JOB-3] in words: ${words}`, () => {
      const hub = new JobHub();
      const script = hub.script();
      script.say(`progress ${hub.page.uuid} ${words} Reading`);
      assert.match(script.texts()[0] as string, /^next refused bad-message Expected the amount to be AT\/OF/);
      assert.deepEqual(hub.list(), []);
    });
  }

  test("an end without a right state, or with too large a result", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    for (const fields of [{ state: "lost" }, { state: "over" }, { state: 1 }, { result: "x".repeat(8_191) }]) {
      assert.equal(codeOf(backend.end("done", fields)), "bad-message", JSON.stringify(fields).slice(0, 40));
    }
    assert.deepEqual(hub.list(), []);
  });

  test("a report for a backend, and for nobody", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    assert.equal(codeOf(backend.progress({ uuid: backend.peer.uuid })), "not-a-page");
    assert.deepEqual(backend.progress({ uuid: "0".repeat(36) }), { status: "gone" });
  });
});

describe("16 Jobs: plain words", () => {
  const WORDS: readonly (readonly [line: string, job: Partial<JobInfo>])[] = [
    ["progress UUID 40/2400 Reading authors", { at: 40, of: 2_400, message: "Reading authors" }],
    ["progress UUID 40%", { at: 40, of: 100 }],
    ["progress UUID 12.5% Ümläute 😀", { at: 12.5, of: 100, message: "Ümläute 😀" }],
    ["progress UUID~import 1/2", { job: "import", at: 1, of: 2 }],
    ["progress UUID Reading authors", { message: "Reading authors" }],
    ["progress UUID 2400 authors", { message: "2400 authors" }],
    ["progress UUID", {}],
    ["end UUID done Imported 2,400 authors", { state: "done", message: "Imported 2,400 authors" }],
    ["end UUID~import failed", { job: "import", state: "failed" }],
  ];
  for (const [line, job] of WORDS) {
    test(`[JOB-3] ${line}`, () => {
      const hub = new JobHub();
      const script = hub.script();
      script.say(line.replace("UUID", hub.page.uuid));
      assert.deepEqual(script.texts(), ["next sent 1"]);
      const { started: _, ended: __, ...rest } = hub.list()[0] as JobInfo;
      assert.deepEqual(rest, { job: "job", state: "running", cancellable: true, ...job });
    });
  }

  test("[JOB-3] a late report, and a UUID that is cut", () => {
    const hub = new JobHub();
    const script = hub.script();
    script.say(`progress ${hub.page.uuid} 1/2`);
    script.say(`end ${hub.page.uuid} done`);
    script.say(`progress ${hub.page.uuid} 2/2`);
    script.say(`progress ${hub.page.uuid.slice(1)} 2/2`);
    const [, , late, cut] = script.texts();
    assert.match(late as string, /^next refused job-ended done/);
    assert.match(cut as string, /^next refused bad-message Expected UUID or UUID~JOB/);
  });
});

describe("16 Jobs: nobody else is hurt", () => {
  test("[PKT-5] a job that reports nonsense all the time is refused each time, and its connection carries the others on", () => {
    const hub = new JobHub();
    const [backend, script] = [hub.backend(), hub.script()];
    backend.progress({ job: "good", at: 1 });
    for (let n = 0; n < 100; n++) {
      assert.equal(codeOf(backend.progress({ job: "bad", at: 41, of: 40 })), "bad-message");
      script.say(`progress ${hub.page.uuid} 120%`);
    }
    assert.equal(script.texts().length, 100);
    assert.equal(backend.progress({ job: "good", at: 2 }).status, "sent");
  });

  test("what was refused, and what is over with its page, does not count against a connection", () => {
    const hub = new JobHub({ maxJobs: 2 });
    const backend = hub.backend();
    for (let n = 0; n < 2; n++) backend.progress({ job: `running ${n}` });
    for (let n = 0; n < 10_001; n++) assert.equal(codeOf(backend.progress({ job: `refused ${n}` })), "too-many-jobs");
    for (let n = 0; n < 5_001; n++) {
      const page = hub.peer();
      for (const job of ["a", "b"]) assert.equal(backend.progress({ uuid: page.uuid, job }).status, "sent");
      page.connection.lost("lost");
    }
    assert.equal(backend.progress({ job: "running 0" }).status, "sent");
  });

  test("[JOB-4] however many runs a job has, its page hears ten times a second of it", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    for (let n = 0; n < 100; n++) {
      backend.progress({ run: `r${n}`, at: n });
      hub.clock.advance(10);
    }
    const updates = hub.page.read().filter(({ opcode }) => opcode === "progress");
    assert.ok(updates.length <= 11, `${updates.length} updates`);
  });

  test("[JOB-5] over the hub's budget a job is stopped all the same, with its next answer", () => {
    const hub = new JobHub({}, { limits: { maxBuffered: 1_048_576 } });
    const backend = hub.backend();
    backend.progress();
    hub.page.read();
    hub.hub.budget.used += 1_100_000;
    assert.equal(hub.page.ask({ opcode: "cancel" }).find(({ opcode }) => opcode === "cancel")?.status, "sent");
    assert.equal(backend.progress().status, "cancel");
    hub.clock.advance(10_000);
    assert.equal(hub.list()[0]?.unanswered, true);
  });

  test("[JOB-9] results of one page have a limit: the first to have ended lose theirs", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    for (let n = 0; n < 50; n++) {
      backend.end("done", { job: `job ${n}`, result: "x".repeat(8_000) });
      hub.clock.advance(1);
    }
    const list = hub.list();
    assert.equal(list.length, 50);
    const kept = list.filter(({ result }) => result !== undefined);
    assert.equal(kept.length, 32);
  });
});

describe("16 Jobs: runs", () => {
  test("[JOB-7] another run takes the place of one that nobody stands for, which is lost; where somebody does it is refused", () => {
    const hub = new JobHub();
    const [one, two] = [hub.backend(), hub.backend()];
    one.progress({ run: "r1", at: 5, title: "First" });
    hub.page.say({ opcode: "cancel" });
    assert.equal(codeOf(two.progress({ run: "r2" })), "job-running");
    one.die();
    hub.page.read();
    assert.deepEqual(two.progress({ run: "r2" }), { status: "sent", n: 1 });
    const end = hub.page.read().find(({ opcode }) => opcode === "end");
    assert.deepEqual([end?.state, end?.title], ["lost", "First"]);
    assert.deepEqual([hub.list()[0]?.state, hub.list()[0]?.at], ["running", undefined]);
  });

  test("[JOB-7] a run that was lost goes on where it was", () => {
    const hub = new JobHub();
    const backend = hub.backend();
    backend.progress({ run: "r1", at: 5, of: 9, title: "Import", message: "five" });
    backend.die();
    hub.clock.advance(5_000);
    assert.equal(hub.list()[0]?.state, "lost");
    hub.backend().end("done", { run: "r1" });
    const { state, at, of, title, message } = hub.list()[0] as JobInfo;
    assert.deepEqual([state, at, of, title, message], ["done", 5, 9, "Import", "five"]);
  });

  test("[JOB-3] in words: an end that is said again over another connection, because its answer was lost, is the same end", () => {
    const hub = new JobHub();
    for (const status of [/^next sent 1$/, /^next refused job-ended done/]) {
      const script = hub.script();
      script.say(`end ${hub.page.uuid}~import~r1 done`);
      assert.match(script.texts()[0] as string, status);
    }
    assert.equal(hub.page.read().length, 1);
  });

  test("[JOB-6] one connection has died, the other says quit: lost soon, unless somebody has reported since", () => {
    for (const [reports, after] of [
      [false, 5_000],
      [true, 900_000],
    ] as const) {
      const hub = new JobHub();
      const [one, two] = [hub.backend(), hub.backend()];
      one.progress();
      two.progress();
      one.die();
      if (reports) two.progress();
      two.quit();
      hub.clock.advance(after - 1);
      assert.equal(hub.list()[0]?.state, "running");
      hub.clock.advance(1);
      assert.equal(hub.list()[0]?.state, "lost");
    }
  });
});

describe("16 Jobs: on two hubs", () => {
  test("a backend of one hub reports to a page of the other, is told to stop, and is missed when it dies", async () => {
    const options = { cluster: new MemoryCluster(), clock: new TestClock() };
    const [here, there] = [new JobHub({}, options), new JobHub({}, options)];
    // Hubs join when their apps have started.
    await new Promise(setImmediate);
    const backend = there.peer({ kind: "backend", hello: {} });
    const [answer] = backend.ask({ opcode: "progress", uuid: here.page.uuid, at: 1, of: 2 });
    assert.deepEqual([answer?.status, answer?.n], ["sent", 1]);
    assert.equal(here.page.read()[0]?.opcode, "progress");
    here.page.say({ opcode: "cancel" });
    here.clock.endTurn();
    assert.equal(backend.read()[0]?.opcode, "cancel");
    backend.connection.lost("lost");
    here.clock.advance(5_000);
    assert.equal(here.page.read().findLast(({ opcode }) => opcode === "end")?.state, "lost");
  });
});
