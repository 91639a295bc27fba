/** A modal dialog. */

import { h, icon } from "../dom.js";

let count = 0;

/**
 * Open a modal dialog; Escape, its button and a click beside it close it.
 *
 * @param {string} title
 * @param {Node} content
 * @param {() => void} [closed]
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, content, closed) {
  const id = `dialog-title-${++count}`;
  const close = () => dialog.close();
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": id },
    h(
      "div",
      { class: "dialog-head" },
      h("h2", { id }, title),
      h(
        "button",
        { class: "icon-button", type: "button", "aria-label": "Close", on: { click: close } },
        icon("close"),
      ),
    ),
    content,
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed?.();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
