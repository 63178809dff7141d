import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as time } from "node:timers/promises";
import type { Packet } from "../../protocol/index.js";
import { Signalbox } from "../config/signalbox.js";
import { LineClient } from "../support/line-client.js";
import { Page } from "../support/page.js";

const LEASE = 2_000;

/** Passes over what else comes. */
async function until(page: Page, fits: (packet: Packet) => boolean): Promise<Packet> {
  for (;;) {
    const packet = await page.packets.next();
    if (fits(packet)) return packet;
  }
}

/** A signal takes its time. */
async function stopped(pid: number): Promise<void> {
  while (!/^State:\s*T/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) await time(1);
}

describe("a hub whose process is stopped (SIGSTOP) for longer than its lease", () => {
  test("[LOCK-10] tells the holder that it has lost, and gives the lock to whoever comes, with a higher fence", async (t) => {
    const hub = new Signalbox(t, ["serve", "--listen", "ws://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0", "--lease", String(LEASE)]);
    const { ws, tcpPort } = await hub.ready();
    const [anna, bob] = [await Page.open(t, `${ws}/`, { ident: "Anna" }), await Page.open(t, `${ws}/`, { ident: "Bob" })];
    const backend = await LineClient.open(t, tcpPort);
    const { result } = await anna.ask({ opcode: "lock", space: "books", ids: [1] });
    const fence = (result as { mine: Record<string, number> }).mine["1"] as number;
    hub.kill("SIGSTOP");
    await stopped(hub.pid);
    // What is said to it meanwhile waits in the kernel, and is served behind the judgement.
    bob.say({ opcode: "view", space: "books", ids: [1] });
    // The time that passes is what is tested.
    await time(LEASE + 100);
    hub.kill("SIGCONT");
    // What becomes free while its view is served may be told in front of the answer.
    const answer = await until(bob, ({ opcode }) => opcode === "next");
    const { mine } = answer.result as { mine: Record<string, number> };
    assert.ok((mine["1"] as number) > fence);
    assert.equal((await until(anna, ({ state }) => state === "lost")).id, "1");
    backend.write(`check books 1 ${fence}\n`);
    assert.equal(await backend.lines.next(), "next refused stale held by Bob");
    backend.write(`check books 1 ${mine["1"]}\n`);
    assert.equal(await backend.lines.next(), "next done");
  });
});
