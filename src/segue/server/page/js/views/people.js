/** The view People: who the model understood worst, and what it recommended to them. */

import { isAbort } from "../api.js";
import { patiently, refusalsIn } from "../components/patience.js";
import { progressState } from "../components/progress.js";
import { emptyState, errorState, loadingState, sentence } from "../components/states.js";
import { h, replaceChildren } from "../dom.js";
import { PeopleList } from "./people/list.js";
import { showPerson } from "./people/person.js";

/**
 * @typedef {import("../api.js").Item} Item
 * @typedef {{person_id: string, n_events: number, n_targets: number, worst_rank: number | null,
 *   target: Item}} PersonRow
 * @typedef {{status: "computing" | "ready" | "failed" | "unavailable", share: number, hint: string,
 *   part: string | null, n_people: number | null, n_ranked: number | null, n_matches: number,
 *   start: number, people: PersonRow[]}} People
 */

export const title = "People";

/**
 * @param {HTMLElement} root
 * @param {import("../router.js").ViewContext} context
 * @returns {import("../router.js").MountedView}
 */
export function mount(root, context) {
  const body = h("div", { class: "people-body" });
  root.append(h("h1", {}, title), body);
  /** @type {PeopleList | null} */
  let list = null;
  const person = h("section", { class: "person", "aria-label": "Person" });
  let shown = /** @type {string | undefined} */ (undefined);

  const openPerson = () => {
    const id = context.store.state.options.person;
    if (id === shown) return;
    shown = id;
    root.classList.toggle("has-person", id !== undefined);
    list?.mark(id);
    if (id === undefined) replaceChildren(person, choose());
    else void showPerson(person, id, context);
  };

  const load = async () => {
    if (list === null) replaceChildren(body, loadingState("Loading the people"));
    try {
      const { api, model, signal } = context;
      const parameters = { model: model.name, limit: 1 };
      /** @type {() => Promise<People>} */
      const call = () => api.get("/v1/people", parameters, signal);
      const people = await patiently(call, {
        signal,
        refused: refusalsIn(body),
        isReady: ({ status, share }) => {
          if (status !== "computing") return true;
          const remark = "It is done once, beside the requests of others.";
          const heading = "Ranking what came next for everyone";
          replaceChildren(body, progressState(heading, share, remark));
          return false;
        },
      });
      if (people.status === "ready") {
        list = new PeopleList(context);
        replaceChildren(body, h("div", { class: "people-columns" }, list.element, person));
        shown = "";
        openPerson();
      } else replaceChildren(body, nobody(people));
    } catch (error) {
      if (!isAbort(error))
        replaceChildren(
          body,
          errorState(error, () => void load()),
        );
    }
  };
  void load();
  return {
    update: () => {
      list?.update();
      if (list !== null) openPerson();
    },
    reconnected: () => void load(),
  };
}

/** @param {People} people */
function nobody({ status, hint }) {
  if (status === "failed") return emptyState("The people could not be ranked", hint);
  const text = "Here you see what the model would have recommended to people, and what came next. ";
  const state = emptyState("No people yet", text + sentence(hint));
  state.append(h("pre", { class: "command" }, "segue attach RUN DATASET"));
  return state;
}

function choose() {
  return emptyState(
    "Choose a person",
    "You see the history, what came next, and where two lists had it. The worst ranked are first.",
  );
}
