import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import type { WireEvents } from "../../client/index.js";
import { CLOSE } from "../../protocol/index.js";
import { connect as connectBackend } from "../../tcp-client/index.js";
import { connect as connectPage } from "../../web-client/index.js";
import type { Job } from "../../web-client/job.js";
import { PageClient, type PageSnapshot } from "../../web-client/page-client.js";
import { startHub } from "../support/hub.js";

const READY = { opcode: "ready", uuid: "u", window: 8, limits: {}, time: 0, resume: "secret", grace: 30_000 };

/** A page's client, and its wire in the hands of the test. Time stands still but for `tick`. */
class Stage {
  readonly client: PageClient;
  #events: WireEvents | undefined;
  /** What the client has said, from its last `hello` on. */
  said: { opcode: string; [field: string]: unknown }[] = [];

  constructor(
    readonly t: TestContext,
    restored?: PageSnapshot,
  ) {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const open = (events: WireEvents) => {
      this.#events = events;
      this.said = [];
      return { send: (text: string) => void this.said.push(JSON.parse(text)), close: () => events.closed(1006, "") };
    };
    this.client = new PageClient(open, () => ({}), restored);
  }

  static async ready(t: TestContext, restored?: PageSnapshot, ready: object = {}, ...packets: object[]): Promise<Stage> {
    const stage = new Stage(t, restored);
    await stage.greet(ready, ...packets);
    return stage;
  }

  /** The hub answers the client's `hello`, and what follows comes right behind that. */
  async greet(ready: object = {}, ...packets: object[]): Promise<void> {
    this.#events?.open();
    await new Promise(setImmediate);
    this.hear({ ...READY, ...ready }, ...packets);
    this.t.mock.timers.tick(0);
  }

  hear(...packets: object[]): void {
    for (const packet of packets) this.#events?.text(JSON.stringify(packet));
  }

  drop(code = 1006): void {
    this.#events?.closed(code, "The network is down.");
  }

  /** The connection is gone and there again. */
  async comeBack(...packets: object[]): Promise<void> {
    this.drop();
    this.client.retryNow();
    await this.greet({ resumed: true, got: 0 }, ...packets);
  }

  tick(ms: number): void {
    this.t.mock.timers.tick(ms);
  }
}

const job = (fields: object = {}) => ({ job: "job", state: "running", cancellable: true, started: 1_000, ...fields });
const progress = (fields: object = {}) => ({ opcode: "progress", ...job(fields) });
const end = (fields: object = {}) => ({ opcode: "end", ...job({ state: "done", ended: 2_000, ...fields }) });
const jobs = (...list: object[]) => ({ opcode: "jobs", jobs: list });

/** Notes the events of a job: type, state, and what became of an abort. */
function listen(subject: Job): string[] {
  const heard: string[] = [];
  for (const type of ["progress", "end", "cancel"] as const) {
    subject.addEventListener(type, ({ job, status, error }) =>
      heard.push([type, job.state, status, error?.code].filter(Boolean).join(" ")),
    );
  }
  return heard;
}

/** What became of an abort, as a text. */
const outcome = (abort: Promise<string>): Promise<string> => abort.catch((error) => `${error.name} ${error.code}`);

