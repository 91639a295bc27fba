/** The view Playground: build a sequence, see what comes next and why. */

import { h, replaceChildren } from "../dom.js";
import { isEqual, PLAIN, DEFAULTS, CONTROL_KEYS } from "../store/state.js";
import { Actions } from "./playground/actions.js";
import { Comparison } from "./playground/comparison.js";
import { ControlsPanel, areControlsChanged } from "./playground/controls-panel.js";
import { emptyPlayground } from "./playground/empty.js";
import { explain, explainIfPossible } from "./playground/explanations.js";
import { ListLoader } from "./playground/list-loader.js";
import { LockedStrip } from "./playground/locked-strip.js";
import { hasQuery } from "./playground/requests.js";
import { SequencePanel } from "./playground/sequence-panel.js";
import { SuggestionList } from "./playground/suggestion-list.js";
import { Toolbar } from "./playground/toolbar.js";

/**
 * @typedef {import("../store/state.js").State} State
 * @typedef {import("../router.js").ViewContext} ViewContext
 * @typedef {import("./playground/list-loader.js").ListState} ListState
 */

export const title = "Playground";

/**
 * @param {HTMLElement} root
 * @param {ViewContext} context
 * @returns {import("../router.js").MountedView}
 */
export function mount(root, context) {
  const playground = new Playground(root, context);
  return {
    update: (state, previous) => playground.update(state, previous),
    reconnected: () => playground.load(),
    keys: {
      g: () => playground.actions.generate(),
      s: () => playground.actions.suggest(),
      ArrowDown: () => playground.focusList(),
    },
  };
}

class Playground {
  /**
   * @param {HTMLElement} root
   * @param {ViewContext} context
   */
  constructor(root, context) {
    this._root = root;
    this._context = context;
    const { store, models, model } = context;
    this._model = models[0].name === model.name ? null : model.name;
    this._explaining = new AbortController();
    this.actions = new Actions(context);
    this._sequence = new SequencePanel(context, this.actions);
    this._list = new SuggestionList({
      context,
      actions: this.actions,
      chosen: (row) => {
        this._sequence.expectFrom(row.cover);
        this.actions.add(row.item);
      },
      requestWhy: (item) => this._why(item.item_id),
      retry: () => this.load(),
    });
    this._comparison = new Comparison(context, this.actions, () => this.load());
    this._first = new ListLoader(context, this._model, (state) => this._show(0, state));
    /** @type {ListLoader | null} */
    this._second = null;
    this._controls = new ControlsPanel(context);
    this._locked = new LockedStrip(context, this.actions);
    this._toolbar = new Toolbar({
      context,
      actions: this.actions,
      model: this._model,
      listed: () => this._list.answer?.items ?? [],
      toggleControls: () => this._toggleControls(),
    });
    this._centre = h("div", { class: "centre" });
    this._isOpen = innerWidth >= 1100;
    root.append(
      h("h1", { class: "visually-hidden" }, title),
      this._sequence.element,
      h(
        "section",
        { class: "list-panel", "aria-label": "What comes next" },
        this._toolbar.element,
        this._locked.element,
        this._centre,
      ),
      this._controls.element,
    );
    this._mark(store.state);
    this.load();
  }

  /**
   * @param {Readonly<State>} state
   * @param {Readonly<State>} previous
   */
  update(state, previous) {
    this._sequence.update(state);
    this._controls.update(state);
    this._toolbar.update(state);
    this._locked.update(state);
    this._mark(state);
    this._list.refresh();
    const isLockOnly = isEqual({ ...state, locked: null }, { ...previous, locked: null });
    if (!isLockOnly || state.mode === "continuation") this.load();
  }

  /** Ask for the list or the lists again. */
  load() {
    const { state } = this._context.store;
    this._explaining.abort();
    const { compare } = state;
    this._second?.stop();
    this._second = null;
    if (!hasQuery(state)) {
      this._first.stop();
      this._list.show({ kind: "empty" });
      return replaceChildren(this._centre, emptyPlayground(this._context, this.actions));
    }
    const content = compare === null ? this._list.element : this._comparison.element;
    if (this._centre.firstChild !== content) replaceChildren(this._centre, content);
    if (compare !== null) this._loadSecond(state, compare);
    this._first.load(state);
  }

  focusList() {
    this._list.focus();
  }

  /**
   * @param {Readonly<State>} state
   * @param {string} compare
   */
  _loadSecond(state, compare) {
    const isPlain = compare === PLAIN;
    const name = this._context.model.name;
    this._comparison.name(isPlain ? "Without controls" : name, isPlain ? "With controls" : compare);
    if (isPlain) {
      // The list that the page is about stands on the right, where ranks are said to have moved.
      this._second = new ListLoader(this._context, this._model, (list) =>
        this._comparison.show(0, list),
      );
      const defaults = Object.fromEntries(CONTROL_KEYS.map((key) => [key, DEFAULTS[key]]));
      const { k, length, seed, features } = state;
      this._second.load({ ...state, ...defaults, k, length, seed, features, locked: {} });
    } else {
      const model = compare === this._context.models[0].name ? null : compare;
      this._second = new ListLoader(this._context, model, (list) => this._comparison.show(1, list));
      this._second.load(state);
    }
  }

  /**
   * @param {0 | 1} side
   * @param {ListState} list
   */
  _show(side, list) {
    const { state } = this._context.store;
    this._list.show(list);
    if (state.compare !== null) this._comparison.show(state.compare === PLAIN ? 1 : side, list);
    if (list.kind !== "list") return;
    const count = list.answer.items.length;
    this._context.announce(`${count} items, the first is ${list.answer.items[0].title}`);
    if (state.compare === null && state.mode === "suggestions")
      void this._explainAll(list.answer.items);
  }

  /** @param {import("../api.js").ListedItem[]} items */
  async _explainAll(items) {
    this._explaining = new AbortController();
    const ids = items.map(({ item_id }) => item_id);
    const { state } = this._context.store;
    const { signal } = this._explaining;
    const reasons = await explainIfPossible(this._context, state, this._model, ids, signal);
    if (reasons !== null && !signal.aborted) this._list.explain(reasons);
  }

  /**
   * @param {string} id
   * @returns {Promise<import("./playground/explanations.js").Why | null>}
   */
  async _why(id) {
    const { store, signal, toast } = this._context;
    try {
      const reasons = await explain(this._context, store.state, this._model, [id], signal);
      return reasons.get(id) ?? null;
    } catch (error) {
      if (!signal.aborted) toast(error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  _toggleControls() {
    this._isOpen = !this._isOpen;
    this._mark(this._context.store.state);
    if (this._isOpen) this._controls.element.querySelector("input")?.focus();
  }

  /** @param {Readonly<State>} state */
  _mark(state) {
    this._root.classList.toggle("has-controls", this._isOpen);
    this._root.classList.toggle("is-empty", state.items.length === 0);
    this._toolbar.markControls(areControlsChanged(state), this._isOpen);
  }
}
