/** The items that are locked at a place of the continuation. */

import { h, icon, replaceChildren } from "../../dom.js";

export class LockedStrip {
  /**
   * @param {import("../../router.js").ViewContext} context
   * @param {import("./actions.js").Actions} actions
   */
  constructor(context, actions) {
    this._context = context;
    this._actions = actions;
    this.element = h("ul", { class: "locked-strip", "aria-label": "Locked items" });
    this.update(context.store.state);
  }

  /** @param {Readonly<import("../../store/state.js").State>} state */
  update({ locked }) {
    const { items, signal } = this._context;
    const entries = Object.entries(locked);
    this.element.hidden = entries.length === 0;
    if (entries.some(([, id]) => items.get(id) === undefined)) {
      const again = () => this.update(this._context.store.state);
      items.load(Object.values(locked), signal).then(again, () => {});
    }
    replaceChildren(
      this.element,
      ...entries.map(([at, id]) => {
        const title = items.get(id)?.title ?? id;
        const item = { item_id: id, title, attributes: {} };
        const unlock = () => this._actions.toggleLock(item, Number(at));
        return h(
          "li",
          { class: "chip chip-accent" },
          icon("lock"),
          h("span", { class: "ellipsis", dir: "auto" }, `${Number(at) + 1} · ${title}`),
          h(
            "button",
            {
              class: "chip-close",
              type: "button",
              "aria-label": `Unlock ${title}`,
              title: "Unlock",
              on: { click: unlock },
            },
            icon("close"),
          ),
        );
      }),
    );
  }
}
