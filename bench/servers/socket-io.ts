/** The same relay with `socket.io`, in its own words: events, acknowledgements, and a room for each socket's id. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { serve } from "./control.js";
import { HEARTBEAT } from "./heartbeat.js";

interface Message {
  readonly uuid?: string;
  readonly message?: unknown;
}

type Acknowledge = (answer: object) => void;

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false, perMessageDeflate: false, pingInterval: HEARTBEAT });

io.on("connection", (socket) => {
  socket.on("broadcast", ({ message }: Message, acknowledge: Acknowledge) => {
    socket.broadcast.emit("broadcast", { message });
    acknowledge({ status: "sent" });
  });
  socket.on("feedback", ({ uuid = "", message }: Message, acknowledge: Acknowledge) => {
    io.to(uuid).emit("feedback", { message, fromUUID: socket.id });
    acknowledge({ status: "sent" });
  });
});

http.listen(0, "127.0.0.1", () => serve({ ws: (http.address() as AddressInfo).port, tcp: undefined }));
