import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { WireEvents } from "../../client/dialog.js";
import { HubClient } from "../../client/index.js";
import { CLOSE, type Packet } from "../../protocol/index.js";
import { type App, Refusal } from "../../server/main.js";
import { connect as connectBackend } from "../../tcp-client/index.js";
import { connect as connectPage } from "../../web-client/index.js";
import { startHub, type TestHub } from "../support/hub.js";
import { backend, freePort, join, KINDS, type Kind, next, page, type Script } from "./kinds.js";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** An app to be a client of. */
const app: App = {
  opcodes: {
    add: ({ a, b }) => (a as number) + (b as number),
    digest: ({ text }) => sha256(text as string),
    refuse() {
      throw new Refusal("busy", "Later.");
    },
    ask: (_packet, peer) => peer.ask({ opcode: "question", n: 20 }),
    async later({ n }) {
      await new Promise(setImmediate);
      return n;
    },
    leave(_packet, peer) {
      peer.close("Enough.");
      return new Promise(() => {});
    },
  },
};

const startWithApp = (t: TestContext): Promise<TestHub> =>
  startHub(t, { resources: { "/app": app }, maxMessage: 4 << 20, maxQueued: 8 << 20 });

async function joinApp(t: TestContext, kind: Kind, options = {}): Promise<HubClient> {
  const hub = await startWithApp(t);
  return join(t, kind, kind.url(hub, "/app"), options);
}

/** An impostor that greets like a hub; what comes then is up to the script. */
const greeting =
  (script: Script): Script =>
  (text, wire) => {
    if (JSON.parse(text).opcode === "hello") wire.say('{"opcode":"ready","uuid":"u","window":8,"limits":{},"time":0}');
    else script(text, wire);
  };

