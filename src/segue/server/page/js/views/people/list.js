/** The list of people, worst rank first: searched by id, in pages. */

import { isAbort } from "../../api.js";
import { explained, sentence } from "../../components/states.js";
import { h, icon, replaceChildren } from "../../dom.js";
import { plural, whole } from "../../format.js";

const PAGE = 50;
const DELAY_MS = 150;

export class PeopleList {
  /** @param {import("../../router.js").ViewContext} context */
  constructor(context) {
    this._context = context;
    this._text = context.store.state.options.q ?? "";
    this._start = startOf(context.store.state.options.start);
    /** @type {string | undefined} */
    this._marked = undefined;
    this._timer = 0;
    this._calls = new AbortController();
    context.signal.addEventListener("abort", () => this._calls.abort());
    this._input = h("input", {
      class: "field search-field",
      type: "search",
      placeholder: "Search by id",
      "aria-label": "Search people by id",
      autocomplete: "off",
      spellcheck: false,
      maxLength: 200,
      value: this._text,
      on: { input: () => this._typed() },
    });
    this._count = h("p", { class: "small quiet", role: "status" });
    this._rows = h("ul", { class: "people-rows" });
    this._pages = h("div", { class: "row row-between" });
    this.element = h(
      "section",
      { class: "people-list", "aria-label": "People" },
      h("div", { class: "search-box" }, icon("search"), this._input),
      this._count,
      this._rows,
      this._pages,
    );
    void this._load();
  }

  /** The state of the page changed. */
  update() {
    const { q = "", start } = this._context.store.state.options;
    if (q === this._text && startOf(start) === this._start) return;
    this._text = q;
    this._start = startOf(start);
    if (document.activeElement !== this._input) this._input.value = q;
    void this._load();
  }

  /**
   * Mark the person who is open.
   *
   * @param {string | undefined} id
   */
  mark(id) {
    this._marked = id;
    for (const row of this._rows.querySelectorAll("button")) {
      if (row.dataset.id === id) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  _typed() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._set({ q: this._input.value.trim(), start: "" }), DELAY_MS);
  }

  async _load() {
    const { api, model } = this._context;
    this._calls.abort();
    this._calls = new AbortController();
    const parameters = { model: model.name, q: this._text, start: this._start, limit: PAGE };
    try {
      this._show(await api.get("/v1/people", parameters, this._calls.signal));
    } catch (error) {
      if (isAbort(error)) return;
      const { message, hint } = explained(error);
      replaceChildren(
        this._rows,
        h("li", { class: "people-note", role: "alert" }, message, " ", hint),
      );
    }
  }

  /** @param {import("../people.js").People} people */
  _show({ people, n_matches, n_ranked, n_people, part, hint }) {
    const isSample = n_ranked !== null && n_people !== null && n_ranked < n_people;
    const all = isSample
      ? `a random ${whole(n_ranked)} of ${whole(n_people)} people`
      : plural(n_ranked ?? 0, "person").replace("persons", "people");
    const found = this._text === "" ? all : `${whole(n_matches)} of ${all}`;
    this._count.textContent =
      `${found.charAt(0).toUpperCase()}${found.slice(1)} of the ${part} part, worst rank first. ${sentence(hint)}`.trim();
    replaceChildren(this._rows, ...people.map((person) => this._row(person)));
    if (people.length === 0) {
      replaceChildren(this._rows, h("li", { class: "people-note quiet" }, "Nobody has this id."));
    }
    this.mark(this._marked);
    const end = this._start + people.length;
    const move = (
      /** @type {string} */ label,
      /** @type {number} */ start,
      /** @type {boolean} */ isPossible,
    ) =>
      h(
        "button",
        {
          class: "button",
          type: "button",
          disabled: !isPossible,
          on: { click: () => this._set({ start: start > 0 ? String(start) : "" }) },
        },
        label,
      );
    replaceChildren(
      this._pages,
      move("Worse", Math.max(0, this._start - PAGE), this._start > 0),
      h(
        "span",
        { class: "small quiet" },
        n_matches === 0 ? "" : `${whole(this._start + 1)}–${whole(end)}`,
      ),
      move("Better", end, end < n_matches),
    );
    this._pages.hidden = n_matches <= PAGE;
  }

  /** @param {import("../people.js").PersonRow} person */
  _row({ person_id, worst_rank, target, n_targets }) {
    const rank = worst_rank === null ? "–" : whole(worst_rank);
    const next = n_targets > 1 ? `${target.title} and ${whole(n_targets - 1)} more` : target.title;
    return h(
      "li",
      {},
      h(
        "button",
        {
          class: "people-row",
          type: "button",
          data: { id: person_id },
          on: { click: () => this._set({ person: person_id }) },
        },
        h(
          "span",
          { class: "two-lines" },
          h("span", { class: "title", dir: "auto" }, person_id),
          h("span", { class: "quiet", dir: "auto" }, next),
        ),
        h(
          "span",
          { class: "people-rank" },
          h("span", { class: "visually-hidden" }, worst_rank === null ? "no rank " : "worst rank "),
          rank,
        ),
      ),
    );
  }

  /** @param {Record<string, string>} options */
  _set(options) {
    const { store } = this._context;
    const merged = Object.entries({ ...store.state.options, ...options }).filter(
      ([, value]) => value !== "",
    );
    store.change({ options: Object.fromEntries(merged) }, { isUndoable: false });
  }
}

/** @param {string | undefined} text */
function startOf(text) {
  const start = Number(text ?? 0);
  return Number.isInteger(start) && start >= 0 && start <= 1e6 ? start : 0;
}
