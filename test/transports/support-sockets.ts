import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

/** A TCP connection to a port of this host or a unix socket, destroyed when the test ends. */
export function openSocket(t: TestContext, to: number | string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(typeof to === "string" ? { path: to } : { port: to, host: "127.0.0.1", noDelay: true });
    t.after(() => socket.destroy());
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      // What goes wrong shows as its close.
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

/** Longer than anything here takes, ms. */
const PATIENCE = 10_000;

/** The same promise, but who waits in vain is told what for. */
export function patiently<T>(promise: Promise<T>, sorry: () => string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Waited ${PATIENCE} ms: ${sorry()}`)), PATIENCE);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Settles when a socket has ended, with all that came until then. */
export function untilClosed(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on("data", (bytes) => parts.push(bytes));
  const closed = new Promise<Buffer>((resolve) => socket.once("close", () => resolve(Buffer.concat(parts))));
  return patiently(closed, () => `still open; what came was ${Buffer.concat(parts).subarray(0, 200)}`);
}

/** Writes the same bytes over and over, as fast as the other end takes them, until it were `total` or the connection has ended. */
export async function flood(socket: Socket, bytes: Uint8Array, total: number): Promise<void> {
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for (let left = total; left > 0 && socket.writable; left -= bytes.length) {
    if (!socket.write(bytes)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), closed]);
  }
}

/** Writes each part so that the other end reads it alone: it has had two turns of the event loop, which is the hub's as well. */
export async function writeApart(socket: Socket, parts: Iterable<Uint8Array>): Promise<void> {
  for (const part of parts) {
    await new Promise<void>((resolve) => socket.write(part, () => resolve()));
    await turn();
    await turn();
  }
}

/** Each byte of it alone. */
export function* bytesOf(text: string | Uint8Array): Iterable<Uint8Array> {
  const bytes = Buffer.from(text as Uint8Array);
  for (let i = 0; i < bytes.length; i++) yield bytes.subarray(i, i + 1);
}

/** The two parts of a text for each place where it can be cut. */
export function* cutsOf(text: string | Uint8Array): Iterable<[Uint8Array, Uint8Array]> {
  const bytes = Buffer.from(text as Uint8Array);
  for (let i = 1; i < bytes.length; i++) yield [bytes.subarray(0, i), bytes.subarray(i)];
}
