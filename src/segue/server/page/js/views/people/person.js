/** One person: history, what came next, and two lists with the hits marked. */

/** @import { ViewContext } from "../../router.js" */

import { isAbort } from "../../api.js";
import { cover, subtitle } from "../../components/cards.js";
import { errorState, loadingState } from "../../components/states.js";
import { h, icon, replaceChildren } from "../../dom.js";
import { plural, whole } from "../../format.js";

/**
 * @typedef {import("../../api.js").Item} Item
 * @typedef {Item & {rank: number | null, is_shown: boolean}} TrueItem
 * @typedef {{name: string, rank: number | null, items: (Item & {rank: number, is_hit: boolean})[]}}
 *   PersonList
 * @typedef {{person_id: string, n_events: number, history: Item[], truth: TrueItem[],
 *   lists: PersonList[]}} Person
 */

const K = 10;
const FIRST_EVENTS = 12;
const FIRST_TRUTHS = 5;

/**
 * @param {HTMLElement} place
 * @param {string} id
 * @param {ViewContext} context
 */
export async function showPerson(place, id, context) {
  const { api, model, models, signal, store } = context;
  replaceChildren(place, backButton(context), loadingState("Loading the person", 6));
  const other = models.find((served) => served.name !== model.name);
  const parameters = { model: model.name, k: K, against: other?.name };
  try {
    const path = `/v1/people/${encodeURIComponent(id)}`;
    const person = /** @type {Person} */ (await api.get(path, parameters, signal));
    if (store.state.options.person !== id) return;
    context.items.keep([...person.history, ...person.truth]);
    replaceChildren(place, ...contentOf(person, context));
  } catch (error) {
    if (isAbort(error) || store.state.options.person !== id) return;
    replaceChildren(
      place,
      backButton(context),
      errorState(error, () => void showPerson(place, id, context)),
    );
  }
}

/**
 * @param {Person} person
 * @param {ViewContext} context
 */
function contentOf(person, context) {
  const { person_id, n_events, history, truth, lists } = person;
  const ids = history.map((item) => item.item_id);
  const open = () => context.store.change({ view: "playground", options: {}, items: ids });
  return [
    backButton(context),
    h(
      "header",
      { class: "row row-between person-head" },
      h("h2", { dir: "auto" }, person_id),
      h(
        "button",
        { class: "button", type: "button", on: { click: open } },
        "Open in the playground",
      ),
    ),
    part(
      "History",
      `${plural(n_events, "event")}, the last one first`,
      historyOf(history.toReversed(), n_events, context),
    ),
    part(
      "What came next",
      truth.length > 1 ? `${plural(truth.length, "event")}; the lists are for the marked one` : "",
      truthOf(truth, context),
    ),
    h("div", { class: "person-lists" }, ...lists.map((list) => listOf(list, context))),
  ];
}

/** @param {ViewContext} context */
function backButton({ store }) {
  const back = () => {
    const options = { ...store.state.options };
    delete options.person;
    store.change({ options }, { isUndoable: false });
  };
  return h(
    "button",
    { class: "link-button person-back", type: "button", on: { click: back } },
    "← All people",
  );
}

/**
 * @param {string} heading
 * @param {string} remark
 * @param {Node} content
 */
function part(heading, remark, content) {
  return h(
    "section",
    { class: "person-part" },
    h(
      "div",
      { class: "part-head" },
      h("h3", {}, heading),
      h("span", { class: "small quiet" }, remark),
    ),
    content,
  );
}

/**
 * @param {Item[]} items
 * @param {number} total number of events
 * @param {ViewContext} context
 */
function historyOf(items, total, context) {
  const rows = items.map((item) =>
    h(
      "li",
      { class: "person-event" },
      cover(item, context),
      h("span", { class: "event-title small", dir: "auto", title: item.title }, item.title),
    ),
  );
  const label = items.length < total ? `Show the last ${whole(items.length)}` : undefined;
  return shortened(h("ul", { class: "person-history" }), rows, FIRST_EVENTS, label);
}

/**
 * @param {TrueItem[]} truth
 * @param {ViewContext} context
 */
function truthOf(truth, context) {
  const ordered = truth.toSorted((left, right) => Number(right.is_shown) - Number(left.is_shown));
  const rows = ordered.map((item) =>
    h(
      "li",
      { class: item.is_shown && truth.length > 1 ? "person-item is-shown" : "person-item" },
      cover(item, context),
      titleOf(item),
      h(
        "span",
        { class: "rank-text" },
        item.rank === null ? "not in the catalogue" : `rank ${whole(item.rank)}`,
      ),
    ),
  );
  return shortened(h("ul", { class: "person-items" }), rows, FIRST_TRUTHS);
}

/**
 * @param {PersonList} list
 * @param {ViewContext} context
 */
function listOf({ name, rank, items }, context) {
  const rows = items.map((item) =>
    h(
      "li",
      { class: item.is_hit ? "person-item is-hit" : "person-item" },
      h("span", { class: "place quiet" }, whole(item.rank)),
      cover(item, context),
      titleOf(item),
      item.is_hit && h("span", { class: "chip chip-accent" }, icon("check"), "came next"),
    ),
  );
  const remark =
    rank === null
      ? "did not rank it"
      : rank <= K
        ? `had it at ${whole(rank)}`
        : `had it only at ${whole(rank)}`;
  return h(
    "section",
    { class: "panel person-list" },
    h(
      "div",
      { class: "part-head" },
      h("h3", { dir: "auto" }, name),
      h("span", { class: "small quiet" }, remark),
    ),
    h("ol", { class: "person-items" }, ...rows),
  );
}

/** @param {Item} item */
function titleOf(item) {
  return h(
    "span",
    { class: "two-lines" },
    h("span", { class: "title", dir: "auto" }, item.title),
    subtitle(item),
  );
}

/**
 * The first rows of a list, and a button for the rest.
 *
 * @param {HTMLElement} list
 * @param {HTMLElement[]} rows
 * @param {number} most
 * @param {string} [label] of the button
 */
function shortened(list, rows, most, label = `Show all ${whole(rows.length)}`) {
  list.append(...rows.slice(0, most));
  if (rows.length <= most) return list;
  const all = h(
    "button",
    {
      class: "link-button",
      type: "button",
      on: {
        click: () => {
          list.append(...rows.slice(most));
          all.remove();
        },
      },
    },
    label,
  );
  return h("div", { class: "stack" }, list, h("div", {}, all));
}
