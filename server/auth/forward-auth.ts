import { createHash } from "node:crypto";
import { validateHeaderValue } from "node:http";
import { quoted, type Tags } from "../../protocol/index.js";
import { type Authenticator, type Credentials, type Identity, type User, unauthorized } from "./authenticator.js";
import { type Got, getter } from "./get.js";
import { kindOf } from "./kind-of.js";
import { Remembered } from "./remembered.js";
import { timeOfSeconds } from "./seconds.js";
import { checkNames, millisecondsOf, shownUrl, webUrlOf } from "./settings.js";
import { type Fail, isMissing, tagsFrom, userOf } from "./user.js";

export interface ForwardAuthOptions {
  /** http or https. */
  readonly url: string;
  /** ms until its whole answer must be there; default 3,000. */
  readonly timeout?: number;
  /** ms for which a yes is remembered, and a no, of which 1,000 at the most: who logs in is in at once. Default 5,000. 0: not at all. */
  readonly cacheFor?: number;
  /** ms after which it is asked anew, where it does not say itself how long its answer holds; default 60,000. */
  readonly recheck?: number;
  /** Headers of the handshake that are passed on besides `cookie` and `origin`, in lower case; default `["authorization"]`. */
  readonly headers?: readonly string[];
}

/** They belong to the connection, or are set here. */
const OWN_HEADERS: ReadonlySet<string> = new Set(
  "host connection keep-alive content-length transfer-encoding te trailer upgrade expect accept x-forwarded-for x-signalbox-path".split(
    " ",
  ),
);
/** ms for which a no is remembered, at the most: long enough that a page that tries again and again is asked about once. */
const MAX_NO = 1_000;
const NAMES = { id: "`id`", name: "`name`", roles: "`roles`" };

/** What the application has answered. */
type Answer =
  | { readonly refused: string }
  | { readonly refused?: undefined; readonly user: User; readonly tags?: Tags; readonly expires: number };

/**
 * Asks the application who a page is, with what its handshake shows: GET with its `cookie`, `origin` and the other `headers`, its address as
 * `x-forwarded-for`, its path, percent-encoded, as `x-signalbox-path`. The answer:
 * - 200 with `{"id": "…", "name": "…", "roles": ["…"], "tags": {…}, "expires": …}`: welcome. Only `id` must be there; `expires` is in seconds since 1970;
 * - 401, 403 or a redirection, as to a page that asks for a password: not welcome;
 * - anything else, or none in time: nobody knows.
 *
 * A page that shows neither a cookie nor one of the other headers is not asked about.
 * @throws TypeError where an option is not right
 */
export function forwardAuth(options: ForwardAuthOptions): Authenticator {
  checkNames("forwardAuth", options, ["url", "timeout", "cacheFor", "recheck", "headers"]);
  const { timeout = 3_000, cacheFor = 5_000, recheck = 60_000 } = options;
  const url = webUrlOf(options.url, "url");
  const passedOn = passedOnOf(options.headers ?? ["authorization"]);
  const get = getter(url, millisecondsOf(timeout, "timeout", 1));
  millisecondsOf(cacheFor, "cacheFor", 0);
  const remembered = new Remembered<Answer>(({ refused }) => (refused === undefined ? cacheFor : Math.min(cacheFor, MAX_NO)));
  millisecondsOf(recheck, "recheck", 1);

  async function ask(key: string, headers: Record<string, string>): Promise<Identity> {
    const question = async (): Promise<Answer> => answerOf(await get(headers), shownUrl(url), recheck);
    return identityOf(await remembered.ask(key, question), () => ask(key, headers));
  }
  return {
    name: "forward-auth",
    authenticate(credentials) {
      if (credentials.kind !== "page" || !["cookie", ...passedOn].some((name) => credentials.headers[name])) return undefined;
      const headers = headersFor(credentials, passedOn);
      const key = createHash("sha256").update(JSON.stringify(headers)).digest("base64url");
      const known = remembered.find(key);
      if (known === undefined || isOver(known)) return ask(key, headers);
      return identityOf(known, () => ask(key, headers));
    },
  };
}

function passedOnOf(names: unknown): readonly string[] {
  if (!Array.isArray(names)) throw new TypeError(`Expected \`headers\` to be an array of names, got ${kindOf(names)}.`);
  const wrong = names.findIndex((name) => typeof name !== "string" || !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) || OWN_HEADERS.has(name));
  if (wrong === -1) return names as string[];
  throw new TypeError(
    `Expected \`headers\` to hold names of headers in lower case, and none of ${[...OWN_HEADERS].join(", ")}, got ${quoted(names[wrong])}.`,
  );
}

/** @throws Refusal where a header has characters that no header can have */
function headersFor({ headers, address, path }: Credentials, passedOn: readonly string[]): Record<string, string> {
  const sent: Record<string, string> = {
    accept: "application/json",
    "x-forwarded-for": address,
    // A path is decoded, and may hold line ends; half a surrogate pair is no text that could be encoded.
    "x-signalbox-path": encodeURI(Buffer.from(path).toString()),
  };
  for (const name of ["cookie", "origin", ...passedOn]) {
    const value = headers[name];
    if (value === undefined || value === "") continue;
    if (!isHeaderValue(name, value)) throw unauthorized(`Expected the header ${quoted(name)} to hold only characters that HTTP allows.`);
    sent[name] = value;
  }
  return sent;
}

function isHeaderValue(name: string, value: string): boolean {
  try {
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}

function answerOf({ status, body }: Got, where: string, recheck: number): Answer {
  if (status === 401 || status === 403) return { refused: `The application does not let this user in (HTTP ${status}).` };
  if (status >= 300 && status < 400)
    return { refused: `The application does not know this user: it redirects to another page (HTTP ${status}).` };
  if (status !== 200) throw new Error(`Expected ${where} to answer 200, 401, 403 or a redirection, got ${status}.`);
  const fail: Fail = (sentence) => new Error(`${where}: ${sentence}`);
  const { id, name, roles, tags, expires } = objectIn(body, fail);
  return {
    user: userOf({ id, name, roles }, NAMES, fail),
    ...(!isMissing(tags) && { tags: tagsFrom(tags, "`tags`", fail) }),
    expires: isMissing(expires) ? Date.now() + recheck : timeOf(expires, fail),
  };
}

function objectIn(body: string, fail: Fail): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw fail("Expected the body to be JSON, got something else.");
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw fail(`Expected the body to be a JSON object, got ${kindOf(value)}.`);
}

function timeOf(seconds: unknown, fail: Fail): number {
  const time = timeOfSeconds(seconds);
  if (time === undefined)
    throw fail(
      `Expected \`expires\` to be seconds since 1970, got ${typeof seconds === "number" ? "other, are they ms?" : kindOf(seconds)}.`,
    );
  if (time > Date.now()) return time;
  throw fail("Expected `expires` to lie ahead, got a time that is over.");
}

const isOver = (answer: Answer): boolean => answer.refused === undefined && answer.expires <= Date.now();

function identityOf(answer: Answer, renew: () => Promise<Identity>): Identity {
  if (answer.refused !== undefined) throw unauthorized(answer.refused);
  const { refused: _, ...identity } = answer;
  return { ...identity, renew };
}
