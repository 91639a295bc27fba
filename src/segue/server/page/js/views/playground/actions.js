/** What a user can do to the query, each as one change of the store that undo takes back. */

import { makerAttribute, singular } from "../../format.js";

/**
 * @typedef {import("../../router.js").ViewContext} ViewContext
 * @typedef {import("../../api.js").Item} Item
 */

const MAX_UNLIKE = 100;

export class Actions {
  /** @param {ViewContext} context */
  constructor(context) {
    this._context = context;
    this._store = context.store;
  }

  /** @param {Item} item */
  add(item) {
    this._context.items.keep([item]);
    this.insert([item.item_id], this._store.state.items.length);
    this._context.announce(`${item.title} was added to your sequence`);
  }

  /**
   * @param {string[]} ids
   * @param {number} at position in the sequence, from 0
   */
  insert(ids, at) {
    this._store.change({ items: this._store.state.items.toSpliced(at, 0, ...ids) });
  }

  /** @param {number} at */
  remove(at) {
    const { items } = this._store.state;
    this._store.change({ items: items.toSpliced(at, 1) });
    this._say(`${this._title(items[at])} was removed`);
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  move(from, to) {
    const items = [...this._store.state.items];
    if (to < 0 || to >= items.length || from === to) return;
    const [id] = items.splice(from, 1);
    items.splice(to, 0, id);
    this._store.change({ items });
    this._context.announce(`${this._title(id)} is now at place ${to + 1}`);
  }

  clear() {
    this._store.change({ items: [], locked: {}, mode: "suggestions" });
    this._say("Your sequence was emptied");
  }

  /**
   * @param {Item} item
   * @param {number} at position in the list, from 0
   */
  toggleLock(item, at) {
    const { locked } = this._store.state;
    const rest = Object.fromEntries(
      Object.entries(locked).filter(([place, id]) => id !== item.item_id && Number(place) !== at),
    );
    const isLocked = Object.values(locked).includes(item.item_id);
    this._store.change({ locked: isLocked ? rest : { ...rest, [at]: item.item_id } });
    if (isLocked) return this._say(`${item.title} is not locked any more`);
    const run = () => this.generate();
    const action = this._store.state.mode === "suggestions" ? { label: "Generate", run } : null;
    this._say(`${item.title} stays at place ${at + 1} of a continuation`, action);
  }

  /** @param {Item} item */
  lessLike(item) {
    const unlike = [...new Set([...this._store.state.unlike, item.item_id])].slice(-MAX_UNLIKE);
    this._store.change({ unlike });
    this._say(`Items like ${item.title} come last now`);
  }

  /** @param {Item} item */
  never(item) {
    this._store.change({ exclude: [...new Set([...this._store.state.exclude, item.item_id])] });
    this._say(`${item.title} is not listed any more`);
  }

  /**
   * @param {string} attribute
   * @param {string} value
   */
  neverWith(attribute, value) {
    const kind = this._context.catalogue.attributes.find(({ name }) => name === attribute)?.kind;
    const operator = kind === "list" ? "lacks" : "!=";
    this._store.change({ where: [...this._store.state.where, { attribute, operator, value }] });
    this._say(`Nothing with the ${singular(attribute)} ${value} is listed any more`);
  }

  /**
   * The values of an item that `neverWith` can leave out: its makers and kinds.
   *
   * @param {Item} item
   * @returns {{attribute: string, value: string}[]}
   */
  exclusionsOf(item) {
    const maker = makerAttribute(item);
    const names = this._context.catalogue.attributes
      .filter(({ name, kind, n_values }) => name !== "title" && kind !== "number" && n_values > 1)
      .map(({ name }) => name)
      .sort((left, right) => Number(right === maker) - Number(left === maker));
    return names.flatMap((attribute) => {
      const value = item.attributes[attribute];
      const values = Array.isArray(value) ? value : [value];
      return values
        .filter((each) => typeof each === "string" && each !== "")
        .map((each) => ({ attribute, value: each }));
    });
  }

  /** Show a continuation; from one, show another. */
  generate() {
    const { mode, seed } = this._store.state;
    if (mode === "continuation") this._store.change({ seed: (seed + 1) % 4_294_967_296 });
    else this._store.change({ mode: "continuation" });
  }

  suggest() {
    this._store.change({ mode: "suggestions" });
  }

  /**
   * Make a continuation part of the sequence, so that the next one follows it.
   *
   * @param {string[]} ids
   */
  continueWith(ids) {
    this._store.change({ items: [...this._store.state.items, ...ids], locked: {} });
    this._say(`${ids.length} items were added to your sequence`);
  }

  /**
   * @param {string} text
   * @param {{label: string, run: () => void} | null} [action]
   */
  _say(text, action = null) {
    this._context.toast(text, action ?? { label: "Undo", run: () => this._store.undo() });
  }

  /** @param {string} id */
  _title(id) {
    return this._context.items.get(id)?.title ?? id;
  }
}
