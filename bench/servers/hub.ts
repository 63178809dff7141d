/** The hub as it is delivered, on free ports of this host, with what an intranet has: a login, and a rule who may say what. */
import { silentLog } from "../../server/log.js";
import { createHub, signedCookie } from "../../server/main.js";
import { SECRET } from "../login.js";
import { serve } from "./control.js";
import { HEARTBEAT } from "./heartbeat.js";

const hub = await createHub({
  listen: ["ws://127.0.0.1:0", "tcp://127.0.0.1:0"],
  log: silentLog,
  pingInterval: HEARTBEAT,
  authenticate: [signedCookie({ secret: SECRET })],
  allow: { broadcast: ["backend", "role:editor"] },
});

function portOf(scheme: string): number {
  const url = hub.listeners.find((listener) => listener.startsWith(scheme));
  if (url === undefined) throw new Error(`The hub has no listener for ${scheme}.`);
  return Number(new URL(url).port);
}

serve({ ws: portOf("ws:"), tcp: portOf("tcp:") });
