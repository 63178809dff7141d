import type { Encoding } from "./frame.js";

/** What a transport gives the hub: all that the dialog ever sees of a wire. */
export interface Sink {
  /** How this wire writes a text; the bytes are made once for all peers on the same kind of wire. */
  readonly encoding: Encoding;
  /** Bytes handed over and not yet taken by the operating system. */
  readonly bufferedAmount: number;
  /** Writes. Where some of it stays, the transport calls `drained` of the connection once all has been taken. */
  send(bytes: Buffer): void;
  /** Ends the wire behind what was sent, with this close code where the wire has those; by force where the peer does not read.
   * After it the transport hands in nothing more. */
  close(code: number, reason: string): void;
  /** Stop or go on reading [WIN-3]. What was read already may still be handed in. */
  read(on: boolean): void;
}
