// The picker of a file: the listing of the project bucket in a dialog. Without it, the listing is a page of its own.
"use strict";

{
  const picker = document.getElementById("picker");
  const body = document.getElementById("picker-body");
  let field = null;

  const load = (address) => htmx.ajax("GET", address, { source: body, target: body, select: "#listing", swap: "innerHTML" });

  document.addEventListener("click", (event) => {
    const browse = event.target.closest("[data-pick]");
    if (browse) {
      event.preventDefault();
      field = document.getElementById(browse.dataset.pick);
      picker.showModal();
      load(browse.href);
      return;
    }
    if (!picker.contains(event.target)) return;
    const link = event.target.closest("a[data-level]");
    const take = event.target.closest("[data-take]");
    if (link) {
      event.preventDefault();
      load(link.href);
    } else if (take) {
      field.value = take.dataset.take;
      field.dispatchEvent(new Event("change", { bubbles: true }));
      picker.close();
      field.focus();
    } else if (event.target.closest("[data-close]")) picker.close();
  });

  picker.addEventListener("submit", (event) => {
    event.preventDefault();
    load(`${event.target.action}?${new URLSearchParams(new FormData(event.target))}`);
  });
}
