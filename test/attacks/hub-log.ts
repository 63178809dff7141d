import type { Readable } from "node:stream";
import { until } from "./until.js";

/** One line of a hub's log. */
export interface LogLine {
  /** As it was written, without its line end. */
  readonly raw: string;
  /** What it says; `undefined` where it is no JSON object. */
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

/** Lines of one kind of event and address that a hub writes within a second. */
const FREE_LINES = 10;
/** Over a second, ms: a hub's second ends when its timer says so. */
const SECOND = 1_100;

/** What a hub process writes to standard error, line by line, as it comes. */
export class HubLog {
  readonly lines: LogLine[] = [];
  #rest = "";

  constructor(stream: Readable) {
    stream.on("data", (bytes: Buffer) => this.#read(bytes.toString("latin1")));
    stream.on("end", () => this.#rest !== "" && this.#read("\n"));
  }

  /** Those of an event, from a place on. */
  of(event: string, from = 0): LogLine[] {
    return this.lines.slice(from).filter(({ fields }) => fields?.event === event);
  }

  /** The first line of an event, written already or not. @throws Error where none comes */
  async first(event: string, from = 0): Promise<Readonly<Record<string, unknown>>> {
    const [line] = await until(
      () => this.of(event, from),
      (lines) => lines.length > 0,
    );
    if (line?.fields === undefined) throw new Error(`No log line \`${event}\` came.`);
    return line.fields;
  }

  /** Settles when a line of this event would be written and not left out: half of those of a second are free. */
  async untilFree(event: string): Promise<void> {
    const recent = (): number => this.of(event).filter(({ fields }) => Date.now() - Date.parse(String(fields?.time)) < SECOND).length;
    await until(recent, (lines) => lines <= FREE_LINES / 2);
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() as string;
    for (const latin of lines) {
      const raw = Buffer.from(latin, "latin1").toString();
      this.lines.push({ raw, fields: parse(raw) });
    }
  }
}

function parse(raw: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(raw);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
