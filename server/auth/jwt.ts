import type { JWTPayload, JWTVerifyGetKey, JWTVerifyOptions } from "jose";
import { quoted, type Refusal } from "../../protocol/index.js";
import { type Authenticator, type Credentials, type Identity, unauthorized } from "./authenticator.js";
import { checkCookieName, cookieOf } from "./cookies.js";
import { type KeyOptions, type KeySource, type Keys, keysOf } from "./jwt-keys.js";
import { kindOf } from "./kind-of.js";
import { timeOfSeconds } from "./seconds.js";
import { checkNames, millisecondsOf, shownUrl } from "./settings.js";
import { type FieldNames, tagsFrom, userOf } from "./user.js";

/** Exactly one of `secret`, `keyFile` and `jwksUrl` says with what tokens are verified. */
export interface JwtOptions extends KeyOptions {
  /** What application and hub share, for HMAC; at least 32 bytes. */
  readonly secret?: string | Uint8Array;
  /** Path of a file, read once: a public key (SPKI) or a certificate as PEM, or a JWKS as JSON. How long a certificate is valid is not looked at. */
  readonly keyFile?: string;
  /** http or https URL of a JWKS. Kept for 10 minutes; a `kid` that is not in it has it fetched anew, at most every 30 s. */
  readonly jwksUrl?: string;
  /** ms for which an answer of `jwksUrl` is awaited; default 5,000. */
  readonly timeout?: number;
  /**
   * Default: for a secret HS256, HS384 and HS512; otherwise RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA, as far as the
   * key is for them.
   */
  readonly algorithms?: readonly string[];
  /** What `iss` must be; default: whatever it is. */
  readonly issuer?: string;
  /** What `aud` must be, or hold; default: whatever it is. Where one issuer serves several applications, this keeps out tokens meant for the others. */
  readonly audience?: string;
  /** Name of a cookie that carries the token; default: none is looked at. */
  readonly cookie?: string;
  /** What each claim is called. */
  readonly claims?: {
    /** Default `sub`. A text of 1 to 256 characters. */
    readonly id?: string;
    /** Default `name`; where it is missing, the id. */
    readonly name?: string;
    /** Default `roles`: an array of texts, or one text with blanks between the roles. */
    readonly roles?: string;
    /** Default: no tags are looked for, and a page may choose its own. */
    readonly tags?: string;
  };
  /** Seconds by which the clocks of issuer and hub may differ; default 5. */
  readonly clockTolerance?: number;
  /** Must a token say when it expires? Default true. */
  readonly requireExpiry?: boolean;
}

const OPTION_NAMES = "secret keyFile jwksUrl timeout algorithms issuer audience cookie claims clockTolerance requireExpiry".split(" ");
const CLAIM_NAMES = ["id", "name", "roles", "tags"];
/** Where a browser's page shows a token: WebSocket subprotocols are the only header that it can set. */
const SUBPROTOCOL = "token.";
const DEFAULT_TIMEOUT = 5_000;
const DEFAULT_TOLERANCE = 5;

/**
 * A JSON Web Token (RFC 7519), signed. Looked for in the cookie, where one is named, then in a subprotocol `token.<JWT>`, then in the `token` of the
 * hello; the first that is found counts. What is no JWT at all in the latter two is another authenticator's.
 * @throws TypeError where an option is not right
 */
export function jwt(options: JwtOptions): Authenticator {
  checkNames("jwt", options, OPTION_NAMES);
  const rules = rulesOf(options);
  const keys = keysOf(options);
  let verifier: Promise<Verify> | undefined;
  async function identify(token: string): Promise<Identity> {
    if (!looksLikeJwt(token)) throw unauthorized("Expected the cookie to hold a JWT: three parts of base64url with dots between them.");
    // Loaded now: a hub without JWT does without the library.
    verifier ??= verifierOf(keys, rules);
    return identityOf(await (await verifier)(token), rules);
  }
  return {
    name: "jwt",
    afterHello: true,
    authenticate(credentials) {
      const token = tokenIn(credentials, rules.cookie);
      return token === undefined ? undefined : identify(token);
    },
  };
}

