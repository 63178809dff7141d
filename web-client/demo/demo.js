import { connect } from "/signalbox.js";

const $ = (id) => document.getElementById(id);
const submit = $("broadcast").querySelector("button");
const MAX_NEWS = 50;

/** What starts each job, and what was asked for and is not heard of yet. */
const starts = { hash: $("start"), pack: $("start-pack") };
const asked = new Set();
/** What is said of each where nothing has gone wrong. */
const notes = { hash: [...$("hash-note").childNodes], pack: [...$("pack-note").childNodes] };

const isActive = ({ state }) => state === "running" || state === "stopping";

/** Says whether there is a connection, and lets the buttons follow. */
function showConnection(state, text) {
  $("connection").dataset.state = state;
  $("connection").textContent = text;
  submit.disabled = state !== "ready";
}

/** A job can be started when it is not running: after a reload, too, for it went on. */
function showButtons(hub) {
  for (const [name, button] of Object.entries(starts)) button.disabled = !hub.connected || asked.has(name) || isActive(hub.job(name));
}

function showResult({ state, result }) {
  $("result").hidden = state !== "done";
  if (state !== "done") return;
  $("result-files").textContent = result.files.toLocaleString();
  $("result-size").textContent = `${(result.bytes / 1_048_576).toFixed(1)} MiB`;
  $("result-hash").textContent = result.sha256;
}

/** Always as text: what others write is never HTML. */
function showNews(message) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString();
  item.append(time, typeof message === "string" ? message : JSON.stringify(message));
  $("news").prepend(item);
  if ($("news").children.length > MAX_NEWS) $("news").lastChild.remove();
}

async function startJob(hub, name) {
  asked.add(name);
  showButtons(hub);
  try {
    await hub.send({ opcode: name });
    $(`${name}-note`).replaceChildren(...notes[name]);
  } catch (error) {
    fail(hub, name, `The job was not started: ${error.message}`);
  }
}

function fail(hub, name, text) {
  asked.delete(name);
  $(`${name}-note`).textContent = text;
  showButtons(hub);
}

/** Held pages are reloading or have lost their connection: they get it when they are back. */
function describeReach({ n, held = 0 }) {
  if (n + held === 0) return "reached nobody: no other page is open.";
  const away = held === 0 ? "" : ` ${held} more will get it when they are back.`;
  return `went to ${n} other ${n === 1 ? "page" : "pages"}.${away}`;
}

async function broadcast(hub) {
  const text = $("text").value;
  try {
    $("sent").textContent = `“${text}” ${describeReach(await hub.broadcast(text))}`;
    $("text").value = "";
  } catch (error) {
    $("sent").textContent = `Not sent: ${error.message}`;
  }
}

function ready(hub) {
  $("uuid").textContent = hub.uuid;
  $("shell").textContent = `npx signalbox send feedback ${hub.uuid} "Hello from the shell"`;
  showConnection("ready", "connected");
  // What was asked for in front of a break is heard of again, or never will be.
  asked.clear();
  showButtons(hub);
}

function showFeedback(hub, message) {
  const { job, failed } = typeof message === "object" && message !== null ? message : {};
  if (failed !== undefined && job in starts) fail(hub, job, failed);
  else showNews(message);
}

/** Each job has its element, which shows it; here is what else depends on it. */
function followJob(hub, name) {
  const job = hub.job(name);
  $(name).hub = hub;
  for (const type of ["progress", "end"]) {
    job.addEventListener(type, () => {
      asked.delete(name);
      showButtons(hub);
      if (name === "hash") showResult(job);
    });
  }
  starts[name].addEventListener("click", () => startJob(hub, name));
}

try {
  const hub = await connect("/demo", { connectTimeout: 0 });
  for (const name of Object.keys(starts)) followJob(hub, name);
  hub.addEventListener("feedback", ({ packet }) => showFeedback(hub, packet.message));
  hub.addEventListener("broadcast", ({ packet }) => showNews(packet.message));
  hub.addEventListener("ready", () => ready(hub));
  hub.addEventListener("resumed", () => showConnection("ready", "connected again, nothing was lost"));
  hub.addEventListener("fresh", ({ ready: { reason } }) => showConnection("ready", `connected as a new page (${reason})`));
  hub.addEventListener("close", ({ reason, retryIn }) => {
    showConnection("closed", retryIn === undefined ? `closed: ${reason}` : "connection lost, trying again …");
    showButtons(hub);
  });
  $("broadcast").addEventListener("submit", (event) => {
    event.preventDefault();
    broadcast(hub);
  });
  ready(hub);
} catch (error) {
  showConnection("closed", `closed: ${error.message}`);
}
