/** "At most n per artist": one field per attribute that several items share. */

import { h } from "../../dom.js";
import { singular } from "../../format.js";

const MAX_ATTRIBUTES = 4;

/**
 * @param {import("../../router.js").ViewContext} context
 * @returns {{element: HTMLElement, update: (state: Readonly<import("../../store/state.js").State>)
 *   => void} | null} null where no attribute can have a cap
 */
export function capControls({ store, catalogue, model }) {
  const names = catalogue.attributes
    .filter(
      ({ name, n_values }) =>
        !["title", "training_count"].includes(name) &&
        n_values > 1 &&
        n_values < 0.9 * model.n_items,
    )
    .slice(0, MAX_ATTRIBUTES)
    .map(({ name }) => name);
  if (names.length === 0) return null;
  const fields = names.map((name) => {
    const id = `cap-${name.replaceAll(/\W/g, "-")}`;
    const change = () => {
      const { [name]: _, ...rest } = store.state.cap;
      const most = Math.round(Number(field.value));
      store.change({ cap: most >= 1 && most <= 100 ? { ...rest, [name]: most } : rest });
    };
    const field = h("input", {
      class: "field number-field",
      id,
      type: "number",
      min: 1,
      max: 100,
      placeholder: "any",
      on: { change },
    });
    const element = h(
      "div",
      { class: "control control-inline" },
      h("label", { htmlFor: id, class: "ellipsis" }, `per ${singular(name)}`),
      field,
    );
    return { name, field, element };
  });
  return {
    element: h("div", { class: "stack" }, ...fields.map(({ element }) => element)),
    update: ({ cap }) => {
      for (const { name, field, element } of fields) {
        const value = cap[name] === undefined ? "" : String(cap[name]);
        if (field.value !== value) field.value = value;
        element.classList.toggle("is-changed", value !== "");
      }
    },
  };
}
