import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { ClosedError, type HubClient } from "../../client/index.js";
import { connect } from "../../web-client/index.js";
import { ROOT } from "../support/process.js";

const MESSAGES = 10_000;
const CRASHES = 20;
const WORKERS = 32;

/** An app that writes down each number it is given, before it answers. */
const APP = `import { appendFileSync } from "node:fs";
export default { opcodes: { count: ({ n }) => { appendFileSync(process.env.COUNTED, n + "\\n"); return n; } } };`;

/** A hub in a process of its own, always on the same port. */
class CrashingHub {
  port = 0;
  #process: ChildProcess | undefined;

  constructor(private readonly folder: string) {}

  get counted(): string {
    return join(this.folder, "counted");
  }

  async start(): Promise<void> {
    const args = [
      join(ROOT, "dist/bin/signalbox.js"),
      "--config",
      join(this.folder, "config.json"),
      "--listen",
      `ws://127.0.0.1:${this.port}`,
    ];
    const child = spawn(process.execPath, [...args, "--log-level", "error"], {
      env: { ...process.env, COUNTED: this.counted },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#process = child;
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    this.port = Number(/ws:\/\/127\.0\.0\.1:(\d+)/.exec(String(line))?.[1]);
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
  }
}

async function startHub(t: TestContext): Promise<CrashingHub> {
  const folder = mkdtempSync(join(tmpdir(), "signalbox-crash-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "app.mjs"), APP);
  writeFileSync(join(folder, "config.json"), JSON.stringify({ resources: { "/count": "./app.mjs" } }));
  const hub = new CrashingHub(folder);
  t.after(() => hub.kill());
  await hub.start();
  return hub;
}

/** Settles when there is a connection. */
function connected(client: HubClient): Promise<void> {
  if (client.connected) return Promise.resolve();
  return new Promise((resolve) => client.addEventListener("ready", () => resolve(), { once: true }));
}

describe("[RES-11] a hub that is killed", () => {
  test(`${CRASHES} times while a page sends ${MESSAGES} numbered messages: the page knows which have no answer, and the app sees each`, {
    timeout: 120_000,
  }, async (t) => {
    const hub = await startHub(t);
    const client = await connect(`ws://127.0.0.1:${hub.port}/count`, { WebSocket: WebSocket as never });
    t.after(() => client.close());
    const reasons: (string | undefined)[] = [];
    client.addEventListener("fresh", ({ ready }) => reasons.push(ready.reason));
    let next = 0;
    let answered = 0;
    let unanswered = 0;

    async function count(n: number): Promise<void> {
      for (;;) {
        try {
          assert.equal((await client.send({ opcode: "count", n })).result, n);
          answered++;
          return;
        } catch (error) {
          assert.ok(error instanceof ClosedError, String(error));
          unanswered++;
          await connected(client);
        }
      }
    }

    async function crash(): Promise<void> {
      for (let i = 1; i <= CRASHES; i++) {
        const until = (i * MESSAGES) / (CRASHES + 1);
        while (answered < until) await new Promise((resolve) => setImmediate(resolve));
        await hub.kill();
        await hub.start();
      }
    }

    const workers = Array.from({ length: WORKERS }, async () => {
      while (next < MESSAGES) await count(next++);
    });
    await Promise.all([...workers, crash()]);
    const seen = readFileSync(hub.counted, "utf8").trim().split("\n").map(Number);
    assert.equal(new Set(seen).size, MESSAGES, "each at least once");
    assert.equal(answered, MESSAGES);
    assert.ok(seen.length <= MESSAGES + unanswered, "twice only what had no answer");
    assert.deepEqual(reasons, Array(CRASHES).fill("restarted"));
  });
});
