import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { LockEvent, LockInfo, Locks, RefusedError } from "../../web-client/index.js";
import { ClientPage, untilEvent } from "../support/client-page.js";
import { startHub, type TestHub } from "../support/hub.js";
import { LineClient } from "../support/line-client.js";

interface Stage {
  readonly hub: TestHub;
  readonly page: ClientPage;
  readonly books: Locks;
}

/** A page of this user, with what it notes of `books`. */
async function open(t: TestContext, hub: TestHub, ident: string): Promise<Stage> {
  const page = await ClientPage.open(t, `${hub.ws}/web`, ident);
  return { hub, page, books: page.client.locks("books") };
}

/** Anna and Ben, on one hub. */
async function openTwo(t: TestContext): Promise<{ hub: TestHub; anna: Stage; ben: Stage }> {
  const hub = await startHub(t);
  return { hub, anna: await open(t, hub, "Anna"), ben: await open(t, hub, "Ben") };
}

/** Notes each event: `change 7 yours`, `lost 7 free`. */
function note(books: Locks): string[] {
  const heard: string[] = [];
  for (const type of ["change", "lost"] as const)
    books.addEventListener(type, ({ id, state, by }) => heard.push([type, id, state, by].filter(Boolean).join(" ")));
  return heard;
}

const until = (books: Locks, id: string, state: LockInfo["state"]): Promise<LockEvent> =>
  untilEvent(books, "change", (event) => event.id === id && event.state === state);

/** A backend of the hub's host takes what anybody has. */
async function breakLock(t: TestContext, hub: TestHub, id: string): Promise<void> {
  const line = await LineClient.open(t, hub.tcpPort);
  line.write(`break books ${id}\n`);
  assert.equal(await line.lines.next(), "next done");
}

async function restart(t: TestContext, hub: TestHub): Promise<TestHub> {
  await hub.stop();
  return startHub(t, { listen: [`ws://127.0.0.1:${hub.wsPort}`, "tcp://127.0.0.1:0"] });
}

