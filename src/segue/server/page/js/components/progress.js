/** What the server computes once, with how far it is. */

import { h } from "../dom.js";

/**
 * @param {string} heading
 * @param {number} share from 0 to 1
 * @param {string} remark
 * @returns {HTMLElement}
 */
export function progressState(heading, share, remark) {
  const percent = Math.round(100 * share);
  return h(
    "div",
    { class: "state", role: "status" },
    h("h3", {}, heading),
    h("progress", { class: "progress", max: 100, value: percent, "aria-label": heading }),
    h("p", { class: "quiet" }, `${percent} % is done. ${remark}`),
  );
}
