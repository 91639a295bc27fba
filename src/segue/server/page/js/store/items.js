/** Items by id: what the server has said of them so far, and the rest on request. */

/** @typedef {import("../api.js").Item} Item */

const MAX_IDS = 500;

export class ItemCache {
  /**
   * @param {import("../api.js").Api} api
   * @param {string} model
   */
  constructor(api, model) {
    this._api = api;
    this._model = model;
    /** @type {Map<string, Item | null>} */
    this._items = new Map();
  }

  /**
   * The item; null if the model does not know the id, undefined if nobody has asked for it yet.
   *
   * @param {string} id
   * @returns {Item | null | undefined}
   */
  get(id) {
    return this._items.get(id);
  }

  /** @param {Item[]} items */
  keep(items) {
    for (const { item_id, title, attributes } of items) {
      this._items.set(item_id, { item_id, title, attributes });
    }
  }

  /**
   * Ask the server for the ids that are not here yet.
   *
   * @param {string[]} ids
   * @param {AbortSignal} [signal]
   */
  async load(ids, signal) {
    const missing = [...new Set(ids)].filter((id) => !this._items.has(id));
    for (let start = 0; start < missing.length; start += MAX_IDS) {
      const body = { ids: missing.slice(start, start + MAX_IDS), model: this._model };
      const answer = await this._api.post("/v1/items", body, signal);
      this.keep(answer.items);
      for (const id of answer.unknown_items) this._items.set(id, null);
    }
  }
}
