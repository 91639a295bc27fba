/** The top bar: the model, the views, search, help and theme. */

import { h, icon, replaceChildren } from "../dom.js";
import { SearchBox } from "../components/search-box.js";
import { ROUTES } from "../router.js";
import { addressOf } from "../store/address.js";
import { VIEWS } from "../store/state.js";
import { showHelp } from "./keys.js";
import { followSystem, switchTheme, theme } from "./theme.js";

/**
 * @typedef {import("../store/store.js").Store} Store
 * @typedef {import("../store/state.js").ViewName} ViewName
 * @typedef {Omit<import("../router.js").ViewContext, "signal">} Session
 */

const FORGET = "Forget the API key of this tab";

export class TopBar {
  /**
   * @param {HTMLElement} root
   * @param {Store} store
   */
  constructor(root, store) {
    this._store = store;
    this._brand = h("div", { class: "brand" }, mark(), h("span", { class: "brand-name" }, "Segue"));
    this._forget = h(
      "button",
      { class: "icon-button", type: "button", hidden: true, title: FORGET, "aria-label": FORGET },
      icon("lock"),
    );
    this._search = h("div", { class: "top-search" });
    /** @type {SearchBox | null} */
    this._box = null;
    this._links = VIEWS.map((view) => this._link(view));
    const nav = h("nav", { class: "view-switch", "aria-label": "Views" }, ...this._links);
    root.append(this._brand, nav, this._search, this._tools());
    followSystem();
    store.watch(() => this._mark());
    this._mark();
  }

  /**
   * Show the model and make the search ready.
   *
   * @param {Session} session
   */
  show(session) {
    replaceChildren(this._brand, mark(), this._modelName(session));
    this._box = new SearchBox(session, (item) => addItem(session, item));
    replaceChildren(this._search, this._box.element);
    this._forget.hidden = !session.api.hasKey;
    this._forget.onclick = () => {
      session.api.forgetKey();
      location.reload();
    };
  }

  focusSearch() {
    this._box?.focus();
  }

  /** @param {Session} session */
  _modelName({ model, models, store }) {
    if (models.length === 1)
      return h("span", { class: "brand-name", title: model.name }, model.name);
    const choose = (/** @type {Event} */ event) => {
      if (event.target instanceof HTMLSelectElement) {
        store.change({ model: event.target.value }, { isUndoable: false });
      }
    };
    return h(
      "select",
      { class: "field field-quiet brand-name", "aria-label": "Model", on: { change: choose } },
      ...models.map(({ name }) =>
        h("option", { value: name, selected: name === model.name }, name),
      ),
    );
  }

  /** @param {ViewName} view */
  _link(view) {
    const go = (/** @type {MouseEvent} */ event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      this._store.change({ view, options: {} }, { isUndoable: false });
    };
    return h("a", { class: "view-link", data: { view }, on: { click: go } }, ROUTES[view].label);
  }

  _mark() {
    for (const link of this._links) {
      const view = /** @type {ViewName} */ (link.dataset.view);
      link.href = addressOf({ ...this._store.state, view, options: {} });
      if (view === this._store.state.view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  _tools() {
    const other = () => (theme() === "dark" ? "light" : "dark");
    const show = () => {
      const label = `Switch to the ${other()} theme`;
      themeButton.setAttribute("aria-label", label);
      themeButton.title = label;
      replaceChildren(themeButton, icon(other()));
    };
    const themeButton = h("button", {
      class: "icon-button",
      type: "button",
      on: { click: switchTheme },
    });
    addEventListener("themechange", show);
    show();
    const help = h(
      "button",
      {
        class: "icon-button help-button",
        type: "button",
        "aria-label": "Keys",
        title: "Keys (?)",
        on: { click: showHelp },
      },
      icon("help"),
    );
    return h("div", { class: "top-tools" }, this._forget, help, themeButton);
  }
}

/**
 * @param {Session} session
 * @param {import("../api.js").Item} item
 */
function addItem({ store, items, announce }, item) {
  items.keep([item]);
  store.change({ items: [...store.state.items, item.item_id] });
  announce(`${item.title} was added to your sequence`);
}

function mark() {
  return h("img", {
    class: "brand-mark",
    src: "page/icon.svg",
    alt: "Segue",
    width: 24,
    height: 24,
  });
}
