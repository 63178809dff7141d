import type { TestContext } from "node:test";
import { type ClientOptions, WebSocket } from "ws";
import { type Packet, SUBPROTOCOL } from "../../protocol/index.js";
import { TestInbox } from "./inbox.js";

/** A bare WebSocket client for tests: no queue, no window, no reconnecting; packets that come are queued. */
export class Page {
  readonly packets = new TestInbox<Packet>();
  /** How far the hub has counted comes whenever it likes [RES-12]: for tests of just that. */
  readonly seen: Packet[] = [];
  /** Settles with the close code and reason. */
  readonly closed: Promise<{ code: number; reason: string }>;
  uuid = "";

  private constructor(readonly socket: WebSocket) {
    socket.on("message", (data) => this.#hear(JSON.parse(String(data)) as Packet));
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        this.packets.end(`the hub closed the connection with ${code} ${reason}`);
        resolve({ code, reason: String(reason) });
      });
    });
  }

  /** Connects; with `hello` it speaks first, without it is an original client. Returns when `ready` was read. */
  static async open(t: TestContext, url: string, hello?: object, options: ClientOptions = {}): Promise<Page> {
    const page = await Page.connect(t, url, hello !== undefined, options);
    if (hello) page.say({ opcode: "hello", ...hello });
    page.uuid = String((await page.packets.next()).uuid);
    return page;
  }

  /** Only the WebSocket handshake; rejects with the HTTP status where it is refused. */
  static connect(t: TestContext, url: string, subprotocol: boolean, options: ClientOptions = {}): Promise<Page> {
    const socket = subprotocol ? new WebSocket(url, SUBPROTOCOL, options) : new WebSocket(url, options);
    const page = new Page(socket);
    t.after(() => socket.terminate());
    return new Promise((resolve, reject) => {
      socket.once("open", () => resolve(page));
      socket.once("unexpected-response", (_request, response) => reject(new Error(`HTTP ${response.statusCode}`)));
      socket.once("error", reject);
    });
  }

  #hear(packet: Packet): void {
    if (packet?.opcode === "seen") this.seen.push(packet);
    else this.packets.push(packet);
  }

  say(packet: object): void {
    this.socket.send(JSON.stringify(packet));
  }

  /** Says a packet and returns the packet that comes next. */
  ask(packet: object): Promise<Packet> {
    this.say(packet);
    return this.packets.next();
  }
}
