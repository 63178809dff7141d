import { Fault } from "../protocol/index.js";

/** One read of a socket, bytes. */
export const ONE_READ = 65_536;
/** How far above its limit the budget may go before peers that do not read are closed. */
const RESERVE = 1.25;

/** The bytes that wait for all peers together; a frame that waits for many counts once. */
export class Budget {
  used = 0;

  /** @param max bytes above which new work is refused */
  constructor(readonly max: number) {}

  get exceeded(): boolean {
    return this.used > this.max;
  }

  /**
   * Something that came cannot be refused any more, but need not be kept, where it is more than what fits into one read.
   * @throws Fault `try-later`
   */
  check(bytes: number): void {
    if (!this.exceeded || bytes <= ONE_READ) return;
    throw new Fault("try-later", `More than \`maxBuffered\` ${this.max} bytes are kept for all peers together: try again later.`);
  }

  /** Refusing has not helped: what nobody can refuse, such as answers, fills what is left. Some peer has to go. */
  get exhausted(): boolean {
    return this.used > this.max * RESERVE;
  }
}
