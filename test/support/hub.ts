import type { TestContext } from "node:test";
import type { Log, LogFields } from "../../server/app.js";
import { createHub, type HubSettings, type RunningHub } from "../../server/main.js";

/** What the hub logged, for a test to look at. */
export class TestLog implements Log {
  readonly #waiting: { event: string; resolve(fields: LogFields): void }[] = [];
  readonly lines: { level: string; event: string; fields: LogFields }[] = [];
  error = this.#at("error");
  warn = this.#at("warn");
  info = this.#at("info");
  debug = this.#at("debug");

  of(event: string): LogFields[] {
    return this.lines.filter((line) => line.event === event).map((line) => line.fields);
  }

  /** Settles with the first line of this event, written already or not. */
  untilLine(event: string): Promise<LogFields> {
    const [line] = this.of(event);
    if (line) return Promise.resolve(line);
    return new Promise((resolve) => this.#waiting.push({ event, resolve }));
  }

  #at(level: string) {
    return (event: string, fields: LogFields = {}): void => {
      this.lines.push({ level, event, fields });
      for (const waiting of this.#waiting) if (waiting.event === event) waiting.resolve(fields);
    };
  }
}

export interface TestHub extends RunningHub {
  readonly log: TestLog;
  /** `ws://127.0.0.1:PORT` */
  readonly ws: string;
  readonly wsPort: number;
  readonly tcpPort: number;
}

/** A real hub on free ports of this host, stopped when the test ends. */
export async function startHub(t: TestContext, settings: HubSettings = {}): Promise<TestHub> {
  const log = new TestLog();
  const hub = await createHub({ listen: ["ws://127.0.0.1:0", "tcp://127.0.0.1:0"], stopTimeout: 50, log, ...settings });
  t.after(() => hub.stop());
  const url = (scheme: string): string => hub.listeners.find((each) => each.startsWith(scheme)) ?? `${scheme}://none:0`;
  return { ...hub, log, ws: url("ws"), wsPort: Number(new URL(url("ws")).port), tcpPort: Number(new URL(url("tcp")).port) };
}