for (const kind of KINDS) {
  const { name } = kind;

  describe(`${name}: connecting`, { timeout: 20_000 }, () => {
    test("[OPEN-1] resolves when the hub is ready, with an address at which it can be reached", async (t) => {
      const hub = await startHub(t);
      const [one, other] = [await join(t, kind, kind.url(hub)), await join(t, kind, kind.url(hub))];
      assert.equal(one.connected, true);
      assert.match(one.uuid, /^[0-9a-f-]{36}$/);
      assert.notEqual(one.uuid, other.uuid);
      assert.deepEqual(await other.feedback(one.uuid, "Hello"), { status: "sent", n: 1 });
    });

    test("[STD-3] it can be reached by the ident and the tags of its options", async (t) => {
      const hub = await startHub(t);
      await join(t, kind, kind.url(hub), { ident: "importer", tags: { role: "editor", level: 3 } });
      const other = await join(t, kind, kind.url(hub));
      assert.deepEqual(await other.feedback({ ident: "importer" }, "Hello"), { status: "sent", n: 1 });
      assert.deepEqual(await other.feedback({ tags: { level: 3 } }, "Hello"), { status: "sent", n: 1 });
      assert.deepEqual(await other.feedback({ tags: { level: 4 } }, "Hello"), { status: "gone" });
    });

    test("[OPEN-5] rejects with the hub's sentence where there is no such resource", async (t) => {
      const hub = await startWithApp(t);
      await assert.rejects(kind.connect(kind.url(hub, "/nowhere")), { name: "ClosedError", code: 4404, message: /`\/nowhere`.*\/app/ });
    });

    test("rejects after `connectTimeout` where nobody listens", async () => {
      const url = `${kind === page ? "ws" : "tcp"}://127.0.0.1:${await freePort()}`;
      await assert.rejects(kind.connect(url, { connectTimeout: 50 }), { name: "ClosedError", code: 1006, message: /within 50 ms/ });
    });

    test("rejects after `connectTimeout` where somebody listens and says nothing", async (t) => {
      const url = await kind.impostor(t, () => {});
      await assert.rejects(kind.connect(url, { connectTimeout: 50 }), {
        name: "ClosedError",
        code: 1006,
        message: /within 50 ms: nothing was heard/,
      });
    });

    test("rejects at once where what answers is no hub, and the process lives", async (t) => {
      const url = await kind.impostor(t, (_text, wire) => wire.say("HTTP/1.1 400 Bad Request"));
      await assert.rejects(kind.connect(url), { name: "ClosedError", code: 1002, message: /no hub/ });
    });
  });

  describe(`${name}: messages`, { timeout: 20_000 }, () => {
    test("[NEXT-3] a message resolves with what became of it", async (t) => {
      const client = await joinApp(t, kind);
      assert.deepEqual(await client.send({ opcode: "add", a: 1, b: 2 }), { status: "done", result: 3 });
      assert.deepEqual(await client.broadcast("Hello"), { status: "sent", n: 0 });
      assert.deepEqual(await client.feedback("nobody", "Hello"), { status: "gone" });
    });

    test("[NEXT-5] a refused one rejects with code and sentence, the next one is served", async (t) => {
      const client = await joinApp(t, kind);
      await assert.rejects(client.send({ opcode: "refuse" }), { name: "RefusedError", code: "busy", message: "Later." });
      await assert.rejects(client.send({ opcode: "nonsense" }), { name: "RefusedError", code: "unknown-opcode" });
      assert.deepEqual(await client.send({ opcode: "add", a: 1, b: 1 }), { status: "done", result: 2 });
    });

    for (const window of [1, 32]) {
      test(`[CHUNK-1] a message of more than 1 MiB arrives whole, with others around it, window ${window}`, async (t) => {
        const client = await joinApp(t, kind, { window });
        const text = "😀 bufferON é\n".repeat(100_000);
        const outcomes = [
          client.send({ opcode: "later", n: 1 }),
          client.send({ opcode: "digest", text }),
          client.send({ opcode: "later", n: 2 }),
        ];
        assert.deepEqual(
          (await Promise.all(outcomes)).map(({ result }) => result),
          [1, sha256(text), 2],
        );
      });
    }

    test("[STD-7] a push of more than 1 MiB arrives whole", async (t) => {
      const client = await joinApp(t, kind);
      const message = "😀 é".repeat(200_000);
      const echo = next(client, "echo");
      await client.send({ opcode: "echo", message });
      assert.equal((await echo).packet.message, message);
    });

    for (const opcode of ["cancel", "seen", "quit", "reply"]) {
      test(`[NEXT-6] \`${opcode}\` has no answer to wait for: it is said, not sent`, async (t) => {
        const client = await joinApp(t, kind);
        await assert.rejects(client.send({ opcode }), { name: "TypeError", message: new RegExp(`\`${opcode}\`.*say`) });
        assert.deepEqual(await client.send({ opcode: "add", a: 1, b: 2 }), { status: "done", result: 3 });
      });
    }

    test("[NEXT-1] what has an answer is sent, not said: the answer would be taken for another's", async (t) => {
      const client = await joinApp(t, kind);
      assert.throws(() => client.say({ opcode: "add" }), { name: "TypeError", message: /`add`.*send/ });
    });
  });

  describe(`${name}: what the hub says`, { timeout: 20_000 }, () => {
    test("a push is an event named like its opcode, and one named `message`", async (t) => {
      const hub = await startHub(t);
      const [one, other] = [await join(t, kind, kind.url(hub)), await join(t, kind, kind.url(hub))];
      const events = Promise.all([next(one, "message"), next(one, "feedback")]);
      await other.feedback(one.uuid, { percent: 40 }, { step: "reading" });
      const packet: Packet = { opcode: "feedback", message: { percent: 40 }, step: "reading", fromUUID: other.uuid };
      for (const event of await events) assert.deepEqual(event.packet, packet);
    });

    test("a push of opcode `message` is one event", async (t) => {
      const chatty: App = { opcodes: { say: (_packet, peer) => peer.send({ opcode: "message", message: "Hello" }) } };
      const hub = await startHub(t, { resources: { "/app": chatty } });
      const client = await join(t, kind, kind.url(hub, "/app"));
      const heard: unknown[] = [];
      client.addEventListener("message", ({ packet }) => heard.push(packet.message));
      await client.send({ opcode: "say" });
      assert.deepEqual(heard, ["Hello"]);
    });

    test("[ASK-1] a question is answered by the event's `reply`, with all credit used up", async (t) => {
      const client = await joinApp(t, kind, { window: 1 });
      client.addEventListener("question", (event) => event.reply((event.packet.n as number) + 1));
      assert.deepEqual(await client.send({ opcode: "ask" }), { status: "done", result: 21 });
    });
  });

  describe(`${name}: when the connection ends`, { timeout: 20_000 }, () => {
    test("[END-3] what was not answered rejects, with the hub's code and sentence", async (t) => {
      const client = await joinApp(t, kind, { window: 1 });
      const closed = next(client, "close");
      const outcomes = ["leave", "add", "add"].map((opcode) => client.send({ opcode }));
      for (const outcome of outcomes) await assert.rejects(outcome, { name: "ClosedError", code: 1000, message: "Enough." });
      const { code, reason } = await closed;
      assert.deepEqual({ code, reason }, { code: 1000, reason: "Enough." });
    });

    test("a connection that breaks without a word rejects what was not answered, with 1006", async (t) => {
      const url = await kind.impostor(
        t,
        greeting((_text, wire) => wire.drop()),
      );
      const client = await join(t, kind, url);
      await assert.rejects(client.send({ opcode: "add" }), { name: "ClosedError", code: 1006 });
    });

    test("while there is none, a message rejects at once", async (t) => {
      const client = await joinApp(t, kind);
      const closed = next(client, "close");
      client.send({ opcode: "leave" }).catch(() => {});
      await closed;
      assert.equal(client.connected, false);
      await assert.rejects(client.send({ opcode: "add" }), { name: "ClosedError", code: 1006, message: /[Nn]ot connected/ });
    });

    test("[END-6] it comes back when the hub does, with a new address", async (t) => {
      const hub = await startHub(t);
      const client = await join(t, kind, kind.url(hub));
      const before = client.uuid;
      const [closed, ready] = [next(client, "close"), next(client, "ready")];
      await hub.stop();
      const { code, retryIn } = await closed;
      assert.equal(code, CLOSE.restart.code);
      assert.ok(retryIn !== undefined && retryIn >= 0 && retryIn <= 200, String(retryIn));
      await startHub(t, { listen: [...hub.listeners] });
      assert.equal((await ready).ready.uuid, client.uuid);
      assert.notEqual(client.uuid, before);
      assert.deepEqual(await client.feedback(client.uuid, "Here again"), { status: "sent", n: 1 });
    });
  });

  describe(`${name}: close()`, { timeout: 20_000 }, () => {
    test("[END-1] ends for good: the hub hears `quit`, nothing is tried again", async (t) => {
      const hub = await startHub(t);
      const client = await join(t, kind, kind.url(hub));
      const closed = next(client, "close");
      client.close();
      client.close();
      assert.equal((await closed).retryIn, undefined);
      assert.equal(client.connected, false);
      assert.deepEqual(
        hub.log.of("peer.closed").map(({ why }) => why),
        ["quit"],
      );
    });

    test("what was sent before is still answered, whether it had credit yet or not", async (t) => {
      const client = await joinApp(t, kind, { window: 2 });
      const long = "x".repeat(200_000);
      const outcomes = [1, 2, 3, long, 4, 5].map((n) => client.send({ opcode: "later", n }));
      client.close();
      assert.deepEqual(
        (await Promise.all(outcomes)).map(({ result }) => result),
        [1, 2, 3, long, 4, 5],
      );
    });

    test("what is sent after it rejects", async (t) => {
      const client = await joinApp(t, kind);
      client.close();
      await assert.rejects(client.send({ opcode: "add" }), { name: "ClosedError" });
    });
  });
}

