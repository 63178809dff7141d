import { connect } from "/signalbox.js";

const KEY = "signalbox demo name";
const NAMES = [
  "Ada",
  "Anna",
  "Ben",
  "Carl",
  "Dora",
  "Emil",
  "Frida",
  "Greta",
  "Hugo",
  "Ida",
  "Jonas",
  "Karla",
  "Leo",
  "Mia",
  "Nora",
  "Otto",
];
const field = document.getElementById("name");
const badge = document.getElementById("connection");

/** Who this window is: each has a user of its own, who stays the same on all pages of the demo. */
export const name = sessionStorage.getItem(KEY) || NAMES[Math.floor(Math.random() * NAMES.length)];
sessionStorage.setItem(KEY, name);
field.value = name;

function showConnection(state, text) {
  badge.dataset.state = state;
  badge.textContent = text;
}

/** Another user is another page for the hub: what this one has is free before that one comes. */
function rename(hub) {
  const wanted = field.value.trim();
  if (wanted === name || wanted === "") {
    field.value = name;
    return;
  }
  sessionStorage.setItem(KEY, wanted);
  // Whoever wants to keep something over this has to note it now.
  dispatchEvent(new Event("renaming"));
  hub?.close();
  location.reload();
}

/** Connects under this window's name. @returns `undefined` where the hub will not have it; the badge says why */
export async function open() {
  let hub;
  field.form.addEventListener("submit", (event) => {
    event.preventDefault();
    rename(hub);
  });
  field.addEventListener("change", () => rename(hub));
  try {
    hub = await connect("/demo", { connectTimeout: 0, ident: name });
  } catch (error) {
    showConnection("closed", `closed: ${error.message}`);
    return undefined;
  }
  hub.addEventListener("ready", () => showConnection("ready", "connected"));
  hub.addEventListener("close", ({ reason, retryIn }) =>
    showConnection("closed", retryIn === undefined ? `closed: ${reason}` : "connection lost, trying again …"),
  );
  showConnection("ready", "connected");
  return hub;
}
