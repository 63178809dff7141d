import { connect, type Socket } from "node:net";
import { within } from "../within.js";
import { type Client, OPEN_TIMEOUT, READ_BUFFER } from "./client.js";

const LINE_END = 0x0a;

/** A backend of the hub on TCP: after its greeting each line that comes is counted as an answer. */
export class LineClient implements Client {
  readonly address = "";
  readonly messages = 0;
  answers = 0;
  onRead: Client["onRead"] = () => {};
  onLost: Client["onLost"] = () => {};
  readonly #socket: Socket;
  #greeted: (() => void) | undefined;

  private constructor(port: number, hello: string) {
    const callback = (size: number): boolean => this.#read(size);
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: READ_BUFFER, callback } });
    this.#socket.on("error", (error) => this.#lost(error.message));
    this.#socket.on("close", () => this.#lost("the server closed the connection"));
    this.#socket.write(`${hello}\n`);
  }

  /** Settles when it has been greeted. */
  static async open(port: number, hello: string): Promise<LineClient> {
    const client = new LineClient(port, hello);
    const greeted = new Promise<void>((resolve, reject) => {
      client.#greeted = resolve;
      client.onLost = (why) => reject(new Error(`While connecting: ${why}.`));
    });
    await within(OPEN_TIMEOUT, "the hub's greeting", greeted);
    client.onLost = () => {};
    return client;
  }

  settle(): void {
    // It answers nothing and counts nothing.
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  goDeaf(): void {
    this.#socket.pause();
  }

  close(): void {
    this.onLost = () => {};
    this.#socket.destroy();
  }

  #read(size: number): boolean {
    const bytes = READ_BUFFER.subarray(0, size);
    let lines = 0;
    for (let at = bytes.indexOf(LINE_END); at >= 0; at = bytes.indexOf(LINE_END, at + 1)) lines++;
    if (this.#greeted !== undefined && lines > 0) {
      lines--;
      this.#greeted();
      this.#greeted = undefined;
    }
    this.answers += lines;
    if (lines > 0) this.onRead(0, lines);
    return true;
  }

  #lost(why: string): void {
    const { onLost } = this;
    this.close();
    onLost(why);
  }
}
