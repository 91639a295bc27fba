/** The list of suggestions: rows that keep their identity, slide, and can be walked by keyboard. */

import { ApiError } from "../../api.js";
import { errorState, loadingState, waitingState } from "../../components/states.js";
import { h, replaceChildren } from "../../dom.js";
import { dropAllButton, nothingState } from "./nothing.js";
import { slide } from "./motion.js";
import { filtersOf } from "./requests.js";
import { SuggestionRow } from "./suggestion-row.js";

/**
 * @typedef {import("../../api.js").Answer} Answer
 * @typedef {import("../../api.js").ListedItem} ListedItem
 * @typedef {import("./list-loader.js").ListState} ListState
 * @typedef {import("./explanations.js").Why} Why
 *
 * @typedef {object} ListOptions
 * @property {import("../../router.js").ViewContext} context
 * @property {import("./actions.js").Actions} actions
 * @property {(row: SuggestionRow) => void} chosen
 * @property {(item: ListedItem) => Promise<Why | null>} requestWhy
 * @property {() => void} retry
 */

export class SuggestionList {
  /** @param {ListOptions} options */
  constructor(options) {
    this._options = options;
    /** @type {Map<string, SuggestionRow>} */
    this._rows = new Map();
    /** @type {Answer | null} the list of the present state, once it has arrived */
    this.answer = null;
    this._focusAt = -1;
    this._list = h("ol", {
      class: "suggestions",
      "aria-label": "What comes next",
      on: { keydown: (/** @type {KeyboardEvent} */ event) => this._key(event) },
    });
    this._state = h("div", { class: "list-state" });
    this._notes = h("p", { class: "list-notes quiet small" });
    const caption = h(
      "p",
      { class: "list-caption quiet small" },
      h("span", {}, "Choose an item to add it to your sequence"),
      h("span", {}, "Score, popularity"),
    );
    this.element = h("div", { class: "list" }, caption, this._state, this._list, this._notes);
  }

  /** @param {ListState} state */
  show(state) {
    const isPending = state.kind === "loading" || state.kind === "waiting";
    this.element.setAttribute("aria-busy", String(isPending));
    this.element.classList.toggle("is-loading", isPending);
    this.answer = null; // rows stay in sight while a list is loaded, but they are not the answer
    if (state.kind === "loading") {
      if (this._rows.size === 0) replaceChildren(this._state, loadingState("Loading the list"));
      return;
    }
    if (state.kind === "list") return this._showAnswer(state.answer);
    // Above the rows, where it is seen.
    if (state.kind === "waiting") return replaceChildren(this._state, waitingState(state.error));
    if (state.kind === "error") {
      return replaceChildren(this._state, this._errorState(state.error));
    }
    this._clear();
    if (state.kind === "nothing") {
      replaceChildren(this._state, nothingState(state, this._options.context.store));
    } else replaceChildren(this._state);
  }

  /** @param {Map<string, Why>} reasons by item id */
  explain(reasons) {
    for (const [id, row] of this._rows) row.explain(reasons.get(id) ?? null);
  }

  /** Mark the locked rows again. */
  refresh() {
    if (this.answer !== null) this._update(this.answer);
  }

  /** @param {string} id */
  coverOf(id) {
    return this._rows.get(id)?.cover ?? null;
  }

  /** Move the focus to the first row. */
  focus() {
    this._buttons()[0]?.focus();
  }

  /** @param {Answer} answer */
  _showAnswer(answer) {
    const hadFocus = this._list.contains(document.activeElement);
    const at = this._focusAt;
    this.answer = answer;
    replaceChildren(this._state);
    for (const item of answer.items) {
      const known = this._rows.get(item.item_id);
      if (known === undefined) this._rows.set(item.item_id, new SuggestionRow(item, this._options));
      else known.closeWhy();
    }
    const rows = answer.items.map(({ item_id }) => this._rows.get(item_id));
    this._rows = new Map(
      answer.items.map(({ item_id }, n) => [item_id, /** @type {SuggestionRow} */ (rows[n])]),
    );
    this._update(answer);
    slide(this._list, () =>
      this._list.replaceChildren(...[...this._rows.values()].map(({ element }) => element)),
    );
    if (hadFocus && at >= 0) this._buttons()[Math.min(at, this._rows.size - 1)]?.focus();
    const notes = [...answer.notes];
    replaceChildren(
      this._notes,
      notes.map((note) => `${note.charAt(0).toUpperCase()}${note.slice(1)}`).join(". "),
    );
  }

  /** @param {Answer} answer */
  _update({ items }) {
    const locked = Object.values(this._options.context.store.state.locked);
    const best = Math.max(...items.map(({ score }) => score));
    for (const item of items) {
      const share = Math.max(0.04, Math.exp((item.score - best) / 1.5));
      this._rows.get(item.item_id)?.update(item, share, locked.includes(item.item_id));
    }
  }

  /** @param {unknown} error */
  _errorState(error) {
    const { context, retry } = this._options;
    const isRefused = error instanceof ApiError && error.status === 422;
    const hasFilters = filtersOf(context.store.state, (id) => id).length > 0;
    if (!isRefused || !hasFilters) return errorState(error, retry);
    const state = errorState(error);
    state.append(dropAllButton(context.store, "button"));
    return state;
  }

  _clear() {
    this._rows.clear();
    this.answer = null;
    this._list.replaceChildren();
    this._notes.replaceChildren();
  }

  _buttons() {
    return [...this._rows.values()].map(({ button }) => button);
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const rows = [...this._rows.values()];
    const at = rows.findIndex(({ element }) =>
      element.contains(/** @type {Node} */ (event.target)),
    );
    this._focusAt = at;
    const row = rows[at];
    if (row === undefined) return;
    const { actions } = this._options;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => rows[at + 1]?.button.focus(),
      ArrowUp: () => rows[at - 1]?.button.focus(),
      Home: () => rows[0].button.focus(),
      End: () => rows[rows.length - 1].button.focus(),
      l: () => actions.toggleLock(row.item, row.item.rank - 1),
      w: () => void row.toggleWhy(),
      x: () => actions.lessLike(row.item),
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  }
}
