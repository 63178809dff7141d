import type { AddressInfo } from "node:net";
import { connect, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";

/** How a network breaks a connection. */
export const FAULTS = ["fin", "reset", "black hole", "cut"] as const;
export type Fault = (typeof FAULTS)[number];

/** For how long a black hole swallows everything before somebody notices, ms. */
const BLACK_HOLE = 300;

/** A connection through the proxy. */
class Link {
  #left = Number.POSITIVE_INFINITY;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
  ) {
    this.#forward(client, server);
    this.#forward(server, client);
  }

  /** @param bytes for `cut`: how many more get through, in both directions together */
  break(fault: Fault, bytes: number): void {
    if (fault === "cut") this.#left = bytes;
    else if (fault === "fin") this.#both((socket) => socket.end());
    else if (fault === "reset") this.#both((socket) => socket.resetAndDestroy());
    else {
      this.#left = 0;
      setTimeout(() => this.#both((socket) => socket.resetAndDestroy()), BLACK_HOLE).unref();
    }
  }

  #forward(from: Socket, to: Socket): void {
    from.on("data", (bytes) => {
      const part = bytes.subarray(0, this.#left);
      const cut = part.length < bytes.length && this.#left > 0;
      this.#left -= part.length;
      if (part.length > 0 && !to.destroyed) to.write(part);
      if (cut) this.#both((socket) => socket.resetAndDestroy());
    });
    from.on("end", () => to.end());
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
  }

  #both(act: (socket: Socket) => void): void {
    act(this.client);
    act(this.server);
  }
}

/** A TCP proxy that breaks connections on demand, at any byte. */
export class FaultProxy {
  readonly #links = new Set<Link>();
  #away = false;
  /** All that clients have said, over all connections: readable where it is lines. */
  heard = "";

  private constructor(readonly port: number) {}

  static start(t: TestContext, target: number): Promise<FaultProxy> {
    return new Promise((resolve) => {
      const server = createServer((client) => {
        if (proxy.#away) {
          client.resetAndDestroy();
          return;
        }
        client.on("data", (bytes) => {
          proxy.heard += bytes.toString("latin1");
        });
        const upstream = connect({ port: target, host: "127.0.0.1" });
        const link = new Link(client, upstream);
        proxy.#links.add(link);
        client.on("close", () => proxy.#links.delete(link));
      });
      let proxy: FaultProxy;
      t.after(() => server.close());
      server.listen(0, "127.0.0.1", () => {
        proxy = new FaultProxy((server.address() as AddressInfo).port);
        resolve(proxy);
      });
    });
  }

  /** The target is gone: all connections end, and none can be had until it comes back. */
  goAway(): void {
    this.#away = true;
    this.breakAll();
  }

  comeBack(): void {
    this.#away = false;
  }

  breakAll(): void {
    for (const link of this.#links) link.break("reset", 0);
    this.#links.clear();
  }

  /** Breaks one of the connections there are. */
  breakOne(random: { below(n: number): number }, fault: Fault): void {
    const links = [...this.#links];
    const link = links[random.below(links.length)];
    if (link === undefined) return;
    // What is broken stays broken: bytes that were swallowed are never followed by others.
    this.#links.delete(link);
    link.break(fault, random.below(2_000));
  }
}
