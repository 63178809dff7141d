import { Fault } from "../../protocol/index.js";
import type { Clock } from "../clock.js";
import type { Greeting, Welcome } from "../greeting.js";
import { EarlyMessages, type MessageSource, OPEN } from "./early-messages.js";

/** For whom a page's first words are. */
export interface PageHost {
  /** It is known who is there: the dialog begins. */
  welcome(welcome: Welcome): void;
  /** What came behind its hello. */
  hear(data: Buffer, isBinary: boolean): void;
  /** It may not come in. */
  refuse(fault: Fault): void;
}

/** How long it is waited for. */
export interface Patience {
  readonly clock: Clock;
  /** For each text that is to come, ms. */
  readonly handshakeTimeout: number;
}

/** What a page with the subprotocol says before there is a dialog: its hello, and whatever it is asked [OPEN-2]. */
export class PageGreeting {
  readonly #early: EarlyMessages;
  #cancel: () => void = () => {};

  constructor(
    private readonly ws: MessageSource,
    private readonly greeting: Greeting,
    private readonly host: PageHost,
    private readonly patience: Patience,
  ) {
    this.#early = new EarlyMessages(ws);
    this.#listen();
  }

  /** It may not come in, whatever it still says. */
  refuse(fault: Fault): void {
    this.#cancel();
    this.host.refuse(fault);
  }

  /** There is nobody any more. */
  stop(): void {
    this.#cancel();
  }

  /** Only who is to say something is waited for: who is asked about it has a time of its own. */
  #listen(): void {
    const { clock, handshakeTimeout } = this.patience;
    const silent = new Fault("no-hello", `No hello within \`handshakeTimeout\` ${handshakeTimeout} ms.`);
    this.#cancel = clock.after(handshakeTimeout, () => this.host.refuse(silent));
    this.#early.next((text) => {
      this.#cancel();
      this.#guarded(() => this.#hear(text));
    });
  }

  #hear(text: string | undefined): void {
    if (text === undefined) throw new Fault("binary", "Expected text frames, got a binary one.");
    const welcome = this.greeting.receive(text);
    if (welcome instanceof Promise) welcome.then((known) => this.#guarded(() => this.#take(known))).catch((error) => this.#failed(error));
    else this.#take(welcome);
  }

  /** @param welcome `undefined`: it has been asked something, and answers */
  #take(welcome: Welcome | undefined): void {
    if (welcome === undefined) {
      this.#listen();
      return;
    }
    if (this.ws.readyState !== OPEN) return;
    this.host.welcome(welcome);
    this.#early.handOver((data, isBinary) => this.host.hear(data, isBinary));
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof Fault)) throw error;
    this.host.refuse(error);
  }
}
