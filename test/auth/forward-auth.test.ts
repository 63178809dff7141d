import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import type { Identity } from "../../server/auth/authenticator.js";
import { type ForwardAuthOptions, forwardAuth } from "../../server/auth/forward-auth.js";
import { Remembered } from "../../server/auth/remembered.js";
import { textOf } from "../protocol/arbitraries.js";
import { TestInbox } from "../support/inbox.js";
import { type Finished, run } from "../support/process.js";
import { selfSigned, signedBy } from "../transports/support-certificates.js";
import { atMostRefused, identified, page, refused, unknown, withCookie } from "./credentials.js";
import { deadUrl, serve } from "./web-server.js";

const JANE = { id: "42", name: "Jürgen 😀", roles: ["clerk"] };
const SHOWN = withCookie("session=hush");
const NOON = 1_800_000_000_000;

type Reply = (response: ServerResponse) => unknown;
const json =
  (body: unknown, status = 200): Reply =>
  (response) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
const status =
  (code: number, headers: Record<string, string> = {}): Reply =>
  (response) =>
    response.writeHead(code, headers).end("Sorry");

/** An application that answers as the test says, and what it was asked. */
async function application(t: TestContext, reply: Reply = json(JANE), options: Partial<ForwardAuthOptions> = {}) {
  const asked: { method: string; path: string; headers: IncomingHttpHeaders }[] = [];
  const state = { reply, asked };
  const { url, server } = await serve(t, ({ method = "", url: path = "", headers }, response) => {
    asked.push({ method, path, headers });
    state.reply(response);
  });
  return { state, server, url, authenticator: forwardAuth({ url: `${url}/who?key=hush`, ...options }) };
}

const renewed = async ({ renew }: Identity): Promise<Identity | undefined> => {
  assert.ok(renew);
  return renew();
};

describe("what the application is asked", () => {
  test("GET with the page's cookie, origin and authorization, its address and path; nothing else of it", async (t) => {
    const { state, url, authenticator } = await application(t);
    const headers = {
      cookie: "session=hush; name=J\u00fcrgen",
      origin: "https://app.example",
      authorization: "Basic aHVzaA==",
      "x-forwarded-for": "6.6.6.6",
      "accept-language": "de",
      host: "hub.example",
    };
    await identified(authenticator, page({ headers, path: "/börse/50%\r\nx: 😀" }));
    const { cookie, origin, authorization } = headers;
    const [{ method, path, headers: got } = assert.fail("not asked")] = state.asked;
    assert.deepEqual([method, path], ["GET", "/who?key=hush"]);
    assert.deepEqual(got, {
      host: new URL(url).host,
      connection: "keep-alive",
      accept: "application/json",
      cookie,
      origin,
      authorization,
      "x-forwarded-for": "192.0.2.7",
      "x-signalbox-path": "/b%C3%B6rse/50%25%0D%0Ax:%20%F0%9F%98%80",
    });
  });

  test("the headers that are named, and no others", async (t) => {
    const { state, authenticator } = await application(t, json(JANE), { headers: ["x-api-key"] });
    await identified(authenticator, page({ headers: { "x-api-key": "hush", authorization: "Basic aHVzaA==" } }));
    assert.equal(state.asked[0]?.headers["x-api-key"], "hush");
    assert.equal(state.asked[0]?.headers.authorization, undefined);
  });

  test("nothing, where the page shows nothing, or it is a backend: nobody, at once", async (t) => {
    const { state, authenticator } = await application(t);
    const origin = "https://app.example";
    const nobody = [page(), page({ headers: { origin } }), withCookie(""), page({ token: "x" }), { ...SHOWN, kind: "backend" as const }];
    for (const shown of nobody) assert.equal(authenticator.authenticate(shown), undefined);
    assert.equal(state.asked.length, 0);
    assert.equal(authenticator.afterHello, undefined);
  });

  test("headers that no HTTP message can have are refused, and not sent", async (t) => {
    const { state, authenticator } = await application(t);
    for (const cookie of ["a=1\r\nx-forwarded-for: 6.6.6.6", "a=😀", "a=\u0000"])
      assert.match(await refused(authenticator, withCookie(cookie)), /`cookie`/);
    assert.equal(state.asked.length, 0);
  });

  test("no cookie, path or header ever fails in another way than by a refusal", async (t) => {
    const { authenticator } = await application(t, status(401), { cacheFor: 0 });
    const text = textOf("a=", ";", "\r\n", "é", "😀", "\ud83d", "/", "%", "?");
    await fc.assert(
      fc.asyncProperty(text, text, text, (cookie, path, authorization) =>
        atMostRefused(authenticator, page({ path, headers: { cookie, authorization } })),
      ),
      { numRuns: 200 },
    );
  });
});

