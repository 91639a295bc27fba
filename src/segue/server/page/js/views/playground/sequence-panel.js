/** The sequence: cards in their order, which can be moved, removed, dropped and pasted. */

import { cover, subtitle, unknownCover } from "../../components/cards.js";
import { h, icon } from "../../dom.js";
import { plural, whole } from "../../format.js";
import { isEqual } from "../../store/state.js";
import { arrive, slide } from "./motion.js";
import { openPasteDialog } from "./paste-dialog.js";
import { pastedIds } from "./pasted.js";
import { DRAG_TYPE } from "./suggestion-row.js";

/** @typedef {import("../../store/state.js").State} State */

const MAX_FILE_BYTES = 1_000_000;

export class SequencePanel {
  /**
   * @param {import("../../router.js").ViewContext} context
   * @param {import("./actions.js").Actions} actions
   */
  constructor(context, actions) {
    this._context = context;
    this._actions = actions;
    /** @type {HTMLLIElement[]} */
    this._cards = [];
    /** @type {string[]} */
    this._ids = [];
    /** @type {DOMRect | null} */
    this._from = null;
    this._count = h("span", { class: "quiet small" });
    this._clear = this._tool("close", "Empty the sequence", () => actions.clear());
    this._list = h("ol", {
      class: "sequence",
      "aria-label": "Your sequence",
      on: { keydown: (/** @type {KeyboardEvent} */ event) => this._key(event) },
    });
    this._hint = h(
      "p",
      { class: "sequence-hint quiet small" },
      "Drop items, a playlist file or ids here.",
    );
    this.element = h(
      "section",
      {
        class: "sequence-panel",
        "aria-labelledby": "sequence-title",
        on: {
          dragover: (/** @type {DragEvent} */ event) => this._dragOver(event),
          dragleave: () => this._markDrop(-1),
          drop: (/** @type {DragEvent} */ event) => void this._drop(event),
        },
      },
      h(
        "div",
        { class: "column-head" },
        h("h2", { id: "sequence-title" }, "Your sequence"),
        this._count,
        h(
          "div",
          { class: "column-tools" },
          this._tool("paste", "Paste ids or a playlist", () => openPasteDialog(context, actions)),
          this._clear,
        ),
      ),
      this._list,
      this._hint,
    );
    this.update(context.store.state);
  }

  /**
   * The next card that is added arrives from here.
   *
   * @param {Element | null} element
   */
  expectFrom(element) {
    this._from = element?.getBoundingClientRect() ?? null;
  }

  /** @param {Readonly<State>} state */
  update({ items: ids }) {
    const { items, signal } = this._context;
    if (ids.some((id) => items.get(id) === undefined)) {
      items.load(ids, signal).then(
        () => this._draw(this._context.store.state.items),
        () => {},
      );
    }
    this._draw(ids);
  }

  /** @param {string[]} ids */
  _draw(ids) {
    const known = ids.map((id) => this._context.items.get(id));
    const isSame =
      isEqual(ids, this._ids) && !this._cards.some((card) => card.dataset.waits === "1");
    if (isSame && this._cards.length > 0) return;
    const focusedAt = this._cards.findIndex((card) => card.contains(document.activeElement));
    const spare = new Map(
      this._ids.map((id, at) => [`${id}\n${occurrence(this._ids, at)}`, this._cards[at]]),
    );
    this._cards = ids.map((id, at) => {
      const old = spare.get(`${id}\n${occurrence(ids, at)}`);
      return old !== undefined && old.dataset.waits !== "1" ? old : this._card(id, known[at]);
    });
    const isLonger = ids.length === this._ids.length + 1;
    this._ids = ids;
    this._cards.forEach((card, at) => (card.dataset.at = String(at)));
    slide(this._list, () => this._list.replaceChildren(...this._cards));
    this._cards.forEach((card, at) => (card.tabIndex = at === 0 ? 0 : -1));
    if (focusedAt >= 0) this._focus(Math.min(focusedAt, ids.length - 1));
    if (isLonger && this._from !== null) {
      const last = this._cards[this._cards.length - 1];
      last.scrollIntoView({ block: "nearest", inline: "nearest" });
      const card = last.querySelector(".cover");
      if (card !== null) arrive(card, this._from);
    }
    this._from = null;
    this._count.textContent = ids.length === 0 ? "" : whole(ids.length);
    this._count.title = plural(ids.length, "item");
    this._clear.disabled = ids.length === 0;
    this._showUnknown();
  }

