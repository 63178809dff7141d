import assert from "node:assert/strict";
import type { Socket } from "node:net";
import type { Packet } from "../../protocol/index.js";
import { LineClient } from "../support/line-client.js";
import { type HandshakeOptions, type HttpAnswer, handshake, RawPage, refusedBy } from "../transports/support-raw-page.js";
import { openSocket } from "../transports/support-sockets.js";
import type { Target } from "./attack.js";

export const KiB = 1024;
export const MiB = 1024 * KiB;

/** The HTTP status with which a handshake is answered: 101, or why not. */
export async function statusOf({ t, wsPort }: Target, options: HandshakeOptions): Promise<number> {
  const page = await RawPage.connect(t, wsPort, options);
  page.socket.destroy();
  return page.head.status;
}

/** A handshake that is refused, and the whole answer. */
export function refusal({ t, wsPort }: Target, options: HandshakeOptions): Promise<HttpAnswer> {
  return refusedBy(t, wsPort, handshake(wsPort, options));
}

/** A page is told why it is closed, and then closed with the same code [END-3]. */
export async function closesWith(page: RawPage, code: number): Promise<Packet> {
  let packet = await page.packet();
  while (packet.opcode !== "close") packet = await page.packet();
  assert.equal(packet.code, code);
  assert.equal((await page.closed).code, code);
  return packet;
}

/** The error of a `next` that must be `refused`. */
export function errorOf(next: Packet): { code: string; message: string } {
  assert.equal(next.status, "refused", JSON.stringify(next).slice(0, 200));
  const error = next.error as { code: string; message: string };
  assert.doesNotMatch(error.message, /\n? {4}at |\.(js|ts):\d/, "no stack");
  return error;
}

/** The packets that come until a `next`, with it. */
export async function untilNext(peer: { packet(): Promise<Packet> }): Promise<Packet> {
  let packet = await peer.packet();
  while (packet.opcode !== "next") packet = await peer.packet();
  return packet;
}

/** A backend that said `hello`. */
export async function backendOf({ t, tcpPort }: Target, hello: object = {}): Promise<LineClient & { uuid: string }> {
  const client = await LineClient.open(t, tcpPort);
  client.socket.setNoDelay(true);
  const { uuid } = await client.hello(hello);
  return Object.assign(client, { uuid: String(uuid) });
}

/** Round trips of somebody else: time for the hub to do what it is not to do. */
export async function roundTrips(target: Target, count: number): Promise<void> {
  const other = await backendOf(target);
  for (let i = 0; i < count; i++) assert.equal((await other.ask({ opcode: "nonsense" })).opcode, "next");
  other.socket.destroy();
}

/** Connections that say something and are reset, one behind the other. */
export async function resets({ t }: Target, port: number, count: number, says: (socket: Socket) => void | Promise<void>): Promise<void> {
  for (let i = 0; i < count; i++) {
    const socket = await openSocket(t, port);
    await says(socket);
    socket.resetAndDestroy();
  }
}

/** Settles when something has come from a socket. */
export const somethingFrom = (socket: Socket): Promise<unknown> =>
  new Promise((resolve) => socket.once("data", resolve).once("close", resolve));

/** The same so many times, a few at once. @param atOnce how many are under way together */
export async function many(count: number, atOnce: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
