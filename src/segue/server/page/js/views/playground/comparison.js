/** Two lists side by side: equal items are joined by lines, coloured by gain or loss of rank. */

import { cover, subtitle } from "../../components/cards.js";
import { errorState, loadingState, waitingState } from "../../components/states.js";
import { h, icon, replaceChildren, svg } from "../../dom.js";

/**
 * @typedef {import("../../api.js").Answer} Answer
 * @typedef {import("../../api.js").ListedItem} ListedItem
 * @typedef {import("./list-loader.js").ListState} ListState
 */

export class Comparison {
  /**
   * @param {import("../../router.js").ViewContext} context
   * @param {import("./actions.js").Actions} actions
   * @param {() => void} retry
   */
  constructor(context, actions, retry) {
    this._context = context;
    this._actions = actions;
    this._retry = retry;
    /** @type {(Answer | null)[]} */
    this._answers = [null, null];
    this._names = [h("h3", { class: "ellipsis" }), h("h3", { class: "ellipsis" })];
    this._lists = ["First list", "Second list"].map((label) =>
      h("ol", { class: "compare-list", "aria-label": label }),
    );
    this._states = [h("div"), h("div")];
    this._lines = svg("svg", { class: "compare-lines", "aria-hidden": "true" });
    this.element = h(
      "div",
      { class: "compare" },
      ...[0, 1].map((side) =>
        h(
          "div",
          { class: "compare-side" },
          h("div", { class: "compare-head" }, this._names[side], side === 1 && this._stop()),
          this._states[side],
          this._lists[side],
        ),
      ),
      this._lines,
    );
    const observer = new ResizeObserver(() => this._drawLines());
    observer.observe(this.element);
    context.signal.addEventListener("abort", () => observer.disconnect());
  }

  _stop() {
    const stop = () => this._context.store.change({ compare: null });
    const label = "Stop comparing";
    return h(
      "button",
      {
        class: "icon-button",
        type: "button",
        title: label,
        "aria-label": label,
        on: { click: stop },
      },
      icon("close"),
    );
  }

  /**
   * @param {string} left
   * @param {string} right
   */
  name(left, right) {
    this._names[0].textContent = left;
    this._names[1].textContent = right;
  }

  /**
   * @param {0 | 1} side
   * @param {ListState} state
   */
  show(side, state) {
    const place = this._states[side];
    if (state.kind === "loading") {
      if (this._answers[side] === null) replaceChildren(place, loadingState("Loading the list"));
      return;
    }
    this._answers[side] = state.kind === "list" ? state.answer : null;
    replaceChildren(
      place,
      state.kind === "waiting" && waitingState(state.error),
      state.kind === "error" && errorState(state.error, this._retry),
      state.kind === "nothing" && h("p", { class: "state quiet" }, "No item is left."),
    );
    this._draw();
  }

  _draw() {
    this._answers.forEach((answer, side) => {
      const others = this._answers[1 - side]?.items ?? null;
      const rows = (answer?.items ?? []).map((item) => this._row(item, others, side === 1));
      replaceChildren(this._lists[side], ...rows);
    });
    this._drawLines();
  }

  /**
   * @param {ListedItem} item
   * @param {ListedItem[] | null} others
   * @param {boolean} isMoveShown the second list says how ranks moved
   */
  _row(item, others, isMoveShown) {
    const other = others?.find(({ item_id }) => item_id === item.item_id);
    const moved = other === undefined ? null : other.rank - item.rank;
    const kind =
      others === null
        ? "same"
        : moved === null
          ? "new"
          : Math.sign(moved) > 0
            ? "gain"
            : moved === 0
              ? "same"
              : "loss";
    return h(
      "li",
      { class: `compare-row is-${kind}`, data: { id: item.item_id } },
      h("span", { class: "suggestion-rank" }, String(item.rank)),
      cover(item, this._context),
      h(
        "div",
        { class: "two-lines" },
        h(
          "button",
          {
            class: "suggestion-add title",
            type: "button",
            dir: "auto",
            on: { click: () => this._actions.add(item) },
          },
          item.title,
        ),
        subtitle(item),
      ),
      isMoveShown && others !== null && moveBadge(moved),
      !isMoveShown &&
        others !== null &&
        moved === null &&
        h("span", { class: "move quiet", title: "Only in this list" }, "gone"),
    );
  }

  _drawLines() {
    const [left, right] = this._lists;
    const box = this.element.getBoundingClientRect();
    const middle = (/** @type {Element} */ row) => {
      const { top, height } = row.getBoundingClientRect();
      return top + height / 2 - box.top;
    };
    const x1 = left.getBoundingClientRect().right - box.left;
    const x2 = right.getBoundingClientRect().left - box.left;
    this._lines.setAttribute("width", String(box.width));
    this._lines.setAttribute("height", String(box.height));
    const rows = new Map(
      [...right.children].map((row) => [/** @type {HTMLElement} */ (row).dataset.id, row]),
    );
    const paths = [...left.children].flatMap((row) => {
      const to = rows.get(/** @type {HTMLElement} */ (row).dataset.id);
      if (to === undefined) return [];
      const [y1, y2] = [middle(row), middle(to)];
      const bend = (x2 - x1) / 2;
      const kind = to.classList.contains("is-gain")
        ? "gain"
        : to.classList.contains("is-loss")
          ? "loss"
          : "same";
      const d = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
      return [svg("path", { class: `line line-${kind}`, d })];
    });
    replaceChildren(this._lines, ...paths);
  }
}

/** @param {number | null} moved places up; null for an item that the other list lacks */
function moveBadge(moved) {
  if (moved === null) return h("span", { class: "move move-new" }, "new");
  if (moved === 0) return h("span", { class: "move move-same quiet", title: "Same rank" }, "=");
  const word = moved > 0 ? "up" : "down";
  const label = `${Math.abs(moved)} ${word}`;
  return h(
    "span",
    { class: moved > 0 ? "move move-gain" : "move move-loss", "aria-label": label },
    `${moved > 0 ? "▲" : "▼"} ${Math.abs(moved)}`,
  );
}
