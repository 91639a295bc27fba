/** Short messages at the edge of the page, and messages for screen readers only. */

import { h } from "../dom.js";

const SHOWN_MS = 6_000;

/**
 * Show a message for a few seconds, longer while the pointer or the focus is on it.
 *
 * @param {string} text
 * @param {{label: string, run: () => void}} [action]
 */
export function toast(text, action) {
  const region = document.getElementById("toasts");
  if (region === null) return;
  const message = h("div", { class: "toast", role: "status" }, h("span", {}, text));
  if (action !== undefined) {
    const run = () => {
      message.remove();
      action.run();
    };
    message.append(
      h("button", { class: "link-button", type: "button", on: { click: run } }, action.label),
    );
  }
  region.replaceChildren(message);
  const remove = () => {
    if (message.matches(":hover, :focus-within")) setTimeout(remove, SHOWN_MS);
    else message.remove();
  };
  setTimeout(remove, SHOWN_MS);
}

/**
 * @param {string} text
 */
export function announce(text) {
  const announcer = document.getElementById("announcer");
  if (announcer !== null) announcer.textContent = text;
}
