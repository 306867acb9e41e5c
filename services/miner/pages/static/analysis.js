// The pages of one analysis: time that goes on, and a log that is followed. Without it both are as of the last load.
"use strict";

// -- as words.py has it
function lasted(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  for (const [size, name, below, lesser] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds < size) continue;
    const rest = Math.floor((seconds % size) / below);
    return `${Math.floor(seconds / size)} ${name}${rest ? ` ${rest} ${lesser}` : ""}`;
  }
}
setInterval(() => {
  for (const each of document.querySelectorAll("[data-since]"))
    each.textContent = lasted(Math.max(0, (Date.now() - Date.parse(each.dataset.since)) / 1000));
}, 1000);

// -- where the tabs do not fit, the one that is open is in sight
const openTab = document.querySelector(".tabs [aria-current]");
if (openTab) openTab.parentElement.scrollLeft += openTab.getBoundingClientRect().left - openTab.parentElement.getBoundingClientRect().left - 80;

// -- the log
const log = document.querySelector("[data-follow]");
const LEVEL = /\b(debug|trace|info|notice|warn(?:ing)?|error|critical|fatal)\b/i;
const CLASS = { warn: "warning", fatal: "critical" };
let last = log?.dataset.last ? Number(log.dataset.last) : null;
let level = "info";

function add(text) {
  const lines = text.replace(/\n$/, "").split("\n");
  const part = document.createDocumentFragment();
  for (const line of lines) {
    const row = document.createElement("div");
    const said = LEVEL.exec(line.slice(0, 100))?.[1].toLowerCase();
    level = said ? CLASS[said] ?? said : /^\s/.test(line) ? level : "info";
    row.className = `row ${level}`;
    if (last !== null) {
      const number = document.createElement("a");
      number.href = `#L${++last}`;
      number.textContent = String(last);
      number.ariaLabel = `Line ${last}`;
      row.id = `L${last}`;
      row.append(number);
    }
    const content = document.createElement("span");
    content.textContent = line;
    row.append(content);
    part.append(row);
  }
  log.append(part);
  document.querySelector("[data-no-lines]")?.remove();
  if (following()) log.scrollTop = log.scrollHeight;
}

const toggle = document.querySelector("[data-follow-switch]");
const following = () => toggle?.checked;
let stream = null;
let seen = null;
function follow() {
  stream?.close();
  stream = null;
  if (!log || !following()) return;
  const address = new URL(log.dataset.follow, location.href);
  if (seen) address.searchParams.set("after", seen);
  stream = new EventSource(address);
  stream.addEventListener("lines", (event) => {
    seen = event.lastEventId;
    const { text } = JSON.parse(event.data);
    if (text) add(text);
  });
  stream.addEventListener("end", (event) => {
    stream.close();
    const { note } = JSON.parse(event.data);
    if (!note) return;
    const said = document.createElement("p");
    said.className = "notice warn";
    said.textContent = note;
    log.after(said);
  });
}
toggle?.addEventListener("change", follow);
const shown = document.getElementById("log");
if (shown && !location.hash) shown.scrollTop = shown.scrollHeight;
follow();
