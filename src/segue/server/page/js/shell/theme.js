/** Light or dark: as the system has it, until the user chooses. */

const KEY = "segue.theme";

/** @returns {"light" | "dark"} */
export function theme() {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

/** Switch to the other theme, and remember it; tells who listens to `themechange` of the window. */
export function switchTheme() {
  const chosen = theme() === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
  apply(chosen);
}

/** Follow the system as long as the user has not chosen. */
export function followSystem() {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    if (!isChosen()) apply(event.matches ? "dark" : "light");
  });
}

function isChosen() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
}

/** @param {"light" | "dark"} chosen */
function apply(chosen) {
  document.documentElement.dataset.theme = chosen;
  dispatchEvent(new CustomEvent("themechange"));
}
