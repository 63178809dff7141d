import { randomBytes } from "node:crypto";
import { Fault, type MaybePromise, whenKnown } from "../protocol/index.js";
import type { Credentials, Identity } from "./auth/authenticator.js";
import { type HelloFields, parseHello, parseProof } from "./hello.js";
import type { Hub } from "./hub.js";
import type { Resource } from "./resource.js";

/** Random bytes of a nonce: no proof fits twice. */
const NONCE_BYTES = 24;

/** Who is there, and what it said of itself. */
export interface Welcome {
  readonly hello: HelloFields;
  readonly resource: Resource;
  /** `undefined` where nobody asks. */
  readonly identity: Identity | undefined;
}

/** What is known of a peer before it says hello. */
export interface Newcomer {
  readonly credentials: Credentials;
  /** Who it is, where that was found out before. */
  readonly identity?: Identity | undefined;
  /** It is let in whoever it is: it comes from this host, say. @param hello may show a secret */
  trusts(hello: HelloFields): boolean;
  /** The resource that it asks for. @throws Fault */
  resourceOf(hello: HelloFields): Resource;
  send(packet: object): void;
}

/** From the first packet of a peer to knowing who it is: the same on every transport (PROTOCOL.md, chapters 3 and 19). */
export class Greeting {
  #asked: { readonly hello: HelloFields; readonly key: string; readonly nonce: string } | undefined;

  constructor(
    private readonly hub: Hub,
    private readonly newcomer: Newcomer,
  ) {}

  /**
   * One text of it.
   * @returns who is there, or `undefined` where it has been asked something and its next text is the answer
   * @throws Fault (or rejects) where it is not let in
   */
  receive(text: string): MaybePromise<Welcome | undefined> {
    const { maxDepth } = this.hub.limits;
    if (this.#asked) return this.#prove(this.#asked, parseProof(text, maxDepth));
    const hello = parseHello(text, maxDepth);
    const resource = this.newcomer.resourceOf(hello);
    const { identity } = this.newcomer;
    if (identity || this.newcomer.trusts(hello)) return { hello, resource, identity };
    if (hello.key !== undefined && resource.authenticators.some(({ keys }) => keys)) return this.#challenge(hello, hello.key);
    return this.#ask(hello, resource, { token: hello.token });
  }

  #challenge(hello: HelloFields, key: string): undefined {
    const nonce = randomBytes(NONCE_BYTES).toString("base64url");
    this.#asked = { hello, key, nonce };
    this.newcomer.send({ opcode: "challenge", nonce });
  }

  #prove({ hello, key, nonce }: { hello: HelloFields; key: string; nonce: string }, mac: string): MaybePromise<Welcome> {
    return this.#ask(hello, this.newcomer.resourceOf(hello), { proof: { key, nonce, mac } });
  }

  #ask(hello: HelloFields, resource: Resource, shown: Partial<Credentials>): MaybePromise<Welcome> {
    const { credentials } = this.newcomer;
    const authenticators = resource.authenticators.filter(({ afterHello }) => afterHello);
    return whenKnown(
      this.hub.gate.ask(authenticators, { ...credentials, path: hello.resource ?? credentials.path, ...shown }),
      (identity) => {
        if (identity === undefined && !isOpen(resource, credentials)) throw nobody(resource, credentials);
        return { hello, resource, identity };
      },
    );
  }
}

/**
 * What a page's handshake shows, before the upgrade [AUTH-2].
 * @param speaks it is going to say hello, which may show more
 * @returns who it is, or `undefined` where nobody asks, or its hello has to say it
 * @throws Fault (or rejects) where it is not let in
 */
export function atHandshake(hub: Hub, resource: Resource, credentials: Credentials, speaks: boolean): MaybePromise<Identity | undefined> {
  const { authenticators } = resource;
  return whenKnown(hub.gate.ask(authenticators, credentials), (identity) => {
    const mayFollow = speaks && authenticators.some(({ afterHello }) => afterHello);
    if (identity === undefined && !mayFollow && !isOpen(resource, credentials)) throw nobody(resource, credentials);
    return identity;
  });
}

/** A page is asked who it is where there is somebody to ask; a backend that is not trusted always is. */
const isOpen = ({ authenticators }: Resource, { kind }: Credentials): boolean => kind === "page" && authenticators.length === 0;

function nobody({ authenticators }: Resource, { kind }: Credentials): Fault {
  if (kind === "page" || authenticators.length > 0)
    return new Fault("unauthorized", `Nothing was shown that ${names(authenticators)} knows: log in first.`);
  return new Fault("forbidden", "A backend of another host needs the hub's `backendKey` as `token` in its hello, or a client certificate.");
}

const names = (authenticators: readonly { readonly name: string }[]): string => authenticators.map(({ name }) => name).join(", ");
