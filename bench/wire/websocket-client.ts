import { connect, type Socket } from "node:net";
import { within } from "../within.js";
import { type Client, OPEN_TIMEOUT, READ_BUFFER } from "./client.js";
import { CLOSE, clientFrame, PING, PONG, TEXT } from "./client-frame.js";
import { FrameReader } from "./frame-reader.js";
import { handshakeEnd, handshakeRequest } from "./handshake.js";
import { SeenReporter } from "./seen-reporter.js";

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
  /** How what is neither message nor answer starts: how far the hub has counted. */
  readonly uncounted: string | undefined;
  /** Says `seen` as a page of the hub that can resume has to. */
  readonly reportsSeen: boolean;
}

/** What of the stream a client takes at a time. */
export interface Reading {
  /** For one read. Its own, where it is to be small: the operating system hands out no more than fits. */
  readonly buffer: Buffer;
  /** First bytes of the newest message that are remembered. */
  readonly remember: number;
}

const FULL_SPEED: Reading = { buffer: READ_BUFFER, remember: 0 };

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
  /** The newest message, as far as it is remembered. */
  last = "";
  onRead: Client["onRead"] = () => {};
  onLost: Client["onLost"] = () => {};
  readonly #socket: Socket;
  readonly #reader = new FrameReader((opcode, length, head) => this.#frame(opcode, length, head));
  /** What has come of the server's answer to the handshake. */
  #handshake: string | undefined = "";
  #greeted: (() => void) | undefined;
  readonly #seen: SeenReporter | undefined;
  /** From one read to the next, ms; undefined: as soon as there is something. */
  #interval: number | undefined;
  #nextRead: NodeJS.Timeout | undefined;

  private constructor(
    port: number,
    private readonly opening: Opening,
    private readonly reading: Reading,
  ) {
    this.#seen = opening.reportsSeen ? new SeenReporter((frame) => this.write(frame)) : undefined;
    const callback = (size: number): boolean => this.#read(size);
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: reading.buffer, callback } });
    this.#socket.on("error", (error) => this.#lost(error.message));
    this.#socket.on("close", () => this.#lost("the server closed the connection"));
    this.#socket.write(handshakeRequest(port, opening.path, opening.subprotocol));
  }

  /** Settles when it has been greeted. */
  static async open(port: number, opening: Opening, reading = FULL_SPEED): Promise<WebSocketClient> {
    const client = new WebSocketClient(port, opening, reading);
    const greeted = new Promise<void>((resolve, reject) => {
      client.#greeted = resolve;
      client.onLost = (why) => reject(new Error(`While connecting: ${why}.`));
    });
    await within(OPEN_TIMEOUT, "the server's greeting", greeted);
    client.onLost = () => {};
    return client;
  }

  settle(): void {
    this.#seen?.flush();
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  goDeaf(): void {
    this.#socket.pause();
  }

  /** From now on one read every so many ms. */
  readEvery(ms: number): void {
    this.#interval = ms;
  }

  readFreely(): void {
    this.#interval = undefined;
    clearTimeout(this.#nextRead);
    this.#socket.resume();
  }

  close(): void {
    this.onLost = () => {};
    this.#seen?.stop();
    clearTimeout(this.#nextRead);
    this.#socket.destroy();
  }

  #read(size: number): boolean {
    try {
      this.#take(size);
    } catch (error) {
      this.#lost((error as Error).message);
    }
    if (this.#interval === undefined) return true;
    this.#nextRead = setTimeout(() => this.#socket.resume(), this.#interval);
    return false;
  }

  #take(size: number): void {
    const { messages, answers } = this;
    const start = this.#handshake === undefined ? 0 : this.#readHandshake(this.#handshake, size);
    this.#reader.feed(this.reading.buffer, start, size);
    if (this.messages > messages || this.answers > answers) this.onRead(this.messages - messages, this.answers - answers);
  }

  /** @returns where in the read buffer the frames start */
  #readHandshake(before: string, size: number): number {
    const answer = before + this.reading.buffer.toString("latin1", 0, size);
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
    else this.#count(length, head);
  }

  #count(length: number, head: string): void {
    if (this.opening.uncounted !== undefined && head.startsWith(this.opening.uncounted)) return;
    if (this.opening.answerStart !== undefined && head.startsWith(this.opening.answerStart)) this.answers++;
    else {
      this.messages++;
      this.last = head;
    }
    this.#seen?.add(length);
  }

  #greeting(text: string): void {
    const address = this.opening.addressIn(text);
    if (address === undefined) return;
    this.address = address;
    this.#reader.keep = Math.max(this.opening.answerStart?.length ?? 0, this.opening.uncounted?.length ?? 0, this.reading.remember);
    this.#greeted?.();
    this.#greeted = undefined;
  }

  #lost(why: string): void {
    const { onLost } = this;
    this.close();
    onLost(why);
  }
}