describe("what the application answers", () => {
  test("200 with a user: welcome", async (t) => {
    const { state, authenticator } = await application(t, json(JANE), { cacheFor: 0 });
    assert.deepEqual((await identified(authenticator, SHOWN)).user, JANE);
    assert.equal((await identified(authenticator, SHOWN)).tags, undefined);
    state.reply = json({ id: "42", name: null, roles: null, tags: { floor: 3 }, more: "ignored" });
    const { user, tags } = await identified(authenticator, SHOWN);
    assert.deepEqual([user, { ...tags }], [{ id: "42", name: "42", roles: [] }, { floor: 3 }]);
    state.reply = json({ id: "42", tags: {} });
    assert.deepEqual((await identified(authenticator, SHOWN)).tags, {});
    state.reply = json({ id: "42", name: "😀".repeat(200) });
    assert.equal((await identified(authenticator, SHOWN)).user?.name, "😀".repeat(128));
  });

  for (const code of [401, 403, 301, 302, 303, 307, 308]) {
    test(`${code}: not welcome, and no redirection is followed`, async (t) => {
      const { state, authenticator } = await application(t, status(code, { location: "/login" }));
      assert.match(await refused(authenticator, SHOWN), new RegExp(`HTTP ${code}`));
      assert.deepEqual(
        state.asked.map(({ path }) => path),
        ["/who?key=hush"],
      );
    });
  }

  const LONG = JSON.stringify({ ...JANE, more: "x".repeat(65_536) });
  const UNKNOWN: readonly [rule: string, reply: Reply, why: RegExp][] = [
    ["500", status(500), /got 500/],
    ["404", status(404), /got 404/],
    ["204", (response) => response.writeHead(204).end(), /got 204/],
    ["429", status(429), /got 429/],
    ["HTML", (response) => response.end("<html>hush"), /to be JSON/],
    ["nothing", (response) => response.end(), /to be JSON/],
    ["what is no UTF-8", (response) => response.end(Buffer.from('{"id":"J\u00fcrgen"}', "latin1")), /not UTF-8/],
    ["null", json(null), /JSON object, got null/],
    ["an array", json([JANE]), /JSON object, got an array/],
    ["no id", json({ name: "hush" }), /`id` .* got none/],
    ["an id that is a number", json({ id: 42 }), /`id` .* got a number/],
    ["an id that is too long", json({ id: "x".repeat(257) }), /`id` .* got a text of 257/],
    ["roles in one text", json({ id: "42", roles: "hush" }), /`roles` .* got a text/],
    ["a role that is null", json({ id: "42", roles: [null] }), /`roles` .* got null/],
    ["tags that are an array", json({ id: "42", tags: ["hush"] }), /`tags` .* got an array/],
    ["`expires` that is a text", json({ id: "42", expires: "2027-01-01" }), /`expires` .* got a text/],
    ["`expires` in ms", json({ id: "42", expires: Date.now() + 60_000 }), /`expires` .* are they ms/],
    ["`expires` that is over", json({ id: "42", expires: 1 }), /`expires` to lie ahead/],
    ["a body above 64 KiB", (response) => response.end(LONG), /more than 65536 bytes/],
    ["a body without end", (response) => void endless(response.writeHead(200)), /more than 65536 bytes/],
    [
      "half a body",
      (response) => void response.writeHead(200, { "content-length": 99 }).write("{", () => response.destroy()),
      /cannot be asked/,
    ],
    ["a connection that is reset behind half a body", reset, /cannot be asked/],
    ["a connection that breaks", (response) => response.destroy(), /ECONNRESET/],
    ["nothing for too long", () => {}, /no answer within 300 ms/],
    ["a body that stops", (response) => response.writeHead(200).write("{"), /no answer within 300 ms/],
  ];
  for (const [rule, reply, why] of UNKNOWN) {
    test(`${rule}: nobody knows; the operator is told, without cookie, query or answer`, async (t) => {
      const { state, url, authenticator } = await application(t, reply, { timeout: 300 });
      const message = await unknown(authenticator, SHOWN);
      assert.match(message, why);
      assert.ok(message.includes(`${url}/who`));
      assert.doesNotMatch(message, /hush/);
      state.reply = json(JANE);
      assert.ok(await identified(authenticator, SHOWN), "a failure is not remembered");
    });
  }

  test("an application that is dead: nobody knows", async (t) => {
    const authenticator = forwardAuth({ url: await deadUrl(t) });
    assert.match(await unknown(authenticator, SHOWN), /cannot be asked: ECONNREFUSED/);
  });

  test("a refusal without end is a refusal, and the next one is told as well", async (t) => {
    const { state, authenticator } = await application(t, (response) => void endless(response.writeHead(401)), {
      cacheFor: 0,
      timeout: 300,
    });
    assert.match(await refused(authenticator, SHOWN), /HTTP 401/);
    state.reply = status(403);
    assert.match(await refused(authenticator, SHOWN), /HTTP 403/);
  });
});

