/** Why an item is in a list: the events of the history as bars of contribution. */

import { h } from "../../dom.js";
import { threeDigits, whole } from "../../format.js";

/**
 * @param {import("./explanations.js").Why | null} why null while it is not known
 * @param {import("../../router.js").ViewContext} context
 * @returns {HTMLElement}
 */
export function whyPanel(why, { items }) {
  if (why === null) return h("p", { class: "quiet small" }, "Asking the model");
  if (why.events.length === 0) {
    return h("p", { class: "quiet small" }, "No event of the sequence contributes to it.");
  }
  const largest = Math.max(...why.events.map(({ contribution }) => Math.abs(contribution)), 1e-9);
  const rows = why.events.map(({ id, contribution }) =>
    h(
      "li",
      { class: "why-row" },
      h("span", { class: "ellipsis", dir: "auto" }, items.get(id)?.title ?? id),
      h(
        "span",
        { class: "why-track" },
        h("i", {
          class: contribution < 0 ? "why-bar why-bar-against" : "why-bar",
          style: { "--share": Math.abs(contribution) / largest },
        }),
      ),
      h("span", { class: "why-value" }, signed(contribution)),
    ),
  );
  return h(
    "div",
    { class: "stack" },
    why.text !== "" &&
      h("p", { dir: "auto" }, `${why.text.charAt(0).toUpperCase()}${why.text.slice(1)}.`),
    h("ul", { class: "why-rows", "aria-label": "Contribution of each event, in nats" }, ...rows),
    h(
      "p",
      { class: "quiet small" },
      "Each bar: how much the score falls without this event, in nats.",
    ),
    why.ranks !== null && why.ranks.length > 1 && memberRanks(why.ranks),
  );
}

/** @param {[string, number][]} ranks */
function memberRanks(ranks) {
  const shown = ranks.map(([name, rank]) =>
    h(
      "li",
      { class: rank <= 10 ? "why-member is-high" : "why-member" },
      `${name} `,
      h("b", {}, whole(rank)),
    ),
  );
  return h(
    "div",
    { class: "why-members" },
    h("span", { class: "quiet small" }, "Rank by each member of the ensemble alone"),
    h("ul", { "aria-label": "Rank by each member of the ensemble alone" }, ...shown),
  );
}

/** @param {number} value */
function signed(value) {
  const text = threeDigits(Math.abs(value) < 0.0005 ? 0 : Number(value.toFixed(3)));
  return value >= 0.0005 ? `+${text}` : text.replace("-", "−");
}
