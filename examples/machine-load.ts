// A backend that keeps values for everybody who looks: what this machine is doing, once a second, as state `machine/…`.
//   node dist/examples/machine-load.js tcp://127.0.0.1:8097
import { cpus, freemem, loadavg, totalmem, uptime } from "node:os";
import { connect } from "../tcp-client/index.js";

const hub = await connect(process.argv[2], { ident: "machine-load" });
const told = new Map<string, string>();
let before = cpus();

/** Percent of all processors' time since the last look. */
function busy(): number {
  const sum = (all: typeof before, idle: boolean): number =>
    all.reduce((total, { times }) => total + (idle ? times.idle : Object.values(times).reduce((a, b) => a + b)), 0);
  const now = cpus();
  const [time, idle] = [sum(now, false) - sum(before, false), sum(now, true) - sum(before, true)];
  before = now;
  return time > 0 ? Math.round(100 - (100 * idle) / time) : 0;
}

/** Only what has changed. `will`: without this process there is nobody who knows, and the key goes. */
async function tell(key: string, value: unknown): Promise<void> {
  const text = JSON.stringify(value);
  if (told.get(key) === text) return;
  told.set(key, text);
  await hub.send({ opcode: "set", key: `machine/${key}`, value, will: true });
}

async function tellAll(): Promise<void> {
  const MiB = 1_048_576;
  await tell("load", { average: Number(loadavg()[0]?.toFixed(2)), processors: before.length });
  await tell("memory", { used: Math.round((totalmem() - freemem()) / MiB), total: Math.round(totalmem() / MiB) });
  await tell("cpu", busy());
  await tell("uptime", Math.floor(uptime() / 60));
}

/** It ends with its hub, or when it is told to; whoever runs it starts it anew. */
function end(): void {
  clearInterval(timer);
  hub.close();
}
const timer = setInterval(() => void tellAll().catch(end), 1_000);
hub.addEventListener("close", end);
process.on("SIGTERM", end);
process.on("SIGINT", end);
await tellAll().catch(end);
