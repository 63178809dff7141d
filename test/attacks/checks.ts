import assert from "node:assert/strict";
import type { Attack } from "./attack.js";
import type { Bystander } from "./bystander.js";
import type { LogLine } from "./hub-log.js";
import type { HubProcess } from "./hub-process.js";
import { until } from "./until.js";
import { openFiles, residentBytes } from "./vital-signs.js";

/** Within which a bystander's echo comes back, ms. */
const ECHO_WITHIN = 1_000;
/** What one attack may cost, bytes. */
const MAX_GROWTH = 64 * 2 ** 20;
/** Files that may be open for another moment: whoever looks at the hub. */
const SPARE_FILES = 4;
/** Lines of one kind of event and address within a second. */
const MAX_LINES = 10;
const SECOND = 1_000;
/** Events that a hub never logs of itself. */
const NEVER = ["hub.crashed", "hub.failed"];
const UNCAUGHT = /uncaughtException|unhandledRejection/;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/** What a hub was like before an attack. */
export interface Before {
  readonly pid: number;
  readonly resident: number;
  readonly files: number;
  /** Lines of the log. */
  readonly from: number;
}

export function lookAt(hub: HubProcess): Before {
  return { pid: hub.pid, resident: residentBytes(hub.pid), files: openFiles(hub.pid), from: hub.log.lines.length };
}

/** Others: the bystander was served all the time, is served now, and was sent nothing of it. */
export async function checkBystander(bystander: Bystander): Promise<void> {
  const { served, largest, strange, closed } = await bystander.report();
  assert.equal(closed, undefined, "the bystander was never closed");
  assert.ok(largest < ECHO_WITHIN, `the bystander's echo came within ${ECHO_WITHIN} ms, took ${Math.round(largest)}`);
  assert.ok(served, "the bystander is served afterwards");
  assert.deepEqual(strange, [], "the bystander was sent nothing but its echo");
}

/** The process is the same and alive, and nothing in it failed. */
export function checkProcess(hub: HubProcess, { pid, from }: Before, { appsFail }: Attack): void {
  assert.deepEqual({ ended: hub.endedWith, pid: hub.pid }, { ended: undefined, pid }, "the hub is alive");
  const failed = hub.log.lines.slice(from).filter(({ raw, fields }) => {
    const event = String(fields?.event);
    return NEVER.includes(event) || UNCAUGHT.test(raw) || (event === "app.failed" && !appsFail);
  });
  assert.deepEqual(failed, [], "nothing in the hub failed");
}

/** Memory is bounded: it may take a moment until it is given back. */
export async function checkMemory({ pid, resident }: Before, { mayCost }: Attack): Promise<void> {
  const most = mayCost === undefined ? MAX_GROWTH : mayCost.mebibytes * 2 ** 20;
  const growth = await until(
    () => residentBytes(pid) - resident,
    (bytes) => bytes <= most,
  );
  assert.ok(growth <= most, `resident ${(growth / 2 ** 20).toFixed(1)} MiB more`);
}

/** The log: JSON, harmless, without secrets, not flooded, and with what should stand in it. */
export async function checkLog(hub: HubProcess, { from }: Before, secret: string, { logs = [] }: Attack): Promise<void> {
  for (const event of logs) {
    const found = await until(
      () => [...hub.log.of(event, from), ...suppressed(hub, event, from)],
      (lines) => lines.length > 0,
    );
    assert.ok(found.length > 0, `the log has a line \`${event}\``);
  }
  const lines = hub.log.lines.slice(from);
  for (const { raw, fields } of lines) {
    assert.ok(fields, `JSON: ${raw}`);
    assert.doesNotMatch(raw, CONTROLS, `no control characters: ${JSON.stringify(raw)}`);
    assert.ok(!raw.includes(secret), `no secrets: ${raw}`);
    assert.doesNotMatch(raw, UUID, "no UUID: that is the permission to send");
  }
  checkRate(lines);
}

function suppressed(hub: HubProcess, event: string, from: number): LogLine[] {
  return hub.log.of("log.suppressed", from).filter(({ fields }) => fields?.of === event);
}

/** The hub counts by seconds of its own: of two that touch there may be twice as many lines in one second of ours. */
function checkRate(lines: readonly LogLine[]): void {
  const times = new Map<string, number[]>();
  for (const { fields } of lines) {
    if (fields?.event === "log.suppressed") continue;
    const kind = `${fields?.event} of ${fields?.ip}`;
    times.set(kind, [...(times.get(kind) ?? []), Date.parse(String(fields?.time))]);
  }
  for (const [kind, at] of times) {
    const flood = at.findIndex((time, i) => (at[i + 2 * MAX_LINES] ?? Number.POSITIVE_INFINITY) - time < SECOND);
    assert.equal(flood, -1, `at most ${MAX_LINES} lines a second of ${kind}, got ${at.length}`);
  }
}

/** Nothing is left open. */
export async function checkFiles({ pid, files }: Before): Promise<void> {
  const open = await until(
    () => openFiles(pid),
    (count) => count <= files + SPARE_FILES,
  );
  assert.ok(open <= files + SPARE_FILES, `${open - files} files more are open`);
}
