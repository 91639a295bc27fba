/** A row of the list: adds its item, and says how and why it got there. */

import { cover, popularityDots, subtitle } from "../../components/cards.js";
import { menuButton } from "../../components/menu.js";
import { h, icon, replaceChildren, setStyle } from "../../dom.js";
import { singular, threeDigits } from "../../format.js";
import { whyPanel } from "./why.js";

/**
 * @typedef {import("../../api.js").ListedItem} ListedItem
 * @typedef {import("./explanations.js").Why} Why
 * @typedef {import("../../router.js").ViewContext} ViewContext
 * @typedef {import("./actions.js").Actions} Actions
 *
 * @typedef {object} RowOptions
 * @property {ViewContext} context
 * @property {Actions} actions
 * @property {(row: SuggestionRow) => void} chosen adds the item
 * @property {(item: ListedItem) => Promise<Why | null>} requestWhy where it is not known yet
 */

export const DRAG_TYPE = "application/x-segue-item";

export class SuggestionRow {
  /**
   * @param {ListedItem} item
   * @param {RowOptions} options
   */
  constructor(item, options) {
    this.item = item;
    this._options = options;
    /** @type {Why | null} */
    this._why = null;
    /** @type {HTMLElement | null} */
    this._panel = null;
    this._rank = h("span", { class: "suggestion-rank" });
    this.button = h(
      "button",
      {
        class: "suggestion-add title",
        type: "button",
        dir: "auto",
        on: { click: () => options.chosen(this) },
      },
      item.title,
    );
    this._chip = h("button", {
      class: "chip because",
      type: "button",
      hidden: true,
      on: { click: () => void this.toggleWhy() },
    });
    this._score = h("span", { class: "score", role: "img" }, h("i", { class: "score-bar" }));
    this._lock = this._action("lock", "Lock here", () =>
      options.actions.toggleLock(this.item, this.item.rank - 1),
    );
    this._whyButton = this._action("why", "Why", () => void this.toggleWhy());
    this._whyButton.setAttribute("aria-expanded", "false");
    const { context } = options;
    this.cover = cover(item, context);
    this.element = h(
      "li",
      {
        class: "suggestion",
        data: { id: item.item_id },
        draggable: true,
        on: { dragstart: (/** @type {DragEvent} */ event) => this._drag(event) },
      },
      h(
        "div",
        { class: "suggestion-row" },
        this._rank,
        this.cover,
        h(
          "div",
          { class: "suggestion-text" },
          this.button,
          h("div", { class: "suggestion-detail" }, subtitle(item), this._chip),
        ),
        h(
          "div",
          { class: "suggestion-meta" },
          this._score,
          popularityDots(item, context.catalogue),
        ),
        h(
          "div",
          { class: "suggestion-actions" },
          this._whyButton,
          this._lock,
          this._action("less", "Less like this", () => options.actions.lessLike(this.item)),
          this._never(),
        ),
      ),
    );
  }

  /**
   * Show the item as it is in another list.
   *
   * @param {ListedItem} item
   * @param {number} share of the bar, from 0 to 1
   * @param {boolean} isLocked
   */
  update(item, share, isLocked) {
    this.item = item;
    this._rank.textContent = String(item.rank);
    const label = `Score ${threeDigits(item.score)}`;
    this._score.setAttribute("aria-label", label);
    this._score.title = label;
    setStyle(this._score, { "--share": share });
    this._lock.setAttribute("aria-pressed", String(isLocked));
    this.element.classList.toggle("is-locked", isLocked);
  }

  /** @param {Why | null} why null while it is not known */
  explain(why) {
    this._why = why;
    const reason = why?.reason ?? null;
    this._chip.hidden = reason === null;
    if (reason !== null) {
      replaceChildren(this._chip, "after ", h("em", { dir: "auto" }, reason.title));
      this._chip.title = `Because of ${reason.title}`;
    }
    if (this._panel !== null) this._fillPanel();
  }

  async toggleWhy() {
    if (this._panel !== null) return this.closeWhy();
    this._panel = h("div", {
      class: "why",
      role: "region",
      "aria-label": `Why ${this.item.title}`,
    });
    this._whyButton.setAttribute("aria-expanded", "true");
    this._whyButton.setAttribute("aria-pressed", "true");
    this.element.append(this._panel);
    this._fillPanel();
    if (this._why?.ranks) return;
    const why = await this._options.requestWhy(this.item);
    if (why !== null || this._why === null) this.explain(why);
  }

  closeWhy() {
    this._panel?.remove();
    this._panel = null;
    this._whyButton.setAttribute("aria-expanded", "false");
    this._whyButton.setAttribute("aria-pressed", "false");
  }

  _fillPanel() {
    if (this._panel !== null)
      replaceChildren(this._panel, whyPanel(this._why, this._options.context));
  }

  /**
   * @param {Parameters<typeof icon>[0]} name
   * @param {string} label
   * @param {() => void} run
   */
  _action(name, label, run) {
    const full = `${label}: ${this.item.title}`;
    return h(
      "button",
      {
        class: "icon-button",
        type: "button",
        title: label,
        "aria-label": full,
        on: { click: run },
      },
      icon(name),
    );
  }

  _never() {
    const { actions } = this._options;
    const entries = () => [
      { label: "Never this item", run: () => actions.never(this.item) },
      ...actions.exclusionsOf(this.item).map(({ attribute, value }) => ({
        label: `Never ${value}`,
        detail: singular(attribute),
        run: () => actions.neverWith(attribute, value),
      })),
    ];
    const label = `Never: ${this.item.title}`;
    return menuButton([icon("never")], label, entries, "icon-button");
  }

  /** @param {DragEvent} event */
  _drag(event) {
    event.dataTransfer?.setData(DRAG_TYPE, JSON.stringify({ id: this.item.item_id }));
    event.dataTransfer?.setData("text/plain", this.item.item_id);
  }
}
