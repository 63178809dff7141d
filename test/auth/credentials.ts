import assert from "node:assert/strict";
import { Refusal } from "../../protocol/index.js";
import type { Authenticator, Credentials, Identity } from "../../server/auth/authenticator.js";

/** What a page shows that shows nothing, and then what the test says. */
export function page(shown: Partial<Credentials> = {}): Credentials {
  return { kind: "page", path: "/orders", address: "192.0.2.7", headers: {}, protocols: [], ...shown };
}

/** A page with this `Cookie` header. */
export const withCookie = (cookie: string): Credentials => page({ headers: { cookie } });

/** Who it is; the authenticator must know. */
export async function identified(authenticator: Authenticator, shown: Credentials): Promise<Identity> {
  const identity = await authenticator.authenticate(shown);
  assert.ok(identity, "nobody was found");
  return identity;
}

/** Why it is refused, as who showed it is told. */
export async function refused(authenticator: Authenticator, shown: Credentials): Promise<string> {
  const error = await failure(authenticator, shown);
  assert.ok(error instanceof Refusal, `expected a refusal, got ${error}`);
  assert.equal(error.code, "unauthorized");
  return error.message;
}

/** Why nobody can know at present, as the operator is told: no refusal. */
export async function unknown(authenticator: Authenticator, shown: Credentials): Promise<string> {
  const error = await failure(authenticator, shown);
  assert.ok(error instanceof Error && !(error instanceof Refusal), `expected no refusal, got ${error}`);
  return error.message;
}

async function failure(authenticator: Authenticator, shown: Credentials): Promise<unknown> {
  try {
    await authenticator.authenticate(shown);
  } catch (error) {
    return error;
  }
  return assert.fail("expected it to fail");
}

/** @returns true where it is a refusal or nobody; fails at anything else */
export async function atMostRefused(authenticator: Authenticator, shown: Credentials): Promise<void> {
  try {
    assert.equal(await authenticator.authenticate(shown), undefined);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}