describe("web-client: a job of the page", () => {
  test("is one object for each name, there before its first report; the default name is `job`", async (t) => {
    const { client } = await Stage.ready(t);
    assert.equal(client.job(), client.job("job"));
    assert.equal(client.job(""), client.job());
    assert.notEqual(client.job("import"), client.job());
    assert.equal(client.job().state, "waiting");
    assert.deepEqual([client.job().percent, client.job().at, client.job().result], [undefined, undefined, undefined]);
    assert.deepEqual(client.jobs, []);
  });

  test("[JOB-2] knows what the last report says, and nothing that it leaves out", async (t) => {
    const stage = await Stage.ready(t);
    const shown = stage.client.job();
    stage.hear(progress({ at: 1, of: 3, message: "One", title: "Count", rate: 2, left: 1_000, abort: "no field of a job" }));
    assert.deepEqual(
      [shown.at, shown.of, shown.percent, shown.message, shown.title, shown.rate, shown.left],
      [1, 3, 33, "One", "Count", 2, 1_000],
    );
    assert.equal(typeof shown.abort, "function");
    stage.hear(progress({ at: 3 }));
    assert.deepEqual(
      [shown.at, shown.of, shown.percent, shown.message, shown.title, shown.rate],
      [3, undefined, undefined, undefined, undefined, undefined],
    );
  });

  test("percent is whole and rounded down: 100 means all of it", async (t) => {
    const stage = await Stage.ready(t);
    const percents = [0, 1, 199, 200].map((at) => {
      stage.hear(progress({ at, of: 200 }));
      return stage.client.job().percent;
    });
    assert.deepEqual(percents, [0, 0, 99, 100]);
  });

  test("raises `progress` for each report, `end` for the end, with the fields in place", async (t) => {
    const stage = await Stage.ready(t);
    const heard = listen(stage.client.job());
    stage.hear(progress(), progress({ state: "stopping" }), end({ state: "aborted", result: { rows: 7 } }));
    assert.deepEqual(heard, ["progress running", "progress stopping", "end aborted"]);
    assert.deepEqual(stage.client.job().result, { rows: 7 });
  });

  test("is none where an app of one's own pushes a packet of the same name", async (t) => {
    const stage = await Stage.ready(t);
    stage.hear(
      { opcode: "progress", job: "job", state: "running" },
      { opcode: "end", state: "done", started: 4 },
      { opcode: "jobs", jobs: 5 },
      { opcode: "cancel" },
    );
    assert.deepEqual([stage.client.jobs, stage.client.job().state], [[], "waiting"]);
  });
});

describe("web-client: the list of jobs", () => {
  test("is one array, in the order of their beginning; a job that runs again goes to its end", async (t) => {
    const stage = await Stage.ready(t);
    const { jobs: list } = stage.client;
    const names = () => list.map(({ name }) => name);
    stage.hear(progress({ job: "b", started: 2 }), progress({ job: "a", started: 1 }), progress({ job: "c", started: 3 }));
    assert.deepEqual(names(), ["a", "b", "c"]);
    stage.hear(end({ job: "a", started: 1 }), progress({ job: "a", started: 4 }));
    assert.deepEqual(names(), ["b", "c", "a"]);
    assert.equal(list, stage.client.jobs);
    assert.equal(list[2], stage.client.job("a"));
  });

  test("raises `jobs` when one has come, ended, or been forgotten, and not for progress", async (t) => {
    const stage = await Stage.ready(t);
    const heard: string[] = [];
    stage.client.addEventListener("jobs", () => heard.push(stage.client.jobs.map(({ name, state }) => `${name} ${state}`).join(", ")));
    stage.hear(progress(), progress({ at: 1 }), progress({ at: 2 }), progress({ job: "other", started: 1_001 }), end());
    await stage.comeBack(jobs(job({ job: "other", started: 1_001 })));
    assert.deepEqual(heard, ["job running", "job running, other running", "job done, other running", "other running"]);
  });

  test("holds 100 at the most: what ended first is forgotten, what runs is not", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    for (let n = 0; n < 250; n++) stage.hear(end({ job: `job ${n}`, started: 2_000 + n }));
    const names = stage.client.jobs.map(({ name }) => name);
    assert.equal(names.length, 100);
    assert.deepEqual([names[0], names[1], names.at(-1)], ["job", "job 151", "job 249"]);
  });

  test("a job that runs says so when there is no connection, and when there is one again", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress({ at: 11, of: 100 }), end({ job: "old", started: 900 }));
    const heard: string[] = [];
    for (const name of ["job", "old"])
      stage.client.job(name).addEventListener("connection", ({ job: { name: which, connected } }) => heard.push(`${which} ${connected}`));
    await stage.comeBack(jobs(job({ at: 12, of: 100 }), job({ job: "old", state: "done", started: 900, ended: 950 })));
    assert.deepEqual(heard, ["job false", "job true"]);
  });

  test("[JOB-10] is replaced by the packet `jobs`; a job that ran here and is forgotten there is lost", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress({ at: 87, of: 100 }), end({ job: "old", started: 900 }));
    const [forgotten, old] = [listen(stage.client.job()), listen(stage.client.job("old"))];
    await stage.comeBack(jobs());
    assert.deepEqual([forgotten, old], [["end lost"], []]);
    assert.equal(stage.client.job().message, "Nothing more is heard of it.");
    assert.deepEqual(stage.client.jobs, []);
  });
});

