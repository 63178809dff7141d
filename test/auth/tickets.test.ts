import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WebSocket } from "ws";
import type { AppHub, Peer, Query, Step } from "../../server/app.js";
import type { Member } from "../../server/cluster/cluster.js";
import { MemoryCluster } from "../../server/cluster/memory.js";
import { tickets } from "../../server/main.js";
import { TestClock } from "../support/clock.js";
import { startHub, type TestHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";
import { Page } from "../support/page.js";

const WRONG = "The ticket has been used, or is out of date: the page needs another one.";

async function issue(t: Parameters<typeof startHub>[0], hub: TestHub, packet: object = {}): Promise<string> {
  const client = await LineClient.open(t, hub.tcpPort);
  const { status, result } = await client.ask({ opcode: "ticket", user: { id: "anna", name: "Anna", roles: ["editor"] }, ...packet });
  assert.equal(status, "done");
  return String(result);
}

/** What a page is told that shows this ticket in its hello. */
async function show(t: Parameters<typeof startHub>[0], hub: TestHub, token: string | undefined): Promise<Record<string, unknown>> {
  const page = await Page.connect(t, hub.ws, true);
  return { ...(await page.ask({ opcode: "hello", token })) };
}

describe("[AUTH-7] tickets", () => {
  test("one opens the hub once, for the user it was issued for, with the tags and the end that were said", async (t) => {
    const hub = await startHub(t, { authenticate: [tickets()] });
    const expires = Date.now() + 3_600_000;
    const ticket = await issue(t, hub, { tags: { floor: 3 }, expires });
    const ready = await show(t, hub, ticket);
    assert.deepEqual(ready.user, { id: "anna", name: "Anna", roles: ["editor"] });
    const backend = await LineClient.open(t, hub.tcpPort);
    assert.equal((await backend.ask({ opcode: "feedback", tags: { floor: 3 }, message: 1 })).n, 1);
    const again = await show(t, hub, ticket);
    assert.deepEqual(again, { opcode: "close", error: WRONG, code: 4401 });
  });

  test("of a hundred that show it at once one comes in", async (t) => {
    const hub = await startHub(t, { authenticate: [tickets()] });
    const ticket = await issue(t, hub);
    const answers = await Promise.all(Array.from({ length: 100 }, () => show(t, hub, ticket)));
    assert.equal(answers.filter(({ opcode }) => opcode === "ready").length, 1);
    assert.equal(answers.filter(({ code }) => code === 4401).length, 99);
  });

  test("as a subprotocol it opens before the upgrade, where a used one is 401", async (t) => {
    const hub = await startHub(t, { authenticate: [tickets()] });
    const ticket = await issue(t, hub);
    const socket = new WebSocket(hub.ws, ["signalbox.1", ticket]);
    t.after(() => socket.terminate());
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    assert.equal(socket.protocol, "signalbox.1");
    const again = new WebSocket(hub.ws, ["signalbox.1", ticket]);
    const status = await new Promise((resolve) => {
      again.once("unexpected-response", (_request, response) => resolve(response.statusCode));
      again.on("error", () => {});
    });
    assert.equal(status, 401);
  });

  test("in plain words: an id, roles or -, and a name", async (t) => {
    const hub = await startHub(t, { authenticate: [tickets()] });
    const client = await LineClient.open(t, hub.tcpPort);
    for (const [line, user] of [
      ["ticket anna", { id: "anna", name: "anna", roles: [] }],
      ["ticket anna editor,reader", { id: "anna", name: "anna", roles: ["editor", "reader"] }],
      ["ticket 7 - Anna Müller 🦊", { id: "7", name: "Anna Müller 🦊", roles: [] }],
    ] as const) {
      client.write(`${line}\n`);
      const [, ticket] = /^next done (ticket\.\S+)$/.exec(await client.lines.next()) ?? [];
      assert.deepEqual((await show(t, hub, ticket)).user, user);
    }
    client.write("ticket\n");
    assert.match(await client.lines.next(), /^next refused bad-message Expected `user\.id` to be a text of 1 to 256 characters/);
  });

  test("a page cannot issue one [ALLOW-2], and what is no user is refused", async (t) => {
    const hub = await startHub(t, { authenticate: [tickets()] });
    const page = await Page.connect(t, hub.ws, true);
    await page.ask({ opcode: "hello", token: await issue(t, hub) });
    const { error } = (await page.ask({ opcode: "ticket", user: { id: "director" } })) as { error?: { code: string } };
    assert.equal(error?.code, "not-a-backend");
    const client = await LineClient.open(t, hub.tcpPort);
    for (const wrong of [
      {},
      { user: "anna" },
      { user: { id: 7 } },
      { user: { id: "a", roles: "editor" } },
      { user: { id: "a" }, expires: "soon" },
      { user: { id: "a" }, tags: { a: [] } },
    ])
      assert.equal(
        ((await client.ask({ opcode: "ticket", ...wrong })).error as { code: string }).code,
        "bad-message",
        JSON.stringify(wrong),
      );
  });

  test("another hub of the cluster takes it too, and it opens only one of them", async (t) => {
    const cluster = new MemoryCluster();
    const hubs = [
      await startHub(t, { cluster, authenticate: [tickets()] }),
      await startHub(t, { cluster, authenticate: [tickets()] }),
    ] as const;
    const ticket = await issue(t, hubs[0]);
    assert.equal((await show(t, hubs[1], ticket)).opcode, "ready");
    assert.equal((await show(t, hubs[0], ticket)).code, 4401);
  });

  test("out of date it opens nothing", async (t) => {
    const hub = await startHub(t, { authenticate: [tickets({ validFor: 1 })] });
    const ticket = await issue(t, hub);
    // The hub's clock has passed that when it has answered twice in two different milliseconds.
    for (const began = Date.now(); Date.now() <= began + 2; ) await new Promise(setImmediate);
    assert.equal((await show(t, hub, ticket)).error, WRONG);
  });

  for (const token of ["ticket.", "ticket.AAAA", "ticket.__proto__", `ticket.${"x".repeat(10_000)}`])
    test(`one that was never issued opens nothing: ${token.slice(0, 20)}`, async (t) => {
      const hub = await startHub(t, { authenticate: [tickets()] });
      assert.equal((await show(t, hub, token)).error, WRONG);
    });

  test("what is none, or nothing, is not known", async (t) => {
    const hub = await startHub(t, { authenticate: [tickets()] });
    for (const token of [undefined, "", "something else"])
      assert.equal((await show(t, hub, token)).error, "Nothing was shown that tickets knows: log in first.");
  });
});

/** The app of tickets with a table whose answers take a turn, as over a network. */
function office(validFor: number): { clock: TestClock; issue(): Promise<string>; redeem(ticket: string): Promise<unknown>; stop(): void } {
  const clock = new TestClock();
  const cluster = new MemoryCluster(clock);
  const { app, authenticate } = tickets({ validFor });
  const member = { id: "hub", lease: 10_000, deliver: () => assert.fail(), call: () => undefined, changed: () => {} };
  cluster.join(member as unknown as Member);
  const hub = {
    clock,
    table: {
      change: async (steps: readonly Step[]) => cluster.change(member as unknown as Member, "tickets", steps),
      read: async (query: Query) => cluster.read(member as unknown as Member, "tickets", query),
    },
  } as unknown as AppHub;
  app?.start?.(hub);
  const credentials = { kind: "page", path: "/", address: "", headers: {}, protocols: [] } as const;
  return {
    clock,
    issue: async () => String(await app?.opcodes.ticket?.({ opcode: "ticket", user: { id: "anna" } }, {} as Peer, hub)),
    redeem: async (token) => authenticate({ ...credentials, token }),
    stop: () => void app?.stop?.(hub),
  };
}

describe("[AUTH-7] a ticket whose table is somewhere else", () => {
  test("is taken by one of two that look at it in the same moment", async () => {
    const { issue, redeem } = office(30_000);
    const ticket = await issue();
    const outcomes = await Promise.allSettled([redeem(ticket), redeem(ticket), redeem(ticket)]);
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  });

  test("is out of date by the clock, also where nobody has removed it: the process stood still", async () => {
    const { clock, issue, redeem } = office(30_000);
    const ticket = await issue();
    clock.pass(30_001);
    await assert.rejects(redeem(ticket), { message: WRONG });
  });

  test("leaves no timer behind: neither one that was shown, nor those of a hub that stops", async () => {
    const { clock, issue, redeem, stop } = office(30_000);
    const before = clock.pending;
    await redeem(await issue());
    assert.equal(clock.pending, before);
    await issue();
    stop();
    assert.equal(clock.pending, before);
  });
});
