// Before anything is drawn: the reader's own choice of light or dark, if they made one.
try {
  const chosen = localStorage.getItem("iflow-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* no storage: the system's choice holds */ }
document.documentElement.classList.add("scripted");