describe("web-client: the end of a run", () => {
  test("[JOB-11] is raised once, however often it is told", async (t) => {
    const stage = await Stage.ready(t);
    const heard = listen(stage.client.job());
    stage.hear(progress(), end(), end());
    await stage.comeBack(jobs(job({ state: "done", ended: 2_000 })));
    stage.hear(progress());
    assert.deepEqual(heard, ["progress running", "end done"]);
    assert.equal(stage.client.job().state, "done");
  });

  test("[JOB-10] is raised where the packet `jobs` brings it", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    const heard = listen(stage.client.job());
    await stage.comeBack(jobs(job({ state: "done", ended: 2_000, result: 42 })));
    assert.deepEqual([heard, stage.client.job().result], [["end done"], 42]);
  });

  test("[JOB-11] is not raised again by the page that is loaded anew, which knows it all the same", async (t) => {
    const before = await Stage.ready(t, undefined, {}, progress(), end({ result: 42 }), progress({ job: "other", started: 1_001 }));
    const { snapshot } = before.client;
    t.mock.timers.reset();
    const after = new Stage(t, JSON.parse(JSON.stringify(snapshot)));
    const [heard, other] = [listen(after.client.job()), listen(after.client.job("other"))];
    // What the page before had not said `seen` to comes once more, in front of the list.
    const list = jobs(job({ state: "done", ended: 2_000, result: 42 }), job({ job: "other", started: 1_001, state: "failed", ended: 3 }));
    await after.greet({ resumed: true }, progress(), end({ result: 42 }), list);
    assert.deepEqual([heard, other], [["progress done"], ["end failed"]]);
    assert.equal(after.client.job().result, 42);
  });

  test("is raised for each run; one that runs again without an end having been heard was lost", async (t) => {
    const stage = await Stage.ready(t);
    const heard = listen(stage.client.job());
    stage.hear(progress(), end(), progress({ started: 3_000 }));
    await stage.comeBack(jobs(job({ started: 4_000 })));
    stage.hear(end({ started: 4_000, state: "failed" }), progress({ started: 3_000 }));
    assert.deepEqual(heard, ["progress running", "end done", "progress running", "end lost", "progress running", "end failed"]);
  });

  test("comes where the page is new to the hub: what ran is lost, once, with a sentence; what has ended stays", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress({ at: 87, of: 100, left: 100 }), end({ job: "other", started: 900 }));
    const [heard, other] = [listen(stage.client.job()), listen(stage.client.job("other"))];
    stage.drop();
    stage.client.retryNow();
    await stage.greet({ uuid: "new", resumed: false, reason: "restarted" });
    const { state, percent, left, ended, message } = stage.client.job();
    assert.deepEqual({ state, percent, left, ended }, { state: "lost", percent: 87, left: undefined, ended: undefined });
    assert.match(String(message), /new to the hub \(restarted\)/);
    assert.deepEqual([heard, other], [["end lost"], []]);
    assert.deepEqual(
      stage.client.jobs.map(({ name, state }) => `${name} ${state}`),
      ["other done", "job lost"],
    );
    // The clock of another hub may be behind.
    stage.hear(progress({ started: 500 }));
    assert.deepEqual(heard, ["end lost", "progress running"]);
  });

  test("comes where the connection is over for good", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    const heard = listen(stage.client.job());
    stage.drop(CLOSE.replaced.code);
    assert.deepEqual(heard, ["end lost"]);
    assert.match(String(stage.client.job().message), /The network is down/);
  });

  test("comes where the page is closed, in a pause between two tries as well", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    const heard = listen(stage.client.job());
    stage.drop();
    assert.deepEqual(heard, []);
    stage.client.close();
    assert.deepEqual(heard, ["end lost"]);
  });

  test("comes where the hub stays away for longer than it would have held the page", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    const heard = listen(stage.client.job());
    stage.drop();
    stage.client.retryNow();
    stage.drop();
    assert.deepEqual(heard, []);
    stage.tick(READY.grace);
    // By now one of its tries has failed.
    stage.client.retryNow();
    stage.drop();
    assert.deepEqual(heard, ["end lost"]);
  });
});