/** Half a body, and then what a host sends that has lost all it knew. */
function reset(response: ServerResponse): void {
  response.writeHead(200, { "content-length": 99 }).write("{");
  // Some turns of the event loop later, in which the hub, in the same process, reads the head. Were they too few, it would hear of no answer at all.
  const later = (turns: number): unknown => (turns === 0 ? response.socket?.resetAndDestroy() : setImmediate(later, turns - 1));
  later(50);
}

/** Writes for as long as somebody reads. */
function endless(response: ServerResponse): void {
  const more = (): void => {
    while (!response.destroyed && response.write("x".repeat(16_384)));
  };
  response.on("drain", more);
  more();
}

describe("how long an answer holds", () => {
  test("`recheck` ms where the application does not say; default 60 s", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: NOON });
    assert.equal((await identified((await application(t)).authenticator, SHOWN)).expires, NOON + 60_000);
    assert.equal((await identified((await application(t, json(JANE), { recheck: 7 })).authenticator, SHOWN)).expires, NOON + 7);
  });

  test("until `expires`, in seconds since 1970, where it does", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: NOON });
    const { authenticator } = await application(t, json({ ...JANE, expires: NOON / 1_000 + 1.5 }), { recheck: 7 });
    assert.equal((await identified(authenticator, SHOWN)).expires, NOON + 1_500);
  });

  test("renewed by asking again, past what is remembered, and again after that", async (t) => {
    const { state, authenticator } = await application(t, json(JANE), { cacheFor: 60_000 });
    const first = await identified(authenticator, SHOWN);
    state.reply = json({ id: "42", name: "Jane Smith" });
    const second = await renewed(first);
    assert.equal(second?.user?.name, "Jane Smith");
    const remembered = await identified(authenticator, SHOWN);
    assert.equal(remembered.user?.name, "Jane Smith", "it takes the place of what was remembered");
    assert.equal(state.asked.length, 2);
    assert.equal(state.asked[1]?.headers.cookie, "session=hush");
    state.reply = status(401);
    await assert.rejects(renewed(remembered), { name: "Refusal", code: "unauthorized" });
    assert.match(await refused(authenticator, SHOWN), /HTTP 401/);
    assert.equal(state.asked.length, 3);
    await assert.rejects(renewed(second as Identity), { name: "Refusal" });
    state.reply = status(503);
    await assert.rejects(renewed(first), { name: "Error", message: /got 503/ });
  });
});

