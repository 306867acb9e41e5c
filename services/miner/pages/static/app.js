// What makes a page quicker to use; each page works without it.
"use strict";

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// -- live: a page that nobody looks at holds no connection (a browser has six for a host), and none after the end
class LiveSource extends EventTarget {
  constructor(address) {
    super();
    Object.assign(this, { address, names: new Set(), ended: false, readyState: EventSource.CONNECTING });
    this.look = () => (document.visibilityState === "hidden" ? this.pause() : this.open());
    document.addEventListener("visibilitychange", this.look);
    this.look();
  }
  open() {
    if (this.source || this.ended) return;
    this.source = new EventSource(this.address);
    this.source.onopen = (event) => { this.readyState = EventSource.OPEN; this.onopen?.(event); };
    this.source.addEventListener("end", () => setTimeout(() => this.close(), 500));
    for (const name of this.names) this.forward(name);
  }
  pause() { this.source?.close(); this.source = null; }
  close() { this.ended = true; this.readyState = EventSource.CLOSED; document.removeEventListener("visibilitychange", this.look); this.pause(); }
  forward(name) { this.source.addEventListener(name, (event) => this.dispatchEvent(new MessageEvent(name, { data: event.data }))); }
  addEventListener(name, listener) {
    super.addEventListener(name, listener);
    if (this.names.has(name)) return;
    this.names.add(name);
    if (this.source) this.forward(name);
  }
}
if (window.htmx) htmx.createEventSource = (address) => new LiveSource(address);

// what is put in anew leaves alone what the reader has ticked and opened
if (window.Idiomorph) Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) =>
  !(name === "checked" && element.matches("[data-tick], [data-tick-all]")) && !(name === "open" && element.matches("details"));

// -- light or dark
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-switch]")) return;
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("iflow-theme", root.dataset.theme);
});

// -- menus close when one clicks elsewhere, or by Escape
document.addEventListener("click", (event) => {
  for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of all("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
});

// -- times on the reader's own clock, on hover
const ownClock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
function times(within) {
  for (const time of all("time[datetime]", within)) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.valueOf())) time.title = `${ownClock.format(moment)} · ${moment.toISOString().slice(0, 19)}Z`;
  }
}

// -- ticked rows: all at once, and what can be done with them
function ticks() {
  for (const form of all("[data-ticks]")) {
    const boxes = all("input[type=checkbox][data-tick]", form);
    const ticked = boxes.filter((box) => box.checked).length;
    const every = form.querySelector("input[data-tick-all]");
    if (every) { every.checked = ticked > 0 && ticked === boxes.length; every.indeterminate = ticked > 0 && ticked < boxes.length; }
    for (const bar of all(".bulk", form)) bar.toggleAttribute("data-empty", ticked === 0);
    for (const count of all("[data-ticked]", form)) count.textContent = String(ticked);
  }
}
document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-ticks]");
  if (form && event.target.matches("[data-tick-all]"))
    for (const box of all("input[type=checkbox][data-tick]", form)) box.checked = event.target.checked;
  ticks();
  if (event.target.matches("[data-apply]")) event.target.form.requestSubmit();
});

// -- on a narrow screen the lesser filters are folded away, unless one of them is used
if (matchMedia("(max-width: 760px)").matches)
  for (const more of all(".filters > .more"))
    more.open = all("input, select", more).some((field) => field.value && field.type !== "hidden");

// -- one more row of a form's table
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-add-row]");
  if (!button) return;
  const body = button.closest("fieldset").querySelector("[data-rows]");
  const row = body.rows[body.rows.length - 1].cloneNode(true);
  for (const input of all("input", row)) input.value = "";
  for (const field of all("[aria-label]", row)) field.setAttribute("aria-label", field.getAttribute("aria-label").replace(/\d+$/, String(body.rows.length + 1)));
  body.append(row);
  row.querySelector("input").focus();
});

if (matchMedia("(max-width: 1100px)").matches) for (const fold of all(".rail-fold")) fold.open = false;
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("details.menu[open], dialog[open]")) document.querySelector("#detail:not([hidden]) .close")?.click();
});

// -- copy
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
});

// -- keys: of the row that has the focus, never of the one under the mouse
const typing = (target) => target.closest("input, select, textarea, [contenteditable]") && !target.matches("[type=checkbox], [type=radio]");
const rows = () => all("tr[data-row]");
function goToRow(step) {
  const found = rows();
  const at = found.findIndex((row) => row.contains(document.activeElement));
  const next = found[Math.max(0, Math.min(found.length - 1, at < 0 ? 0 : at + step))];
  (next?.querySelector("[data-open]") ?? next?.querySelector("a, button, input"))?.focus();
}
const keys = {
  "/": () => document.querySelector("[data-search]")?.focus(),
  "?": () => document.getElementById("keys-help").showModal(),
  j: () => goToRow(1),
  k: () => goToRow(-1),
  x: () => document.activeElement.closest("tr[data-row]")?.querySelector("[data-tick]")?.click(),
  "]": () => document.querySelector("a[rel=next]")?.click(),
  "[": () => history.back(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  const act = button ? () => (button.matches("input:not([type=checkbox]), select") ? button.focus() : button.click()) : keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys-help]")) document.getElementById("keys-help").showModal();
});

// -- after a part of the page was put in anew
document.addEventListener("htmx:afterSettle", (event) => { times(event.target); ticks(); });
document.addEventListener("DOMContentLoaded", () => { times(document); ticks(); });
if (document.readyState !== "loading") { times(document); ticks(); }
