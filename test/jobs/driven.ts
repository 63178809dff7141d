import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { LineFramer, type Packet } from "../../protocol/index.js";
import { TestInbox } from "../support/inbox.js";
import type { Page } from "../support/page.js";
import { ROOT } from "../support/process.js";

/** No client may wait longer than this for a hub, ms: its own timeout is 1 s here, what is left is for a busy computer. */
const NO_HANG = 10_000;

/** A job in another language, which does a step for each line it is told. */
export class Driven {
  readonly answers = new TestInbox<string>();
  /** Settles with its exit code, or the signal that killed it. */
  readonly exited: Promise<number | string>;
  stderr = "";

  private constructor(readonly process: ChildProcess) {
    this.exited = new Promise((resolve) => process.on("close", (code, signal) => resolve(code ?? signal ?? -1)));
    process.stdin?.on("error", () => {});
    process.stderr?.on("data", (text) => {
      this.stderr += text;
    });
    if (process.stdout) createInterface({ input: process.stdout }).on("line", (line) => this.answers.push(line));
    void this.exited.then((code) => this.answers.end(`the job has ended with ${code}: ${this.stderr}`));
  }

  static start(t: TestContext, command: string, args: readonly string[], env: NodeJS.ProcessEnv): Driven {
    const process = spawn(command, [...args], { cwd: ROOT, env: { ...globalThis.process.env, PYTHONUTF8: "1", ...env } });
    t.after(() => process.kill("SIGKILL"));
    return new Driven(process);
  }

  /** @returns what it says came of the step */
  step(line: string): Promise<string> {
    this.process.stdin?.write(`${line}\n`);
    return this.answers.next(NO_HANG);
  }
}

/** Settles with the page's next packet that is one of these, passing over all others. */
export async function untilPacket(page: Page, fits: (packet: Packet) => boolean): Promise<Packet> {
  for (;;) {
    const packet = await page.packets.next(NO_HANG);
    if (fits(packet)) return packet;
  }
}

/** What a hub says to a line; the number says on which connection it came, from 1 on. */
type Says = (line: string, socket: Socket, connection: number) => void;

/** A listener that is no hub, but says what a test wants one to say. @returns its address */
export function fakeHub(t: TestContext, says: Says): Promise<string> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    let own = 0;
    const framer = new LineFramer(2 ** 20);
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      // Who only tries whether somebody is there says nothing, and is not counted.
      own ||= ++connections;
      for (let found = framer.next(bytes, 0); found; found = framer.next(bytes, found.offset))
        says(Buffer.from(found.line).toString(), socket, own);
    });
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`tcp://127.0.0.1:${(server.address() as { port: number }).port}`));
  });
}
