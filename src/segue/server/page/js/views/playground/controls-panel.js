/** The controls of the list and of continuations. */

import { h, icon } from "../../dom.js";
import { labelOf } from "../../format.js";
import { CONTROL_KEYS, DEFAULTS, isChanged, isEqual } from "../../store/state.js";
import { capControls } from "./cap-controls.js";
import { FilterControls } from "./filter-controls.js";
import { NumberField, Slider } from "./sliders.js";

/**
 * @typedef {import("../../store/state.js").State} State
 * @typedef {import("../../router.js").ViewContext} ViewContext
 */

/** The feature that the view People is about; a user is no text to type. */
const USER = "user";

export class ControlsPanel {
  /** @param {ViewContext} context */
  constructor(context) {
    const { store, model } = context;
    this._store = store;
    this._reset = h(
      "button",
      { class: "link-button small", type: "button", on: { click: () => this.reset() } },
      "Reset",
    );
    this._filters = new FilterControls(context);
    this._caps = capControls(context);
    /** @type {{element: HTMLElement, update: (state: Readonly<State>) => void}[]} */
    this._parts = [
      new NumberField(store, "k", "Items in the list", 1, Math.min(100, model.max_k)),
      new Slider(store, "popularity", "Popularity", ["discovery", "popular"], popularityText),
      new Slider(store, "diversity", "Diversity", ["similar", "varied"], diversityText),
    ];
    this._generation = [
      new NumberField(store, "length", "Length", 1, 100),
      new Slider(store, "temperature", "Temperature", ["safe", "surprising"], temperatureText),
      new NumberField(store, "seed", "Seed", 0, 4_294_967_295, diceFor(store)),
    ];
    this._features = model.sequence_features
      .filter((name) => name !== USER)
      .map((name) => new FeatureField(store, name));
    this.element = h(
      "section",
      { class: "controls-panel", "aria-labelledby": "controls-title", id: "controls" },
      h(
        "div",
        { class: "column-head" },
        h("h2", { id: "controls-title" }, "Controls"),
        h("div", { class: "column-tools" }, this._reset),
      ),
      group("List", ...this._parts.map(({ element }) => element)),
      this._caps !== null && group("At most", this._caps.element),
      group("Filters", this._filters.element),
      this._features.length > 0 &&
        group("Sequence", ...this._features.map(({ element }) => element)),
      group("Continuation", ...this._generation.map(({ element }) => element)),
    );
    this.update(store.state);
  }

  /** @param {Readonly<State>} state */
  update(state) {
    const parts = [...this._parts, ...this._generation, ...this._features, this._filters];
    for (const part of this._caps === null ? parts : [...parts, this._caps]) part.update(state);
    this._reset.hidden = !areControlsChanged(state);
  }

  reset() {
    const defaults = Object.fromEntries(CONTROL_KEYS.map((key) => [key, DEFAULTS[key]]));
    this._store.change(defaults);
  }
}

/**
 * Whether some control is not at its default.
 *
 * @param {Readonly<State>} state
 */
export function areControlsChanged(state) {
  return CONTROL_KEYS.some((key) => key !== "seed" && isChanged(state, key));
}

/**
 * @param {string} title
 * @param {...HTMLElement} children
 */
function group(title, ...children) {
  return h(
    "div",
    { class: "control-group", role: "group", "aria-label": title },
    h("h3", {}, title),
    ...children,
  );
}

/** @param {number} value */
function popularityText(value) {
  if (value === 0) return "as the model has it";
  const strength = Math.abs(value) > 0.5 ? "much" : "a little";
  return `${strength} ${value < 0 ? "less known" : "better known"}`;
}

/** @param {number} value */
function diversityText(value) {
  if (value === 0) return "as the model has it";
  return value > 0.5 ? "much more varied" : "a little more varied";
}

/** @param {number} value */
function temperatureText(value) {
  if (value === 0) return "always the best item";
  if (value === 1) return "as predicted";
  return value < 1 ? "closer to the best" : "freer";
}

/** @param {import("../../store/store.js").Store} store */
function diceFor(store) {
  const roll = () => store.change({ seed: Math.floor(Math.random() * 1_000_000) });
  return h(
    "button",
    {
      class: "icon-button",
      type: "button",
      title: "Another seed",
      "aria-label": "Another seed",
      on: { click: roll },
    },
    icon("reset"),
  );
}

/** A named value of the sequence that the model reads, such as its name. */
class FeatureField {
  /**
   * @param {import("../../store/store.js").Store} store
   * @param {string} name
   */
  constructor(store, name) {
    this._name = name;
    const id = `feature-${name.replaceAll(/\W/g, "-")}`;
    this._field = h("input", {
      class: "field",
      id,
      maxLength: 200,
      placeholder: "not given",
      on: {
        change: () => {
          const { [name]: _, ...rest } = store.state.features;
          const value = this._field.value.trim();
          store.change({ features: value === "" ? rest : { ...rest, [name]: value } });
        },
      },
    });
    this.element = h(
      "div",
      { class: "control" },
      h("label", { htmlFor: id }, labelOf(name)),
      this._field,
    );
  }

  /** @param {Readonly<State>} state */
  update({ features }) {
    const value = features[this._name] ?? "";
    if (!isEqual(this._field.value, value)) this._field.value = value;
  }
}
