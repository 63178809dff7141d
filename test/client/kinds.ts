import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import type { EventOf } from "../../client/hub-client.js";
import type { ClientOptions, HubClient } from "../../client/index.js";
import { connect as connectBackend } from "../../tcp-client/index.js";
import { connect as connectPage } from "../../web-client/index.js";
import type { TestHub } from "../support/hub.js";

/** What a test lets an impostor do, once for each text that a client says. */
export type Script = (text: string, wire: { say(text: string): void; end(): void; drop(): void }) => void;

/** A client and its wire, for tests that hold on both. */
export interface Kind {
  readonly name: string;
  /** Where a hub is reached. */
  url(hub: TestHub, path?: string): string;
  connect(url: string, options?: ClientOptions): Promise<HubClient>;
  /** A listener that accepts and does what the script says. @returns its URL */
  impostor(t: TestContext, script: Script): Promise<string>;
}

export const backend: Kind = {
  name: "tcp-client",
  url: (hub, path = "/") => `tcp://127.0.0.1:${hub.tcpPort}${path}`,
  connect: (url, options) => connectBackend(url, options),
  async impostor(t, script) {
    const sockets = new Set<Socket>();
    // Half-open: it does not end by itself when the client does.
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      const wire = {
        say: (text: string) => void socket.write(`${text}\n`),
        end: () => void socket.end(),
        drop: () => void socket.resetAndDestroy(),
      };
      socket.on("data", (bytes) => script(bytes.toString().trimEnd(), wire));
    });
    t.after(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  },
};

export const page: Kind = {
  name: "web-client",
  url: (hub, path = "/") => `${hub.ws}${path}`,
  connect: (url, options) => connectPage(url, { WebSocket, ...options }),
  async impostor(t, script) {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    server.on("connection", (socket) => {
      const wire = { say: (text: string) => socket.send(text), end: () => socket.close(), drop: () => socket.terminate() };
      socket.on("message", (data) => script(String(data), wire));
    });
    t.after(() => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    });
    await once(server, "listening");
    return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  },
};

export const KINDS = [backend, page];

/** A client that ends with its test. */
export async function join(t: TestContext, kind: Kind, url: string, options?: ClientOptions): Promise<HubClient> {
  const client = await kind.connect(url, options);
  t.after(() => client.close());
  return client;
}

/** The next event of a type. */
export function next<T extends string>(client: HubClient, type: T): Promise<EventOf<T>> {
  return new Promise((resolve) => client.addEventListener(type, resolve, { once: true }));
}

/** A port of this host on which nobody listens. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
