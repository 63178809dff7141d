import type { Socket } from "node:net";

const NOTHING = Buffer.alloc(0);

/**
 * Writes to a socket. Nearly always the operating system takes a write at once; a callback for each would be a twentieth
 * of what a feedback costs, so one is asked for only where something stays: behind it, with a write of nothing.
 */
export class SocketWriter {
  #waiting = false;

  /** @param drained called when something had stayed and all of it has been taken */
  constructor(
    private readonly socket: Socket,
    private readonly drained: () => void,
  ) {}

  write(bytes: Buffer): void {
    this.socket.write(bytes);
    this.#wait();
  }

  #wait(): void {
    if (this.#waiting || this.socket.writableLength === 0) return;
    this.#waiting = true;
    this.socket.write(NOTHING, this.#taken);
  }

  readonly #taken = (): void => {
    this.#waiting = false;
    if (this.socket.writableLength === 0) this.drained();
    else this.#wait();
  };
}
