import type { TestContext } from "node:test";
import { WebSocket } from "ws";
import { untilReady } from "../../client/index.js";
import { CLOSE, SUBPROTOCOL } from "../../protocol/index.js";
import { PageClient, type PageSnapshot } from "../../web-client/page-client.js";

/** The client of a page over a real socket, without a browser; the page can be loaded anew. */
export class ClientPage {
  #socket!: WebSocket;
  readonly client: PageClient;

  private constructor(
    private readonly t: TestContext,
    private readonly url: string,
    private readonly ident: string,
    restored?: PageSnapshot,
  ) {
    this.client = new PageClient(
      (events) => {
        const socket = new WebSocket(url, SUBPROTOCOL);
        this.#socket = socket;
        socket.onopen = () => events.open();
        socket.onmessage = ({ data }) => events.text(String(data));
        socket.onclose = ({ code, reason }) => events.closed(code, reason);
        socket.onerror = () => {};
        return { send: (text) => socket.send(text), close: (code = 1000) => socket.close(code) };
      },
      () => ({ window: 32, ident }),
      restored,
    );
    t.after(() => this.client.close());
  }

  /** @param ident its user's name */
  static async open(t: TestContext, url: string, ident: string, restored?: PageSnapshot): Promise<ClientPage> {
    const page = new ClientPage(t, url, ident, restored);
    await untilReady(page.client, {});
    return page;
  }

  /** Its connection breaks, and it tries again. */
  drop(): void {
    this.#socket.terminate();
  }

  /** What the page was is gone, but for what it leaves behind; the new one knows nothing else. */
  async reload(): Promise<ClientPage> {
    const { snapshot } = this.client;
    // With this code its client does not try again.
    this.#socket.close(CLOSE.replaced.code);
    return ClientPage.open(this.t, this.url, this.ident, JSON.parse(JSON.stringify(snapshot)));
  }
}

/** Settles with the next event of this type that fits. */
export function untilEvent<T extends string, E extends Event>(
  target: { addEventListener(type: T, listener: (event: E) => void, options?: { signal?: unknown }): void },
  type: T,
  fits: (event: E) => boolean = () => true,
): Promise<E> {
  return new Promise((resolve) => {
    const over = new AbortController();
    const look = (event: E): void => {
      if (!fits(event)) return;
      over.abort();
      resolve(event);
    };
    target.addEventListener(type, look, { signal: over.signal });
  });
}
