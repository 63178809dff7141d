import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, type TestContext, test } from "node:test";
import type { SharedState, StateChange } from "../../web-client/index.js";
import { PageClient } from "../../web-client/page-client.js";
import { ClientPage, untilEvent } from "../support/client-page.js";
import { startHub, type TestHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";

const open = (t: TestContext, hub: TestHub, ident = "Anna"): Promise<ClientPage> => ClientPage.open(t, `${hub.ws}/web`, ident);

/** Any backend that sets values, one line each. */
async function openBackend(t: TestContext, hub: TestHub): Promise<(line: string) => Promise<string>> {
  const client = await LineClient.open(t, hub.tcpPort);
  return (line) => {
    client.write(`${line}\n`);
    return client.lines.next();
  };
}

const shown = ({ key, value, deleted, by }: StateChange): string =>
  [key, deleted ? "deleted" : JSON.stringify(value), by].filter(Boolean).join(" ");

function note(state: SharedState): string[] {
  const heard: string[] = [];
  state.addEventListener("change", (event) => heard.push(shown(event)));
  return heard;
}

const until = (state: SharedState, text: string): Promise<unknown> => untilEvent(state, "change", (event) => shown(event) === text);
const valuesOf = ({ values }: SharedState): unknown[] => Array.from(values, ([key, { value }]) => [key, value]);

async function restart(t: TestContext, hub: TestHub): Promise<TestHub> {
  await hub.stop();
  return startHub(t, { listen: [`ws://127.0.0.1:${hub.wsPort}`, "tcp://127.0.0.1:0"] });
}

describe("18 web-client: state that is watched", () => {
  test("is one object for each pattern until it is closed, with what is there once it is ready", async (t) => {
    const hub = await startHub(t);
    const backend = await openBackend(t, hub);
    for (const line of ["state machine/7 1", "state machine/8 two", "state other 3"]) await backend(line);
    const { client } = await open(t, hub);
    const machines = client.state("machine/*");
    assert.equal(client.state("machine/*"), machines);
    assert.equal(machines.values.size, 0);
    await machines.ready;
    assert.deepEqual(valuesOf(machines), [
      ["machine/7", 1],
      ["machine/8", "two"],
    ]);
    const one = client.state("other");
    await one.ready;
    assert.deepEqual(valuesOf(one), [["other", 3]]);
    machines.close();
    assert.notEqual(client.state("machine/*"), machines);
  });

  test("[STATE-3] each change is told once, with its version; deletions and what the page sets itself too", async (t) => {
    const hub = await startHub(t);
    const [{ client }, backend] = [await open(t, hub), await openBackend(t, hub)];
    const machines = client.state("machine/*");
    const also = client.state("machine/7");
    await Promise.all([machines.ready, also.ready]);
    const heard = note(machines);
    const { key, version } = await machines.set("machine/7", { load: 1 });
    assert.deepEqual([key, machines.values.get("machine/7")?.version], ["machine/7", version]);
    const gone = until(machines, "machine/7 deleted");
    await backend("state machine/7 2");
    await backend("delete machine/7");
    await gone;
    assert.deepEqual(heard, ['machine/7 {"load":1}', "machine/7 2", "machine/7 deleted"]);
    assert.deepEqual([machines.values.size, also.values.size], [0, 0]);
  });

  test("[STATE-5] `if` lets only whoever knows the present version set or delete", async (t) => {
    const { client } = await open(t, await startHub(t));
    const state = client.state("order");
    const { version } = await state.set("order", 1, { if: 0 });
    await assert.rejects(state.set("order", 2, { if: 0 }), { name: "RefusedError", code: "conflict" });
    await state.set("order", 2, { if: version });
    await assert.rejects(state.delete("order", { if: version }), { code: "conflict" });
    await state.delete("order");
  });

  test("what is refused is refused once: `ready` and the iterator say so, nobody is told otherwise; then it can be tried again", async (t) => {
    const reported = t.mock.method(console, "error", () => {});
    const { client } = await open(t, await startHub(t));
    const wrong = client.state("a*b");
    await assert.rejects(wrong.ready, { name: "RefusedError", code: "bad-message" });
    await assert.rejects(
      async () => {
        for await (const _ of wrong);
      },
      { code: "bad-message" },
    );
    assert.equal(wrong.closed, true);
    const again = client.state("a*b");
    assert.notEqual(again, wrong);
    // A rejection that nobody handles ends a Node process.
    await client.send({ opcode: "echo" });
    assert.equal(again.closed, true);
    assert.deepEqual(
      reported.mock.calls.map(({ arguments: [error] }) => (error as { code?: string }).code),
      ["bad-message"],
      "that which nobody looked at",
    );
  });

  test("an iterator that is returned while it waits ends at once, and hears nothing more", async (t) => {
    const { client } = await open(t, await startHub(t));
    const state = client.state("a");
    await state.ready;
    const iterator = state[Symbol.asyncIterator]();
    const waiting = iterator.next();
    assert.equal(getEventListeners(state as never, "change").length, 1);
    await iterator.return?.();
    assert.deepEqual([await waiting, await iterator.next()], Array(2).fill({ done: true, value: undefined }));
    assert.equal(getEventListeners(state as never, "change").length, 0);
  });

  test("[STATE-4] an iterator brings what is there, then each change; who is slow gets of each key only the newest", async (t) => {
    const hub = await startHub(t);
    const backend = await openBackend(t, hub);
    await backend("state a/1 0");
    const { client } = await open(t, hub);
    const state = client.state("a/*");
    const got: string[] = [];
    let goOn = (): void => {};
    const reading = (async () => {
      for await (const change of state) {
        got.push(shown(change));
        if (got.length === 1)
          await new Promise<void>((resolve) => {
            goOn = resolve;
          });
        if (change.key === "a/last") break;
      }
    })();
    await until(state, "a/1 0");
    const last = until(state, "a/last true");
    for (let i = 1; i <= 100; i++) await backend(`state a/${i % 2} ${i}`);
    await backend("delete a/1");
    await backend("state a/last true");
    await last;
    goOn();
    await reading;
    assert.deepEqual(got, ["a/1 0", "a/1 deleted", "a/0 100", "a/last true"]);
  });

  test("an iterator ends where it is closed, where the client is, and where the connection ends for good", async (t) => {
    const hub = await startHub(t);
    const { client } = await open(t, hub);
    const other = await open(t, hub);
    const [a, b, c] = [client.state("a"), client.state("b"), other.client.state("c")];
    await Promise.all([a.ready, b.ready, c.ready]);
    const read = async (state: SharedState): Promise<string> => {
      for await (const _ of state);
      return state.pattern;
    };
    const readings = [a, b, c].map(read);
    a.close();
    assert.equal(await readings[0], "a");
    client.close();
    assert.equal(await readings[1], "b");
    const dropped = untilEvent(other.client, "close");
    await hub.stop();
    await dropped;
    other.client.close();
    assert.equal(await readings[2], "c");
    await assert.rejects(client.state("d").ready, { name: "ClosedError" });
  });

  test("closed it is told nothing more", async (t) => {
    const hub = await startHub(t);
    const [{ client }, backend] = [await open(t, hub), await openBackend(t, hub)];
    const [closed, kept] = [client.state("a/*"), client.state("a/b/*")];
    await Promise.all([closed.ready, kept.ready]);
    const heard = note(closed);
    let pushes = 0;
    client.addEventListener("state", () => pushes++);
    closed.close();
    await client.send({ opcode: "echo" });
    const told = until(kept, "a/b/c 1");
    await backend("state a/1 1");
    await backend("state a/b/c 1");
    await told;
    assert.deepEqual([heard, pushes], [[], 1]);
  });

  test("[STATE-6] [STATE-7] a `will` key shows whose it is, `who` lists it, and it goes with its page", async (t) => {
    const hub = await startHub(t);
    const [anna, ben] = [await open(t, hub, "Anna"), await open(t, hub, "Ben")];
    const looking = ben.client.state("looking/*");
    await looking.ready;
    const { key } = await anna.client.state("looking/7").set("looking/7/~", null, { will: true });
    assert.match(key, /^looking\/7\/~\w+$/);
    await looking.set("looking/plain", 1);
    assert.equal(looking.values.get(key)?.by, "Anna");
    const who = await looking.who();
    assert.deepEqual([[...who.keys()], who.get(key)?.by, who.get(key)?.value], [[key], "Anna", null]);
    await assert.rejects(looking.set(key, 1), { code: "not-yours" });
    const gone = untilEvent(looking, "change", (event) => event.key === key && event.deleted);
    anna.client.close();
    await gone;
  });

  test("where the page is new to the hub it watches again: differences are told, and its `will` keys are there again", async (t) => {
    const hub = await startHub(t);
    const [anna, ben] = [await open(t, hub, "Anna"), await open(t, hub, "Ben")];
    const state = anna.client.state("*");
    await state.ready;
    await state.set("old", 1);
    await state.set("presence", "here", { will: true });
    await state.set("given up", 1, { will: true });
    await state.set("given up", 2);
    const [heard, iterated]: [string[], string[]] = [note(state), []];
    const reading = (async () => {
      for await (const change of state) iterated.push(shown(change));
    })();
    const back = Promise.all([untilEvent(anna.client, "fresh"), until(state, "old deleted"), until(state, 'presence "here" Anna')]);
    await restart(t, hub);
    await back;
    assert.deepEqual(valuesOf(state), [["presence", "here"]]);
    assert.deepEqual(heard.sort(), ["given up deleted", "old deleted", 'presence "here" Anna']);
    const others = ben.client.state("presence");
    await others.ready;
    state.close();
    await reading;
    assert.deepEqual(iterated.slice(3).sort(), heard);
    assert.equal((await others.who()).get("presence")?.by, "Anna");
  });

  test("where the page is new to the hub neither what was deleted by its real name comes back, nor what was rejected is done", async (t) => {
    const hub = await startHub(t);
    const { client } = await open(t, hub);
    const state = client.state("*");
    const { key } = await state.set("looking/~", 1, { will: true });
    await state.delete(key);
    await state.set("kept", 1, { will: true });
    const closed = untilEvent(client, "close");
    await hub.stop();
    await closed;
    const rejected = assert.rejects(state.set("late", 1, { will: true }), { name: "ClosedError" });
    const kept = untilEvent(client, "fresh");
    await startHub(t, { listen: [`ws://127.0.0.1:${hub.wsPort}`, "tcp://127.0.0.1:0"] });
    await Promise.all([rejected, kept]);
    assert.deepEqual([...(await state.who()).keys()], ["kept"]);
  });

  test("[STATE-5] what was set with `if` is not set again over what somebody else has set meanwhile", async (t) => {
    const hub = await startHub(t);
    const { client } = await open(t, hub);
    const state = client.state("*");
    await state.set("leader", "Anna", { if: 0, will: true });
    const closed = untilEvent(client, "close");
    await hub.stop();
    await closed;
    const fresh = untilEvent(client, "fresh");
    // Its table has the other's value before this page can be back.
    client.addEventListener("ready", () => void client.send({ opcode: "set", key: "leader", value: "Ben" }), { once: true });
    await startHub(t, { listen: [`ws://127.0.0.1:${hub.wsPort}`, "tcp://127.0.0.1:0"] });
    await fresh;
    const { result } = await client.send({ opcode: "get", keys: ["leader"] });
    assert.equal((result as { leader: { value: string } }).leader.value, "Ben");
  });

  test("[STATE-9] a page that was loaded anew has its own key still, under the same name", async (t) => {
    const hub = await startHub(t);
    const page = await open(t, hub);
    const { key } = await page.client.state("looking/*").set("looking/~", 1, { will: true });
    const reloaded = await page.reload();
    const looking = reloaded.client.state("looking/*");
    await looking.ready;
    assert.deepEqual(valuesOf(looking), [[key, 1]]);
    assert.equal((await looking.set("looking/~", 2, { will: true })).key, key);
  });

  test("a break that the hub has bridged misses nothing, and tells nothing twice", async (t) => {
    const hub = await startHub(t);
    const [page, backend] = [await open(t, hub), await openBackend(t, hub)];
    const state = page.client.state("*");
    await state.ready;
    await backend("state a 1");
    const heard = note(state);
    const resumed = untilEvent(page.client, "resumed");
    const last = until(state, "a 3");
    page.drop();
    await hub.log.untilLine("peer.away");
    for (const value of [2, 3]) await backend(`state a ${value}`);
    await Promise.all([resumed, last]);
    assert.equal(heard.at(-1), "a 3");
    assert.deepEqual([...new Set(heard)], heard);
  });
});

/** A page's client whose hub is the test: what it hears at once stands in one tick. */
async function openStage(t: TestContext): Promise<{ client: PageClient; hear(...packets: object[]): void }> {
  let hear = (_text: string): void => {};
  let end = (): void => {};
  const client = new PageClient(
    (events) => {
      hear = events.text;
      end = () => events.closed(1000, "");
      queueMicrotask(events.open);
      return { send() {}, close: () => events.closed(1000, "") };
    },
    () => ({}),
  );
  t.after(() => {
    client.close();
    // A hub that is none does not answer `quit`.
    end();
  });
  await new Promise(setImmediate);
  hear(JSON.stringify({ opcode: "ready", uuid: "u", window: 8, time: 0, resume: "secret", grace: 30_000 }));
  return { client, hear: (...packets) => packets.forEach((packet) => void hear(JSON.stringify(packet))) };
}

const answer = (result: object): object => ({ opcode: "next", fyi: "", status: "done", result });

describe("web-client: what comes close to an answer", () => {
  test("[STATE-3] what is pushed in front of it may be newer than it, deletions too; what is not newer is no change", async (t) => {
    const { client, hear } = await openStage(t);
    const state = client.state("*");
    const heard = note(state);
    hear(
      { opcode: "state", key: "a", value: "new", version: 5 },
      { opcode: "state", key: "b", deleted: true, version: 6 },
      answer({ a: { value: "old", version: 4 }, b: { value: "old", version: 5 }, c: { value: 1, version: 3 } }),
      { opcode: "state", key: "c", value: 2, version: 7 },
      { opcode: "state", key: "c", value: 1, version: 3 },
    );
    await state.ready;
    await new Promise(setImmediate);
    assert.deepEqual(heard, ['a "new"', "c 1", "c 2"]);
    assert.deepEqual(valuesOf(state), [
      ["a", "new"],
      ["c", 2],
    ]);
  });

  test("[LOCK-5] what is pushed behind it is newer than it", async (t) => {
    const { client, hear } = await openStage(t);
    const books = client.locks("books");
    const viewed = books.view([1, 2]);
    hear(
      answer({ mine: { 2: 8 }, held: { 1: { by: "Ben", since: 1, state: "held" } } }),
      { opcode: "lock", space: "books", id: "1", state: "free" },
      { opcode: "lock", space: "books", id: "2", state: "lost" },
    );
    await viewed;
    await new Promise(setImmediate);
    assert.deepEqual([books.mine.size, books.held.size], [0, 0]);
  });
});