describe("a client of any wire", { timeout: 20_000 }, () => {
  /** A client whose wires do nothing; a test says what they tell. `opened` settles when the next one is opened. */
  function silent(): { client: HubClient; wires: WireEvents[]; opened(): Promise<void> } {
    const wires: WireEvents[] = [];
    let onOpen = (): void => {};
    const opened = (): Promise<void> =>
      new Promise((resolve) => {
        onOpen = resolve;
      });
    const client = new HubClient(
      (events) => {
        wires.push(events);
        onOpen();
        return { send() {}, close() {} };
      },
      () => ({}),
    );
    return { client, wires, opened };
  }

  for (const [name, { code, reconnect }] of Object.entries(CLOSE)) {
    test(`after ${code} ${name} it ${reconnect ? "connects again" : "does not connect again"}`, async () => {
      const { client, wires, opened } = silent();
      const [closed, again] = [next(client, "close"), opened()];
      wires[0]?.closed(code, "why");
      const { retryIn, ...event } = await closed;
      assert.deepEqual([event.code, event.reason, retryIn !== undefined], [code, "why", reconnect]);
      if (reconnect) await again;
      client.close();
      assert.equal(wires.length, reconnect ? 2 : 1);
    });
  }

  test("the hub's `close` packet says it better than the wire", async () => {
    const { client, wires } = silent();
    const closed = next(client, "close");
    wires[0]?.text('{"opcode":"close","code":4404,"error":"No resource."}');
    wires[0]?.closed(1006, "");
    const { code, reason, retryIn } = await closed;
    assert.deepEqual({ code, reason, retryIn }, { code: 4404, reason: "No resource.", retryIn: undefined });
  });

  test("the pause grows until a connection has stood for a while", async (t) => {
    t.mock.method(Math, "random", () => 0.01);
    let now = 0;
    t.mock.method(Date, "now", () => now);
    const { client, wires, opened } = silent();
    const retries: (number | undefined)[] = [];
    client.addEventListener("close", ({ retryIn }) => retries.push(retryIn));
    for (const ready of [false, false, 100, 10_001, false]) {
      const wire = wires.at(-1) as WireEvents;
      if (ready) wire.text('{"opcode":"ready","uuid":"u","window":1,"limits":{},"time":0}');
      const again = opened();
      now += Number(ready);
      wire.closed(1006, "");
      await again;
    }
    client.close();
    assert.deepEqual(retries, [2, 4, 8, 2, 4]);
  });

  test("close() while it waits to connect again: it does not", async (t) => {
    t.mock.method(Math, "random", () => 0);
    const { client, wires } = silent();
    wires[0]?.closed(1006, "");
    client.close();
    // A timer that is due after the one of the client, had that not been cancelled.
    await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal(wires.length, 1);
  });
});

