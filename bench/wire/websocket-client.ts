import { connect, type Socket } from "node:net";
import { within } from "../within.js";
import { type Client, OPEN_TIMEOUT, READ_BUFFER } from "./client.js";
import { CLOSE, clientFrame, PING, PONG, TEXT } from "./client-frame.js";
import { FrameReader } from "./frame-reader.js";
import { handshakeEnd, handshakeRequest } from "./handshake.js";

/** How a client of one kind of server opens a connection. */
export interface Opening {
  readonly path: string;
  readonly subprotocol: string | undefined;
  /** Sent right behind the handshake. */
  readonly hello: string | undefined;
  /** The client's address, if this text of the server is its greeting. */
  addressIn(text: string): string | undefined;
  /** How an answer to a message of the client's own starts; undefined for one that sends none. */
  readonly answerStart: string | undefined;
}

/** Enough for any server's greeting, in bytes. */
const GREETING_SIZE = 1_024;
const PONG_FRAME = clientFrame(PONG, "");
/** engine.io's heartbeat is a text of one character: `2` is answered by `3`. */
const ENGINE_PONG_FRAME = clientFrame(TEXT, "3");

/** A WebSocket client on a bare socket: counts what comes and decodes nothing but its greeting and the start of answers. */
export class WebSocketClient implements Client {
  address = "";
  messages = 0;
  answers = 0;
  onRead: Client["onRead"] = () => {};
  onLost: Client["onLost"] = () => {};
  readonly #socket: Socket;
  readonly #reader = new FrameReader((opcode, length, head) => this.#frame(opcode, length, head));
  /** What has come of the server's answer to the handshake. */
  #handshake: string | undefined = "";
  #greeted: (() => void) | undefined;

  private constructor(
    port: number,
    private readonly opening: Opening,
  ) {
    const callback = (size: number): boolean => this.#read(size);
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: READ_BUFFER, callback } });
    this.#socket.on("error", (error) => this.#lost(error.message));
    this.#socket.on("close", () => this.#lost("the server closed the connection"));
    this.#socket.write(handshakeRequest(port, opening.path, opening.subprotocol));
  }

  /** Settles when it has been greeted. */
  static async open(port: number, opening: Opening): Promise<WebSocketClient> {
    const client = new WebSocketClient(port, opening);
    const greeted = new Promise<void>((resolve, reject) => {
      client.#greeted = resolve;
      client.onLost = (why) => reject(new Error(`While connecting: ${why}.`));
    });
    await within(OPEN_TIMEOUT, "the server's greeting", greeted);
    client.onLost = () => {};
    return client;
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
    try {
      this.#take(size);
    } catch (error) {
      this.#lost((error as Error).message);
    }
    return true;
  }

  #take(size: number): void {
    const { messages, answers } = this;
    const start = this.#handshake === undefined ? 0 : this.#readHandshake(this.#handshake, size);
    this.#reader.feed(READ_BUFFER, start, size);
    if (this.messages > messages || this.answers > answers) this.onRead(this.messages - messages, this.answers - answers);
  }

  /** @returns where in the read buffer the frames start */
  #readHandshake(before: string, size: number): number {
    const answer = before + READ_BUFFER.toString("latin1", 0, size);
    const end = handshakeEnd(answer);
    this.#handshake = end === undefined ? answer : undefined;
    if (end === undefined) return size;
    this.#reader.keep = GREETING_SIZE;
    if (this.opening.hello !== undefined) this.write(clientFrame(TEXT, this.opening.hello));
    return end - before.length;
  }

  #frame(opcode: number, length: number, head: string): void {
    if (opcode === PING) this.write(PONG_FRAME);
    else if (opcode === CLOSE) this.#lost("the server said close");
    else if (opcode !== TEXT) this.#lost(`the server sent a frame of opcode ${opcode}`);
    else if (this.#greeted !== undefined) this.#greeting(head);
    else if (length === 1) this.write(ENGINE_PONG_FRAME);
    else if (this.opening.answerStart !== undefined && head.startsWith(this.opening.answerStart)) this.answers++;
    else this.messages++;
  }

  #greeting(text: string): void {
    const address = this.opening.addressIn(text);
    if (address === undefined) return;
    this.address = address;
    this.#reader.keep = this.opening.answerStart?.length ?? 0;
    this.#greeted?.();
    this.#greeted = undefined;
  }

  #lost(why: string): void {
    const { onLost } = this;
    this.close();
    onLost(why);
  }
}
