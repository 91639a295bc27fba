/** Large numbers with what they count. */

import { h } from "../dom.js";

/**
 * A row of numbers.
 *
 * @param {{label: string, value: string, unit?: string}[]} numbers
 * @returns {HTMLElement}
 */
export function bigNumbers(numbers) {
  return h(
    "dl",
    { class: "big-numbers panel" },
    ...numbers.map(({ label, value, unit = "" }) =>
      h(
        "div",
        { class: "big-number" },
        h("dt", {}, label),
        h("dd", {}, value, unit !== "" && h("small", {}, unit)),
      ),
    ),
  );
}
