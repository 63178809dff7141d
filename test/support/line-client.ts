import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { LineFramer, type Packet } from "../../protocol/index.js";
import { TestInbox } from "./inbox.js";

/** A bare TCP client for tests: writes what it is told, queues the lines that come. */
export class LineClient {
  readonly lines = new TestInbox<string>();
  /** Settles when the connection has ended. */
  readonly closed: Promise<void>;

  private constructor(readonly socket: Socket) {
    const framer = new LineFramer(2 ** 30);
    socket.on("data", (bytes) => {
      for (let found = framer.next(bytes, 0); found; found = framer.next(bytes, found.offset))
        this.lines.push(Buffer.from(found.line).toString());
    });
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      socket.on("close", () => {
        this.lines.end("the hub closed the connection");
        resolve();
      });
    });
  }

  static open(t: TestContext, port: number): Promise<LineClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1" });
      t.after(() => socket.destroy());
      socket.once("error", reject);
      socket.once("connect", () => resolve(new LineClient(socket)));
    });
  }

  write(text: string | Uint8Array): void {
    this.socket.write(text);
  }

  say(packet: object): void {
    this.write(`${JSON.stringify(packet)}\n`);
  }

  /** Says `hello` and returns `ready`. */
  async hello(fields: object = {}): Promise<Packet & { uuid: string; window: number }> {
    this.say({ opcode: "hello", ...fields });
    return (await this.packet()) as Packet & { uuid: string; window: number };
  }

  async packet(): Promise<Packet> {
    return JSON.parse(await this.lines.next()) as Packet;
  }

  /** Says a packet and returns the next line that is its `next`, which must be the next line of all. */
  async ask(packet: object): Promise<Packet> {
    this.say(packet);
    return this.packet();
  }
}
