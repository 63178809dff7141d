import { setTimeout as pause } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { WebSocket } from "ws";
import type { BystanderReport, BystanderStart } from "./bystander.js";
import { waitedForProcessor } from "./vital-signs.js";

/** Between two echoes, ms: often enough to notice, and far below `maxRate`. */
const PACE = 5;
/** Of round trips behind a request for a report: the second has begun after it. */
const BEHIND = 2;
/** For those, ms. Whoever needs longer has failed. */
const PATIENCE = 5_000;

/** A page that wants nothing but its own echo. It has a thread of its own, so that the attacker's work is not taken for the hub's. */
class EchoLoop {
  echoes = 0;
  largest = 0;
  strange: string[] = [];
  closed: string | undefined;
  #sentAt = 0;
  #waitedBefore = 0;
  #answered: () => void = () => {};

  constructor(
    readonly socket: WebSocket,
    private readonly hubPid: number,
  ) {
    socket.on("message", (data) => this.#hear(JSON.parse(String(data)) as { opcode: string; n?: number; uuid?: string }));
    socket.on("error", (error) => this.strange.push(error.message));
    socket.on("close", (code, reason) => {
      this.closed = `${code} ${reason}`;
    });
  }

  async run(): Promise<void> {
    while (this.closed === undefined) {
      this.#begin();
      const answered = new Promise<void>((resolve) => {
        this.#answered = resolve;
      });
      this.socket.send(JSON.stringify({ opcode: "echo", n: this.echoes }));
      await answered;
      this.#measure();
      this.echoes++;
      await pause(PACE);
    }
  }

  /** What was since the last report, and two round trips more. */
  async report(): Promise<BystanderReport> {
    const enough = this.echoes + BEHIND;
    const end = performance.now() + PATIENCE;
    while (this.echoes < enough && this.closed === undefined && performance.now() < end) await pause(PACE);
    this.#measure();
    const { echoes, largest, strange, closed } = this;
    this.largest = 0;
    this.strange = [];
    return { served: echoes >= enough, largest, strange, closed };
  }

  #begin(): void {
    this.#waitedBefore = this.#waited;
    this.#sentAt = performance.now();
  }

  /** A machine that has other things to do is not the hub's fault. */
  #measure(): void {
    const waited = this.#waited - this.#waitedBefore;
    this.largest = Math.max(this.largest, performance.now() - this.#sentAt - waited);
  }

  get #waited(): number {
    return waitedForProcessor(this.hubPid) + waitedForProcessor("thread-self");
  }

  #hear(packet: { opcode: string; n?: number; uuid?: string }): void {
    if (packet.opcode === "ready") {
      parentPort?.postMessage({ uuid: packet.uuid });
      void this.run();
    } else if (packet.opcode === "next") this.#answered();
    else if (packet.opcode !== "echo" || packet.n !== this.echoes) this.strange.push(JSON.stringify(packet).slice(0, 200));
  }
}

const { url, hubPid } = workerData as BystanderStart;
const loop = new EchoLoop(new WebSocket(url), hubPid);
parentPort?.on("message", () => void loop.report().then((report) => parentPort?.postMessage(report)));
