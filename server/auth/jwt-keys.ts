import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { quoted } from "../../protocol/index.js";
import { kindOf } from "./kind-of.js";
import { secretOf, webUrlOf } from "./settings.js";

/** A key of a JWKS (RFC 7517); what this hub does not know is passed over. */
export type PublicJwk = JsonWebKey & { readonly kty: string };

/** With what tokens are verified. */
export type KeySource =
  | { readonly kind: "key"; readonly key: KeyObject | Uint8Array }
  | { readonly kind: "set"; readonly keys: readonly PublicJwk[] }
  | { readonly kind: "server"; readonly url: URL };

export interface Keys {
  readonly source: KeySource;
  /** Those that are taken, and that the keys are for. */
  readonly algorithms: readonly string[];
}

export interface KeyOptions {
  readonly secret?: string | Uint8Array;
  readonly keyFile?: string;
  readonly jwksUrl?: string;
  readonly algorithms?: readonly string[];
}

const SYMMETRIC = ["HS256", "HS384", "HS512"];
const RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const ASYMMETRIC = [...RSA, "ES256", "ES384", "ES512", "EdDSA"];
/** Below that an RSA key is not safe (RFC 7518, section 3.3). */
const MIN_RSA_BITS = 2_048;
/** OpenSSL's names, and those of a JWK. */
const CURVES: Readonly<Record<string, string>> = { prime256v1: "ES256", secp384r1: "ES384", secp521r1: "ES512" };
const JWK_CURVES: ReadonlySet<unknown> = new Set(["P-256", "P-384", "P-521", "Ed25519"]);
const USABLE = `an RSA key of at least ${MIN_RSA_BITS} bits, or one on P-256, P-384, P-521 or Ed25519`;

/**
 * The keys that the options name, read and checked, and what they are for. A secret is for HMAC and a public key for signatures: a token that
 * says otherwise was signed with what everybody may know.
 * @throws TypeError that names the option, the rule and what came; never a secret
 */
export function keysOf(options: KeyOptions): Keys {
  const { secret, keyFile, jwksUrl, algorithms } = options;
  const given = Object.entries({ secret, keyFile, jwksUrl }).filter(([, value]) => value !== undefined);
  if (given.length !== 1)
    throw new TypeError(
      `Expected exactly one of \`secret\`, \`keyFile\` and \`jwksUrl\`, got ${given.map(([name]) => `\`${name}\``).join(" and ") || "none"}.`,
    );
  if (secret !== undefined)
    return { source: { kind: "key", key: sharedSecret(secret) }, algorithms: chosen(algorithms, SYMMETRIC, "a secret") };
  // Ed25519 is the newer name of EdDSA (RFC 9864): for who asks for it.
  const taken = chosen(algorithms, ASYMMETRIC, "public keys", ["Ed25519"]);
  if (jwksUrl !== undefined) return { source: { kind: "server", url: webUrlOf(jwksUrl, "jwksUrl") }, algorithms: taken };
  const { source, usable } = keysInFile(keyFile);
  const both = taken.filter((each) => usable.includes(each));
  if (both.length > 0) return { source, algorithms: both };
  throw new TypeError(
    `Expected \`algorithms\` to hold one that the key of \`keyFile\` is for, which are ${usable.join(", ")}, got ${taken.join(", ")}.`,
  );
}

function chosen(algorithms: unknown, usual: readonly string[], kind: string, more: readonly string[] = []): readonly string[] {
  if (algorithms === undefined) return usual;
  const all = [...usual, ...more];
  const wrong = (got: string): TypeError =>
    new TypeError(`Expected \`algorithms\` for ${kind} to be some of ${all.join(", ")}, got ${got}.`);
  if (!Array.isArray(algorithms)) throw wrong(kindOf(algorithms));
  if (algorithms.length === 0) throw wrong("an empty array");
  const other = algorithms.findIndex((each) => !all.includes(each));
  if (other !== -1) throw wrong(quoted(algorithms[other]));
  return [...algorithms] as string[];
}

