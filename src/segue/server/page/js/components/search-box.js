/** Search as you type: a combobox over `/v1/items`. */

import { isAbort } from "../api.js";
import { h, icon, replaceChildren } from "../dom.js";
import { cover, subtitle } from "./cards.js";
import { explained } from "./states.js";

/**
 * @typedef {import("../api.js").Item} Item
 * @typedef {Omit<import("../router.js").ViewContext, "signal">} Session
 */

const DELAY_MS = 80;
const MAX_MATCHES = 8;
let count = 0;

export class SearchBox {
  /**
   * @param {Session} session
   * @param {(item: Item) => void} chosen
   * @param {{label?: string}} [options]
   */
  constructor(session, chosen, { label = "Search items" } = {}) {
    this._session = session;
    this._chosen = chosen;
    this._listId = `matches-${++count}`;
    /** @type {Item[]} */
    this._matches = [];
    this._at = -1;
    // The matches may be those of an earlier text; Enter then means the first one to come.
    this._isPending = false;
    this._takesFirst = false;
    this._calls = new AbortController();
    this._timer = 0;
    this._input = h("input", {
      class: "field search-field",
      type: "search",
      placeholder: "Search",
      autocomplete: "off",
      spellcheck: false,
      maxLength: 200,
      role: "combobox",
      "aria-label": label,
      "aria-expanded": "false",
      "aria-autocomplete": "list",
      "aria-controls": this._listId,
      "aria-keyshortcuts": "/",
      on: {
        input: () => this._schedule(),
        focus: () => this._schedule(),
        keydown: (/** @type {KeyboardEvent} */ event) => this._move(event),
        blur: () => this._close(),
      },
    });
    this._list = h("ul", {
      class: "matches",
      id: this._listId,
      role: "listbox",
      "aria-label": "Matches",
      hidden: true,
    });
    const key = h("kbd", { class: "search-key", "aria-hidden": "true" }, "/");
    this.element = h("div", { class: "search-box" }, icon("search"), this._input, key, this._list);
  }

  focus() {
    this._input.focus();
    this._input.select();
  }

  _schedule() {
    clearTimeout(this._timer);
    this._isPending = true;
    this._takesFirst = false;
    this._timer = setTimeout(() => void this._search(), DELAY_MS);
  }

  async _search() {
    const text = this._input.value.trim();
    this._calls.abort();
    if (text === "") return this._close();
    this._calls = new AbortController();
    const { api, model } = this._session;
    try {
      const parameters = { q: text, limit: MAX_MATCHES, model: model.name };
      const answer = await api.get("/v1/items", parameters, this._calls.signal);
      this._show(answer.items);
    } catch (error) {
      if (isAbort(error)) return;
      this._isPending = false;
      this._say(explained(error).message);
    }
  }

  /** @param {Item[]} matches */
  _show(matches) {
    if (document.activeElement !== this._input) return;
    this._isPending = false;
    if (this._takesFirst && matches.length > 0) return this._choose(matches[0]);
    this._matches = matches;
    this._at = matches.length > 0 ? 0 : -1;
    if (matches.length === 0) return this._say("No item matches.");
    replaceChildren(this._list, ...matches.map((item, at) => this._match(item, at)));
    this._open();
  }

  /** @param {string} text */
  _say(text) {
    this._matches = [];
    replaceChildren(
      this._list,
      h("li", { class: "match-note quiet", role: "option", "aria-disabled": "true" }, text),
    );
    this._open();
  }

  /**
   * @param {Item} item
   * @param {number} at
   */
  _match(item, at) {
    const choose = (/** @type {Event} */ event) => {
      event.preventDefault(); // the field keeps the focus
      this._choose(item);
    };
    return h(
      "li",
      {
        class: "match",
        id: `${this._listId}-${at}`,
        role: "option",
        "aria-selected": String(at === this._at),
        on: { pointerdown: choose },
      },
      cover(item, this._session),
      h(
        "div",
        { class: "two-lines" },
        h("span", { class: "title", dir: "auto" }, item.title),
        subtitle(item),
      ),
    );
  }

  /** @param {Item} item */
  _choose(item) {
    this._input.value = "";
    this._close();
    this._chosen(item);
  }

  /** @param {KeyboardEvent} event */
  _move(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps && this._matches.length > 0) {
      event.preventDefault();
      const step = steps[/** @type {keyof steps} */ (event.key)];
      this._at = (this._at + step + this._matches.length) % this._matches.length;
      this._mark();
    } else if (event.key === "Enter" && this._isPending) {
      event.preventDefault();
      this._takesFirst = true;
    } else if (event.key === "Enter" && this._matches[this._at] !== undefined) {
      event.preventDefault();
      this._choose(this._matches[this._at]);
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (this._list.hidden) this._input.blur();
      else this._close();
    }
  }

  _mark() {
    [...this._list.children].forEach((child, at) => {
      child.setAttribute("aria-selected", String(at === this._at));
      if (at === this._at) child.scrollIntoView({ block: "nearest" });
    });
    if (this._at >= 0)
      this._input.setAttribute("aria-activedescendant", `${this._listId}-${this._at}`);
    else this._input.removeAttribute("aria-activedescendant");
  }

  _open() {
    this._list.hidden = false;
    this._input.setAttribute("aria-expanded", "true");
    this._mark();
  }

  _close() {
    clearTimeout(this._timer);
    this._calls.abort();
    this._isPending = false;
    this._takesFirst = false;
    this._matches = [];
    this._at = -1;
    this._list.hidden = true;
    this._list.replaceChildren();
    this._input.setAttribute("aria-expanded", "false");
    this._input.removeAttribute("aria-activedescendant");
  }
}
