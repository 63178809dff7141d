import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { JOB_TRANSITIONS, type JobInput, type JobState } from "../../apps/jobs/job.js";
import type { Packet } from "../../protocol/index.js";
import { codeOf, JobHub, type Reporter } from "./world.js";

const STATES = Object.keys(JOB_TRANSITIONS) as JobState[];
const INPUTS: readonly JobInput[] = ["progress", "cancel", "done", "failed", "aborted", "lost"];

/** A job in this state, its page and the one connection that has reported for it. */
function jobIn(state: JobState): { hub: JobHub; backend: Reporter } {
  const hub = new JobHub();
  const backend = hub.backend();
  backend.progress({ at: 1, of: 10 });
  if (state === "stopping") hub.page.say({ opcode: "cancel" });
  if (state === "done" || state === "failed" || state === "aborted") backend.end(state);
  if (state === "lost") {
    backend.die();
    hub.clock.advance(5_000);
  }
  hub.page.read();
  assert.equal(hub.list()[0]?.state, state);
  return { hub, backend };
}

/** Lets it happen. @returns the answer to a backend, or what the page was told */
function happen(input: JobInput, hub: JobHub, backend: Reporter): Packet | undefined {
  if (input === "progress") return backend.progress({ at: 2 });
  if (input === "cancel") return hub.page.ask({ opcode: "cancel" }).find(({ opcode }) => opcode === "cancel" || opcode === "end");
  if (input !== "lost") return backend.end(input);
  backend.die();
  hub.clock.advance(5_000);
  return undefined;
}

describe("16 Jobs: every input in every state", () => {
  for (const state of STATES) {
    for (const input of INPUTS) {
      // Its connection is gone: what it would say is in the next group.
      if (state === "lost" && input !== "cancel") continue;
      const next = JOB_TRANSITIONS[state][input];
      test(`${state}, ${input}: ${next ?? "changes nothing, and is answered"}`, () => {
        const { hub, backend } = jobIn(state);
        const before = hub.list();
        const answer = happen(input, hub, backend);
        const [after] = hub.list();
        if (next !== undefined) assert.equal(after?.state, next);
        else {
          assert.deepEqual(hub.list(), before);
          if (input === "cancel") assert.deepEqual(answer, { opcode: "end", ...before[0] });
          else if (input !== "lost") assert.equal(codeOf(answer), "job-ended");
        }
      });
    }
  }

  for (const state of STATES.filter((each) => JOB_TRANSITIONS[each].progress === undefined)) {
    test(`[JOB-7] ${state}, a report of another connection: a new run, which is another`, () => {
      const { hub } = jobIn(state);
      const [before] = hub.list();
      assert.deepEqual(hub.backend().progress({ at: 3, of: 4 }), { status: "sent", n: 1 });
      const [after, ...rest] = hub.list();
      assert.deepEqual([after?.state, after?.at, rest.length], ["running", 3, 0]);
      assert.ok((after?.started as number) > (before?.started as number));
    });

    // Who is lost has no connection over which to report.
    if (state !== "lost")
      test(`[JOB-7] ${state}, a report that names another run, over a connection that has reported for the first: a new run`, () => {
        const hub = new JobHub();
        const backend = hub.backend();
        backend.progress({ run: "r1" });
        backend.end(state, { run: "r1" });
        assert.equal(backend.progress({ run: "r2" }).status, "sent");
        assert.equal(hub.list()[0]?.state, "running");
      });

    test(`[JOB-7] ${state}, a report of another connection that names the same run: ${state === "lost" ? "goes on" : "late"}`, () => {
      const hub = new JobHub();
      const backend = hub.backend();
      backend.progress({ run: "r1" });
      if (state === "lost") {
        backend.die();
        hub.clock.advance(5_000);
      } else backend.end(state, { run: "r1" });
      const answer = hub.backend().progress({ run: "r1" });
      if (state === "lost") assert.equal(answer.status, "sent");
      else {
        assert.equal(codeOf(answer), "job-ended");
        assert.match((answer.error as { message: string }).message, new RegExp(`^${state}`));
      }
    });
  }
});
