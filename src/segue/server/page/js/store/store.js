/** The store: one immutable state, who watches it, and undo. */

import { PLACE_KEYS, isEqual } from "./state.js";

/** @typedef {import("./state.js").State} State */

const MAX_UNDO = 200;

export class Store {
  /** @param {State} state */
  constructor(state) {
    /** @type {Readonly<State>} */
    this.state = state;
    /** @type {Readonly<State>[]} */
    this._past = [];
    /** @type {string | null} */
    this._mergedAs = null;
    /** @type {Set<(state: Readonly<State>, previous: Readonly<State>) => void>} */
    this._watchers = new Set();
  }

  /**
   * Change some keys.
   *
   * @param {Partial<State>} patch
   * @param {{isUndoable?: boolean, mergeAs?: string | null}} [options] changes that follow each
   *   other under the same name, such as those of a slider, are one step of undo
   */
  change(patch, { isUndoable = true, mergeAs = null } = {}) {
    const previous = this.state;
    const state = { ...previous, ...patch };
    if (isEqual(state, previous)) return;
    if (isUndoable && !(mergeAs !== null && mergeAs === this._mergedAs)) {
      this._past.push(previous);
      if (this._past.length > MAX_UNDO) this._past.shift();
    }
    this._mergedAs = mergeAs;
    this._set(state);
  }

  /** Put another state in place, such as one that was read from the address. */
  replace(/** @type {State} */ state) {
    this._mergedAs = null;
    if (!isEqual(state, this.state)) this._set(state);
  }

  get canUndo() {
    return this._past.length > 0;
  }

  /** Take the last change back; the user stays where they are. */
  undo() {
    const past = this._past.pop();
    if (past === undefined) return;
    this._mergedAs = null;
    const place = Object.fromEntries(PLACE_KEYS.map((key) => [key, this.state[key]]));
    this._set({ ...past, ...place });
  }

  /**
   * @param {(state: Readonly<State>, previous: Readonly<State>) => void} watcher
   * @returns {() => void} stops watching
   */
  watch(watcher) {
    this._watchers.add(watcher);
    return () => this._watchers.delete(watcher);
  }

  /** @param {Readonly<State>} state */
  _set(state) {
    const previous = this.state;
    this.state = state;
    for (const watcher of [...this._watchers]) watcher(state, previous);
  }
}
