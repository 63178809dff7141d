import type { Socket } from "node:net";

/** Whose socket it is. An object and no function: of each page there is one. */
export interface Drained {
  /** Something had stayed, and all of it has been taken. */
  drained(): void;
}

const NOTHING = Buffer.alloc(0);

/**
 * Writes to a socket. Nearly always the operating system takes a write at once; a callback for each would be a twentieth
 * of what a feedback costs, so one is asked for only where something stays: behind it, with a write of nothing.
 */
export class SocketWriter {
  #waiting = false;

  constructor(
    private readonly socket: Socket,
    private readonly owner: Drained,
  ) {}

  write(bytes: Buffer): void {
    this.socket.write(bytes);
    this.#wait();
  }

  #wait(): void {
    if (this.#waiting || this.socket.writableLength === 0) return;
    this.#waiting = true;
    this.socket.write(NOTHING, () => this.#taken());
  }

  #taken(): void {
    this.#waiting = false;
    if (this.socket.writableLength === 0) this.owner.drained();
    else this.#wait();
  }
}
