/** The hub refused a message; `code` is stable (PROTOCOL.md, chapter 10). */
export class RefusedError extends Error {
  override name = "RefusedError";
  constructor(
    readonly code: string,
    message: string,
    /** What came with the refusal, if anything: of `locked` whose the ids are. */
    readonly result?: unknown,
  ) {
    super(message);
  }
}

/** There is no connection, or it ended before the answer came: nobody knows whether the hub got the message. */
export class ClosedError extends Error {
  override name = "ClosedError";
  constructor(
    /** The close code; 1006 where the connection broke. */
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}
