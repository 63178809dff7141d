import { constants, createHmac, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from "node:crypto";

/** A key with which tokens are signed, and its public half. */
export interface Pair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export const rsa = (modulusLength = 2_048): Pair => generateKeyPairSync("rsa", { modulusLength });
export const ec = (namedCurve: string): Pair => generateKeyPairSync("ec", { namedCurve });
export const ed25519 = (): Pair => generateKeyPairSync("ed25519");

/** Seconds since 1970, from now on. */
export const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1_000) + seconds;

/** A token, made by hand: what the hub's library reads has not been written by it. */
export function token(alg: string, key: KeyObject | string | Buffer, payload: object, header: object = {}): string {
  const signed = [{ alg, ...header }, payload].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${signed}.${signatureOf(alg, Buffer.from(signed), key).toString("base64url")}`;
}

function signatureOf(alg: string, signed: Buffer, key: KeyObject | string | Buffer): Buffer {
  const hash = `sha${alg.slice(-3)}`;
  switch (alg.slice(0, 2)) {
    case "HS":
      return createHmac(hash, key).update(signed).digest();
    case "RS":
      return sign(hash, signed, key);
    case "PS":
      return sign(hash, signed, {
        key: key as KeyObject,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      });
    case "ES":
      return sign(hash, signed, { key: key as KeyObject, dsaEncoding: "ieee-p1363" });
    case "Ed":
      return sign(null, signed, key as KeyObject);
    default:
      return Buffer.alloc(0);
  }
}

/** A public key as it stands in a JWKS. */
export const jwk = ({ publicKey }: Pair, more: object = {}): JsonWebKey => ({ ...publicKey.export({ format: "jwk" }), ...more });

export const pem = ({ publicKey }: Pair): string => publicKey.export({ type: "spki", format: "pem" }).toString();
