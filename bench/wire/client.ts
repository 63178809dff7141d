/** What the load knows of a connection, whatever the wire. */
export interface Client {
  /** By what the server lets others send to it; empty for one nobody sends to. */
  readonly address: string;
  /** Messages that came since the greeting, without answers to its own. */
  readonly messages: number;
  /** Answers to messages of its own. */
  readonly answers: number;
  /** Called after each read that brought something, with what it brought. */
  onRead: (messages: number, answers: number) => void;
  /** Called when the connection ends, other than by `close`. */
  onLost: (why: string) => void;
  write(bytes: Buffer): void;
  /** Says now what it would say later by itself. */
  settle(): void;
  /** Stops reading, for good. */
  goDeaf(): void;
  close(): void;
}

/** Bytes of one read. One buffer serves all sockets: each read is handled before the next one starts. */
export const READ_BUFFER = Buffer.allocUnsafe(65_536);

/** For a connection to be made and greeted, ms. */
export const OPEN_TIMEOUT = 10_000;
