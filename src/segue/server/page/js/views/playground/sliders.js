/** Controls of one number: a slider that says its effect, and a field. */

import { h } from "../../dom.js";
import { DEFAULTS } from "../../store/state.js";

/**
 * @typedef {import("../../store/state.js").State} State
 * @typedef {import("../../store/store.js").Store} Store
 * @typedef {"popularity" | "diversity" | "temperature"} SliderKey
 * @typedef {"k" | "length" | "seed"} FieldKey
 */

/** @type {Record<SliderKey, [number, number]>} */
const LIMITS = { popularity: [-1, 1], diversity: [0, 1], temperature: [0, 2] };
const STEP = 0.05;

export class Slider {
  /**
   * @param {Store} store
   * @param {SliderKey} key
   * @param {string} label
   * @param {[string, string]} ends names of both ends
   * @param {(value: number) => string} effect of a value, in words
   */
  constructor(store, key, label, ends, effect) {
    this._key = key;
    this._effect = effect;
    const [min, max] = LIMITS[key];
    const id = `control-${key}`;
    this._input = h("input", {
      class: "slider",
      id,
      type: "range",
      min,
      max,
      step: STEP,
      on: {
        input: () => store.change({ [key]: Number(this._input.value) }, { mergeAs: key }),
        dblclick: () => store.change({ [key]: DEFAULTS[key] }),
      },
    });
    this._text = h("output", { class: "quiet small", htmlFor: id });
    this.element = h(
      "div",
      { class: "control" },
      h("div", { class: "control-head" }, h("label", { htmlFor: id }, label), this._text),
      this._input,
      h(
        "div",
        { class: "slider-ends quiet small", "aria-hidden": "true" },
        h("span", {}, ends[0]),
        h("span", {}, ends[1]),
      ),
    );
  }

  /** @param {Readonly<State>} state */
  update(state) {
    const value = state[this._key];
    const [min, max] = LIMITS[this._key];
    if (Number(this._input.value) !== value) this._input.value = String(value);
    const text = this._effect(value);
    this._text.textContent = text;
    this._input.setAttribute("aria-valuetext", `${value}: ${text}`);
    const zero = Math.max(min, 0);
    const at = (/** @type {number} */ number) => (number - min) / (max - min);
    this._input.style.setProperty("--from", String(Math.min(at(zero), at(value))));
    this._input.style.setProperty("--to", String(Math.max(at(zero), at(value))));
    this.element.classList.toggle("is-changed", value !== DEFAULTS[this._key]);
  }
}

export class NumberField {
  /**
   * @param {Store} store
   * @param {FieldKey} key
   * @param {string} label
   * @param {number} min
   * @param {number} max
   * @param {HTMLElement} [tool]
   */
  constructor(store, key, label, min, max, tool) {
    this._key = key;
    const id = `control-${key}`;
    const set = () => {
      const value = Math.round(Number(this._input.value));
      const isPossible = this._input.value !== "" && value >= min && value <= max;
      if (isPossible) store.change({ [key]: value }, { mergeAs: key });
      else this._input.value = String(store.state[key]);
    };
    this._input = h("input", {
      class: "field number-field",
      id,
      type: "number",
      min,
      max,
      step: 1,
      on: { change: set },
    });
    this.element = h(
      "div",
      { class: "control control-inline" },
      h("label", { htmlFor: id }, label),
      tool ?? false,
      this._input,
    );
  }

  /** @param {Readonly<State>} state */
  update(state) {
    const value = state[this._key];
    if (this._input.value !== String(value)) this._input.value = String(value);
    this.element.classList.toggle("is-changed", value !== DEFAULTS[this._key]);
  }
}
