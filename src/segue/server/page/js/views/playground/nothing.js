/** Nothing is left: which filter is to blame, and a way to drop it. */

import { emptyState } from "../../components/states.js";
import { h } from "../../dom.js";
import { DEFAULTS } from "../../store/state.js";

/**
 * A button that drops every filter.
 *
 * @param {import("../../store/store.js").Store} store
 * @param {string} [className]
 */
export function dropAllButton(store, className = "button button-primary") {
  const { where, cap, exclude, unlike } = DEFAULTS;
  const drop = () => store.change({ where, cap, exclude, unlike });
  return h("button", { class: className, type: "button", on: { click: drop } }, "Drop all filters");
}

/**
 * @param {{blamed: import("./requests.js").Filter | null}} state
 * @param {import("../../store/store.js").Store} store
 * @returns {HTMLElement}
 */
export function nothingState({ blamed }, store) {
  if (blamed === null) {
    const text = "The filters leave nothing together.";
    return emptyState("No item is left", text, dropAllButton(store));
  }
  const { label, without } = blamed;
  const drop = h(
    "button",
    { class: "button button-primary", type: "button", on: { click: () => store.change(without) } },
    `Drop “${label}”`,
  );
  return emptyState("No item is left", `Without the filter “${label}”, there are some.`, drop);
}
