/**
 * What somebody writes in an afternoon with `ws` alone: peers in a Map by UUID, `send` for each page. It parses and
 * acknowledges each message as the hub does, and encodes a broadcast once. Backends are WebSocket clients too.
 */
import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { serve } from "./control.js";

interface Message {
  readonly opcode: string;
  readonly uuid?: string;
  readonly message?: unknown;
}

const TEXT = { binary: false };
const peers = new Map<string, WebSocket>();
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });

server.on("connection", (socket) => {
  const uuid = randomUUID();
  peers.set(uuid, socket);
  socket.on("message", (data) => handle(JSON.parse(data.toString()) as Message, uuid, socket));
  socket.on("close", () => peers.delete(uuid));
  socket.on("error", () => socket.terminate());
  socket.send(JSON.stringify({ opcode: "ready", uuid }));
});

function handle({ opcode, uuid, message }: Message, from: string, socket: WebSocket): void {
  const n = opcode === "broadcast" ? broadcast(message, socket) : feedback(uuid, message, from);
  socket.send(JSON.stringify({ opcode: "next", fyi: "", status: n === 0 ? "gone" : "sent", n }));
}

/** Bytes instead of a text spare `ws` the encoding for each page: its cheapest way of telling everybody. */
function broadcast(message: unknown, sender: WebSocket): number {
  const bytes = Buffer.from(JSON.stringify({ opcode: "broadcast", message }));
  let n = 0;
  for (const peer of peers.values()) {
    if (peer === sender) continue;
    peer.send(bytes, TEXT);
    n++;
  }
  return n;
}

function feedback(uuid: string | undefined, message: unknown, fromUUID: string): number {
  const peer = uuid === undefined ? undefined : peers.get(uuid);
  if (peer === undefined) return 0;
  peer.send(JSON.stringify({ opcode: "feedback", message, fromUUID }));
  return 1;
}

server.on("listening", () => serve({ ws: (server.address() as AddressInfo).port, tcp: undefined }));
