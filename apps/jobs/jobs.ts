import { done, type Packet, quoted, Refusal } from "../../protocol/index.js";
import type { App, AppHub, Peer } from "../../server/app.js";
import { endingOf, endWords, nameOf, type Over, progressWords, reasonOf, reportOf } from "./packets.js";
import { type JobLimits, PageJobs } from "./page-jobs.js";
import { Reporters, type Told } from "./reporters.js";

/**
 * Jobs report to the page that started them, always end, and can be stopped (PROTOCOL.md, chapter 16). What a backend
 * says is checked on its own hub and kept on that of the page: each has one half.
 */
export function jobs(limits: JobLimits): App {
  const reporters = new Reporters();
  const pages = new Map<Peer, PageJobs>();
  return {
    name: "jobs",
    opcodes: {
      progress: (packet, peer, hub) => reporters.progress(hub, peer, reportOf(packet)),
      end: (packet, peer, hub) => reporters.end(hub, peer, endingOf(packet)),
      cancel: (packet, peer) => cancel(pages.get(peer), packet, peer),
      jobs: (_packet, peer) => done(pages.get(peer)?.list ?? []),
    },
    words: { progress: progressWords, end: endWords },
    // A page cannot report for a job [JOB-1].
    allow: { progress: "backend", end: "backend" },
    reads: ["jobs"],
    called(page, message, hub) {
      const told = message as Told | Over;
      if (told.what === "over") return reporters.over(page, told.page, told.name);
      if (told.what === "left") return pages.get(page)?.left(told.reporter, told.name, told.died);
      const list = pages.get(page) ?? begin(pages, page, hub, limits);
      return told.what === "progress" ? list.progress(told.reporter, told.report) : list.end(told.reporter, told.report);
    },
    back: (page) => pages.get(page)?.back(),
    status: () => figuresOf(pages.values()),
    close(peer, why, hub) {
      reporters.left(hub, peer, why !== "quit");
      const running = pages.get(peer)?.clear() ?? 0;
      pages.delete(peer);
      if (running > 0) hub.log.info("job.orphaned", { page: peer.id, running });
    },
  };
}

function begin(pages: Map<Peer, PageJobs>, page: Peer, hub: AppHub, limits: JobLimits): PageJobs {
  if (page.kind !== "page") throw new Refusal("not-a-page", "Expected the UUID of a page, got that of a backend.");
  const list = new PageJobs(page, hub, limits);
  pages.set(page, list);
  return list;
}

/** The page is told in a packet what becomes of it, for nothing else can name the job [JOB-8]. */
function cancel(own: PageJobs | undefined, packet: Packet, peer: Peer): void {
  let job: string | undefined;
  try {
    job = nameOf(packet);
    const { uuid = peer.uuid } = packet;
    if (peer.kind !== "page" || uuid !== peer.uuid)
      throw new Refusal("not-yours", "Expected `cancel` from the page that the job belongs to.");
    if (own === undefined) throw new Refusal("no-job", `This page has no job ${quoted(job)}.`);
    own.cancel(job, reasonOf(packet));
  } catch (error) {
    if (!(error instanceof Refusal) || !peer.takesPushes) throw error;
    peer.send({ opcode: "cancel", job, status: "refused", error: { code: error.code, message: error.message } });
  }
}

function figuresOf(pages: Iterable<PageJobs>): Record<string, number> {
  const figures: Record<string, number> = { running: 0, stopping: 0, done: 0, failed: 0, aborted: 0, lost: 0 };
  for (const page of pages) for (const { state } of page.list) figures[state] = (figures[state] ?? 0) + 1;
  return figures;
}
