import { connect } from "/signalbox.js";

const $ = (id) => document.getElementById(id);
const submit = $("broadcast").querySelector("button");
const MAX_NEWS = 50;

/** Says whether there is a connection, and lets the buttons follow. */
function showConnection(state, text) {
  $("connection").dataset.state = state;
  $("connection").textContent = text;
  $("start").disabled = state !== "ready";
  submit.disabled = state !== "ready";
}

function showProgress({ at, of, file, result, bytes }) {
  $("bar").max = of || 1;
  $("bar").value = of ? at : 1;
  $("percent").textContent = `${of ? Math.floor((at / of) * 100) : 100} %`;
  $("file").textContent = file ?? "Finished.";
  // After a reload or a drop, too: the job went on.
  $("start").disabled = result === undefined;
  if (result === undefined) return;
  $("result").hidden = false;
  $("result-files").textContent = at.toLocaleString();
  $("result-size").textContent = `${(bytes / 1_048_576).toFixed(1)} MiB`;
  $("result-hash").textContent = result;
}

function showFailure(text) {
  $("file").textContent = text;
  $("start").disabled = false;
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

async function startJob(hub) {
  $("start").disabled = true;
  $("result").hidden = true;
  try {
    const { result } = await hub.send({ opcode: "hash" });
    $("file").textContent = `Looking for files in ${result.folder} …`;
  } catch (error) {
    $("file").textContent = `The job was not started: ${error.message}`;
    $("start").disabled = !hub.connected;
  }
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
}

/** The hub was started anew or the page was away too long: whoever reported to the old UUID reports to nobody. */
function startAfresh(reason) {
  $("file").textContent = `This page is new to the hub (${reason}) and has a new UUID.`;
}

function showFeedback(message) {
  const fields = typeof message === "object" && message !== null ? message : {};
  if ("of" in fields) showProgress(fields);
  else if ("failed" in fields) showFailure(fields.failed);
  else showNews(message);
}

try {
  const hub = await connect("/demo", { connectTimeout: 0 });
  hub.addEventListener("feedback", ({ packet }) => showFeedback(packet.message));
  hub.addEventListener("broadcast", ({ packet }) => showNews(packet.message));
  hub.addEventListener("ready", () => ready(hub));
  hub.addEventListener("resumed", () => showConnection("ready", "connected again, nothing was lost"));
  hub.addEventListener("fresh", ({ ready: { reason } }) => startAfresh(reason));
  hub.addEventListener("close", ({ reason, retryIn }) => {
    showConnection("closed", retryIn === undefined ? `closed: ${reason}` : "connection lost, trying again …");
  });
  $("start").addEventListener("click", () => startJob(hub));
  $("broadcast").addEventListener("submit", (event) => {
    event.preventDefault();
    broadcast(hub);
  });
  ready(hub);
} catch (error) {
  showConnection("closed", `closed: ${error.message}`);
}