describe("what is remembered", () => {
  const REPLIES: readonly [name: string, reply: Reply, ms: number][] = [
    ["a yes, for `cacheFor` ms; default 5 s", json(JANE), 5_000],
    ["a no, for a second: who logs in is in at once", status(401), 1_000],
  ];
  for (const [name, reply, ms] of REPLIES) {
    test(name, async (t) => {
      t.mock.timers.enable({ apis: ["Date"], now: NOON });
      const { state, authenticator } = await application(t, reply);
      const ask = async (): Promise<unknown> => Promise.resolve(authenticator.authenticate(SHOWN)).catch(() => {});
      const counts: number[] = [];
      for (const pass of [0, ms - 1, 1]) {
        t.mock.timers.tick(pass);
        await (async () => ask())().catch(() => {});
        counts.push(state.asked.length);
      }
      assert.deepEqual(counts, [1, 1, 2]);
    });
  }

  test("nothing, with `cacheFor: 0`", async (t) => {
    const { state, authenticator } = await application(t, json(JANE), { cacheFor: 0 });
    await identified(authenticator, SHOWN);
    await identified(authenticator, SHOWN);
    assert.equal(state.asked.length, 2);
  });

  test("no yes for longer than it holds", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: NOON });
    const { state, authenticator } = await application(t, json({ ...JANE, expires: NOON / 1_000 + 1 }));
    await identified(authenticator, SHOWN);
    t.mock.timers.tick(1_000);
    state.reply = status(401);
    await refused(authenticator, SHOWN);
  });

  test("nothing, once the clock was set back", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: NOON });
    const { state, authenticator } = await application(t);
    await identified(authenticator, SHOWN);
    t.mock.timers.setTime(NOON - 1);
    await identified(authenticator, SHOWN);
    assert.equal(state.asked.length, 2);
  });

  test("for the same question alone: another cookie, origin, address or path is another", async (t) => {
    const { state, authenticator } = await application(t);
    const headers = { cookie: "a=1", origin: "https://a", authorization: "x" };
    const others = [
      { headers },
      ...["cookie", "origin", "authorization"].map((name) => ({ headers: { ...headers, [name]: "other" } })),
      { headers, address: "192.0.2.8" },
      { headers, path: "/other" },
      // Two texts that would be one if they were only joined.
      { headers: { cookie: "a=1https://a", authorization: "x" } },
    ];
    for (const other of others) await identified(authenticator, page(other));
    assert.equal(state.asked.length, others.length);
    for (const other of others) await identified(authenticator, page({ ...other, protocols: ["x"] }));
    assert.equal(state.asked.length, others.length);
  });

  test("100 who ask the same at the same time are one question, remembered or not", async (t) => {
    for (const cacheFor of [0, 5_000]) {
      const { state, authenticator } = await application(t, json(JANE), { cacheFor });
      const all = await Promise.all(Array.from({ length: 100 }, () => identified(authenticator, SHOWN)));
      assert.equal(state.asked.length, 1);
      await Promise.all(all.map(renewed));
      assert.equal(state.asked.length, 2);
    }
  });

  test("100 who are one question share its failure too, and the next one asks anew", async (t) => {
    const { state, authenticator } = await application(t, status(500));
    await Promise.all(Array.from({ length: 100 }, () => unknown(authenticator, SHOWN)));
    assert.equal(state.asked.length, 1);
    await unknown(authenticator, SHOWN);
    assert.equal(state.asked.length, 2);
  });

  test("so many answers and no more: the oldest goes", async () => {
    const remembered = new Remembered<string>(() => 60_000, 2);
    for (const key of ["a", "b", "a", "c"]) await remembered.ask(key, async () => key);
    assert.deepEqual([remembered.find("a"), remembered.find("b"), remembered.find("c")], ["a", undefined, "c"]);
  });
});

/** A process of its own that asks once, and says who it is. */
function askedByProcess(url: string, env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  const module = new URL("../../server/auth/forward-auth.js", import.meta.url).href;
  const script = `
    const { forwardAuth } = await import("${module}");
    const shown = { kind: "page", path: "/", address: "", headers: { cookie: "a=1" }, protocols: [] };
    console.log((await forwardAuth({ url: "${url}" }).authenticate(shown)).user.id);`;
  return run(process.execPath, ["--input-type=module", "-e", script], env);
}

