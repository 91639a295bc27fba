/** Empty, loading and error states. */

import { ApiError } from "../api.js";
import { h } from "../dom.js";

/**
 * One sentence, what to do, and a retry.
 *
 * @param {unknown} error
 * @param {() => void} [retry]
 * @returns {HTMLElement}
 */
export function errorState(error, retry) {
  const { message, hint } = explained(error);
  return h(
    "div",
    { class: "state state-error", role: "alert" },
    h("h3", {}, message),
    hint !== "" && h("p", { class: "quiet" }, hint),
    retry !== undefined &&
      h("button", { class: "button", type: "button", on: { click: retry } }, "Try again"),
  );
}

/**
 * The server is not ready yet, which is no error: the page asks again by itself.
 *
 * @param {ApiError} error
 * @returns {HTMLElement}
 */
export function waitingState(error) {
  const { message } = explained(error);
  const isStart = error.code === "not_ready";
  return h(
    "div",
    { class: "state state-waiting", role: "status" },
    h("h3", {}, message),
    h("progress", { class: "progress", "aria-label": message }),
    h(
      "p",
      { class: "quiet" },
      isStart ? "This takes a minute or so after the server has started. " : "",
      "The page asks again by itself.",
    ),
  );
}

/**
 * Skeleton rows, which appear after 300 ms.
 *
 * @param {string} label for screen readers
 * @param {number} [count]
 * @returns {HTMLElement}
 */
export function loadingState(label, count = 8) {
  return h(
    "div",
    { class: "skeletons", role: "status", "aria-label": label },
    ...Array.from({ length: count }, () =>
      h(
        "div",
        { class: "skeleton-row", "aria-hidden": "true" },
        h("div", { class: "skeleton skeleton-cover" }),
        h(
          "div",
          { class: "skeleton-lines" },
          h("div", { class: "skeleton" }),
          h("div", { class: "skeleton" }),
        ),
      ),
    ),
  );
}

/**
 * @param {string} heading
 * @param {string} text
 * @param {...Node} actions
 * @returns {HTMLElement}
 */
export function emptyState(heading, text, ...actions) {
  return h(
    "div",
    { class: "state" },
    h("h3", {}, heading),
    h("p", { class: "quiet" }, text),
    actions.length > 0 && h("div", { class: "row row-center" }, ...actions),
  );
}

/**
 * An error as a sentence and what to do.
 *
 * @param {unknown} error
 * @returns {{message: string, hint: string}}
 */
export function explained(error) {
  if (error instanceof ApiError)
    return { message: sentence(error.message), hint: sentence(error.hint) };
  return { message: "The page made a mistake.", hint: String(error) };
}

/** @param {string} text */
export function sentence(text) {
  if (text === "") return "";
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.?!]$/.test(first) ? first : `${first}.`;
}