interface Rules {
  readonly cookie: string | undefined;
  readonly claims: FieldNames & { readonly tags: string | undefined };
  readonly timeout: number;
  readonly verify: JWTVerifyOptions & { readonly clockTolerance: number };
}

function rulesOf(options: JwtOptions): Rules {
  const { cookie, claims = {}, timeout = DEFAULT_TIMEOUT, clockTolerance = DEFAULT_TOLERANCE, requireExpiry = true } = options;
  if (cookie !== undefined) checkCookieName(cookie);
  checkNames("`claims` of jwt", claims, CLAIM_NAMES);
  if (typeof clockTolerance !== "number" || !(clockTolerance >= 0 && clockTolerance < Number.POSITIVE_INFINITY))
    throw new TypeError(`Expected \`clockTolerance\` to be a number of seconds, 0 or more, got ${quoted(clockTolerance)}.`);
  if (typeof requireExpiry !== "boolean")
    throw new TypeError(`Expected \`requireExpiry\` to be true or false, got ${quoted(requireExpiry)}.`);
  const { id = "sub", name = "name", roles = "roles", tags } = claims;
  for (const claim of [id, name, roles, tags ?? "tags"])
    if (typeof claim !== "string" || claim === "")
      throw new TypeError(`Expected \`claims\` to hold names of claims, got ${kindOf(claim)}.`);
  return {
    cookie,
    claims: { id, name, roles, tags },
    timeout: millisecondsOf(timeout, "timeout", 1),
    verify: {
      clockTolerance,
      requiredClaims: requireExpiry ? ["exp"] : [],
      ...expected(options, "issuer"),
      ...expected(options, "audience"),
    },
  };
}

/** An option that is there without a value is a slip, and not the wish to look at nothing: `issuer: process.env.ISUER`. */
function expected(options: JwtOptions, name: "issuer" | "audience"): { [name: string]: string } {
  if (!Object.hasOwn(options, name)) return {};
  const value: unknown = options[name];
  if (typeof value === "string" && value !== "") return { [name]: value };
  throw new TypeError(`Expected \`${name}\` to be a text, or not to be there, got ${kindOf(value)}.`);
}

function tokenIn({ headers, protocols, token }: Credentials, cookie: string | undefined): string | undefined {
  const inCookie = cookie === undefined ? undefined : cookieOf(headers.cookie, cookie);
  if (inCookie) return inCookie;
  const shown = protocols.filter((each) => each.startsWith(SUBPROTOCOL)).map((each) => each.slice(SUBPROTOCOL.length));
  return [...shown, token].find((each) => each !== undefined && looksLikeJwt(each));
}

/** An unsigned one too, whose third part is empty: it is to be refused. */
const looksLikeJwt = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text);

type Verify = (token: string) => Promise<JWTPayload>;

async function verifierOf({ source, algorithms }: Keys, rules: Rules): Promise<Verify> {
  const jose = await import("jose");
  const options = { ...rules.verify, algorithms: [...algorithms] };
  const key = keyFinder(jose, source, rules.timeout);
  return async (token) => {
    try {
      return (await jose.jwtVerify(token, key, options)).payload;
    } catch (error) {
      if (!(error instanceof jose.errors.JWKSMultipleMatchingKeys)) throw failureOf(error, source);
      return verifyWithAny(error, async (each) => (await jose.jwtVerify(token, each, options)).payload, source);
    }
  };
}

function keyFinder(jose: typeof import("jose"), source: KeySource, timeout: number): JWTVerifyGetKey {
  switch (source.kind) {
    case "key":
      return () => source.key;
    case "set":
      return jose.createLocalJWKSet({ keys: [...source.keys] });
    case "server":
      return jose.createRemoteJWKSet(source.url, { timeoutDuration: timeout });
  }
}

type VerifyWith<Key> = (key: Key) => Promise<JWTPayload>;

