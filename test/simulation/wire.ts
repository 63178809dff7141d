import type { Wire } from "../../client/dialog.js";
import { Fault, LineFramer } from "../../protocol/index.js";
import type { Connection } from "../../server/connection.js";
import { jsonDialect } from "../../server/dialect.js";
import type { Encoding } from "../../server/frame.js";
import { parseHello } from "../../server/hello.js";
import type { Hub } from "../../server/hub.js";
import type { Sink } from "../../server/sink.js";

const encoding: Encoding = { name: "simulated", encode: (text) => Buffer.from(`${text}\n`), decode: (line) => String(line).slice(0, -1) };
/** What the operating systems of both ends hold, in bytes: less than one long message. */
const IN_FLIGHT = 2_000;

/** One end's unread bytes, and the lines they become. */
class Pipe {
  #bytes = Buffer.alloc(0);
  readonly #framer = new LineFramer(2 ** 24);

  get length(): number {
    return this.#bytes.length;
  }

  add(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
  }

  /** The lines that end within the next `count` bytes. */
  take(count: number): string[] {
    const bytes = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(bytes.length);
    const lines: string[] = [];
    for (let found = this.#framer.next(bytes, 0); found; found = this.#framer.next(bytes, found.offset))
      lines.push(Buffer.from(found.line).toString());
    return lines;
  }
}

/** A connection that delivers when it is told to, as many bytes as it is told to, and breaks in every way a network has. */
export class SimulatedWire implements Sink, Wire {
  readonly encoding = encoding;
  /** Whether either end still believes in it. */
  clientOpen = true;
  hubOpen = true;
  connection: Connection | undefined;
  readonly #toClient = new Pipe();
  readonly #toHub = new Pipe();
  #reading = true;
  #broken = false;

  constructor(
    private readonly hub: Hub,
    private readonly deliver: (text: string) => void,
  ) {}

  // ── The hub's end ──────────────────────────────────────────────────────────────────────────────────────────────

  get bufferedAmount(): number {
    return Math.max(0, this.#toClient.length - IN_FLIGHT);
  }

  send(what: string | Buffer): void {
    if (typeof what === "string") this.#toHub.add(Buffer.from(`${what}\n`));
    else this.#toClient.add(what);
  }

  close(): void {
    this.hubOpen = false;
    this.connection = undefined;
  }

  read(on: boolean): void {
    this.#reading = on;
  }

  // ── The network ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Lets so many bytes arrive at each end. */
  carry(bytes: number): void {
    if (this.#broken) return;
    if (this.hubOpen && this.#reading) for (const text of this.#toHub.take(bytes)) this.#arriveAtHub(text);
    if (this.clientOpen) for (const text of this.#toClient.take(bytes)) this.deliver(text);
    if (this.hubOpen && this.bufferedAmount === 0) this.connection?.drained();
  }

  get idle(): boolean {
    return this.#broken || ((this.#toClient.length === 0 || !this.clientOpen) && (this.#toHub.length === 0 || !this.hubOpen));
  }

  /** Nothing arrives any more, and nobody has been told. */
  cut(): void {
    this.#broken = true;
  }

  /** The hub notices. */
  hubNotices(why: string): void {
    const { connection } = this;
    this.hubOpen = false;
    this.connection = undefined;
    connection?.lost(why);
  }

  #arriveAtHub(text: string): void {
    if (!this.hubOpen) return;
    if (this.connection) this.connection.receive(text, Buffer.byteLength(text));
    else this.#hello(text);
  }

  #hello(text: string): void {
    try {
      this.connection = this.hub.connect(this, this.#opening(), parseHello(text, 64));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.close();
    }
  }

  #opening() {
    return { kind: "page", dialect: jsonDialect, path: "/", resource: this.hub.resources.resolve("/"), address: "simulated" } as const;
  }
}
