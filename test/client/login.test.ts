import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Authenticator, Credentials, Identity } from "../../server/main.js";
import { unauthorized } from "../../server/main.js";
import { startHub } from "../support/hub.js";
import { backend, join, KINDS, next } from "./kinds.js";

/** Knows whoever shows `NAME MS`: that user, for so long. */
function byToken({ token }: Credentials): Identity | undefined {
  if (token === undefined) return undefined;
  const [id = "", ms] = token.split(" ");
  if (id === "nobody") throw unauthorized("Nobody is known.");
  return { user: { id, name: id, roles: [] }, expires: Date.now() + Number(ms) };
}

/** For backends too, as a function is not. */
const AUTHENTICATOR: Authenticator = { name: "byToken", backends: true, afterHello: true, authenticate: byToken };

for (const kind of KINDS) {
  describe(`[AUTH-5] ${kind.name}: a login that ends`, { timeout: 20_000 }, () => {
    const settings = { authenticate: [AUTHENTICATOR], trust: "nobody" } as const;

    test("is prolonged by the provider of tokens before it does, and the connection stays", async (t) => {
      const hub = await startHub(t, settings);
      let asked = 0;
      const client = await join(t, kind, kind.url(hub), { token: () => (++asked === 1 ? "anna 400" : "anna 60000") });
      assert.equal(client.ready?.user?.id, "anna");
      await next(client, "expiring");
      assert.equal((await client.send({ opcode: "echo" })).status, "done");
      assert.equal(asked, 2);
      // Longer than the first login was.
      const began = Date.now();
      while (Date.now() - began < 500) assert.equal((await client.send({ opcode: "echo" })).status, "done");
      assert.equal(hub.log.of("peer.closed").length, 0);
    });

    for (const [what, token] of [
      ["a provider that fails", () => Promise.reject(new Error("logged out"))],
      ["a provider whose token is not right", () => "nobody"],
      ["a provider with another user's", () => "ben 60000"],
    ] as const)
      test(`${what}: it is closed with 4401, for good, and everything that waits is told`, async (t) => {
        const hub = await startHub(t, settings);
        let asked = 0;
        const client = await join(t, kind, kind.url(hub), { token: () => (++asked === 1 ? "anna 400" : token()) });
        const { code, reason, retryIn } = await next(client, "close");
        assert.deepEqual([code, reason, retryIn], [4401, "The login has expired: log in again.", undefined]);
        await assert.rejects(client.send({ opcode: "echo" }), { name: "ClosedError" });
      });

    test("who is not known is told so, and does not try again", async (t) => {
      const hub = await startHub(t, settings);
      await assert.rejects(kind.connect(kind.url(hub), { token: "nobody" }), {
        name: "ClosedError",
        code: 4401,
        message: "Nobody is known.",
      });
    });
  });
}

test("[AUTH-1] a backend of this host is trusted, whatever it shows, unless nobody is", async (t) => {
  const trusting = await startHub(t, { authenticate: [AUTHENTICATOR] });
  const client = await join(t, backend, backend.url(trusting), { token: "nobody" });
  assert.equal(client.ready?.user, undefined);
  const strict = await startHub(t, { authenticate: [AUTHENTICATOR], trust: "nobody" });
  await assert.rejects(backend.connect(backend.url(strict)), {
    code: 4401,
    message: /^Nothing was shown that byToken knows: log in first\.$/,
  });
  const lonely = await startHub(t, { trust: "nobody" });
  await assert.rejects(backend.connect(backend.url(lonely)), { code: 4003, message: /`backendKey`/ });
});