function sharedSecret(value: unknown): Uint8Array {
  const bytes = secretOf(value, "`secret`");
  // Everybody may have a public key: who took it for the secret would take everybody's tokens.
  if (bytes.includes("-----BEGIN"))
    throw new TypeError("Expected `secret` to be a secret of application and hub, got a PEM file: a public key belongs into `keyFile`.");
  return bytes;
}

type KeysInFile = { readonly source: KeySource; readonly usable: readonly string[] };

function keysInFile(path: unknown): KeysInFile {
  if (typeof path !== "string" || path === "") throw new TypeError(`Expected \`keyFile\` to be the path of a file, got ${kindOf(path)}.`);
  const text = textOf(path).trimStart();
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text))
    throw new TypeError(`Expected \`keyFile\` to hold a public key, got a private one: ${quoted(path)}.`);
  if (text.startsWith("{")) return setIn(text, path);
  if (/-----BEGIN (?:PUBLIC KEY|CERTIFICATE)-----/.test(text)) return pemIn(text, path);
  throw new TypeError(
    `Expected \`keyFile\` to be a public key or a certificate as PEM, or a JWKS as JSON, got something else: ${quoted(path)}.`,
  );
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new TypeError(
      `Expected \`keyFile\` to be a file that can be read, got ${quoted(path)}: ${(error as NodeJS.ErrnoException).code}.`,
    );
  }
}

function pemIn(text: string, path: string): KeysInFile {
  const key = publicKey(() => createPublicKey(text), path);
  const usable = algorithmsOf(key);
  if (usable.length > 0) return { source: { kind: "key", key }, usable };
  throw new TypeError(`Expected \`keyFile\` to hold ${USABLE}, got another: ${quoted(path)}.`);
}

/** Of a set only what is for signatures, and known here, is kept: other keys may stand beside them (RFC 7517, section 5). */
function setIn(text: string, path: string): KeysInFile {
  const keys: PublicJwk[] = [];
  const usable = new Set<string>();
  for (const jwk of jwksOf(text, path)) {
    if (jwk.d !== undefined || jwk.k !== undefined)
      throw new TypeError(`Expected \`keyFile\` to hold public keys alone, got a private or secret one: ${quoted(path)}.`);
    if (jwk.use === "enc" || !(jwk.kty === "RSA" || JWK_CURVES.has(jwk.crv))) continue;
    const found = algorithmsOf(publicKey(() => createPublicKey({ key: jwk, format: "jwk" }), path));
    if (found.length > 0) keys.push(jwk);
    for (const each of found) usable.add(each);
  }
  if (keys.length > 0) return { source: { kind: "set", keys }, usable: [...usable] };
  throw new TypeError(`Expected the set of \`keyFile\` to hold ${USABLE}, got none: ${quoted(path)}.`);
}

function jwksOf(text: string, path: string): readonly PublicJwk[] {
  const wrong = (got: string): TypeError =>
    new TypeError(`Expected \`keyFile\` to be a JWKS, an object with \`keys\`, an array of objects, got ${got}: ${quoted(path)}.`);
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw wrong("no JSON");
  }
  const { keys } = set as { keys?: unknown };
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === "object" && key !== null)) throw wrong("something else");
  return keys as PublicJwk[];
}

function publicKey(read: () => KeyObject, path: string): KeyObject {
  try {
    return read();
  } catch {
    throw new TypeError(`Expected each key of \`keyFile\` to be whole, got one that cannot be read: ${quoted(path)}.`);
  }
}

function algorithmsOf(key: KeyObject): readonly string[] {
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "rsa":
      return modulusLength >= MIN_RSA_BITS ? RSA : [];
    case "ec":
      return [CURVES[namedCurve] ?? []].flat();
    case "ed25519":
      return ["EdDSA", "Ed25519"];
    default:
      return [];
  }
}
