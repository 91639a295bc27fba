// Runs before the first paint, so that no light page flashes up in the dark.
(() => {
  const key = "segue.theme";
  let stored = null;
  try {
    stored = localStorage.getItem(key);
  } catch {
    // Storage is switched off: the theme follows the system.
  }
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const isChosen = stored === "light" || stored === "dark";
  document.documentElement.dataset.theme = isChosen ? String(stored) : isDark ? "dark" : "light";
})();
