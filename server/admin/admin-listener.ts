import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Hub } from "../hub.js";
import { type HubStatus, statusOf } from "../hub-status.js";
import { authority } from "../listen-url.js";
import { hostAllowed, type OriginRules } from "../origin.js";
import { listenOn } from "../transports/listening.js";
import { Metrics } from "./metrics.js";

/** A host and port of this host, or the path of a unix socket. */
export type AdminAddress = { readonly host: string; readonly port: number } | { readonly path: string };

const HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };
/** One look takes no longer; a scraper asks every few seconds. */
const REQUEST_TIMEOUT = 5_000;

type Answer = readonly [status: number, type: string, body: string];

/** For operators, on this host alone: is it alive, what is it doing, what has it refused. Nothing here changes anything, and nothing of a peer is shown. */
export class AdminListener {
  readonly #server: Server;
  readonly #metrics: Metrics;

  constructor(
    private readonly hub: Hub,
    private readonly at: AdminAddress,
  ) {
    this.#metrics = new Metrics(() => statusOf(hub));
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT, headersTimeout: REQUEST_TIMEOUT }, (request, response) => {
      void this.#serve(request, response);
    });
  }

  /** @returns the URL with the real port */
  async listen(): Promise<string> {
    await listenOn(this.#server, this.at);
    this.#server.on("error", (error) => this.hub.log.error("listener.error", { error: error.message }));
    if ("path" in this.at) return `unix:${this.at.path}`;
    return `http://${authority(this.at.host, (this.#server.address() as AddressInfo).port)}`;
  }

  /** Until the hub is gone somebody may want to know that it goes. */
  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve({ method, url = "", headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const [status, type, body] = await this.#answer(method, url, headers.host).catch(
      (error: Error): Answer => [500, "text/plain", `${error.message}\n`],
    );
    response.writeHead(status, { ...HEADERS, "content-type": type }).end(method === "HEAD" ? undefined : body);
  }

  async #answer(method: string | undefined, url: string, host: string | undefined): Promise<Answer> {
    // A page of a browser on this host could be made to ask by a foreign name.
    if (!("path" in this.at) && !hostAllowed(host, rulesFor(this.at.host)))
      return [403, "text/plain", "This host name is not of this host.\n"];
    if (method !== "GET" && method !== "HEAD") return [405, "text/plain", "Expected GET.\n"];
    switch (url.split("?", 1)[0]) {
      case "/health/live":
        return [200, "text/plain", "live\n"];
      case "/health/ready":
        return health(statusOf(this.hub));
      case "/status":
        return [200, "application/json", `${JSON.stringify(statusOf(this.hub), undefined, 2)}\n`];
      case "/metrics":
        return [200, this.#metrics.contentType, await this.#metrics.text()];
      default:
        return [404, "text/plain", "There is /health/live, /health/ready, /status and /metrics.\n"];
    }
  }
}

const health = ({ state }: HubStatus): Answer => [state === "ready" ? 200 : 503, "text/plain", `${state}\n`];

const rulesFor = (boundTo: string): OriginRules => ({ secure: false, boundTo, origins: [], allowedHosts: [] });