describe("17 web-client: locks of the page", () => {
  test("are one object for each space", async (t) => {
    const { page, books } = await open(t, await startHub(t), "Anna");
    assert.equal(page.client.locks("books"), books);
    assert.notEqual(page.client.locks("authors"), books);
    assert.equal(books.space, "books");
  });

  test("[LOCK-1] a view claims what is free; the answer and `mine` have fences, `held` has the others' names", async (t) => {
    const { anna, ben } = await openTwo(t);
    const first = await anna.books.view([1, "2"]);
    assert.deepEqual([...first.mine.keys()], ["1", "2"]);
    assert.deepEqual(anna.books.mine, first.mine);
    const second = await ben.books.view(["2", 3]);
    assert.deepEqual([...second.mine.keys()], ["3"]);
    const holding = ben.books.held.get("2");
    assert.deepEqual([holding?.by, holding?.state, typeof holding?.since], ["Anna", "held", "number"]);
    assert.deepEqual(ben.books.held, second.held);
  });

  test("[LOCK-5] each difference is a `change` when all is up to date, those of an own view too, and none is told twice", async (t) => {
    const { anna, ben } = await openTwo(t);
    await anna.books.view([1]);
    const heard = note(ben.books);
    const sizes: number[] = [];
    ben.books.addEventListener("change", () => sizes.push(ben.books.mine.size + ben.books.held.size));
    await ben.books.view([1, 2]);
    await ben.books.view([1, 2]);
    assert.deepEqual(heard, ["change 1 held Anna", "change 2 yours"]);
    assert.deepEqual(sizes, [2, 2]);
    const free = until(ben.books, "1", "free");
    await anna.books.view([]);
    await free;
    assert.equal(ben.books.held.size, 0);
    await ben.books.view([1]);
    assert.deepEqual(heard.slice(2), ["change 1 free", "change 2 free", "change 1 yours"]);
  });

  test("[LOCK-3] `lock` gets all or none: `locked` says in `result` whose they are", async (t) => {
    const { anna, ben } = await openTwo(t);
    const fences = await anna.books.lock([1, 2]);
    assert.deepEqual(fences, anna.books.mine);
    await assert.rejects(ben.books.lock([2, 3]), ({ name, code, result }: RefusedError) => {
      const { held } = result as { held: Record<string, { by: string }> };
      assert.deepEqual([name, code, Object.keys(held), held["2"]?.by], ["RefusedError", "locked", ["2"], "Anna"]);
      return true;
    });
    assert.deepEqual([ben.books.mine.size, ben.books.locked.size], [0, 0]);
  });

  test("[LOCK-1] what was locked stays this page's whatever it views; [LOCK-4] given back it is free", async (t) => {
    const { anna, ben } = await openTwo(t);
    await anna.books.view([1, 2]);
    await anna.books.lock([1]);
    const heard = note(anna.books);
    await anna.books.view([3]);
    assert.deepEqual([...anna.books.mine.keys()], ["1", "3"]);
    await ben.books.view([1]);
    const free = until(ben.books, "1", "free");
    await anna.books.unlock([1]);
    await free;
    assert.deepEqual([[...anna.books.mine.keys()], [...anna.books.locked]], [["3"], []]);
    assert.deepEqual(heard, ["change 2 free", "change 3 yours", "change 1 free"]);
  });

  test("[LOCK-4] what the view claims as well stays after `unlock`; what is not one's own is `not-yours`", async (t) => {
    const { anna, ben } = await openTwo(t);
    await anna.books.view([1]);
    await anna.books.lock([1]);
    const heard = note(anna.books);
    await anna.books.unlock([1]);
    assert.deepEqual([...anna.books.mine.keys(), ...anna.books.locked], ["1"]);
    await assert.rejects(ben.books.unlock([1]), { code: "not-yours" });
    assert.deepEqual(heard, []);
    const { mine } = await anna.books.list();
    assert.deepEqual(mine, anna.books.mine);
  });

  test("[LOCK-9] what a backend breaks is `lost`, also what is not viewed; and what another takes then is told", async (t) => {
    const { hub, anna, ben } = await openTwo(t);
    await anna.books.view([1]);
    await anna.books.lock([7]);
    const heard = note(anna.books);
    for (const id of ["1", "7"]) {
      const lost = untilEvent(anna.books, "lost");
      await breakLock(t, hub, id);
      assert.equal((await lost).id, id);
    }
    const held = until(anna.books, "1", "held");
    await ben.books.view([1, 7]);
    await held;
    assert.deepEqual(heard, ["lost 1 free", "change 1 free", "lost 7 free", "change 7 free", "change 1 held Ben"]);
    assert.deepEqual([anna.books.mine.size, anna.books.locked.size], [0, 0]);
  });

  test("[LOCK-6] a break that the hub has bridged loses nothing and says nothing; the others see `reconnecting`", async (t) => {
    const { anna, ben } = await openTwo(t);
    await anna.books.view([1]);
    await anna.books.lock([2]);
    await ben.books.view([1]);
    const [heard, before] = [note(anna.books), new Map(anna.books.mine)];
    const [away, back] = [until(ben.books, "1", "reconnecting"), until(ben.books, "1", "held")];
    const resumed = untilEvent(anna.page.client, "resumed");
    anna.page.drop();
    await away;
    await Promise.all([resumed, back]);
    assert.deepEqual([anna.books.mine, heard], [before, []]);
  });

  test("[LOCK-6] after a reload `list` tells what the page has, and what was locked stays its own whatever it views", async (t) => {
    const { anna } = await openTwo(t);
    await anna.books.view([1, 2]);
    await anna.books.lock([2, 3]);
    const reloaded = await anna.page.reload();
    assert.equal(reloaded.client.uuid, anna.page.client.uuid);
    const books = reloaded.client.locks("books");
    assert.equal(books.mine.size, 0);
    const { mine, held, more } = await books.list();
    assert.deepEqual([mine, held.size, more], [books.mine, 0, false]);
    assert.deepEqual(
      [[...mine.keys()].sort(), [...books.locked]],
      [
        ["1", "2", "3"],
        ["2", "3"],
      ],
    );
    // The view of the page before is the hub's to end.
    await books.view([4]);
    assert.deepEqual([...books.mine.keys()].sort(), ["2", "3", "4"]);
    assert.deepEqual((await books.list()).mine, new Map(books.mine));
  });

  test("where the page is new to the hub all is `lost`, and the last view is said again by itself", async (t) => {
    const { hub, anna } = await openTwo(t);
    await anna.books.view([1]);
    await anna.books.lock([2]);
    const heard = note(anna.books);
    const fresh = untilEvent(anna.page.client, "fresh");
    const claimed = until(anna.books, "1", "yours");
    const { fence: before } = { fence: anna.books.mine.get("1") as number };
    await restart(t, hub);
    await fresh;
    const { fence } = await claimed;
    assert.deepEqual(heard, ["lost 1 free", "change 1 free", "lost 2 free", "change 2 free", "change 1 yours"]);
    assert.deepEqual([[...anna.books.mine.keys()], anna.books.locked.size], [["1"], 0]);
    assert.ok(Number(fence) > before, "[LOCK-8]");
  });

  test("what the page gives up itself by `close` is free and not `lost`, in a pause between two tries as well", async (t) => {
    const { hub, anna, ben } = await openTwo(t);
    for (const { books } of [anna, ben]) await books.lock([books === anna.books ? 1 : 2]);
    const [given, heard] = [note(anna.books), note(ben.books)];
    const free = until(anna.books, "1", "free");
    anna.page.client.close();
    await free;
    const closed = untilEvent(ben.page.client, "close");
    await hub.stop();
    await closed;
    const before = [...heard];
    ben.page.client.close();
    assert.deepEqual([given, before, heard], [["change 1 free"], [], ["change 2 free"]]);
    await assert.rejects(ben.books.view([1]), { name: "ClosedError" });
  });

  test("where the connection ends for good otherwise all is `lost`", async (t) => {
    const { anna } = await openTwo(t);
    await anna.books.lock([1]);
    const lost = untilEvent(anna.books, "lost");
    // Another page takes its place.
    await anna.page.reload();
    assert.equal((await lost).id, "1");
  });

  test("[LOCK-9] what was locked before a reload is `lost` where a backend breaks it, though it is not `mine` again yet", async (t) => {
    const { hub, anna } = await openTwo(t);
    await anna.books.lock([1]);
    const books = (await anna.page.reload()).client.locks("books");
    const heard = note(books);
    const lost = untilEvent(books, "lost");
    await breakLock(t, hub, "1");
    await lost;
    assert.deepEqual([heard, books.locked.size], [["lost 1 free", "change 1 free"], 0]);
  });

  test("what was locked before a reload is `lost` where the page is new to the hub after it", async (t) => {
    const { hub, anna } = await openTwo(t);
    await anna.books.lock([1]);
    const books = (await anna.page.reload()).client.locks("books");
    const heard = note(books);
    const lost = untilEvent(books, "lost");
    await restart(t, hub);
    await lost;
    assert.deepEqual([heard, books.locked.size], [["lost 1 free", "change 1 free"], 0]);
  });

  test("where the page is new to the hub it says the view that was asked for last, heard or not; not one that was refused", async (t) => {
    const { hub, anna, ben } = await openTwo(t);
    await anna.books.view([1]);
    await ben.books.view([3]);
    await assert.rejects(ben.books.view([""]), { code: "bad-message" });
    const closed = untilEvent(anna.page.client, "close");
    await hub.stop();
    await closed;
    const claimed = [until(anna.books, "2", "yours"), until(ben.books, "3", "yours")];
    const rejected = assert.rejects(anna.books.view([2]), { name: "ClosedError" });
    await startHub(t, { listen: [`ws://127.0.0.1:${hub.wsPort}`, "tcp://127.0.0.1:0"] });
    await Promise.all([...claimed, rejected]);
    assert.deepEqual([...anna.books.mine.keys(), ...ben.books.mine.keys()], ["2", "3"]);
  });

  test("what is no list of ids is a TypeError that says so; each id is for the hub to judge; a set is a list", async (t) => {
    const { books, page } = await open(t, await startHub(t), "Anna");
    for (const wrong of [4711, "4711", undefined, null, {}])
      for (const call of ["view", "lock", "unlock"] as const)
        await assert.rejects(books[call](wrong as never), {
          name: "TypeError",
          message: /^Expected `ids` to be a list, such as \[4711\], got /,
        });
    for (const wrong of [null, 1.5, Number.NaN, 2 ** 60, {}]) await assert.rejects(books.view([wrong as never]), { code: "bad-message" });
    assert.equal(books.mine.size, 0);
    assert.deepEqual([...(await books.lock(new Set([1, "2"]))).keys()], ["1", "2"]);
    await books.unlock(books.locked);
    assert.equal(books.mine.size, 0);
    // @ts-expect-error A text would be a list of its characters.
    await assert.rejects(books.view("4711"), TypeError);
    for (const wrong of [undefined, "", 7]) {
      assert.throws(() => page.client.locks(wrong as never), { name: "TypeError", message: /^Expected `space` / });
      assert.throws(() => page.client.state(wrong as never), { name: "TypeError", message: /^Expected `pattern` / });
    }
  });

  test("`__proto__` is an id like any other", async (t) => {
    const { anna, ben } = await openTwo(t);
    await anna.books.view(["__proto__", "constructor"]);
    assert.deepEqual([...anna.books.mine.keys()].sort(), ["__proto__", "constructor"]);
    const { held } = await ben.books.view(["__proto__"]);
    assert.equal(held.get("__proto__")?.by, "Anna");
    const free = until(ben.books, "__proto__", "free");
    await anna.books.view([]);
    await free;
    assert.deepEqual([...(await ben.books.lock(["__proto__"])).keys()], ["__proto__"]);
  });

  test("are not touched by what an app of one's own pushes under the same name", async (t) => {
    const hub = await startHub(t, {
      resources: {
        "/door": {
          opcodes: {
            open(_packet, peer) {
              for (const fields of [
                { id: "1", state: "held" },
                { id: "1", space: "books", state: "held" },
                { id: 1, space: "books", state: "free" },
                { ids: "1", space: "books", state: "lost" },
                { id: "1", space: "books", state: "open" },
                { id: "9", space: "books", state: "held", by: "Ben", since: 1 },
              ])
                peer.send({ opcode: "lock", ...fields });
            },
          },
        },
      },
    });
    const { client } = await ClientPage.open(t, `${hub.ws}/door`, "Anna");
    const books = client.locks("books");
    await books.view(["1"]);
    const heard = note(books);
    let pushes = 0;
    client.addEventListener("lock", () => pushes++);
    await client.send({ opcode: "open" });
    await client.send({ opcode: "echo" });
    assert.deepEqual([pushes, heard, [...books.mine.keys()], books.held.size], [6, [], ["1"], 0]);
  });
});
