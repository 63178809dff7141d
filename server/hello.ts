import { Fault, MAX_NAME, type Packet, parseMessage, quoted, Refusal, type Tags, tagsOf } from "../protocol/index.js";

/** What a client said of itself (chapter 3), checked. */
export interface HelloFields {
  readonly window: number;
  readonly ident: string | undefined;
  readonly tags: Tags;
  readonly resource: string | undefined;
  readonly token: string | undefined;
  /** The id of a key of which it can show a proof [AUTH-6]. */
  readonly key: string | undefined;
  /** The secret of the page to be taken up again, and how many packets of the hub it has counted. */
  readonly resume: string | undefined;
  readonly seen: number | undefined;
  /** Which connection of this client it is, by the client's own count: the higher is the newer. */
  readonly attempt: number | undefined;
  /** The page was loaded anew: what it had begun to send is gone. */
  readonly reload: boolean;
}

const SECRETS: ReadonlySet<string> = new Set(["token", "resume"]);
export const NO_TAGS: Tags = Object.freeze({});

/** @throws Fault `protocol` where it is no `hello`, or a field has the wrong type [OPEN-3] */
export function parseHello(text: string, maxDepth: number): HelloFields {
  return asFault(() => {
    const packet = parseMessage(text, maxDepth);
    if (packet.opcode !== "hello") throw new Refusal("", `Expected \`hello\` as the first packet, got ${quoted(packet.opcode)}.`);
    return {
      window: windowOf(packet),
      ident: nameOf(packet, "ident"),
      tags: hasNone(packet.tags) ? NO_TAGS : tagsOf(packet.tags),
      resource: nameOf(packet, "resource"),
      token: nameOf(packet, "token"),
      key: nameOf(packet, "key"),
      resume: nameOf(packet, "resume"),
      seen: typeof packet.seen === "number" ? packet.seen : undefined,
      attempt: typeof packet.attempt === "number" ? packet.attempt : undefined,
      reload: packet.reload === true,
    };
  });
}

/** @throws Fault `protocol` where it is no `proof` [AUTH-6] */
export function parseProof(text: string, maxDepth: number): string {
  return asFault(() => {
    const { opcode, mac } = parseMessage(text, maxDepth);
    if (opcode === "proof" && typeof mac === "string") return mac;
    throw new Refusal("", `Expected \`proof\` with a \`mac\` as the answer to a challenge, got ${quoted(opcode)}.`);
  });
}

function windowOf(packet: Packet): number {
  const window = packet.window === undefined ? 1 : packet.window;
  if (Number.isSafeInteger(window) && (window as number) >= 1) return window as number;
  throw new Refusal("", `Expected \`window\` of hello to be an integer of at least 1, got ${quoted(window)}.`);
}

/** `{}` says what no `tags` says. */
function hasNone(tags: unknown): boolean {
  return tags === undefined || (typeof tags === "object" && tags !== null && !Array.isArray(tags) && Object.keys(tags).length === 0);
}

/** An empty string counts as absent. */
function nameOf(packet: Packet, field: string): string | undefined {
  const value = packet[field];
  if (value === undefined || value === "") return undefined;
  if (typeof value === "string" && (value.length <= MAX_NAME || SECRETS.has(field))) return value;
  const rule = SECRETS.has(field) ? "a string" : `a string of at most ${MAX_NAME} characters`;
  throw new Refusal("", `Expected \`${field}\` of hello to be ${rule}, got ${quoted(SECRETS.has(field) ? typeof value : value)}.`);
}

/** A `hello` has no `next` that could refuse it. */
function asFault<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof Refusal ? new Fault("protocol", error.message) : error;
  }
}
