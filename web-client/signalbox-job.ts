import type { Job } from "./job.js";
import type { PageClient } from "./page-client.js";

// Stands alone: no import is left of this file, so that a page can have it without a build step.

const CSS = `
:host { display: block; color: inherit; font: inherit; line-height: 1.4;
  --_accent: var(--signalbox-accent, #14805f);
  --_alarm: var(--signalbox-alarm, #c2410c);
  --_quiet: var(--signalbox-quiet, color-mix(in srgb, currentcolor 70%, transparent));
  --_track: var(--signalbox-track, color-mix(in srgb, currentcolor 14%, transparent));
  --_radius: var(--signalbox-radius, .375rem) }
@supports (color: light-dark(red, red)) {
  :host { --_accent: var(--signalbox-accent, light-dark(#0f7a5a, #4cc79a)); --_alarm: var(--signalbox-alarm, light-dark(#b3261e, #ff9d8a)) }
}
:host([hidden]), [hidden] { display: none !important }
:focus { outline: none }
.row { display: flex; align-items: center; gap: .75em; min-block-size: 2em }
.line { flex: 1; min-inline-size: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
[part=title] { font-weight: 600 }
[part=percent] { font-variant-numeric: tabular-nums }
[part=bar] { block-size: var(--signalbox-height, .5rem); margin-block: .25em .35em; overflow: hidden;
  border-radius: var(--_radius); background: var(--_track) }
[part=fill] { block-size: 100%; inline-size: 0; border-radius: inherit; background: var(--_accent); transition: inline-size .2s }
.foot { font-size: .9em; color: var(--_quiet); min-block-size: 0 }
[part=time] { white-space: nowrap }
[part=note] { font-size: .9em; color: var(--_alarm) }
[part=abort] { flex: none; padding: .2em .8em; border: 1px solid var(--_quiet); border-radius: var(--_radius);
  background: none; color: inherit; font: inherit; font-size: .9em; cursor: pointer }
[part=abort]:hover { background: var(--_track) }
[part=abort]:focus-visible { outline: 3px solid var(--_accent); outline-offset: 2px }
[part=abort][aria-disabled=true] { opacity: .6; cursor: default; background: none }
.live { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%) }
:host([state=done]) [part=time] { color: var(--_accent); font-weight: 600 }
:host(:is([state=failed], [state=lost])) [part=time] { color: var(--_alarm); font-weight: 600 }
:host(:is([state=failed], [state=lost])) [part=fill] { background: var(--_alarm) }
:host(:is([state=aborted], [state=stopping])) [part=fill] { background: var(--_quiet) }
.busy [part=fill] { inline-size: 30%; transition: none; animation: busy 1.4s ease-in-out infinite alternate }
@keyframes busy { from { margin-inline-start: -15% } to { margin-inline-start: 85% } }
@media (prefers-reduced-motion: reduce) {
  [part=fill] { transition: none }
  .busy [part=fill] { animation: none; inline-size: 100%; opacity: .45 }
}
@media (forced-colors: active) {
  [part=bar] { border: 1px solid CanvasText }
  [part=fill] { forced-color-adjust: none; background: Highlight !important }
  [part=abort][aria-disabled=true] { opacity: 1; color: GrayText; border-color: GrayText }
}`;

