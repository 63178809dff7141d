/** No hub: a line comes, an answer like the hub's goes out. */
import { type AddressInfo, createServer } from "node:net";
import { serve } from "./control.js";

const ANSWER = '{"opcode":"next","fyi":"","status":"sent","n":1}\n';
const LINE_END = 0x0a;

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.on("data", (bytes) => {
    let lines = 0;
    for (let at = bytes.indexOf(LINE_END); at >= 0; at = bytes.indexOf(LINE_END, at + 1)) lines++;
    if (lines > 0) socket.write(ANSWER.repeat(lines));
  });
});

server.listen(0, "127.0.0.1", () => serve({ ws: 0, tcp: (server.address() as AddressInfo).port }));
