import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import type { WireEvents } from "../../client/dialog.js";
import { HubClient } from "../../client/index.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { startHub } from "../support/hub.js";
import { backend, join, KINDS, type Kind, next, page } from "./kinds.js";

type Answer = () => string | Promise<string>;

/** A provider of tokens that answers as told, once for each time it is asked. */
function provider(...answers: Answer[]): Answer {
  return () => (answers.shift() ?? (() => assert.fail("asked once too often")))();
}

const refuse = (reason: unknown) => (): Promise<string> => Promise.reject(reason);

/** A real hub, behind a network that can break. */
async function startBehindProxy(t: TestContext, kind: Kind): Promise<{ proxy: FaultProxy; url: string }> {
  const hub = await startHub(t);
  const proxy = await FaultProxy.start(t, kind === page ? hub.wsPort : hub.tcpPort);
  return { proxy, url: `${kind === page ? "ws" : "tcp"}://127.0.0.1:${proxy.port}` };
}

/** A promise and who settles it. */
function deferred(): { promise: Promise<string>; resolve(token: string): void; reject(reason: unknown): void } {
  let [resolve, reject] = [(_token: string): void => {}, (_reason: unknown): void => {}];
  const promise = new Promise<string>((...both) => {
    [resolve, reject] = both;
  });
  return { promise, resolve, reject };
}