const ENDS: Readonly<Record<string, string>> = { done: "Done", failed: "Failed", aborted: "Aborted", lost: "Lost" };
const UNITS = [
  [86_400_000, "days"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
] as const;

let sheet: CSSStyleSheet | undefined;

/** Made when it is needed: a stylesheet of this kind passes every content security policy, a `<style>` does not. */
function styles(): CSSStyleSheet {
  if (sheet === undefined) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}

/** Only as much as is known: 100 s are about 2 min. */
function duration(ms: number): string {
  const [unit, name] = UNITS.find(([size]) => ms >= size * 1.5) ?? UNITS[3];
  return `${Math.max(1, Math.round(ms / unit))} ${name}`;
}

function make<K extends keyof HTMLElementTagNameMap>(tag: K, part: string, fields: object, ...children: Node[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (part) element.setAttribute("part", part);
  Object.assign(element, fields);
  element.append(...children);
  return element;
}

/**
 * `<signalbox-job>` shows a job of the page and lets its user stop it. Give it a `job`, or a `hub` and the attribute `name`
 * (default `job`). Its attribute `state` is the job's. Styled by the parts `title`, `percent`, `abort`, `bar`, `fill`, `message`, `time`
 * and `note`, and by `--signalbox-accent`, `-alarm`, `-quiet`, `-track`, `-radius` and `-height`. Light or dark is the page's
 * `color-scheme`.
 */
export class SignalboxJob extends HTMLElement {
  static readonly observedAttributes = ["name"];
  #hub: Pick<PageClient, "job"> | undefined;
  #job: Job | undefined;
  #leave: AbortController | undefined;
  /** What was announced last: the run, and of it a quarter or the end. */
  #announced = "";
  readonly #title = make("span", "title", { id: "title", className: "line" });
  readonly #percent = make("span", "percent", {});
  readonly #abort = make("button", "abort", { type: "button", onclick: () => this.#stop() });
  readonly #fill = make("div", "fill", {});
  readonly #bar = make("div", "bar", { role: "progressbar" }, this.#fill);
  readonly #message = make("span", "message", { id: "message", className: "line" });
  readonly #time = make("span", "time", {});
  readonly #note = make("div", "note", { id: "note" });
  readonly #live = make("div", "", { className: "live", role: "status" });
  readonly #box = make(
    "div",
    "",
    { role: "group", tabIndex: -1 },
    make("div", "", { className: "row" }, this.#title, this.#percent, this.#abort),
    this.#bar,
    make("div", "", { className: "row foot" }, this.#message, this.#time),
    this.#note,
    this.#live,
  );

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styles()];
    for (const element of [this.#box, this.#bar]) element.setAttribute("aria-labelledby", "title");
    this.#abort.setAttribute("aria-describedby", "title note");
    root.append(this.#box);
  }

  get job(): Job | undefined {
    return this.#job;
  }

  /** The job that is shown. */
  set job(job: Job | undefined) {
    this.#job = job;
    this.#note.textContent = "";
    this.#follow();
  }

  get hub(): Pick<PageClient, "job"> | undefined {
    return this.#hub;
  }

  /** Of the job that is looked up in `hub`; the attribute. Default: `job`. */
  get name(): string {
    return this.getAttribute("name") ?? "job";
  }

  set name(name: string) {
    this.setAttribute("name", name);
  }

  /** Where the job of the attribute `name` is looked up. */
  set hub(hub: Pick<PageClient, "job"> | undefined) {
    this.#hub = hub;
    this.job = hub?.job(this.name);
  }

  attributeChangedCallback(): void {
    if (this.#hub) this.hub = this.#hub;
  }

  connectedCallback(): void {
    // What the page set before this module was there stands in front of the accessors.
    for (const name of ["name", "hub", "job"] as const) {
      const value = Object.getOwnPropertyDescriptor(this, name)?.value;
      if (value === undefined) continue;
      Reflect.deleteProperty(this, name);
      Object.assign(this, { [name]: value });
    }
    this.#follow();
  }

  disconnectedCallback(): void {
    this.#leave?.abort();
  }

  #follow(): void {
    this.#leave?.abort();
    this.#leave = new AbortController();
    const { signal } = this.#leave;
    for (const type of ["progress", "end", "cancel", "connection"] as const) {
      if (this.isConnected) this.#job?.addEventListener(type, () => this.#show(), { signal });
    }
    this.#show();
  }

  async #stop(): Promise<void> {
    const job = this.#job;
    if (job?.state !== "running") return;
    try {
      await job.abort();
    } catch (error) {
      this.#note.textContent = `Not aborted: ${(error as Error).message}`;
    }
  }

  #show(): void {
    const { state = "waiting", name = this.name, title = name, unanswered } = this.#job ?? {};
    const active = state === "running" || state === "stopping";
    this.setAttribute("state", state);
    this.#title.textContent = title;
    if (unanswered) this.#note.textContent = "It does not react.";
    else if (state !== "running") this.#note.textContent = "";
    this.#showAmount(active);
    this.#showWords();
    this.#showButton(active && this.#job?.cancellable !== false, state === "stopping");
    this.#announce(active);
  }

  /** What is done is done, even where the last report was of 99 %. */
  #showAmount(active: boolean): void {
    const { at = 0, of = 1, percent, state } = this.#job ?? {};
    const done = state === "done";
    const known = percent !== undefined;
    const value = String(done ? 100 : percent);
    const text = known ? `${value} %` : at ? at.toLocaleString() : "";
    this.#percent.textContent = text;
    this.#bar.className = active && !known ? "busy" : "";
    this.#fill.style.inlineSize = done ? "100%" : known ? `${(at / of) * 100}%` : "";
    const aria = { valuemin: "0", valuemax: "100", valuenow: value, valuetext: done ? "Done" : text };
    for (const [name, set] of Object.entries(aria)) {
      if (known) this.#bar.setAttribute(`aria-${name}`, set);
      else this.#bar.removeAttribute(`aria-${name}`);
    }
  }

  #showWords(): void {
    const { state = "waiting", message = "", left, ended, connected = this.#job !== undefined } = this.#job ?? {};
    // Without an `ended` it is this page that lost the hub, and the message says so.
    const lost = state === "lost" && ended !== undefined;
    const text =
      state === "waiting"
        ? connected
          ? "Nothing has been reported yet."
          : "No connection to the hub."
        : lost
          ? "Its process is not there any more."
          : message;
    this.#message.textContent = text;
    this.#message.title = text;
    const when = state === "running" && left !== undefined ? `about ${duration(left)} left` : "";
    this.#time.textContent = ENDS[state] ?? (connected ? when : "no connection to the hub");
  }

  /** Who has just pressed it keeps the place: a button that is disabled or hidden would lose the focus. */
  #showButton(shown: boolean, stopping: boolean): void {
    const button = this.#abort;
    button.textContent = stopping ? "Stopping …" : "Abort";
    button.setAttribute("aria-disabled", String(stopping));
    if (!shown && this.shadowRoot?.activeElement === button) this.#box.focus();
    button.hidden = !shown;
  }

  /** Start, each quarter, and the end. */
  #announce(active: boolean): void {
    const { state = "waiting", started, percent = 0 } = this.#job ?? {};
    const quarter = Math.min(3, Math.floor(percent / 25));
    const what = `${started} ${active ? quarter : state}`;
    if (state === "waiting" || what === this.#announced) return;
    this.#announced = what;
    const words = active ? (quarter ? `${percent} %` : "started") : `${ENDS[state]}. ${this.#message.textContent}`;
    this.#live.textContent = `${this.#title.textContent}: ${words}`;
  }
}

const TAG = "signalbox-job";
// Two modules of a page may bring it.
if (!customElements.get(TAG)) customElements.define(TAG, SignalboxJob);

declare global {
  interface HTMLElementTagNameMap {
    "signalbox-job": SignalboxJob;
  }
}
