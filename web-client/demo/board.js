import { name, open } from "./visitor.js";

const $ = (id) => document.getElementById(id);
const GiB = 1_024;
const DAY = 24 * 60;

function show(id, text, at, of) {
  $(id).textContent = text;
  if (of === undefined) return;
  $(`${id}-bar`).max = of;
  $(`${id}-bar`).value = Math.min(at, of);
}

/** How each value of `machine/…` is shown. */
const TILES = {
  cpu: (percent) => show("cpu", `${percent} %`, percent, 100),
  load({ average, processors }) {
    show("load", average.toFixed(2), average, processors);
    $("load-note").textContent = `last minute, ${processors} ${processors === 1 ? "processor" : "processors"}`;
  },
  memory({ used, total }) {
    show("memory", `${Math.round((100 * used) / total)} %`, used, total);
    $("memory-note").textContent = `${(used / GiB).toFixed(1)} of ${(total / GiB).toFixed(1)} GiB in use`;
  },
  uptime(minutes) {
    const [days, hours] = [Math.floor(minutes / DAY), Math.floor((minutes % DAY) / 60)];
    show("uptime", days > 0 ? `${days} d ${hours} h` : `${hours} h ${minutes % 60} min`);
    $("uptime-note").textContent = `since ${new Date(Date.now() - minutes * 60_000).toLocaleDateString()}`;
  },
};

/** Without a process that knows there is nothing to show. */
function clear(id) {
  if (!(id in TILES)) return;
  $(id).textContent = "–";
  if (id === "uptime") $("uptime-note").textContent = "\u00a0";
  if ($(`${id}-bar`)) $(`${id}-bar`).value = 0;
}

async function showMachine(machine) {
  for await (const { key, value, deleted } of machine) {
    const id = key.slice("machine/".length);
    if (deleted) clear(id);
    else TILES[id]?.(value);
  }
}

/** Always as text: what others call themselves is never HTML. */
function showLooking({ values }) {
  const people = [...values].map(([key, { value, by }]) => {
    const item = document.createElement("li");
    const where = document.createElement("span");
    const [, page] = key.split("/");
    where.className = "quiet";
    where.textContent = page === "records" ? `records, ${value}` : page;
    item.dataset.you = String(by === name);
    item.append(by === name ? `${by} (you) ` : `${by} `, where);
    return item;
  });
  $("looking").replaceChildren(...people);
}

async function start() {
  const hub = await open();
  if (hub === undefined) return;
  document.title = `${name} – signalbox board`;
  const looking = hub.state("looking/*");
  looking.addEventListener("change", () => showLooking(looking));
  await looking.set("looking/board/~", null, { will: true });
  await showMachine(hub.state("machine/*"));
}

start().catch((error) => {
  $("connection").dataset.state = "closed";
  $("connection").textContent = error.message;
});
