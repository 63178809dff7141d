/** As much of a WebSocket as is used here. */
export interface MessageSource {
  on(event: "message", listener: (data: Buffer, isBinary: boolean) => void): unknown;
  off(event: "message", listener: (data: Buffer, isBinary: boolean) => void): unknown;
  readonly readyState: number;
  pause(): void;
  resume(): void;
}

/** The state of a WebSocket in which messages count. */
export const OPEN = 1;

/** Messages of a page before there is a dialog: taken one at a time, and none is lost while it is found out who it is [OPEN-2]. */
export class EarlyMessages {
  readonly #waiting: [data: Buffer, isBinary: boolean][] = [];
  #take: ((text: string | undefined) => void) | undefined;

  constructor(private readonly ws: MessageSource) {
    ws.on("message", this.#hear);
  }

  /** The next one, once; `undefined` where it is binary. Meanwhile no more is read than has come already. */
  next(take: (text: string | undefined) => void): void {
    this.#take = take;
    const first = this.#waiting.shift();
    if (first) this.#hear(...first);
    else this.ws.resume();
  }

  /** All that has come is the dialog's. */
  handOver(hear: (data: Buffer, isBinary: boolean) => void): void {
    this.ws.off("message", this.#hear);
    this.ws.resume();
    for (const [data, isBinary] of this.#waiting) hear(data, isBinary);
  }

  readonly #hear = (data: Buffer, isBinary: boolean): void => {
    // It is on its way out: what it still says is read, so that its close frame is, and is nobody's.
    if (this.ws.readyState !== OPEN) return;
    const take = this.#take;
    this.#take = undefined;
    if (take === undefined) this.#waiting.push([data, isBinary]);
    else {
      this.ws.pause();
      take(isBinary ? undefined : data.toString());
    }
  };
}
