import { clientFrame, TEXT } from "./client-frame.js";

/** When the hub's own clients say `seen` at the latest, in bytes and ms (PROTOCOL.md [RES-8] allows them 64 KiB and 20 s). */
const AFTER_BYTES = 32_768;
const AFTER_MS = 20_000;
/** What a kept packet costs the hub beside its bytes: many short ones take memory as well. */
const OVERHEAD = 256;

/** Says how many packets of the hub a page has finished with, so that they need not be kept for it. */
export class SeenReporter {
  #count = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly write: (frame: Buffer) => void) {}

  /** One more, of so many bytes. */
  add(bytes: number): void {
    this.#count++;
    this.#bytes += bytes + OVERHEAD;
    if (this.#bytes >= AFTER_BYTES) this.#report();
    else this.#timer ??= setTimeout(() => this.#report(), AFTER_MS);
  }

  /** Now, what would be said later. */
  flush(): void {
    if (this.#timer !== undefined) this.#report();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#bytes = 0;
  }

  #report(): void {
    this.stop();
    this.write(clientFrame(TEXT, `{"opcode":"seen","n":${this.#count}}`));
  }
}
