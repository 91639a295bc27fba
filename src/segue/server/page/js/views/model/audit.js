/** The data audit of the view Model. */

import { barChart } from "../../charts/bars.js";
import { tickText } from "../../charts/scale.js";
import { bigNumbers } from "../../components/numbers.js";
import { h } from "../../dom.js";
import { plural, whole } from "../../format.js";

/** @typedef {{from: number, to: number, n: number}} Bin */

/**
 * @param {Record<string, any> | null} audit
 * @returns {Node[]}
 */
export function auditOf(audit) {
  if (audit === null) {
    const text =
      "The dataset that the model was trained on is not in its place. Start the server with " +
      "--data DATASET to see its audit here.";
    return [h("p", { class: "quiet" }, text)];
  }
  const { counts, lengths, popularity } = audit;
  return [
    bigNumbers([
      { label: "Sequences", value: whole(counts.sequences) },
      { label: "Events", value: whole(counts.events) },
      { label: "Items", value: whole(counts.items) },
      { label: "Median length", value: tickText(lengths.quartiles[1]), unit: "events" },
    ]),
    h(
      "div",
      { class: "chart-grid" },
      histogram("Sequences by length", "events", lengths.histogram, "sequence"),
      histogram("Items by popularity", "training events", popularity.histogram, "item"),
    ),
    h(
      "ul",
      { class: "findings" },
      ...findingsOf(audit).map(({ text, isWarning }) => finding(text, isWarning)),
    ),
  ];
}

/**
 * @param {string} title
 * @param {string} unit
 * @param {Bin[]} bins
 * @param {string} noun
 */
function histogram(title, unit, bins, noun) {
  const bars = bins.map(({ from, to, n }) => ({
    label: tickText(from),
    value: n,
    title: `${plural(n, noun)} with ${whole(from)} to ${whole(to)} ${unit}`,
  }));
  const most = bins.reduce((best, bin) => (bin.n > best.n ? bin : best), bins[0]);
  const text = `Most often ${whole(most.from)} to ${whole(most.to)} ${unit}: ${plural(most.n, noun)}`;
  return barChart({ title, unit: `${unit}, from`, text, bars });
}

/** @param {Record<string, any>} audit */
function findingsOf(audit) {
  const { times, repeats, leakage, warnings } = audit;
  const facts = [];
  if (times?.from) {
    const ties =
      times.tie_share > 0
        ? `; ${percent(times.tie_share)} of the events share their time with the one before`
        : "";
    facts.push(`Events from ${day(times.from)} to ${day(times.to)}${ties}.`);
  }
  if (repeats) {
    facts.push(
      repeats.share === 0
        ? "No event repeats an item of its sequence."
        : `${percent(repeats.share)} of the events repeat an item of their sequence.`,
    );
  }
  if (audit.split)
    facts.push(`Split ${audit.split}${leakage?.guarantee ? `: ${leakage.guarantee}` : ""}.`);
  return [
    ...facts.map((text) => ({ text, isWarning: false })),
    ...(warnings ?? []).map((/** @type {string} */ text) => ({ text, isWarning: true })),
  ];
}

/**
 * @param {string} text
 * @param {boolean} isWarning
 */
function finding(text, isWarning) {
  const mark = isWarning && h("strong", { class: "finding-mark" }, "Note");
  return h(
    "li",
    { class: isWarning ? "finding finding-warning" : "finding" },
    mark,
    h("span", {}, text),
  );
}

/** @param {number} share */
function percent(share) {
  return share > 0 && share < 0.001
    ? "less than 0.1 %"
    : `${Number((100 * share).toPrecision(2))} %`;
}

/** @param {string} time */
function day(time) {
  return new Date(time).toLocaleDateString("en-GB", { dateStyle: "medium", timeZone: "UTC" });
}
