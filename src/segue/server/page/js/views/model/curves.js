/** The training curves of the view Model. */

import { lineChart } from "../../charts/lines.js";
import { h } from "../../dom.js";
import { metricName, threeDigits, whole } from "../../format.js";

/**
 * @typedef {{panel: "loss" | "metric" | "learning rate", name: string, steps: number[],
 *   values: (number | null)[]}} Curve
 * @typedef {{metric: string, best: {step: number, value: number} | null, series: Curve[]}} Curves
 */

const PANELS = /** @type {const} */ ([
  { panel: "loss", title: "Loss", unit: "nats per label" },
  { panel: "metric", title: "Validation", unit: "higher is better" },
  { panel: "learning rate", title: "Learning rate", unit: "per step" },
]);

/**
 * @param {Curves} curves
 * @returns {Node[]}
 */
export function curvesOf({ metric, best, series }) {
  if (series.length === 0) {
    return [
      h("p", { class: "quiet" }, "The log of the training, metrics.jsonl, is not in the run."),
    ];
  }
  const charts = PANELS.flatMap(({ panel, title, unit }) => {
    const own = series.filter((curve) => curve.panel === panel);
    if (own.length === 0) return [];
    const chosen =
      panel === "metric" ? own.toSorted((left) => (left.name === metric ? -1 : 1)) : own;
    const mark =
      best !== null && panel !== "learning rate"
        ? { x: best.step, text: `best at ${whole(best.step)}` }
        : null;
    const lines = chosen.map((curve, at) => ({
      name: own.length === 1 ? "" : panel === "metric" ? metricName(curve.name) : curve.name,
      colour: at === 0 ? 1 : panel === "metric" ? 6 : 3,
      x: curve.steps,
      y: curve.values,
      isFaint: panel === "metric" && at > 0,
    }));
    return [
      lineChart({
        title,
        unit,
        text: chosen.map(spoken).join(". "),
        lines,
        mark,
        fromZero: panel !== "loss",
      }),
    ];
  });
  return [
    h("div", { class: "chart-grid" }, ...charts),
    h("p", { class: "small quiet" }, "By training step."),
  ];
}

/** @param {Curve} curve */
function spoken({ name, steps, values }) {
  const finite = values.filter((value) => value !== null);
  if (finite.length === 0) return `${name}: no values`;
  const first = threeDigits(finite[0]);
  const last = threeDigits(finite[finite.length - 1]);
  return `${name}: from ${first} to ${last} in ${whole(steps[steps.length - 1])} steps`;
}
