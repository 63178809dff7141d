import assert from "node:assert/strict";
import { jobs } from "../../apps/jobs/jobs.js";
import type { JobInfo } from "../../apps/jobs/packets.js";
import type { Packet } from "../../protocol/index.js";
import { Random } from "../simulation/random.js";
import { LoopbackHub, type LoopbackPeer } from "../support/loopback.js";
import { codeOf, DEFAULTS } from "./world.js";

const STEPS = 200;
const NAMES = ["job", "import"];
const RUNS = [undefined, "r1", "r2"];
/** After this much time without anything said nothing can be running, ms. */
const LONG = 1_000_000;

/** What a page was told of one run. */
interface Told {
  /** The newest state; the last of a run is its end. */
  state: string;
  ends: number;
  at: number;
}

/** A page that notes what it is told, and comes and goes. */
class SimulatedPage {
  peer: LoopbackPeer;
  /** By name and beginning of the run. */
  readonly runs = new Map<string, Told>();
  #seen = 0;
  /** Jobs that its list had when it was last looked at. */
  #listed = 0;
  readonly #updates = new Map<string, number[]>();

  constructor(private readonly hub: LoopbackHub) {
    this.peer = hub.peer({ hello: { window: 8 } });
  }

  get away(): boolean {
    return this.peer.connection.away;
  }

  read(): void {
    for (const packet of this.peer.read()) this.#hear(packet);
  }

  /** @param cleanly all that was sent had been seen */
  drop(): void {
    this.read();
    this.peer.connection.lost("lost");
  }

