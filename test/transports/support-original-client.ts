import type { Socket } from "node:net";
import type { TestContext } from "node:test";
import { JsonScanner, type Packet } from "../../protocol/index.js";
import { TestInbox } from "../support/inbox.js";
import { openSocket, patiently } from "./support-sockets.js";

/** What a backend of 2021 says first. */
export const ORIGINAL_HELLO = "php process\nGET /php HTTP/1.1\n";

/** A backend of 2021: JSON without line ends, either way. */
export class OriginalClient {
  readonly packets = new TestInbox<Packet>();
  /** All bytes that came. */
  received = "";
  readonly #closed: Promise<void>;

  private constructor(readonly socket: Socket) {
    const scanner = new JsonScanner(2 ** 30);
    socket.on("data", (bytes) => {
      this.received += bytes.toString();
      for (let found = scanner.next(bytes, 0); found; found = scanner.next(bytes, found.offset))
        this.packets.push(JSON.parse(Buffer.from(found.text).toString()) as Packet);
    });
    this.#closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.packets.end("the hub closed the connection");
        resolve();
      });
    });
  }

  /** Connects and writes; the first packet to come is `ready`, or tells why not. */
  static async open(t: TestContext, port: number, first: string | Uint8Array = ORIGINAL_HELLO): Promise<OriginalClient> {
    const client = new OriginalClient(await openSocket(t, port));
    client.socket.write(first);
    return client;
  }

  /** Settles when the connection has ended. */
  get closed(): Promise<void> {
    return patiently(this.#closed, () => "the hub has not closed the connection");
  }

  packet(): Promise<Packet> {
    return this.packets.next();
  }

  /** Says a packet and returns what comes next. */
  ask(packet: object): Promise<Packet> {
    this.socket.write(JSON.stringify(packet));
    return this.packet();
  }
}
