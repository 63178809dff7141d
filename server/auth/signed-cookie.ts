import { createHmac } from "node:crypto";
import { quoted } from "../../protocol/index.js";
import { type Authenticator, type Identity, type User, unauthorized } from "./authenticator.js";
import { checkCookieName, cookieOf } from "./cookies.js";
import { kindOf } from "./kind-of.js";
import { sameText } from "./same-text.js";
import { timeOfSeconds } from "./seconds.js";
import { checkNames, secretOf } from "./settings.js";
import { isName, userOf } from "./user.js";

/** Exactly one of `secret` and `secrets`, each of at least 32 bytes. */
export interface SignedCookieOptions {
  /** What application and hub share. */
  readonly secret?: string | Uint8Array;
  /** While it is changed: the new one first, then the old ones, which are still accepted. */
  readonly secrets?: readonly (string | Uint8Array)[];
  /** Name of the cookie; default `signalbox`. */
  readonly cookie?: string;
}

/** Whom a cookie names; the name defaults to the id, and there are no roles unless there are any. */
export interface CookieUser {
  /** 1 to 256 characters. */
  readonly id: string;
  readonly name?: string | undefined;
  /** Names of roles, 1 to 256 characters each, without a comma. */
  readonly roles?: readonly string[] | undefined;
}

/** Exactly one of `expires` and `maxAge`. */
export interface SigningOptions {
  /** At least 32 bytes. */
  readonly secret: string | Uint8Array;
  /** Until when the cookie counts; a number is in seconds since 1970. */
  readonly expires?: Date | number;
  /** For how many seconds, from now on, it counts. */
  readonly maxAge?: number;
}

const DEFAULT_COOKIE = "signalbox";
const VERSION = "v1";
const PARTS = 6;
/** What is signed begins with it: nothing else that the same secret signs is ever taken for a cookie. */
const PURPOSE = "signalbox cookie\n";
/** Characters of a cookie: browsers drop one that is longer than 4,096 with its name, and say nothing. */
const MAX_VALUE = 4_000;

/**
 * A cookie that the application signs for its user, `v1.EXPIRES.ID.NAME.ROLES.MAC`: EXPIRES in seconds since 1970; ID, NAME and ROLES (separated by
 * commas) in base64url; MAC is HMAC-SHA256 of `signalbox cookie`, a line end, and all that stands before the last dot. Made with {@link signCookie},
 * or with the same for PHP and Python.
 * @throws TypeError where an option is not right
 */
export function signedCookie(options: SignedCookieOptions): Authenticator {
  checkNames("signedCookie", options, ["secret", "secrets", "cookie"]);
  const { cookie = DEFAULT_COOKIE } = options;
  checkCookieName(cookie);
  const secrets = secretsOf(options);
  return {
    name: "signed-cookie",
    authenticate({ headers }) {
      const value = cookieOf(headers.cookie, cookie);
      return value ? identityOf(value, secrets, Date.now()) : undefined;
    },
  };
}

function secretsOf({ secret, secrets }: SignedCookieOptions): readonly Buffer[] {
  if ((secret === undefined) === (secrets === undefined))
    throw new TypeError("Expected exactly one of `secret` and `secrets`, got none or both.");
  if (secret !== undefined) return [secretOf(secret, "`secret`")];
  if (!Array.isArray(secrets) || secrets.length === 0)
    throw new TypeError(
      `Expected \`secrets\` to be an array with at least one, got ${Array.isArray(secrets) ? "an empty one" : kindOf(secrets)}.`,
    );
  return secrets.map((each) => secretOf(each, "each of `secrets`"));
}