describe("web-client: abort", () => {
  test("[JOB-8] says `cancel` with name and reason, and resolves with `sent` when the job has been told", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress({ job: "import" }));
    const heard = listen(stage.client.job("import"));
    const abort = stage.client.job("import").abort("too slow");
    assert.deepEqual(stage.said.at(-1), { opcode: "cancel", job: "import", reason: "too slow" });
    stage.hear({ opcode: "cancel", job: "import", status: "sent" });
    assert.equal(await abort, "sent");
    stage.hear({ opcode: "cancel", job: "import", status: "unanswered" });
    assert.deepEqual(heard, ["cancel stopping sent", "cancel stopping unanswered"]);
    assert.equal(stage.client.job("import").unanswered, true);
  });

  test("[JOB-8] resolves with the state where the job has ended, and says nothing where that is known here", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    const abort = stage.client.job().abort();
    stage.hear(end(), end());
    assert.equal(await abort, "done");
    const before = stage.said.length;
    assert.equal(await stage.client.job().abort(), "done");
    assert.equal(stage.said.length, before);
  });

  test("[JOB-8] rejects with code and sentence where it is refused, and the job goes on", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    const heard = listen(stage.client.job());
    const abort = stage.client.job().abort();
    const error = { code: "not-cancellable", message: "It cannot." };
    stage.hear({ opcode: "cancel", job: "job", status: "refused", error });
    await assert.rejects(abort, { name: "RefusedError", ...error });
    assert.deepEqual(heard, ["cancel running refused not-cancellable"]);
  });

  test("[NEXT-6] rejects where the hub could not read for which job it was", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    const bystander = listen(stage.client.job());
    const abort = stage.client.job("x".repeat(257)).abort();
    stage.hear({ opcode: "cancel", status: "refused", error: { code: "bad-message", message: "" } });
    assert.equal(await outcome(abort), "RefusedError bad-message");
    assert.deepEqual(bystander, []);
  });

  test("rejects at once without a connection", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    stage.drop();
    assert.equal(await outcome(stage.client.job().abort()), "ClosedError 1006");
  });

  for (const [what, state, expected] of [
    ["is stopping", "stopping", "sent"],
    ["has ended", "aborted", "aborted"],
  ] as const) {
    test(`resolves after a drop that took the answer away and where the job ${what} by now`, async (t) => {
      const stage = await Stage.ready(t, undefined, {}, progress());
      const abort = stage.client.job().abort();
      await stage.comeBack(jobs(job({ state })));
      assert.equal(await abort, expected);
    });
  }

  test("is said again after a drop in which the hub did not get it", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    const abort = stage.client.job().abort();
    await stage.comeBack(jobs(job()));
    assert.ok(stage.said.some(({ opcode }) => opcode === "cancel"));
    stage.hear({ opcode: "cancel", job: "job", status: "sent" });
    assert.equal(await abort, "sent");
  });

  test("never hangs: it rejects where the page is new to the hub, or the connection is over", async (t) => {
    const stage = await Stage.ready(t, undefined, {}, progress());
    const [first, waiting] = [stage.client.job().abort(), stage.client.job("waiting").abort()];
    stage.drop();
    stage.client.retryNow();
    await stage.greet({ resumed: false, reason: "expired" });
    assert.deepEqual([await outcome(first), await outcome(waiting)], ["ClosedError 1006", "ClosedError 1006"]);
    const second = stage.client.job("waiting").abort();
    stage.drop(CLOSE.replaced.code);
    assert.equal(await outcome(second), "ClosedError 4001");
  });
});

describe("web-client: jobs over a real hub", { timeout: 20_000 }, () => {
  test("a backend's reports, an abort, the end with its result", async (t) => {
    const hub = await startHub(t);
    const page = await connectPage(`${hub.ws}/web`, { WebSocket });
    t.after(() => page.close());
    const backend = await connectBackend(`tcp://127.0.0.1:${hub.tcpPort}`);
    t.after(() => backend.close());
    const about = { uuid: page.uuid, job: "import" };
    const next = (type: "progress" | "end") =>
      new Promise<Job>((resolve) => page.job("import").addEventListener(type, ({ job }) => resolve(job), { once: true }));

    const reported = next("progress");
    await backend.send({ opcode: "progress", ...about, at: 40, of: 80, title: "Import" });
    assert.deepEqual([(await reported).percent, page.jobs.length], [50, 1]);

    const told = new Promise((resolve) => backend.addEventListener("cancel", ({ packet }) => resolve(packet.reason)));
    assert.equal(await page.job("import").abort("enough"), "sent");
    assert.equal(await told, "enough");
    assert.equal((await backend.send({ opcode: "progress", ...about, at: 41 })).status, "cancel");

    const ended = next("end");
    await backend.send({ opcode: "end", ...about, state: "aborted", result: { rows: 41 } });
    assert.deepEqual([(await ended).state, page.job("import").result], ["aborted", { rows: 41 }]);
    assert.equal(await page.job("import").abort(), "aborted");
    await assert.rejects(page.job("never").abort(), { name: "RefusedError", code: "no-job" });
  });
});
