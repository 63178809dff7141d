import assert from "node:assert/strict";
import { after, before, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { HubSettings } from "../../server/main.js";
import { startHub, type TestHub } from "../support/hub.js";
import { Page } from "../support/page.js";

/** Between two echoes of the bystander, ms: often enough to notice, and no load. */
const PACE = 5;

/** Fails the file where anything in this process threw and nobody caught it. Call once, outside of tests. */
export function noUncaughtErrors(): void {
  const uncaught: unknown[] = [];
  const note = (error: unknown): void => void uncaught.push(error);
  before(() => process.on("uncaughtExceptionMonitor", note).on("unhandledRejection", note));
  after(() => {
    process.off("uncaughtExceptionMonitor", note).off("unhandledRejection", note);
    assert.deepEqual(uncaught, []);
  });
}

/** A page that wants nothing from the hub but its own echo, and wants it always. */
export class Bystander {
  #echoes = 0;
  #stopped = false;
  #last = Promise.resolve();
  readonly #running: Promise<void>;

  private constructor(private readonly page: Page) {
    this.#running = this.#run();
    // `stop` looks at it; a test that failed before has another tale to tell.
    this.#running.catch(() => {});
  }

  static async open(t: TestContext, hub: TestHub): Promise<Bystander> {
    return new Bystander(await Page.open(t, hub.ws, {}));
  }

  get uuid(): string {
    return this.page.uuid;
  }

  /** Ends it. It must have been served all the time, and must be served now. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.echo();
    assert.ok(this.#echoes >= 2, "it was served during and after");
  }

  /** One round trip, behind all that it was sent before; a push of anybody else would be taken for the echo, and fails. */
  echo(): Promise<void> {
    this.#last = this.#last.then(() => this.#roundTrip());
    return this.#last;
  }

  async #roundTrip(): Promise<void> {
    const n = ++this.#echoes;
    assert.deepEqual(await this.page.ask({ opcode: "echo", n }), { opcode: "echo", n });
    assert.equal((await this.page.packets.next()).opcode, "next");
  }

  async #run(): Promise<void> {
    do {
      await this.echo();
      await pause(PACE);
    } while (!this.#stopped);
  }
}

/**
 * Runs an attack on a hub while a bystander is being served, and looks afterwards whether hub and bystander are well.
 * The bystander's echo is also the fence: what was to reach nobody would have come before it.
 */
export async function attack(
  t: TestContext,
  settings: HubSettings,
  run: (hub: TestHub, bystander: Bystander) => Promise<void>,
): Promise<void> {
  const hub = await startHub(t, settings);
  const bystander = await Bystander.open(t, hub);
  await run(hub, bystander);
  await bystander.stop();
  assert.deepEqual(hub.log.of("hub.failed"), [], "the hub itself never failed");
}
