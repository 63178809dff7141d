/** The hub as it is delivered, on free ports of this host. */
import { silentLog } from "../../server/log.js";
import { createHub } from "../../server/main.js";
import { serve } from "./control.js";
import { HEARTBEAT } from "./heartbeat.js";

const hub = await createHub({ listen: ["ws://127.0.0.1:0", "tcp://127.0.0.1:0"], log: silentLog, pingInterval: HEARTBEAT });

function portOf(scheme: string): number {
  const url = hub.listeners.find((listener) => listener.startsWith(scheme));
  if (url === undefined) throw new Error(`The hub has no listener for ${scheme}.`);
  return Number(new URL(url).port);
}

serve({ ws: portOf("ws:"), tcp: portOf("tcp:") });
