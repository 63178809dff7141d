import type { TestContext } from "node:test";
import type { JobInfo } from "../../apps/jobs/packets.js";
import type { Packet } from "../../protocol/index.js";
import { Page } from "../support/page.js";

/** What a page hears of a job. */
export type JobPacket = Packet & JobInfo;

/** A page that waits for what becomes of its jobs. */
export class JobPage {
  /** All that it has read of its jobs. */
  readonly all: JobPacket[] = [];

  private constructor(private readonly page: Page) {}

  static async open(t: TestContext, ws: string): Promise<JobPage> {
    return new JobPage(await Page.open(t, `${ws}/web`, {}));
  }

  get uuid(): string {
    return this.page.uuid;
  }

  /** Reads until a packet fits. @returns all read, the one that fits last; rejects where nothing comes for 5 s */
  async until(fits: (packet: JobPacket) => boolean): Promise<JobPacket[]> {
    const read: JobPacket[] = [];
    for (;;) {
      const packet = (await this.page.packets.next()) as JobPacket;
      if (packet.opcode !== "progress" && packet.opcode !== "end") continue;
      this.all.push(packet);
      read.push(packet);
      if (fits(packet)) return read;
    }
  }

  /** Reads until this job has ended. */
  async end(name: string): Promise<JobPacket> {
    return (await this.until(({ opcode, job }) => opcode === "end" && job === name)).at(-1) as JobPacket;
  }

  cancel(job: string, reason?: string): void {
    this.page.say({ opcode: "cancel", job, reason });
  }

  /** Its connection breaks. */
  drop(): void {
    this.page.socket.terminate();
  }
}
