/** The head of the list: its mode, generation, and what can be done with it. */

import { menuButton } from "../../components/menu.js";
import { h, icon } from "../../dom.js";
import { addressOf } from "../../store/address.js";
import { PLAIN } from "../../store/state.js";
import { curlCommand, pythonCommand, shellCommand } from "./commands.js";
import { FORMATS, save } from "./exports.js";
import { hasQuery } from "./requests.js";

/**
 * @typedef {import("../../store/state.js").State} State
 * @typedef {import("../../router.js").ViewContext} ViewContext
 * @typedef {import("../../api.js").ListedItem} ListedItem
 *
 * @typedef {object} ToolbarOptions
 * @property {ViewContext} context
 * @property {import("./actions.js").Actions} actions
 * @property {string | null} model null for the first one of the server
 * @property {() => ListedItem[]} listed the items of the list
 * @property {() => void} toggleControls
 */

export class Toolbar {
  /** @param {ToolbarOptions} options */
  constructor(options) {
    this._options = options;
    const { actions, context } = options;
    this._suggestions = this._segment("Suggestions", "s", () => actions.suggest());
    this._continuation = this._segment("Continuation", "", () => {
      context.store.change({ mode: "continuation" });
    });
    this._generate = labelled(
      "generate",
      "Generate",
      "Generate (g)",
      () => actions.generate(),
      "button button-primary",
    );
    this._addAll = labelled("add", "Add all", "Add all to the sequence, and continue", () => {
      const ids = options.listed().map(({ item_id }) => item_id);
      if (ids.length > 0) actions.continueWith(ids);
      else context.toast("There is no list to add yet.");
    });
    this._undo = labelled("undo", "Undo", "Undo (z)", () => context.store.undo());
    this._undo.classList.add("undo");
    this._controls = labelled("controls", "Controls", "Controls", options.toggleControls);
    this._controls.classList.add("controls-toggle");
    this._controls.setAttribute("aria-controls", "controls");
    const compare = menuButton([icon("compare"), text("Compare")], "Compare", () =>
      this._comparisons(),
    );
    const copy = menuButton([icon("copy"), text("Copy")], "Copy as a command or a link", () =>
      this._copies(),
    );
    const exported = menuButton([icon("download"), text("Export")], "Export the list", () =>
      this._exports(),
    );
    this._needList = [copy, exported].map((holder) => holder.querySelector("button"));
    this.element = h(
      "div",
      { class: "toolbar", role: "toolbar", "aria-label": "List" },
      h(
        "div",
        { class: "segments", role: "group", "aria-label": "List of" },
        this._suggestions,
        this._continuation,
      ),
      this._addAll,
      h(
        "div",
        { class: "toolbar-end" },
        this._undo,
        compare,
        copy,
        exported,
        this._controls,
        this._generate,
      ),
    );
    this.update(context.store.state);
  }

  /** @param {Readonly<State>} state */
  update(state) {
    const isContinuation = state.mode === "continuation";
    this._suggestions.setAttribute("aria-pressed", String(!isContinuation));
    this._continuation.setAttribute("aria-pressed", String(isContinuation));
    this.element.classList.toggle("is-continuation", isContinuation);
    this._addAll.hidden = !isContinuation || !hasQuery(state);
    this._undo.disabled = !this._options.context.store.canUndo;
    this._generate.disabled = !hasQuery(state);
    for (const button of this._needList) if (button) button.disabled = !hasQuery(state);
  }

  /** @param {boolean} isChanged whether some control is not at its default */
  markControls(isChanged, /** @type {boolean} */ isOpen) {
    this._controls.classList.toggle("has-dot", isChanged);
    this._controls.setAttribute("aria-expanded", String(isOpen));
    this._controls.setAttribute("aria-pressed", String(isOpen));
  }

  _comparisons() {
    const { store, models, model } = this._options.context;
    const compareWith = (/** @type {string | null} */ compare) => () => store.change({ compare });
    const others = models.filter(({ name }) => name !== model.name);
    return [
      ...(store.state.compare === null
        ? []
        : [{ label: "Stop comparing", run: compareWith(null) }]),
      { label: "Without controls", detail: "this model", run: compareWith(PLAIN) },
      ...others.map(({ name }) => ({ label: name, detail: "model", run: compareWith(name) })),
    ];
  }

  _copies() {
    const { context, model } = this._options;
    const { state } = context.store;
    const { origin } = location;
    const link = new URL(addressOf(state), location.href).href;
    const hasKey = context.api.hasKey;
    const { run } = context.catalogue;
    return [
      { label: "Copy as curl", run: this._copier(() => curlCommand(state, model, origin, hasKey)) },
      {
        label: "Copy as Python",
        run: this._copier(() => pythonCommand(state, model, origin, hasKey)),
      },
      { label: "Copy as command line", run: this._copier(() => shellCommand(state, run)) },
      { label: "Copy link", run: this._copier(() => link) },
    ];
  }

  _exports() {
    const { context } = this._options;
    const items = this._options.listed();
    return FORMATS.map(({ format, label, detail }) => ({
      label,
      detail,
      isDisabled: items.length === 0,
      run: () => save(items, format, `${context.model.name}-${context.store.state.mode}`),
    }));
  }

  /** @param {() => string} textOf */
  _copier(textOf) {
    return async () => {
      try {
        await navigator.clipboard.writeText(textOf());
        this._options.context.toast("Copied");
      } catch {
        this._options.context.toast("The browser does not let this page write to the clipboard.");
      }
    };
  }

  /**
   * @param {string} label
   * @param {string} key
   * @param {() => void} run
   */
  _segment(label, key, run) {
    const title = key === "" ? label : `${label} (${key})`;
    return h("button", { class: "segment", type: "button", title, on: { click: run } }, label);
  }
}

/**
 * @param {Parameters<typeof icon>[0]} name
 * @param {string} label
 * @param {string} title
 * @param {() => void} run
 * @param {string} [className]
 */
function labelled(name, label, title, run, className = "button") {
  return h(
    "button",
    { class: className, type: "button", title, on: { click: run } },
    icon(name),
    text(label),
  );
}

/** @param {string} content */
function text(content) {
  return h("span", { class: "tool-text" }, content);
}