  /** List the ids that the model does not know. */
  _showUnknown() {
    const unknown = this._ids.filter((id) => this._context.items.get(id) === null);
    const shown = unknown.slice(0, 5).join(", ") + (unknown.length > 5 ? ", …" : "");
    if (unknown.length === 0) {
      this._hint.textContent =
        this._ids.length === 0 ? "Drop items, a playlist file or ids here." : "";
    } else {
      this._hint.textContent = `The model does not know ${plural(unknown.length, "id")}: ${shown}`;
    }
  }

  /**
   * @param {string} id
   * @param {import("../../api.js").Item | null | undefined} item
   */
  _card(id, item) {
    const title = item?.title ?? id;
    const remove = h(
      "button",
      {
        class: "icon-button",
        type: "button",
        tabIndex: -1,
        title: "Remove",
        "aria-label": `Remove ${title}`,
        on: { click: () => this._actions.remove(Number(card.dataset.at)) },
      },
      icon("close"),
    );
    const card = h(
      "li",
      {
        class: item === null ? "sequence-card is-unknown" : "sequence-card",
        data: { waits: item === undefined ? "1" : "0" },
        draggable: true,
        "aria-label": item === null ? `${title}, unknown to the model` : title,
        on: {
          dragstart: (/** @type {DragEvent} */ event) => {
            event.dataTransfer?.setData(
              DRAG_TYPE,
              JSON.stringify({ from: Number(card.dataset.at) }),
            );
          },
        },
      },
      item ? cover(item, this._context) : unknownCover(),
      h(
        "div",
        { class: "two-lines" },
        h("span", { class: "title", dir: "auto" }, title),
        item ? subtitle(item) : h("span", { class: "quiet" }, item === null ? "unknown id" : " "),
      ),
      remove,
    );
    return card;
  }

  /**
   * @param {Parameters<typeof icon>[0]} name
   * @param {string} label
   * @param {() => void} run
   */
  _tool(name, label, run) {
    return h(
      "button",
      {
        class: "icon-button",
        type: "button",
        title: label,
        "aria-label": label,
        on: { click: run },
      },
      icon(name),
    );
  }

  /** @param {number} at */
  _focus(at) {
    this._cards.forEach((card, other) => (card.tabIndex = other === at ? 0 : -1));
    this._cards[at]?.focus();
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    const at = this._cards.findIndex((card) => card === event.target);
    if (at < 0 || event.ctrlKey || event.metaKey) return;
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const to = at + step;
      if (to < 0 || to >= this._cards.length) return;
      if (event.altKey) this._actions.move(at, to);
      this._focus(to);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      this._actions.remove(at);
    }
  }

  /** @param {DragEvent} event */
  _dragOver(event) {
    event.preventDefault();
    this._markDrop(this._placeOf(event));
  }

  /**
   * The place in the sequence under the pointer.
   *
   * @param {DragEvent} event
   */
  _placeOf(event) {
    const isRow = getComputedStyle(this._list).flexDirection === "row";
    const at = this._cards.findIndex((card) => {
      const box = card.getBoundingClientRect();
      return isRow
        ? event.clientX < box.left + box.width / 2
        : event.clientY < box.top + box.height / 2;
    });
    return at < 0 ? this._cards.length : at;
  }

  /** @param {number} at -1 for none */
  _markDrop(at) {
    this.element.classList.toggle("is-target", at >= 0);
    this._cards.forEach((card, place) => {
      card.classList.toggle("drop-before", place === at);
      card.classList.toggle("drop-after", at === this._cards.length && place === at - 1);
    });
  }

  /** @param {DragEvent} event */
  async _drop(event) {
    event.preventDefault();
    const at = this._placeOf(event);
    this._markDrop(-1);
    const data = event.dataTransfer;
    if (data === null) return;
    const own = data.getData(DRAG_TYPE);
    if (own !== "") {
      const { from, id } = JSON.parse(own);
      if (typeof from === "number") this._actions.move(from, at > from ? at - 1 : at);
      else if (typeof id === "string") this._actions.insert([id], at);
      return;
    }
    const file = data.files[0];
    const text = file === undefined ? data.getData("text/plain") : await textOf(file);
    const ids = pastedIds(text);
    if (ids.length > 0) this._actions.insert(ids, at);
    else this._context.toast("There is no item id in what was dropped.");
  }
}

/** @param {File} file */
async function textOf(file) {
  return await file.slice(0, MAX_FILE_BYTES).text();
}

/**
 * How often an id occurs before a place.
 *
 * @param {string[]} ids
 * @param {number} at
 */
function occurrence(ids, at) {
  return ids.slice(0, at).filter((id) => id === ids[at]).length;
}
