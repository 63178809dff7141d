import type { Socket } from "node:net";
import type { TestContext } from "node:test";
import { type Packet, SUBPROTOCOL } from "../../protocol/index.js";
import { TestInbox } from "../support/inbox.js";
import { clientFrame, FrameReader, type HubFrame, OP } from "./support-frames.js";
import { openSocket, patiently, untilClosed } from "./support-sockets.js";

/** The status, head and body of an answer to a handshake. */
export interface HttpAnswer {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface HandshakeOptions {
  method?: string;
  path?: string;
  version?: string;
  /** Beside and in place of the right ones; `undefined` leaves one out, a list says it more than once. */
  headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** Any 16 bytes in base64. */
export const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const HEAD_END = "\r\n\r\n";

/** The text of a handshake, right but for what is asked for. */
export function handshake(port: number, { method = "GET", path = "/", version = "HTTP/1.1", headers = {} }: HandshakeOptions = {}): string {
  const all = {
    Host: `127.0.0.1:${port}`,
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => [value ?? []].flat().map((each) => `${name}: ${each}\r\n`));
  return `${method} ${path} ${version}\r\n${lines.join("")}\r\n`;
}

/** Writes a request that is going to be refused, and reads the answer to its end. */
export async function refusedBy(t: TestContext, port: number, request: string | Uint8Array): Promise<HttpAnswer> {
  const socket = await openSocket(t, port);
  const closed = untilClosed(socket);
  socket.write(request);
  const text = (await closed).toString("latin1");
  const [head = "", ...body] = text.split(HEAD_END);
  return { ...parseHead(head), body: body.join(HEAD_END) };
}

function parseHead(head: string): Omit<HttpAnswer, "body"> {
  const [first = "", ...lines] = head.split("\r\n");
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
  return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1] ?? 0), headers };
}

export interface RawPageOptions extends HandshakeOptions {
  /** Bytes in the same segment as the request. */
  behind?: Uint8Array;
  /** Offer the subprotocol, so that a `hello` is due. */
  subprotocol?: boolean;
  /** A page that answers no ping. Default: it does. */
  deaf?: boolean;
}

/** A WebSocket client without a library: it writes whatever bytes it is told and reads the hub's frames strictly. */
export class RawPage {
  readonly packets = new TestInbox<Packet>();
  /** How far the hub has counted comes whenever it likes [RES-12]: for tests of just that. */
  readonly seen: Packet[] = [];
  readonly pongs = new TestInbox<string>();
  uuid = "";
  head: Omit<HttpAnswer, "body"> = { status: 0, headers: new Map() };
  readonly #reader = new FrameReader();
  readonly #deaf: boolean;
  readonly #closed: Promise<{ code: number; reason: string }>;
  #end = { code: 1006, reason: "" };
  #headText = "";
  #onHead: (() => void) | undefined;

  private constructor(
    readonly socket: Socket,
    { deaf = false }: RawPageOptions,
  ) {
    this.#deaf = deaf;
    socket.on("data", (bytes) => this.#read(bytes));
    this.#closed = new Promise((resolve) => {
      socket.once("close", () => {
        const { code, reason } = this.#end;
        for (const inbox of [this.packets, this.pongs]) inbox.end(`the hub closed the connection with ${code} ${reason}`);
        this.#onHead?.();
        resolve(this.#end);
      });
    });
  }

  /** Connects and upgrades; returns when the head of the answer was read. */
  static async connect(t: TestContext, port: number, options: RawPageOptions = {}): Promise<RawPage> {
    const socket = await openSocket(t, port);
    const page = new RawPage(socket, options);
    const headers = { ...(options.subprotocol ? { "Sec-WebSocket-Protocol": SUBPROTOCOL } : undefined), ...options.headers };
    const answered = new Promise<void>((resolve) => {
      page.#onHead = resolve;
    });
    socket.write(Buffer.concat([Buffer.from(handshake(port, { ...options, headers })), options.behind ?? Buffer.alloc(0)]));
    await answered;
    return page;
  }

  /** Connects as far as `ready`; with `hello` it speaks first. */
  static async open(t: TestContext, port: number, hello?: object, options: RawPageOptions = {}): Promise<RawPage> {
    const page = await RawPage.connect(t, port, { ...options, subprotocol: hello !== undefined });
    if (hello) page.say({ opcode: "hello", ...hello });
    page.uuid = String((await page.packets.next()).uuid);
    return page;
  }

  /** Settles when the socket has ended, with what the close frame said: 1006 where there was none. */
  get closed(): Promise<{ code: number; reason: string }> {
    return patiently(this.#closed, () => "the hub has not closed the page");
  }

  write(...frames: readonly Uint8Array[]): void {
    this.socket.write(frames.length === 1 ? (frames[0] as Uint8Array) : Buffer.concat(frames));
  }

  say(packet: object | string): void {
    this.write(clientFrame(typeof packet === "string" ? packet : JSON.stringify(packet)));
  }

  packet(): Promise<Packet> {
    return this.packets.next();
  }

  ask(packet: object | string): Promise<Packet> {
    this.say(packet);
    return this.packet();
  }

  #hear(packet: Packet): void {
    if (packet?.opcode === "seen") this.seen.push(packet);
    else this.packets.push(packet);
  }

  #read(bytes: Buffer): void {
    if (this.head.status === 0) {
      this.#readHead(bytes);
      return;
    }
    if (this.head.status !== 101) return;
    try {
      for (const frame of this.#reader.read(bytes)) this.#take(frame);
    } catch (error) {
      this.#end = { code: 0, reason: `a broken frame: ${(error as Error).message}` };
      this.socket.destroy();
    }
  }

  #readHead(bytes: Buffer): void {
    this.#headText += bytes.toString("latin1");
    const end = this.#headText.indexOf(HEAD_END);
    if (end === -1) return;
    this.head = parseHead(this.#headText.slice(0, end));
    this.#onHead?.();
    const rest = Buffer.from(this.#headText.slice(end + HEAD_END.length), "latin1");
    if (rest.length > 0) this.#read(rest);
  }

  #take({ opcode, payload }: HubFrame): void {
    if (opcode === OP.text) this.#hear(JSON.parse(payload.toString()) as Packet);
    else if (opcode === OP.pong) this.pongs.push(payload.toString());
    else if (opcode === OP.ping) {
      if (!this.#deaf) this.write(clientFrame(payload, { opcode: OP.pong }));
    } else {
      this.#end = { code: payload.length === 0 ? 1005 : payload.readUInt16BE(0), reason: payload.subarray(2).toString() };
      this.socket.end(clientFrame(payload, { opcode: OP.close }));
    }
  }
}
