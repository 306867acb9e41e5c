// Files into a sample's folder: announced with size and CRC32C, sent in pieces, gone on with where the line broke.
"use strict";

const PIECE = 8 << 20;
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0x82f63b78 : n >>> 1;
  return n >>> 0;
});

async function crc32c(file, told) {
  let crc = 0xffffffff;
  for (let start = 0; start < file.size; start += PIECE) {
    const bytes = new Uint8Array(await file.slice(start, start + PIECE).arrayBuffer());
    for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
    told(start / file.size);
  }
  crc = (crc ^ 0xffffffff) >>> 0;
  return btoa(String.fromCharCode(crc >>> 24, (crc >>> 16) & 255, (crc >>> 8) & 255, crc & 255));
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function asked(form, path, body) {
  const answer = await fetch(form.dataset.uploads + path, {
    method: "POST", body: JSON.stringify(body ?? {}),
    headers: { "Content-Type": "application/json", "X-Project-ID": form.dataset.project, "X-CSRF-Token": form.dataset.csrf },
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.detail);
  return found;
}

// Bytes that are there; the whole size when it is whole.
async function arrived(session, size) {
  const answer = await fetch(session, { method: "PUT", headers: { "Content-Range": `bytes */${size}` } });
  if (answer.status !== 308) { if (answer.ok) return size; throw new Error((await answer.json()).detail ?? answer.statusText); }
  const range = answer.headers.get("Range");
  return range ? Number(range.split("-")[1]) + 1 : 0;
}

async function sent(file, session, begin, told) {
  let start = begin, broken = 0;
  while (start < file.size) {
    const end = Math.min(start + PIECE, file.size);
    try {
      const answer = await fetch(session, {
        method: "PUT", body: file.slice(start, end), headers: { "Content-Range": `bytes ${start}-${end - 1}/${file.size}` },
      });
      if (!answer.ok && answer.status !== 308) throw new Error((await answer.json()).detail ?? answer.statusText, { cause: "refused" });
      start = end;
      broken = 0;
    } catch (error) {
      if (error.cause === "refused" || ++broken > 8) throw error;
      await pause(500 * 2 ** broken);
      start = await arrived(session, file.size).catch(() => start);
    }
    told(start / file.size);
  }
}

async function send(form, file) {
  const line = document.createElement("p");
  const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0 });
  bar.setAttribute("aria-label", file.name);
  const text = document.createElement("span");
  line.append(text, bar);
  form.querySelector("[data-progress]").append(line);
  const told = (what) => (share) => { bar.value = share; text.textContent = `${file.name}: ${what} ${Math.round(100 * share)} %`; };
  try {
    const upload = await asked(form, "", { name: file.name, size: file.size, crc32c: await crc32c(file, told("read")) });
    if (upload.session) await sent(file, upload.session, upload.arrived ?? 0, told("sent"));
    if (upload.status === "open") await asked(form, `/${upload.id}/finish`);
    told("whole,")(1);
    return true;
  } catch (error) {
    text.textContent = `${file.name}: ${error.message}`;
    line.setAttribute("role", "alert");
    return false;
  }
}

for (const form of document.querySelectorAll("form[data-uploads]")) {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("input[type=file]").addEventListener("change", async (event) => {
    const results = [];
    for (const file of event.target.files) results.push(await send(form, file));
    event.target.value = "";
    if (results.every(Boolean)) location.reload();
  });
}