/** The error says what was expected and what came. */
const naming =
  (url: string, expected: RegExp) =>
  ({ message }: Error): boolean =>
    expected.test(message) && message.includes(`\`${url}\``);

describe("tcp-client: lines", { timeout: 20_000 }, () => {
  test("[PKT-2] LF or CRLF, empty lines, and packets cut or joined by the network", async (t) => {
    const url = await backend.impostor(t, (text, wire) => {
      if (text.includes("hello")) wire.say('\n\r\n{"opcode":"ready","uuid":"u","window":1,"limits":{},"time":0}\r');
      else wire.say('{"opcode":"progress","text":"é"}\r\n{"opcode":"next","fyi":"","status":"done"}');
    });
    const client = await join(t, backend, url);
    const progress = next(client, "progress");
    assert.deepEqual(await client.send({ opcode: "start" }), { status: "done" });
    assert.equal((await progress).packet.text, "é");
  });
});

describe("tcp-client: addresses", { timeout: 20_000 }, () => {
  test("unix:PATH is a hub's socket", async (t) => {
    const folder = mkdtempSync(joinPath(tmpdir(), "signalbox-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const url = `unix:${folder}/hub.sock`;
    await startHub(t, { listen: [url] });
    const client = await join(t, backend, url);
    assert.deepEqual(await client.feedback(client.uuid, "Hello"), { status: "sent", n: 1 });
  });

  test("the path is the resource, decoded", async (t) => {
    const hub = await startHub(t, { resources: { "/bücher und mehr": app } });
    const client = await join(t, backend, backend.url(hub, "/b%C3%BCcher%20und%20mehr"));
    assert.deepEqual(await client.send({ opcode: "add", a: 1, b: 2 }), { status: "done", result: 3 });
  });

  const BAD = [
    "",
    "nonsense",
    "127.0.0.1:8097",
    "http://127.0.0.1:8097",
    "ws://127.0.0.1:8096/web",
    "tcp://127.0.0.1",
    "tcp://:8097",
    "tcp://h:99999",
    "unix:",
    "tcp://h:1/%zz",
  ];
  for (const url of BAD) {
    test(`\`${url}\` is none, and the rejection says so`, async () => {
      await assert.rejects(connectBackend(url), naming(url, /tcp:\/\/HOST:PORT/));
    });
  }
});

describe("web-client: addresses", { timeout: 20_000 }, () => {
  /** What a browser knows of the page that runs there. */
  function standOn(t: TestContext, href: string): void {
    Object.assign(globalThis, { location: { href } });
    t.after(() => Reflect.deleteProperty(globalThis, "location"));
  }

  for (const path of ["/web", "web?x=1#top", "http://HOST/web"]) {
    test(`\`${path}\` on a page means the host that served it`, async (t) => {
      const hub = await startHub(t);
      const host = new URL(hub.ws).host;
      standOn(t, `http://${host}/index.html?order=7#below`);
      const client = await join(t, page, path.replace("HOST", host));
      assert.equal(client.connected, true);
    });
  }

  for (const url of ["/web", "nonsense", "ftp://127.0.0.1/web", "ws://"]) {
    test(`without a page \`${url}\` is none, and the rejection says so`, async () => {
      await assert.rejects(page.connect(url), naming(url, /ws:\/\/HOST/));
    });
  }

  test("without a WebSocket anywhere the rejection names the option", async (t) => {
    const own = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
    Reflect.deleteProperty(globalThis, "WebSocket");
    t.after(() => own && Object.defineProperty(globalThis, "WebSocket", own));
    await assert.rejects(connectPage("ws://127.0.0.1:1/"), { name: "TypeError", message: /`WebSocket`/ });
  });
});
