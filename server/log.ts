import winston from "winston";
import { escapeControls } from "../protocol/index.js";
import type { Log, LogFields } from "./app.js";
import { type Clock, systemClock } from "./clock.js";
import { LineLimit } from "./line-limit.js";

export interface LogSettings {
  readonly level: string;
  /** `auto`: text on a terminal, JSON otherwise. */
  readonly format: string;
}

/**
 * The hub's log, on standard error: standard output belongs to the line that says it is ready. The only file that knows `winston`. Of one kind of event
 * and address at most ten lines a second are written, then how many more there were.
 */
export function createLog({ level, format }: LogSettings, clock: Clock = systemClock): Log {
  const text = format === "text" || (format === "auto" && process.stderr.isTTY === true);
  const logger = winston.createLogger({
    level,
    format: winston.format.printf(text ? textLine : jsonLine),
    transports: [new winston.transports.Stream({ stream: process.stderr })],
    exitOnError: false,
  });
  // A log that cannot be written, because the pipe behind it is closed say, is no reason to stop.
  logger.on("error", ignore);
  process.stderr.on("error", ignore);
  const backlog = new Backlog(process.stderr, (lines) => write("warn", "log.dropped", { lines }));
  const write = (name: string, event: string, fields: object): void => {
    if (backlog.mayTake()) logger.log({ level: name, message: event, fields });
  };
  const limit = new LineLimit(clock, (suppressed) => write("warn", "log.suppressed", suppressed));
  const at =
    (name: string) =>
    (event: string, fields: LogFields = {}): void => {
      if (logger.isLevelEnabled(name) && limit.take(event, fields.ip)) write(name, event, fields);
    };
  return { error: at("error"), warn: at("warn"), info: at("info"), debug: at("debug") };
}

function ignore(): void {}

/** Bytes that wait for whoever reads the log, at the most: some thousand lines. A reader that hangs must not cost the hub its memory. */
const MAX_WAITING = 1_048_576;

/** Whether the log is read: lines beyond what may wait are left out and counted, and the first that is written again says how many. */
class Backlog {
  #dropped = 0;

  constructor(
    private readonly stream: NodeJS.WriteStream,
    private readonly told: (lines: number) => void,
  ) {}

  mayTake(): boolean {
    if (this.stream.writableLength > MAX_WAITING) {
      if (this.#dropped++ === 0) this.stream.once("drain", () => this.#tell());
      return false;
    }
    return true;
  }

  #tell(): void {
    const lines = this.#dropped;
    this.#dropped = 0;
    this.told(lines);
  }
}

/** JSON escapes C0 by itself; the rest of the control characters is still harmful in a terminal. */
function jsonLine({ level, message, fields }: winston.Logform.TransformableInfo): string {
  return escapeControls(JSON.stringify({ time: new Date().toISOString(), level, event: message, ...(fields as LogFields) }));
}

function textLine({ level, message, fields }: winston.Logform.TransformableInfo): string {
  const pairs = Object.entries(fields as LogFields).filter(([, value]) => value !== undefined);
  const words = pairs.map(
    ([name, value]) => `${name}=${typeof value === "string" && /^[\w.:/@-]+$/.test(value) ? value : JSON.stringify(value)}`,
  );
  return escapeControls([new Date().toISOString().slice(11, 19), level, message, ...words].join(" "));
}

/** For a hub that is a part of something that should keep quiet. */
export const silentLog: Log = { error() {}, warn() {}, info() {}, debug() {} };
