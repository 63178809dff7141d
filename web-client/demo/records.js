import { name, open } from "./visitor.js";

const $ = (id) => document.getElementById(id);
const TOP = "(top)";
/** Reload shows the same folder. */
const KEY = "signalbox demo folder";
const EDITING = "signalbox demo editing";
/** Names in the notice of what was lost. */
const MAX_NAMES = 3;

const folderOf = ({ path }) => (path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : TOP);
const time = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const size = (bytes) => (bytes < 1_024 ? `${bytes} B` : `${(bytes / 1_024).toFixed(1)} KiB`);

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** A record on the page. Its elements stay, so that the focus does. */
class Row {
  item = element("li", "record");
  #whose = element("span", "whose");
  #button = element("button", "small");

  constructor(locks, record) {
    this.locks = locks;
    this.path = record.path;
    const file = element("span", "path", record.path.split("/").at(-1));
    this.#button.type = "button";
    this.#button.addEventListener("click", () => this.#toggle());
    this.item.dataset.path = record.path;
    this.item.append(file, element("span", "size", size(record.size)), this.#whose, this.#button);
  }

  show() {
    const { locks, path } = this;
    const holding = locks.held.get(path);
    const state = holding?.state ?? (locks.locked.has(path) ? "editing" : locks.mine.has(path) ? "yours" : "free");
    this.item.dataset.state = state;
    this.#whose.textContent = {
      free: "free",
      yours: "yours",
      editing: "you are editing",
      held: `${holding?.by} has it since ${time(holding?.since)}`,
      reconnecting: `${holding?.by} is reconnecting …`,
    }[state];
    this.#button.hidden = holding !== undefined;
    this.#button.textContent = state === "editing" ? "Done" : "Edit";
    this.#button.setAttribute("aria-label", `${this.#button.textContent} ${path}`);
  }

  #toggle() {
    const { locks, path } = this;
    return attempt(locks.locked.has(path) ? locks.unlock([path]) : locks.lock([path]));
  }
}

/** What was refused, or could not be said, is shown; what the rows look like follows from `change`. */
async function attempt(promise) {
  try {
    await promise;
    $("state").textContent = "";
  } catch (error) {
    $("state").textContent = error.message;
  }
  draw();
}

let locks;
let looking;
let records = [];
let rows = [];
/** Since the notice was last closed. */
const lost = new Set();
let due = false;

/** Many changes at a time are drawn once. */
function draw() {
  if (due) return;
  due = true;
  queueMicrotask(() => {
    due = false;
    for (const row of rows) row.show();
    showFree();
    showEditing();
    showLost();
  });
}

function showFree() {
  const free = rows.filter(({ item }) => item.dataset.state === "free").length;
  $("take").hidden = free === 0;
  $("take").textContent = free === 1 ? "1 is free: take it" : `${free} are free: take them`;
}

function showEditing() {
  const editing = [...locks.locked].filter((path) => locks.mine.has(path));
  $("editing").textContent = editing.length === 0 ? "You are not editing anything." : `You are editing ${editing.join(", ")}.`;
}

function showLost() {
  for (const path of lost) if (locks.mine.has(path)) lost.delete(path);
  const [more, some] = [Math.max(0, lost.size - MAX_NAMES), [...lost].slice(0, MAX_NAMES)];
  $("lost").hidden = lost.size === 0;
  const close = element("button", "small", "Close");
  close.type = "button";
  close.addEventListener("click", () => {
    lost.clear();
    draw();
  });
  $("lost").replaceChildren(element("span", "", `Taken from you: ${some.join(", ")}${more > 0 ? ` and ${more} more` : ""}.`), close);
}

/** The page's whole claim: what is free of these is its own now, and of each change it is told. */
async function view() {
  const paths = rows.map(({ path }) => path);
  $("take").hidden = true;
  await attempt(locks.view(paths));
}

function setAway(away) {
  for (const id of ["records", "take", "folder"]) $(id).inert = away;
}

async function showFolder() {
  const folder = $("folder").value;
  sessionStorage.setItem(KEY, folder);
  rows = records.filter((record) => folderOf(record) === folder).map((record) => new Row(locks, record));
  $("records").replaceChildren(...rows.map(({ item }) => item));
  looking.set("looking/records/~", folder, { will: true }).catch(() => {});
  await view();
}

/** Whoever takes another name goes on with what was being edited, where nobody else has it meanwhile. */
async function editAgain() {
  const paths = JSON.parse(sessionStorage.getItem(EDITING) ?? "[]").filter((path) => !locks.locked.has(path));
  sessionStorage.removeItem(EDITING);
  if (paths.length > 0) await attempt(locks.lock(paths));
}

function listFolders() {
  const folders = new Set(records.map(folderOf));
  $("folder").append(...Array.from(folders, (folder) => new Option(folder, folder)));
  if (folders.has(sessionStorage.getItem(KEY))) $("folder").value = sessionStorage.getItem(KEY);
  $("folder").disabled = false;
}

async function start() {
  const hub = await open();
  if (hub === undefined) return;
  document.title = `${name} – signalbox records`;
  locks = hub.locks("files");
  looking = hub.state("looking/*");
  locks.addEventListener("change", draw);
  locks.addEventListener("lost", ({ id }) => lost.add(id));
  $("folder").addEventListener("change", showFolder);
  $("take").addEventListener("click", () => {
    // The button goes, and the focus must not go with it.
    $("records").focus();
    view();
  });
  // What cannot be said must not look as if it could.
  hub.addEventListener("close", () => setAway(true));
  hub.addEventListener("ready", () => setAway(false));
  records = (await hub.send({ opcode: "records" })).result;
  listFolders();
  // What this page had before it was reloaded, in other folders too.
  await locks.list();
  addEventListener("renaming", () => sessionStorage.setItem(EDITING, JSON.stringify([...locks.locked])));
  await showFolder();
  await editAgain();
}

start().catch((error) => {
  $("state").textContent = error.message;
});
