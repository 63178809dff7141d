import { createHash, randomBytes } from "node:crypto";

/** Why a page could not be taken up again [RES-5]. */
export type FreshReason = "expired" | "overflow" | "restarted" | "taken" | "gap" | "resource" | "identity";

/** Random bytes of a secret: 192 bits, above the 128 that keep guessing hopeless. */
const SECRET_BYTES = 24;
/** Ended pages whose reason is remembered, so that they can be told; a few hundred bytes each. */
const MAX_REMEMBERED = 10_000;

/** The secrets with which pages can be taken up again: hashed, changed with each resume, and only here [RES-6]. */
export class Sessions<Page extends object> {
  readonly #startId = randomBytes(6).toString("base64url");
  readonly #pages = new Map<string, Page>();
  /** The hashes that open a page: the newest, and the one before while the newest has not been confirmed. */
  readonly #valid = new Map<Page, string[]>();
  readonly #used = new Map<string, FreshReason>();

  /** A new secret for a page. The one before stays valid until {@link confirm}. */
  issue(page: Page): string {
    const secret = `${this.#startId}.${randomBytes(SECRET_BYTES).toString("base64url")}`;
    const hash = hashOf(secret);
    const hashes = this.#valid.get(page) ?? [];
    // Of two that were never confirmed the older is not needed: it was replaced by one that worked.
    while (hashes.length > 1) this.#retire(hashes.shift() as string, "taken");
    hashes.push(hash);
    this.#valid.set(page, hashes);
    this.#pages.set(hash, page);
    return secret;
  }

  /** The page that this secret opens, or why it opens none. */
  find(secret: string): Page | FreshReason {
    const hash = hashOf(secret);
    const page = this.#pages.get(hash);
    if (page !== undefined) return page;
    if (!secret.startsWith(`${this.#startId}.`)) return "restarted";
    return this.#used.get(hash) ?? "expired";
  }

  /** The page has the newest secret, for something came from it: the one before opens nothing any more. */
  confirm(page: Page): void {
    const hashes = this.#valid.get(page);
    while (hashes && hashes.length > 1) this.#retire(hashes.shift() as string, "taken");
  }

  /** The page has ended; who asks for it is told why. */
  end(page: Page, reason: FreshReason): void {
    for (const hash of this.#valid.get(page) ?? []) this.#retire(hash, reason);
    this.#valid.delete(page);
  }

  /** The page is taken up again: a resume with the older secret shows that the newer one never arrived. */
  open(page: Page, secret: string): void {
    const hash = hashOf(secret);
    const hashes = this.#valid.get(page) ?? [];
    while (hashes.length > 1 && hashes.at(-1) !== hash) this.#retire(hashes.pop() as string, "taken");
  }

  #retire(hash: string, reason: FreshReason): void {
    this.#pages.delete(hash);
    this.#used.set(hash, reason);
    if (this.#used.size > MAX_REMEMBERED) this.#used.delete(this.#used.keys().next().value as string);
  }
}

/** Secrets are looked up by their hash: nothing is compared that a guess could be timed against. */
function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}
