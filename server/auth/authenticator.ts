import { type MaybePromise, Refusal, type Tags } from "../../protocol/index.js";
import type { App, User } from "../app.js";

export type { User } from "../app.js";

/** What an authenticator has found out. */
export interface Identity {
  readonly user: User;
  /** By what it can be addressed. */
  readonly tags?: Tags | undefined;
  /** Until when this is true, ms since 1970; default: for as long as it is connected. */
  readonly expires?: number | undefined;
  /** Is it still true? Asked shortly before `expires`; what it returns takes the place of this identity. Fails like `authenticate`. */
  readonly renew?: (() => MaybePromise<Identity | undefined>) | undefined;
}

/** That somebody has a key, without the key [AUTH-6]. */
export interface KeyProof {
  /** Which key. */
  readonly key: string;
  /** What the hub has made up for this connection alone. */
  readonly nonce: string;
  /** HMAC-SHA256 of both, in hexadecimal digits. */
  readonly mac: string;
}

/** What somebody shows, and where. */
export interface Credentials {
  readonly kind: "page" | "backend";
  /** The resource path it asks for. */
  readonly path: string;
  /** Where it comes from: an IP address, or `unix`. */
  readonly address: string;
  /** Of a page's handshake, by lower-case name: `cookie`, `origin`, `authorization`, … A backend has none. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** WebSocket subprotocols that it offers: the only header that a browser's page can set. */
  readonly protocols: readonly string[];
  /** The `token` of its hello; `undefined` before that. */
  readonly token?: string | undefined;
  readonly proof?: KeyProof | undefined;
}

/** One way to find out who somebody is. */
export interface Authenticator {
  /** For the log. */
  readonly name: string;
  /** Who it knows may be a backend too, which may say more than a page: reports of jobs, tickets. Default: it is asked about pages alone. */
  readonly backends?: boolean;
  /** It looks at `token` or `proof` too, which come after the handshake: who shows nothing before may still be welcome. */
  readonly afterHello?: boolean;
  /** The ids of keys for which it takes a proof [AUTH-6]. */
  readonly keys?: ReadonlySet<string>;
  /** Something that it needs to be said in the hub: mounted on every path. */
  readonly app?: App;
  /**
   * @returns who it is, or `undefined` (or null) where nothing is shown that this authenticator looks at: the next one is asked
   * @throws Refusal (or rejects) where something is shown, and it is not right: its message is told to who showed it.
   *   Anything else thrown says that it cannot be known at present: nobody is let in for that [AUTH-3]
   */
  authenticate(credentials: Credentials): MaybePromise<Identity | undefined>;
}

/** A function, or something that looks like an authenticator. */
export function isAuthenticator(value: unknown): boolean {
  if (typeof value === "function") return true;
  const { name, authenticate } = (typeof value === "object" && value !== null ? value : {}) as Partial<Authenticator>;
  return typeof name === "string" && typeof authenticate === "function";
}

/** @returns what is thrown where a credential is not right */
export const unauthorized = (message: string): Refusal => new Refusal("unauthorized", message);
