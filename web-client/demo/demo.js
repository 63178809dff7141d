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
  if (result === undefined) return;
  $("result").hidden = false;
  $("result-files").textContent = at.toLocaleString();
  $("result-size").textContent = `${(bytes / 1_048_576).toFixed(1)} MiB`;
  $("result-hash").textContent = result;
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

async function broadcast(hub) {
  const text = $("text").value;
  try {
    const { n } = await hub.broadcast(text);
    $("sent").textContent = n === 0 ? `“${text}”: no other page is open.` : `“${text}” went to ${n} other ${n === 1 ? "page" : "pages"}.`;
    $("text").value = "";
  } catch (error) {
    $("sent").textContent = `Not sent: ${error.message}`;
  }
}

function ready(hub) {
  $("uuid").textContent = hub.uuid;
  $("shell").textContent = `signalbox send feedback ${hub.uuid} "Hello from the shell"`;
  showConnection("ready", "connected");
}

try {
  const hub = await connect("/demo", { connectTimeout: 0 });
  hub.addEventListener("feedback", ({ packet: { message } }) => {
    if (typeof message === "object" && message !== null && "of" in message) showProgress(message);
    else showNews(message);
  });
  hub.addEventListener("broadcast", ({ packet }) => showNews(packet.message));
  hub.addEventListener("ready", () => ready(hub));
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