/** A token without `kid` may be of any of the keys. */
async function verifyWithAny<Key>(keys: AsyncIterable<Key>, verify: VerifyWith<Key>, source: KeySource): Promise<JWTPayload> {
  for await (const key of keys) {
    try {
      return await verify(key);
    } catch (error) {
      if (codeOf(error) !== WRONG_SIGNATURE) throw failureOf(error, source);
    }
  }
  throw unauthorized(REASONS[WRONG_SIGNATURE] as string);
}

const WRONG_SIGNATURE = "ERR_JWS_SIGNATURE_VERIFICATION_FAILED";
/** What is wrong with a token, by the library's codes. */
const REASONS: Readonly<Record<string, string>> = {
  [WRONG_SIGNATURE]: "The signature of the token is not right: it was signed with another key, or changed.",
  ERR_JWT_EXPIRED: "The token has expired.",
  ERR_JOSE_ALG_NOT_ALLOWED: "The algorithm of the token is not one that is taken here.",
  ERR_JOSE_NOT_SUPPORTED: "The token needs an extension (`crit`) that is not known here.",
  ERR_JWKS_NO_MATCHING_KEY: "The key of the token (`kid`, `alg`) is not among those that are known here: its signature cannot be right.",
  ERR_JWS_INVALID: "The token is no JWT: its header or its payload cannot be read.",
  ERR_JWT_INVALID: "The token is no JWT: its payload is not a JSON object.",
};
const CLAIM_RULES: Readonly<Record<string, string>> = {
  exp: "the time when it expires, in seconds since 1970",
  nbf: "a time that has come, in seconds since 1970",
  iat: "a time in seconds since 1970",
  iss: "the issuer that is expected here",
  aud: "the audience that is expected here",
};

/** Only what is wrong with the token is a refusal; whatever else happens says that nobody can know. */
function failureOf(error: unknown, source: KeySource): Error {
  const code = codeOf(error);
  if (code === "ERR_JWT_CLAIM_VALIDATION_FAILED") return claimRefusal(error as { claim: string; reason: string });
  const reason = REASONS[code];
  if (reason !== undefined) return unauthorized(reason);
  const { message, cause } = error as Error;
  const causeCode = (cause as { code?: unknown } | undefined)?.code;
  // Of `fetch failed` the cause says why; the numbers of DOM exceptions say nothing.
  const why = typeof causeCode === "string" ? causeCode : message;
  return new Error(
    source.kind === "server" ? `The key server ${shownUrl(source.url)} gives no keys: ${why}.` : `No token can be verified: ${why}.`,
  );
}

function claimRefusal({ claim, reason }: { claim: string; reason: string }): Refusal {
  const rule = CLAIM_RULES[claim] ?? "right";
  return unauthorized(
    `Expected the claim \`${claim}\` of the token to be ${rule}, got ${reason === "missing" ? "none" : "something else"}.`,
  );
}

const codeOf = (error: unknown): string => String((error as { code?: unknown } | null)?.code);

function identityOf(payload: JWTPayload, { claims, verify: { clockTolerance } }: Rules): Identity {
  const claim = (name: string): unknown => (Object.hasOwn(payload, name) ? payload[name] : undefined);
  const label = (name: string): string => `the claim ${quoted(name)} of the token`;
  const roles = claim(claims.roles);
  const fields = {
    id: claim(claims.id),
    name: claim(claims.name),
    roles: typeof roles === "string" ? roles.split(/\s+/).filter(Boolean) : roles,
  };
  const user = userOf(fields, { id: label(claims.id), name: label(claims.name), roles: label(claims.roles) }, unauthorized);
  return {
    user,
    ...(claims.tags !== undefined && { tags: tagsFrom(claim(claims.tags), label(claims.tags), unauthorized) }),
    ...(payload.exp !== undefined && { expires: timeOf(payload.exp) + clockTolerance * 1_000 }),
  };
}

function timeOf(seconds: number): number {
  const time = timeOfSeconds(seconds);
  if (time !== undefined) return time;
  throw unauthorized(`Expected the claim \`exp\` of the token to be ${CLAIM_RULES.exp}, got more, are they ms?`);
}
