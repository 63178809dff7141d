import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Job } from "../../apps/jobs/job.js";
import { PageJobs } from "../../apps/jobs/page-jobs.js";
import { simulateJobs } from "./simulate.js";

const SEEDS = Number(process.env.SEEDS ?? 1_000);
const ONLY = process.env.SEED;
/** A bug that is planted has to show within so many seeds. */
const SEEDS_FOR_A_BUG = 50;

describe("16 Jobs: backends come, report, quit and die, the page stops them, leaves and returns", () => {
  test("every run reaches exactly one final state, and its page is told of that end exactly once", () => {
    const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(ONLY)];
    for (const seed of seeds) {
      try {
        simulateJobs(seed);
      } catch (error) {
        const replay = `npm run build && SEED=${seed} node --test dist/test/jobs/simulation.test.js`;
        throw new Error(`Seed ${seed}: ${(error as Error).stack}\nReplay: ${replay}`);
      }
    }
  });
});

/** Replaces a method for one test, knowing the one it replaces. */
function plant<T extends object, K extends keyof T>(t: TestContext, prototype: T, name: K, bug: (right: T[K]) => T[K]): void {
  const right = prototype[name];
  t.after(() => {
    prototype[name] = right;
  });
  prototype[name] = bug(right);
}

function isFound(): boolean {
  for (let seed = 1; seed <= SEEDS_FOR_A_BUG; seed++) {
    try {
      simulateJobs(seed);
    } catch {
      return true;
    }
  }
  return false;
}

describe("16 Jobs: the simulation finds a bug that is planted", () => {
  test("a job whose last connection died is forgotten about", (t) => {
    plant(t, PageJobs.prototype, "left", (right) => {
      return function (this: PageJobs, reporter, name, died) {
        if (!died) right.call(this, reporter, name, died);
      };
    });
    assert.ok(isFound());
  });

  test("a page that is back is not told what it missed", (t) => {
    plant(t, PageJobs.prototype, "back", () => () => {});
    assert.ok(isFound());
  });

  test("a report of a connection that reported for a run that has ended counts as a new run", (t) => {
    plant(t, Job.prototype, "isLate", () => () => false);
    assert.ok(isFound());
  });

  test("a run is told to have ended while its page is away, and is not told again", (t) => {
    plant(t, PageJobs.prototype, "end", (right) => {
      return function (this: PageJobs, reporter, ending) {
        const page = (this as unknown as { page: { away: boolean; send: unknown } }).page;
        if (!page.away) return right.call(this, reporter, ending);
        const { send } = page;
        page.send = () => true;
        try {
          return right.call(this, reporter, ending);
        } finally {
          page.send = send;
        }
      };
    });
    assert.ok(isFound());
  });
});