/** All that follows from what was settled has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

for (const kind of KINDS) {
  describe(`${kind.name}: a token that is a function`, { timeout: 20_000 }, () => {
    const REASONS: [what: string, reason: unknown, said: string][] = [
      ["rejects with an error", new Error("signed out"), "signed out"],
      ["rejects with a string", "signed out", "signed out"],
      ["rejects with nothing", undefined, "undefined"],
    ];
    for (const [what, reason, said] of REASONS) {
      test(`that ${what} is asked again, after a pause, and the \`close\` event says why`, async (t) => {
        const { proxy, url } = await startBehindProxy(t, kind);
        const token = provider(
          () => "first",
          refuse(reason),
          () => "third",
        );
        const client = await join(t, kind, url, { token });
        const cut = next(client, "close");
        proxy.breakAll();
        await cut;
        const [refused, ready] = [next(client, "close"), next(client, "ready")];
        const { code, reason: told, retryIn } = await refused;
        assert.deepEqual({ code, told, again: retryIn !== undefined }, { code: 1006, told: `No token: ${said}`, again: true });
        await ready;
        assert.deepEqual(await client.feedback(client.uuid, "Here again"), { status: "sent", n: 1 });
      });
    }

    test("that rejects at the first connection delays `connect`, no more", async (t) => {
      const { url } = await startBehindProxy(t, kind);
      const client = await join(t, kind, url, { token: provider(refuse(new Error("not yet")), () => "second") });
      assert.equal(client.connected, true);
    });

    test("that never has one is what `connect` names when it gives up", async (t) => {
      const { url } = await startBehindProxy(t, kind);
      await assert.rejects(kind.connect(url, { token: refuse(new Error("signed out")), connectTimeout: 1_000 }), {
        name: "ClosedError",
        code: 1006,
        message: /within 1000 ms: No token: signed out/,
      });
    });
  });
}

describe("a token that is a function, at a hub whose connections break", { timeout: 20_000 }, () => {
  const TOKENS = ["first", "second", "third"];

  test("is asked anew at every connection of a backend, and the hub gets the new one", async (t) => {
    const { proxy, url } = await startBehindProxy(t, backend);
    const client = await join(t, backend, url, { token: provider(...TOKENS.map((token) => () => token)) });
    for (let i = 1; i < TOKENS.length; i++) {
      const ready = next(client, "ready");
      proxy.breakAll();
      await ready;
    }
    const hellos = proxy.heard.split("\n").filter((line) => line.includes('"hello"'));
    assert.deepEqual(
      hellos.map((line) => JSON.parse(line).token),
      TOKENS,
    );
  });

  test("is asked anew at every connection of a page, which shows it beside the secret and is the same page", async (t) => {
    const { proxy, url } = await startBehindProxy(t, page);
    const hellos: { token: string; resume?: string }[] = [];
    // What a page says is masked on its way.
    class Overheard extends WebSocket {
      override send(text: string): void {
        if (text.includes('"hello"')) hellos.push(JSON.parse(text));
        super.send(text);
      }
    }
    const options = { token: provider(...TOKENS.map((token) => async () => token)), WebSocket: Overheard };
    const client = await join(t, page, url, options);
    const { uuid } = client;
    for (let i = 1; i < TOKENS.length; i++) {
      const resumed = next(client, "resumed");
      proxy.breakAll();
      assert.equal((await resumed).ready.uuid, uuid);
    }
    assert.deepEqual(
      hellos.map(({ token, resume }) => [token, typeof resume]),
      TOKENS.map((token, i) => [token, i === 0 ? "undefined" : "string"]),
    );
  });
});

describe("a token that takes long", { timeout: 20_000 }, () => {
  interface Scripted extends WireEvents {
    readonly said: string[];
  }

  /** A client whose wires are arrays and whose tokens come when the test gives them; there is no pause between tries. */
  function slow(t: TestContext): {
    client: HubClient;
    wires: Scripted[];
    tokens: ReturnType<typeof deferred>[];
    opened(): Promise<Scripted>;
  } {
    t.mock.method(Math, "random", () => 0);
    const wires: Scripted[] = [];
    const tokens: ReturnType<typeof deferred>[] = [];
    let onOpen = (_wire: Scripted): void => {};
    const opened = (): Promise<Scripted> =>
      new Promise((resolve) => {
        onOpen = resolve;
      });
    const client = new HubClient(
      (events) => {
        const wire = { ...events, said: [] as string[] };
        wires.push(wire);
        onOpen(wire);
        return { send: (text) => void wire.said.push(text), close: () => {} };
      },
      async () => {
        const token = deferred();
        tokens.push(token);
        return { token: await token.promise };
      },
    );
    t.after(() => {
      client.close();
      wires.at(-1)?.closed(1000, "");
    });
    return { client, wires, tokens, opened };
  }

  const hello = (token: string): string => JSON.stringify({ opcode: "hello", token });
  const READY = '{"opcode":"ready","uuid":"u","window":1,"limits":{},"time":0}';

  test("is waited for with one connection, and shown once, whoever presses for another", async (t) => {
    const { client, wires, tokens } = slow(t);
    wires[0]?.open();
    client.retryNow();
    client.retryNow();
    tokens[0]?.resolve("the one");
    await settled();
    client.retryNow();
    assert.deepEqual(
      wires.map(({ said }) => said),
      [[hello("the one")]],
    );
    assert.equal(tokens.length, 1);
  });

  test("longer than its connection lasts is shown on no other one: that one has its own", async (t) => {
    const { wires, tokens, opened } = slow(t);
    wires[0]?.open();
    const again = opened();
    wires[0]?.closed(1006, "");
    (await again).open();
    tokens[0]?.resolve("late");
    await settled();
    assert.deepEqual(
      wires.map(({ said }) => said),
      [[], []],
    );
    tokens[1]?.resolve("in time");
    await settled();
    assert.deepEqual(
      wires.map(({ said }) => said),
      [[], [hello("in time")]],
    );
  });

  test("and comes after another connection is ready takes nothing from that one", async (t) => {
    const { client, wires, tokens, opened } = slow(t);
    wires[0]?.open();
    const again = opened();
    wires[0]?.closed(1006, "");
    const wire = await again;
    wire.open();
    tokens[1]?.resolve("in time");
    await settled();
    wire.text(READY);
    tokens[0]?.resolve("late");
    await settled();
    const outcome = client.send({ opcode: "add" });
    assert.deepEqual(wire.said, [hello("in time"), '{"opcode":"add"}']);
    assert.deepEqual(wires[0]?.said, []);
    wire.text('{"opcode":"next","fyi":"","status":"done"}');
    assert.deepEqual(await outcome, { status: "done" });
  });

  test("and is refused after its connection has gone is not why the next one ends", async (t) => {
    const { client, wires, tokens, opened } = slow(t);
    wires[0]?.open();
    const again = opened();
    wires[0]?.closed(1006, "");
    const wire = await again;
    wire.open();
    tokens[1]?.resolve("in time");
    await settled();
    wire.text(READY);
    tokens[0]?.reject(new Error("signed out"));
    await settled();
    const closed = next(client, "close");
    wire.closed(4001, "Taken over.");
    const { code, reason, retryIn } = await closed;
    assert.deepEqual({ code, reason, retryIn }, { code: 4001, reason: "Taken over.", retryIn: undefined });
  });
});
