/** The items of points, by their number on the map: loaded when they are needed. */

/**
 * @typedef {import("../../api.js").Item & {index: number}} MapItem
 */

const MAX_ITEMS = 500;

export class Titles {
  /** @param {import("../../router.js").ViewContext} context */
  constructor(context) {
    this._context = context;
    /** @type {Map<number, MapItem>} */
    this._byIndex = new Map();
    /** @type {Map<string, MapItem | null>} */
    this._byId = new Map();
  }

  /**
   * @param {number} index
   * @returns {MapItem | undefined}
   */
  get(index) {
    return this._byIndex.get(index);
  }

  /**
   * The item of an id; null if it is not on the map, undefined if it is not loaded.
   *
   * @param {string} id
   */
  find(id) {
    return this._byId.get(id);
  }

  /**
   * Load what is not here yet.
   *
   * @param {number[]} indices
   * @param {string[]} [ids]
   */
  async load(indices, ids = []) {
    const missing = indices.filter((index) => !this._byIndex.has(index));
    const unknown = [...new Set(ids)].filter((id) => !this._byId.has(id));
    for (let at = 0; at < Math.max(missing.length, unknown.length); at += MAX_ITEMS) {
      const some = unknown.slice(at, at + MAX_ITEMS);
      const body = {
        indices: missing.slice(at, at + MAX_ITEMS),
        items: some,
        model: this._context.model.name,
      };
      const { items } = await this._context.api.post("/v1/map/items", body, this._context.signal);
      this._context.items.keep(items);
      for (const id of some) this._byId.set(id, null);
      for (const item of /** @type {MapItem[]} */ (items)) {
        this._byIndex.set(item.index, item);
        this._byId.set(item.item_id, item);
      }
    }
  }
}