function identityOf(value: string, secrets: readonly Buffer[], now: number): Identity {
  // One more than there may be, so that one too many is seen; not all that somebody writes.
  const parts = value.split(".", PARTS + 1);
  const [version, expires = "", id = "", name = "", roles = "", mac = ""] = parts;
  if (version !== VERSION || parts.length !== PARTS)
    throw unauthorized("Expected the cookie to be `v1.EXPIRES.ID.NAME.ROLES.MAC`, got something else.");
  const signed = value.slice(0, value.lastIndexOf("."));
  // As texts: what is base64url in another way than it is written here is not the same either.
  if (!secrets.some((secret) => sameText(mac, macOf(signed, secret))))
    throw unauthorized("The signature of the cookie is not right: it was signed with another secret, or changed.");
  const end = timeIn(expires);
  if (now >= end) throw unauthorized("The cookie has expired.");
  const list = textIn(roles);
  const fields = { id: textIn(id), name: textIn(name), roles: list === "" ? [] : list.split(",") };
  const user: User = userOf(fields, { id: "ID of the cookie", name: "NAME of the cookie", roles: "ROLES of the cookie" }, unauthorized);
  return { user, expires: end };
}

const macOf = (signed: string, secret: Uint8Array): string =>
  createHmac("sha256", secret).update(PURPOSE).update(signed).digest("base64url");

function timeIn(text: string): number {
  const time = /^(?:0|[1-9]\d*)$/.test(text) ? timeOfSeconds(Number(text)) : undefined;
  if (time !== undefined) return time;
  throw unauthorized("Expected EXPIRES of the cookie to be seconds since 1970 in decimal digits, got something else: are they ms?");
}

/** @throws Refusal where it is not base64url as RFC 4648 has it, without padding, of UTF-8 */
function textIn(part: string): string {
  const bytes = Buffer.from(part, "base64url");
  const text = bytes.toString();
  if (bytes.toString("base64url") === part && Buffer.from(text).equals(bytes)) return text;
  throw unauthorized("Expected the parts of the cookie to be base64url, without padding, of UTF-8, got something else.");
}

/**
 * The value of a cookie that {@link signedCookie} accepts. It is a credential: set it `HttpOnly`, `Secure` and `SameSite=Strict`.
 * @throws TypeError where a field is not right, or the value would be longer than browsers keep
 */
export function signCookie(user: CookieUser, options: SigningOptions): string {
  const { id, name, roles = [] } = user;
  const secret = secretOf(options.secret, "`secret`");
  if (!isName(id)) throw new TypeError(`Expected \`id\` to be a text of 1 to 256 characters, got ${kindOf(id)}.`);
  if (name !== undefined && typeof name !== "string") throw new TypeError(`Expected \`name\` to be a text, got ${kindOf(name)}.`);
  if (!Array.isArray(roles) || !roles.every((role) => isName(role) && !role.includes(",")))
    throw new TypeError("Expected `roles` to be an array of texts of 1 to 256 characters without a comma, got something else.");
  const texts = [id, name ?? "", roles.join(",")].map(base64url);
  const signed = [VERSION, expiryOf(options), ...texts].join(".");
  const value = `${signed}.${macOf(signed, secret)}`;
  if (value.length <= MAX_VALUE) return value;
  throw new TypeError(`Expected the cookie to have at most ${MAX_VALUE} characters, which is what browsers keep, got ${value.length}.`);
}

function expiryOf({ expires, maxAge }: SigningOptions): number {
  if ((expires === undefined) === (maxAge === undefined))
    throw new TypeError("Expected exactly one of `expires` and `maxAge`, got none or both.");
  if (maxAge !== undefined && !(Number.isFinite(maxAge) && maxAge >= 1))
    throw new TypeError(`Expected \`maxAge\` to be seconds, at least 1, got ${quoted(maxAge)}.`);
  const seconds = expires instanceof Date ? expires.getTime() / 1_000 : (expires ?? Date.now() / 1_000 + (maxAge as number));
  if (timeOfSeconds(seconds) !== undefined) return Math.floor(seconds);
  throw new TypeError("Expected `expires` to be a Date, or seconds since 1970, got something else: are they ms?");
}

function base64url(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.toString() === text) return bytes.toString("base64url");
  throw new TypeError("Expected `id`, `name` and `roles` to be whole characters, got half of a surrogate pair.");
}
