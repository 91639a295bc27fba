/** Before there is a sequence: three examples, a surprise, and other ways to begin. */

import { cover } from "../../components/cards.js";
import { h, icon } from "../../dom.js";
import { explained } from "../../components/states.js";
import { openPasteDialog } from "./paste-dialog.js";

const SURPRISE_LENGTH = 3;

/**
 * @param {import("../../router.js").ViewContext} context
 * @param {import("./actions.js").Actions} actions
 * @returns {HTMLElement}
 */
export function emptyPlayground(context, actions) {
  const { catalogue, store } = context;
  const examples = catalogue.examples.map((items) => {
    const start = () => store.change({ items: items.map(({ item_id }) => item_id) });
    return h(
      "li",
      {},
      h(
        "button",
        { class: "example", type: "button", on: { click: start } },
        h(
          "span",
          { class: "example-covers" },
          ...items.slice(0, 4).map((item) => cover(item, context)),
        ),
        h("span", { class: "example-title", dir: "auto" }, items[0].title),
        h("span", { class: "quiet small", dir: "auto" }, rest(items)),
      ),
    );
  });
  return h(
    "div",
    { class: "empty" },
    h("h2", { class: "empty-title" }, "Build a sequence, see what comes next"),
    h("p", { class: "quiet" }, "Search for an item, paste ids, or begin with one of these."),
    h("ul", { class: "examples" }, ...examples),
    h(
      "div",
      { class: "row row-center" },
      h(
        "button",
        {
          class: "button button-primary",
          type: "button",
          on: { click: () => void surprise(context) },
        },
        icon("sparkle"),
        "Surprise me",
      ),
      h(
        "button",
        { class: "button", type: "button", on: { click: () => openPasteDialog(context, actions) } },
        icon("paste"),
        "Paste ids",
      ),
    ),
  );
}

/** @param {import("../../api.js").Item[]} items */
function rest(items) {
  return items
    .slice(1)
    .map(({ title }) => title)
    .join(", ");
}

/**
 * A popular item at random, and what the model lets follow it.
 *
 * @param {import("../../router.js").ViewContext} context
 */
async function surprise({ api, catalogue, items, model, models, store, toast }) {
  const { popular } = catalogue;
  const first = popular[Math.floor(Math.random() * popular.length)];
  if (first === undefined) return;
  const seed = Math.floor(Math.random() * 1_000_000);
  const name = models.length > 1 ? { model: model.name } : {};
  try {
    const body = { items: [first.item_id], length: SURPRISE_LENGTH, top_k: 20, seed, ...name };
    const answer = await api.post("/v1/generate", body);
    items.keep(answer.items);
    const ids = answer.items.map((/** @type {{item_id: string}} */ { item_id }) => item_id);
    store.change({ items: [first.item_id, ...ids] });
  } catch (error) {
    toast(explained(error).message);
  }
}
