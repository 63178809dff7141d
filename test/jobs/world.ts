import { jobs } from "../../apps/jobs/jobs.js";
import type { JobInfo } from "../../apps/jobs/packets.js";
import type { JobLimits } from "../../apps/jobs/page-jobs.js";
import type { Packet } from "../../protocol/index.js";
import { wordsDialect } from "../../server/dialect.js";
import { OPTIONS } from "../../server/options.js";
import { LoopbackHub, type LoopbackOptions, type LoopbackPeer } from "../support/loopback.js";

/** As the hub has them if nobody says otherwise. */
export const DEFAULTS: JobLimits = {
  maxJobs: OPTIONS.maxJobs.default,
  jobUpdates: OPTIONS.jobUpdates.default,
  jobLostAfter: OPTIONS.jobLostAfter.default,
  jobIdleAfter: OPTIONS.jobIdleAfter.default,
  jobAnswerAfter: OPTIONS.jobAnswerAfter.default,
  jobKeepFor: OPTIONS.jobKeepFor.default,
};

/** A hub with jobs, no socket anywhere, and one page whose jobs they are. */
export class JobHub extends LoopbackHub {
  readonly page: LoopbackPeer;

  constructor(limits: Partial<JobLimits> = {}, options: LoopbackOptions = {}) {
    super({ ...options, apps: [jobs({ ...DEFAULTS, ...limits })] });
    this.page = this.peer({ hello: { window: 8 } });
  }

  backend(): Reporter {
    return new Reporter(this, this.peer({ kind: "backend", hello: { window: 8 } }));
  }

  /** A script that speaks plain words. */
  script(): LoopbackPeer {
    return this.peer({ kind: "backend", dialect: wordsDialect });
  }

  /** The page's present list. */
  list(): JobInfo[] {
    const next = this.page.ask({ opcode: "jobs" }).findLast(({ opcode }) => opcode === "next");
    return next?.result as JobInfo[];
  }
}

/** A backend that speaks of the page's jobs. */
export class Reporter {
  constructor(
    private readonly hub: JobHub,
    readonly peer: LoopbackPeer,
  ) {}

  /** @returns the answer */
  progress(fields: object = {}): Packet {
    return this.#ask({ opcode: "progress", uuid: this.hub.page.uuid, ...fields });
  }

  end(state = "done", fields: object = {}): Packet {
    return this.#ask({ opcode: "end", uuid: this.hub.page.uuid, state, ...fields });
  }

  quit(): void {
    this.peer.say({ opcode: "quit" });
    this.hub.clock.endTurn();
  }

  die(): void {
    this.peer.connection.lost("lost");
    this.hub.clock.endTurn();
  }

  /** What it was sent without asking. */
  pushes: Packet[] = [];

  #ask(packet: object): Packet {
    const packets = this.peer.ask(packet);
    this.pushes.push(...packets.filter(({ opcode }) => opcode !== "next"));
    const { opcode: _, fyi: __, ...answer } = packets.findLast(({ opcode }) => opcode === "next") as Packet;
    return answer as Packet;
  }
}

/** The code with which something was refused. */
export function codeOf(packet: object | undefined): string | undefined {
  return (packet as { error?: { code: string } } | undefined)?.error?.code;
}