describe("connections to the application", () => {
  test("are used again, after a refusal too", async (t) => {
    const { server, state, authenticator } = await application(t, json(JANE), { cacheFor: 0 });
    let connections = 0;
    server.on("connection", () => connections++);
    for (const reply of [json(JANE), status(401), json(JANE), status(302)]) {
      state.reply = reply;
      await Promise.resolve(authenticator.authenticate(SHOWN)).catch(() => {});
    }
    assert.equal(connections, 1);
  });

  test("one that the application closes while the question is on its way is no failure", async (t) => {
    const { server, state, authenticator } = await application(t, json(JANE), { cacheFor: 0 });
    await identified(authenticator, SHOWN);
    server.prependListener("request", (request, response) => {
      // The first question on the old connection gets no answer.
      if (state.asked.length === 1 && request) response.destroy();
    });
    await identified(authenticator, SHOWN);
    assert.equal(state.asked.length, 3);
  });

  test("are at most 64; who comes then waits", async (t) => {
    const waiting = new TestInbox<ServerResponse>();
    const { state, server, authenticator } = await application(t, (response) => waiting.push(response), { timeout: 10_000 });
    let connections = 0;
    server.on("connection", () => connections++);
    const all = Array.from({ length: 80 }, (_, i) => identified(authenticator, withCookie(`session=${i}`)));
    const first: ServerResponse[] = [];
    for (let i = 0; i < 64; i++) first.push(await waiting.next());
    state.reply = json(JANE);
    for (const response of first) json(JANE)(response);
    assert.equal((await Promise.all(all)).length, 80);
    assert.equal(connections, 64);
  });

  test("a thousand may wait for one, who comes then is told at once", async (t) => {
    const waiting = new TestInbox<ServerResponse>();
    const { state, authenticator } = await application(t, (response) => waiting.push(response), { timeout: 10_000 });
    const all = Array.from({ length: 1_064 }, (_, i) => identified(authenticator, withCookie(`session=${i}`)));
    const first: ServerResponse[] = [];
    for (let i = 0; i < 64; i++) first.push(await waiting.next());
    assert.match(await unknown(authenticator, withCookie("session=one-too-many")), /1000 questions wait already/);
    state.reply = json(JANE);
    for (const response of first) json(JANE)(response);
    assert.equal((await Promise.all(all)).length, 1_064);
    await identified(authenticator, withCookie("session=one-too-many"));
  });

  test("who waits for one in vain is told in time, and the next one is welcome", async (t) => {
    const { state, authenticator } = await application(t, () => {}, { timeout: 300 });
    const all = Array.from({ length: 80 }, (_, i) => unknown(authenticator, withCookie(`session=${i}`)));
    for (const message of await Promise.all(all)) assert.match(message, /no answer within 300 ms/);
    state.reply = json(JANE);
    await identified(authenticator, SHOWN);
  });

  test("do not keep a process alive", async (t) => {
    const { server, url } = await application(t);
    server.keepAliveTimeout = 0;
    assert.deepEqual(await askedByProcess(url), { code: 0, stdout: "42\n", stderr: "" });
  });

  test("may be TLS: to an application whose certificate is trusted, and to no other", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "signalbox-forward-auth-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const authority = selfSigned(folder, "authority");
    const server = createServer(signedBy(authority, folder, "application"), (_, response) => response.end(JSON.stringify(JANE)));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    assert.match(await unknown(forwardAuth({ url }), SHOWN), /cannot be asked: .*(CERT|ISSUER|SIGNATURE)/);
    const { stdout, stderr } = await askedByProcess(url, { NODE_EXTRA_CA_CERTS: authority.certFile });
    assert.deepEqual([stdout, stderr], ["42\n", ""]);
  });
});

describe("forwardAuth, and what is set up wrong shows at start", () => {
  const url = "http://app.example/who";
  const WRONG: readonly [rule: string, options: object, why: RegExp][] = [
    ["no URL", {}, /`url` .* got none/],
    ["a URL that is none", { url: "app.example" }, /`url`/],
    ["a URL that is a file's", { url: "file:///hush" }, /`url` .* got one of file:/],
    ["a URL with a password", { url: "http://user:hush@app.example" }, /`url` .* without user and password/],
    ["another option", { url, cache: 5 }, /got `cache`/],
    ["a timeout of 0", { url, timeout: 0 }, /`timeout` .* got `0`/],
    ["a timeout that Node's timers do not have", { url, timeout: 2 ** 31 }, /`timeout`/],
    ["cacheFor below 0", { url, cacheFor: -1 }, /`cacheFor`/],
    ["a recheck of 0", { url, recheck: 0 }, /`recheck`/],
    ["headers that are a text", { url, headers: "authorization" }, /`headers` .* got a text/],
    ["a header in upper case", { url, headers: ["Authorization"] }, /`headers` .* got `Authorization`/],
    ["a header of the connection", { url, headers: ["transfer-encoding"] }, /`headers` .* got `transfer-encoding`/],
    ["a header that the hub sets", { url, headers: ["x-forwarded-for"] }, /`headers` .* got `x-forwarded-for`/],
  ];
  for (const [rule, options, why] of WRONG) {
    test(rule, () => {
      assert.throws(
        () => forwardAuth(options as ForwardAuthOptions),
        (error: Error) => error instanceof TypeError && why.test(error.message) && !/hush/.test(error.message),
      );
    });
  }
});