  /** @param reload its code begins anew, also where its connection was not seen to end */
  comeBack(reload = false): void {
    if (!this.away) this.read();
    const again = this.hub.peer({ hello: { window: 8, resume: this.peer.ready?.resume, seen: this.#seen, reload } });
    assert.equal(again.ready?.resumed, true);
    this.peer = again;
    for (const packet of again.rest) this.#hear(packet);
    this.check();
    if (reload && this.#listed > 0)
      assert.ok(
        again.rest.some(({ opcode }) => opcode === "jobs"),
        "new code is told everything",
      );
  }

  #hear(packet: Packet): void {
    this.#seen++;
    if (packet.opcode === "jobs") for (const job of packet.jobs as JobInfo[]) this.#learn(job, isOver(job));
    else if (packet.opcode === "progress" || packet.opcode === "end") {
      const job = packet as unknown as JobInfo;
      assert.equal(isOver(job), packet.opcode === "end");
      if (packet.opcode === "progress") this.#countUpdate(job);
      this.#learn(job, packet.opcode === "end");
    }
  }

  #learn(job: JobInfo, end: boolean): void {
    const key = `${job.job} ${job.started}`;
    const told = this.runs.get(key) ?? { state: "", ends: 0, at: 0 };
    this.runs.set(key, told);
    // A list may bring an end again [JOB-11]; the packet `end` never comes twice.
    if (told.ends > 0) assert.equal(job.state, told.state, "a run that has ended stays as it ended");
    else if (end) told.ends++;
    told.state = job.state;
    told.at = job.at ?? 0;
  }

  /** At most ten a second, and one more before an end [JOB-4]. */
  #countUpdate({ job, started }: JobInfo): void {
    const key = `${job} ${started}`;
    const now = this.hub.clock.now();
    const lately = (this.#updates.get(key) ?? []).filter((time) => time > now - 1_000);
    lately.push(now);
    this.#updates.set(key, lately);
    assert.ok(lately.length <= 11, `${lately.length} updates within a second`);
  }

  /** What it knows is what there is [JOB-10]. */
  check(): void {
    const packets = this.peer.ask({ opcode: "jobs" });
    for (const packet of packets) this.#hear(packet);
    const list = packets.findLast(({ opcode }) => opcode === "next")?.result as JobInfo[];
    this.#listed = list.length;
    for (const { job, started, state, at = 0 } of list) {
      assert.deepEqual({ ends: 0, ...this.runs.get(`${job} ${started}`) }, { state, at, ends: isOver({ state }) ? 1 : 0 });
    }
  }
}

function isOver({ state }: Pick<JobInfo, "state">): boolean {
  return state !== "running" && state !== "stopping";
}

/** One simulation, checked. Throws with what was violated. */
export function simulateJobs(seed: number): void {
  const random = new Random(seed);
  const hub = new LoopbackHub({ apps: [jobs(DEFAULTS)] });
  const page = new SimulatedPage(hub);
  let backends: LoopbackPeer[] = [];
  let awayFor = 0;

  const backend = (): LoopbackPeer => {
    if (backends.length < 3 && (backends.length === 0 || random.chance(0.2)))
      backends.push(hub.peer({ kind: "backend", hello: { window: 8 } }));
    return random.pick(backends);
  };
  const answered = (packets: Packet[]): void => {
    const nexts = packets.filter(({ opcode }) => opcode === "next");
    assert.equal(nexts.length, 1, "every report is answered, once");
    const { status, error } = nexts[0] as unknown as { status: string; error?: { code: string } };
    assert.ok(
      ["sent", "held", "cancel"].includes(status) || ["job-ended", "job-running"].includes(error?.code ?? ""),
      JSON.stringify(nexts[0]),
    );
    if (status === "sent") assert.ok(!page.away);
    if (status === "held") assert.ok(page.away);
  };
  const report = (packet: object): void => {
    const about = { uuid: page.peer.uuid, job: random.pick(NAMES), run: random.pick(RUNS) };
    answered(backend().ask({ ...about, ...packet }));
  };

  const endAndBeLate = (): void => {
    const peer = backend();
    const about = { uuid: page.peer.uuid, job: random.pick(NAMES) };
    answered(peer.ask({ opcode: "end", state: "failed", ...about }));
    const late = peer.ask({ opcode: "progress", ...about }).find(({ opcode }) => opcode === "next");
    assert.equal(codeOf(late), "job-ended", "a report behind the end of its own connection is late");
  };

  for (let step = 0; step < STEPS; step++) {
    const what = random.below(100);
    if (what < 40) report({ opcode: "progress", at: random.below(100), of: 100 });
    else if (what < 42) endAndBeLate();
    else if (what < 50) report({ opcode: "end", state: random.pick(["done", "failed", "aborted"]) });
    else if (what < 57 && !page.away) page.peer.say({ opcode: "cancel", job: random.pick(NAMES) });
    else if (what < 60) page.comeBack(true);
    else if (what < 64) page.away ? page.comeBack() : page.drop();
    else if (what < 70 && backends.length > 0) {
      const leaver = random.pick(backends);
      backends = backends.filter((each) => each !== leaver);
      if (random.chance(0.5)) leaver.say({ opcode: "quit" });
      else leaver.connection.lost("lost");
    } else if (what < 85) hub.clock.advance(random.pick([1, 50, 99]));
    else if (what < 90) {
      hub.clock.advance(1_000);
      if (!page.away) page.check();
    } else if (!page.away) hub.clock.advance(random.pick([4_999, 5_001, 11_000, 899_999, 900_001]));
    if (!page.away) page.read();
    awayFor = page.away ? awayFor + 1 : 0;
    if (awayFor > 15) page.comeBack();
  }

  if (page.away) page.comeBack();
  for (const each of backends) each.connection.lost("lost");
  hub.clock.advance(LONG);
  page.read();
  for (const [run, { state, ends }] of page.runs) {
    assert.equal(ends, 1, `${run} ended ${ends} times, last seen ${state}`);
    assert.ok(["done", "failed", "aborted", "lost"].includes(state), `${run} ended as ${state}`);
  }
  assert.deepEqual(hub.log.of("app.failed"), []);
}
