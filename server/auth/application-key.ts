import { createHmac } from "node:crypto";
import { proofText, quoted } from "../../protocol/index.js";
import { type Authenticator, type Identity, unauthorized } from "./authenticator.js";
import { sameText } from "./same-text.js";
import { secretOf } from "./settings.js";
import { userOf } from "./user.js";

/** One key: its secret, and who shows that it has it. */
export interface ApplicationKey {
  /** At least 32 bytes. */
  readonly secret: string;
  /** Default: the key's id. */
  readonly name?: string;
  readonly roles?: readonly string[];
}

/**
 * Backends and servers show that they have a secret without saying it: the hub makes up a nonce, and they answer with an HMAC of it [AUTH-6]. Who shows it is
 * the user whose id is the key's.
 * @param keys by id, of 1 to 256 characters
 * @throws TypeError for a secret that is too short
 */
export function applicationKey(keys: Readonly<Record<string, string | ApplicationKey>>): Authenticator {
  if (Object.keys(keys ?? {}).length === 0) throw new TypeError("Expected applicationKey to be given keys, { ID: SECRET }, got none.");
  const known = new Map(Object.entries(keys).map(([id, given]) => [id, entryOf(id, given)]));
  return {
    name: "application-key",
    backends: true,
    afterHello: true,
    keys: new Set(known.keys()),
    authenticate({ proof }) {
      if (proof === undefined) return undefined;
      const entry = known.get(proof.key);
      // An unknown key takes as long as a wrong proof, and is told no more.
      const mac = macOf(entry?.secret ?? "", proof.key, proof.nonce);
      if (!sameText(mac, proof.mac.toLowerCase()) || entry === undefined) throw unauthorized("The proof does not fit this key.");
      return entry.identity;
    },
  };
}

/** What shows that one has the secret of a key, in hexadecimal digits. */
export const macOf = (secret: string | Buffer, key: string, nonce: string): string =>
  createHmac("sha256", secret).update(proofText(key, nonce)).digest("hex");

function entryOf(id: string, given: string | ApplicationKey): { secret: Buffer; identity: Identity } {
  if (given === undefined)
    throw new TypeError(`Expected the key ${quoted(id)} to have a secret, got none: is its environment variable set?`);
  const { secret, name, roles }: ApplicationKey = typeof given === "string" ? { secret: given } : given;
  const names = { id: "the id of a key", name: `\`name\` of the key ${quoted(id)}`, roles: `\`roles\` of the key ${quoted(id)}` };
  const user = userOf({ id, name, roles }, names, (sentence) => new TypeError(sentence));
  return { secret: secretOf(secret, `\`secret\` of the key ${quoted(id)}`), identity: { user } };
}
