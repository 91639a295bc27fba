/** Keys of the whole page; those of a view come from the view. */

import { h } from "../dom.js";
import { openDialog } from "../components/dialog.js";

/**
 * @typedef {import("../store/store.js").Store} Store
 * @typedef {import("../router.js").Router} Router
 */

const HELP = [
  ["/", "Search"],
  ["↑ ↓", "Move in a list"],
  ["Enter", "Add"],
  ["Delete", "Remove from the sequence"],
  ["Alt ↑ ↓", "Move an item of the sequence"],
  ["l", "Lock here"],
  ["w", "Why"],
  ["x", "Less like this"],
  ["g", "Generate"],
  ["s", "Suggestions"],
  ["z", "Undo"],
  ["?", "This help"],
];

/**
 * @param {Store} store
 * @param {Router} router
 * @param {() => void} focusSearch
 */
export function listenToKeys(store, router, focusSearch) {
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const keys = {
    "/": focusSearch,
    "?": () => showHelp(),
    z: () => store.undo(),
  };
  document.addEventListener("keydown", (event) => {
    const isShortcut = event.ctrlKey || event.metaKey || event.altKey;
    if (event.defaultPrevented || isShortcut || isField(event.target) || isDialogOpen()) return;
    const run = router.current.keys?.[event.key] ?? keys[event.key];
    if (run === undefined) return;
    event.preventDefault();
    run(event);
  });
}

export function showHelp() {
  const rows = HELP.flatMap(([key, text]) => [
    h("dt", {}, ...key.split(" ").map((part) => h("kbd", {}, part))),
    h("dd", {}, text),
  ]);
  openDialog("Keys", h("dl", { class: "key-list" }, ...rows));
}

/** @param {EventTarget | null} target */
function isField(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement)
    return !["range", "checkbox", "radio"].includes(target.type);
  return target.matches("textarea, select, [contenteditable]");
}

function isDialogOpen() {
  return document.querySelector("dialog[open]") !== null;
}
