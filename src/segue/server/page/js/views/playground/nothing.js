/** Nothing is left: which filter is to blame, and a way to drop it. */

import { emptyState } from "../../components/states.js";
import { h } from "../../dom.js";
import { DEFAULTS } from "../../store/state.js";

/**
 * @param {{blamed: import("./requests.js").Filter | null}} state
 * @param {import("../../store/store.js").Store} store
 * @returns {HTMLElement}
 */
export function nothingState({ blamed }, store) {
  const { where, cap, exclude, unlike } = DEFAULTS;
  const button = (/** @type {string} */ label, /** @type {any} */ patch) =>
    h(
      "button",
      { class: "button button-primary", type: "button", on: { click: () => store.change(patch) } },
      label,
    );
  if (blamed !== null) {
    const text = `Without the filter “${blamed.label}”, there are some.`;
    return emptyState("No item is left", text, button(`Drop “${blamed.label}”`, blamed.without));
  }
  const text = "The filters leave nothing together.";
  return emptyState(
    "No item is left",
    text,
    button("Drop all filters", { where, cap, exclude, unlike }),
  );
}
