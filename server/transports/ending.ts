import type { Socket } from "node:net";
import type { Clock } from "../clock.js";

/** Without any progress for so long, ms, a peer is not reading any more. */
const STUCK = 2_000;

/** Once the hub has ended its side: a slow reader gets all its answers, and one that takes nothing is destroyed. */
export function destroyWhenStuck(socket: Socket, clock: Clock): void {
  let cancel: () => void = () => {};
  const look = (before: number): void => {
    cancel = clock.after(STUCK, () => {
      const left = socket.writableLength;
      if (left === before) socket.destroy();
      else look(left);
    });
  };
  look(socket.writableLength);
  socket.once("close", () => cancel());
}
