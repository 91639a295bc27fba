/** The panel of the map: search, the chosen item with its neighbours, or what is in view; colours. */

import { cover, subtitle } from "../../components/cards.js";
import { SearchBox } from "../../components/search-box.js";
import { explained } from "../../components/states.js";
import { h, icon, replaceChildren } from "../../dom.js";
import { singular } from "../../format.js";

/** @typedef {import("../../api.js").Item} Item */

export class Panel {
  /**
   * @param {import("../../router.js").ViewContext} context
   * @param {{select: (item: Item) => void, add: (item: Item) => void, clear: () => void,
   *   only: (group: number | null) => void}} actions
   */
  constructor(context, actions) {
    this._context = context;
    this._actions = actions;
    this._search = new SearchBox(context, (item) => actions.select(item), {
      label: "Find on the map",
    });
    const field = this._search.element.querySelector("input");
    if (field !== null) field.placeholder = "Find on the map";
    this._body = h("div", { class: "map-panel-body" });
    this._legend = h("div", { class: "map-legend", role: "group" });
    this.element = h(
      "section",
      { class: "map-panel", "aria-label": "Items" },
      this._search.element,
      this._body,
      this._legend,
    );
  }

  /**
   * The items that have labels on the map, for those who cannot see it.
   *
   * @param {Item[]} items
   */
  showView(items) {
    replaceChildren(
      this._body,
      h("h2", { class: "map-heading" }, "In view"),
      h("ul", { class: "map-rows" }, ...items.slice(0, 12).map((item) => this._row(item))),
    );
  }

  /**
   * @param {Item} item
   * @param {Item[] | null} similar null while they are loaded
   * @param {boolean} isInSequence
   */
  showItem(item, similar, isInSequence) {
    const { add, clear } = this._actions;
    replaceChildren(
      this._body,
      h(
        "div",
        { class: "map-item" },
        cover(item, this._context),
        h(
          "div",
          { class: "map-item-text" },
          h("h2", { class: "map-item-title", dir: "auto" }, item.title),
          subtitle(item),
        ),
        h(
          "button",
          { class: "icon-button", type: "button", "aria-label": "Close", on: { click: clear } },
          icon("close"),
        ),
      ),
      isInSequence
        ? h("p", { class: "chip chip-accent map-chip" }, icon("check"), "In your sequence")
        : h(
            "button",
            { class: "button button-primary", type: "button", on: { click: () => add(item) } },
            "Add to the sequence",
          ),
      h("h3", { class: "map-heading" }, "Similar"),
      similar === null
        ? h("p", { class: "small quiet", role: "status" }, "Looking for similar items")
        : h("ul", { class: "map-rows" }, ...similar.map((other) => this._row(other))),
    );
  }

  /**
   * An item whose neighbours could not be loaded.
   *
   * @param {Item} item
   * @param {unknown} error
   * @param {() => void} retry
   */
  showFailure(item, error, retry) {
    this.showItem(item, [], this._context.store.state.items.includes(item.item_id));
    const { message, hint } = explained(error);
    this._body.append(
      h("p", { class: "small quiet map-failure", role: "alert" }, message, " ", hint),
      h("button", { class: "button", type: "button", on: { click: retry } }, "Try again"),
    );
  }

  /**
   * @param {string | null} attribute
   * @param {string[]} groups
   * @param {import("./palette.js").Palette} palette
   * @param {number | null} only
   */
  showLegend(attribute, groups, palette, only) {
    this._legend.hidden = attribute === null;
    this._legend.setAttribute("aria-label", `Colours by ${singular(attribute ?? "")}`);
    const buttons = groups.map((name, code) =>
      h(
        "button",
        {
          class: "map-group",
          type: "button",
          "aria-pressed": String(only === code),
          on: { click: () => this._actions.only(only === code ? null : code) },
        },
        h("i", {
          class: "map-colour",
          "aria-hidden": "true",
          style: { background: palette.css[code] },
        }),
        h("span", { dir: "auto" }, name),
      ),
    );
    replaceChildren(this._legend, ...buttons);
  }

  /** @param {Item} item */
  _row(item) {
    const { select, add } = this._actions;
    return h(
      "li",
      { class: "map-row" },
      h(
        "button",
        { class: "map-row-name", type: "button", on: { click: () => select(item) } },
        h("span", { class: "two-lines" }, h("span", { dir: "auto" }, item.title), subtitle(item)),
      ),
      h(
        "button",
        {
          class: "icon-button",
          type: "button",
          "aria-label": `Add ${item.title}`,
          title: "Add",
          on: { click: () => add(item) },
        },
        icon("add"),
      ),
    );
  }
}
