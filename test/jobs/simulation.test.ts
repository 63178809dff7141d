import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Job } from "../../apps/jobs/job.js";
import { PageJobs } from "../../apps/jobs/page-jobs.js";
import { isFound, plant, runSeeds } from "../simulation/seeds.js";
import { simulateJobs } from "./simulate.js";

describe("16 Jobs: backends come, report, quit and die, the page stops them, leaves and returns", () => {
  test("every run reaches exactly one final state, and its page is told of that end exactly once", () =>
    runSeeds(simulateJobs, "dist/test/jobs/simulation.test.js"));
});

describe("16 Jobs: the simulation finds a bug that is planted", () => {
  test("a job whose last connection died is forgotten about", async (t) => {
    plant(t, PageJobs.prototype, "left", (right) => {
      return function (this: PageJobs, reporter, name, died) {
        if (!died) right.call(this, reporter, name, died);
      };
    });
    assert.ok(await isFound(simulateJobs));
  });

  test("a page that is back is not told what it missed", async (t) => {
    plant(t, PageJobs.prototype, "back", () => () => {});
    assert.ok(await isFound(simulateJobs));
  });

  test("a report of a connection that reported for a run that has ended counts as a new run", async (t) => {
    plant(t, Job.prototype, "isLate", () => () => false);
    assert.ok(await isFound(simulateJobs));
  });

  test("a run is told to have ended while its page is away, and is not told again", async (t) => {
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
    assert.ok(await isFound(simulateJobs));
  });
});
