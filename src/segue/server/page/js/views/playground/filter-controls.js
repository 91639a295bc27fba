/** Filters: ranges of numbers, values of other attributes, and what is left out. */

import { h, icon, replaceChildren } from "../../dom.js";
import { labelOf, singular } from "../../format.js";
import { isEqual } from "../../store/state.js";
import { filtersOf } from "./requests.js";

/**
 * @typedef {import("../../store/state.js").State} State
 * @typedef {import("../../store/state.js").Condition} Condition
 * @typedef {import("../../api.js").Attribute} Attribute
 * @typedef {import("../../router.js").ViewContext} ViewContext
 */

const MAX_RANGES = 3;

export class FilterControls {
  /** @param {ViewContext} context */
  constructor(context) {
    this._context = context;
    const usable = context.catalogue.attributes.filter(
      ({ name, n_values }) => name !== "title" && n_values > 1,
    );
    const numbers = usable.filter(
      ({ kind, name }) => kind === "number" && name !== "training_count",
    );
    this._ranges = numbers.slice(0, MAX_RANGES).map((attribute) => new Range(context, attribute));
    const texts = usable.filter(({ kind, values }) => kind !== "number" && values.length > 0);
    this._chips = h("ul", { class: "filter-chips", "aria-label": "Active filters" });
    this._seen = h("input", {
      type: "checkbox",
      id: "include-seen",
      on: { change: () => context.store.change({ include_seen: this._seen.checked }) },
    });
    this.element = h(
      "div",
      { class: "stack" },
      ...this._ranges.map(({ element }) => element),
      texts.length > 0 && valueControl(context, texts),
      this._chips,
      h(
        "div",
        { class: "check" },
        this._seen,
        h("label", { htmlFor: "include-seen" }, "Also items of the sequence"),
      ),
    );
  }

  /** @param {Readonly<State>} state */
  update(state) {
    for (const range of this._ranges) range.update(state);
    this._seen.checked = state.include_seen;
    const inRanges = this._ranges.flatMap((range) => range.conditionsOf(state));
    const shown = {
      ...state,
      cap: {},
      where: state.where.filter((one) => !inRanges.includes(one)),
    };
    const titleOf = (/** @type {string} */ id) => this._context.items.get(id)?.title ?? id;
    const chips = filtersOf(shown, titleOf).map(({ label, without }) => {
      const drop = () => {
        const where = without.where === undefined ? state.where : [...inRanges, ...without.where];
        this._context.store.change({ ...without, cap: state.cap, where });
      };
      return h(
        "li",
        { class: "chip chip-accent" },
        h("span", { class: "ellipsis", dir: "auto" }, label),
        h(
          "button",
          {
            class: "chip-close",
            type: "button",
            "aria-label": `Drop: ${label}`,
            title: "Drop",
            on: { click: drop },
          },
          icon("close"),
        ),
      );
    });
    replaceChildren(this._chips, ...chips);
    this._chips.hidden = chips.length === 0;
  }
}

/** `Year _ to _`. */
class Range {
  /**
   * @param {ViewContext} context
   * @param {Attribute} attribute
   */
  constructor({ store }, { name, minimum, maximum }) {
    this._name = name;
    const field = (
      /** @type {">=" | "<="} */ operator,
      /** @type {number | null} */ limit,
      /** @type {string} */ word,
    ) => {
      const input = h("input", {
        class: "field number-field",
        type: "number",
        step: "any",
        placeholder: String(limit ?? ""),
        "aria-label": `${labelOf(name)} ${word}`,
        on: {
          change: () => {
            const rest = store.state.where.filter(
              (one) => one.attribute !== name || one.operator !== operator,
            );
            const value = input.value.trim();
            store.change({
              where: value === "" ? rest : [...rest, { attribute: name, operator, value }],
            });
          },
        },
      });
      return input;
    };
    this._from = field(">=", minimum, "from");
    this._to = field("<=", maximum, "to");
    this.element = h(
      "div",
      { class: "control control-inline" },
      h("span", { class: "ellipsis" }, labelOf(name)),
      this._from,
      h("span", { class: "quiet" }, "to"),
      this._to,
    );
  }

  /**
   * The conditions of a state that this control shows.
   *
   * @param {Readonly<State>} state
   * @returns {Condition[]}
   */
  conditionsOf({ where }) {
    const find = (/** @type {string} */ operator) =>
      where.find((one) => one.attribute === this._name && one.operator === operator);
    return [find(">="), find("<=")].filter((one) => one !== undefined);
  }

  /** @param {Readonly<State>} state */
  update(state) {
    const conditions = this.conditionsOf(state);
    for (const [input, operator] of /** @type {const} */ ([
      [this._from, ">="],
      [this._to, "<="],
    ])) {
      const value = conditions.find((one) => one.operator === operator)?.value ?? "";
      if (input.value !== value) input.value = value;
    }
    this.element.classList.toggle("is-changed", conditions.length > 0);
  }
}

/**
 * A field that adds a condition on a value of an attribute of texts.
 *
 * @param {ViewContext} context
 * @param {Attribute[]} attributes
 */
function valueControl({ store, catalogue }, attributes) {
  const options = attributes.map(({ name, values }) =>
    h(
      "optgroup",
      { label: labelOf(name) },
      ...values.map(({ value }) => h("option", { value: JSON.stringify([name, value]) }, value)),
    ),
  );
  const words = attributes.length === 1 ? singular(attributes[0].name) : "value";
  const add = (/** @type {boolean} */ isWanted) => {
    if (select.value === "") return;
    const [attribute, value] = JSON.parse(select.value);
    const kind = catalogue.attributes.find(({ name }) => name === attribute)?.kind;
    const words = kind === "list" ? ["has", "lacks"] : ["=", "!="];
    const operator = /** @type {Condition["operator"]} */ (isWanted ? words[0] : words[1]);
    const condition = { attribute, operator, value };
    const rest = store.state.where.filter((one) => !isEqual(one, condition));
    store.change({ where: [...rest, condition] });
    select.value = "";
    toggle();
  };
  const button = (/** @type {string} */ label, /** @type {boolean} */ isWanted) =>
    h(
      "button",
      { class: "button", type: "button", disabled: true, on: { click: () => add(isWanted) } },
      label,
    );
  const buttons = [button("Only", true), button("Never", false)];
  const toggle = () => buttons.forEach((one) => (one.disabled = select.value === ""));
  const select = h(
    "select",
    {
      class: "field",
      "aria-label": `A ${words}`,
      on: { change: toggle },
    },
    h("option", { value: "" }, `Any ${words}`),
    ...options,
  );
  return h("div", { class: "value-filter" }, select, ...buttons);
}
