/** The bytes that wait for all peers together; a frame that waits for many counts once. */
export class Budget {
  used = 0;

  /** @param max bytes above which new work is refused */
  constructor(readonly max: number) {}

  get exceeded(): boolean {
    return this.used > this.max;
  }
}
