/** Bars side by side, each of one or two parts. */

import { svg } from "../dom.js";
import { axisWidth, figure, gridLines } from "./frame.js";
import { linear, tickText } from "./scale.js";

/**
 * @typedef {{label: string, value: number, part?: number, title: string}} Bar `part` is that share
 *   of the value that is drawn in the colour of errors
 */

const LETTER = 8;
const SPACE = 6;

/**
 * @param {{title: string, unit?: string, text: string, height?: number, bars: Bar[],
 *   isWhole?: boolean, maxWidth?: number}} chart
 * @returns {HTMLElement}
 */
export function barChart({ title, unit, text, height = 190, bars, isWhole = true, maxWidth = 48 }) {
  const draw = (/** @type {number} */ width) => {
    const highest = bars.reduce((most, bar) => Math.max(most, bar.value), 0);
    const y = linear(0, highest || 1, [height - 26, 12], { count: 4, isWhole });
    const left = axisWidth(y, tickText);
    const area = { left, right: width - 4, top: 12, bottom: height - 26 };
    const place = (area.right - area.left) / Math.max(bars.length, 1);
    const thick = Math.min(maxWidth, Math.max(1, place * 0.72));
    return [
      ...gridLines(y, area, tickText),
      ...bars.flatMap((bar, at) => barOf(bar, area.left + place * (at + 0.5), thick, y)),
      ...labelsOf(bars, place, area),
    ];
  };
  return figure({ title, unit, text, height, draw });
}

/**
 * The labels of bars that have room, from the last one.
 *
 * @param {Bar[]} bars
 * @param {number} place the width of one
 * @param {import("./frame.js").Area} area
 */
function labelsOf(bars, place, area) {
  const labels = [];
  let free = area.right + 4;
  for (let at = bars.length - 1; at >= 0; at--) {
    const width = LETTER * bars[at].label.length;
    const middle = Math.min(area.left + place * (at + 0.5), area.right + 4 - width / 2);
    if (width === 0 || middle + width / 2 > free) continue;
    free = middle - width / 2 - SPACE;
    labels.push(
      svg(
        "text",
        { class: "chart-text", x: middle, y: area.bottom + 18, "text-anchor": "middle" },
        bars[at].label,
      ),
    );
  }
  return labels;
}

/**
 * @param {Bar} bar
 * @param {number} middle
 * @param {number} thick
 * @param {import("./scale.js").Scale} y
 */
function barOf(bar, middle, thick, y) {
  if (bar.value <= 0) return [];
  const rect = (/** @type {number} */ from, /** @type {number} */ to, /** @type {string} */ name) =>
    svg("rect", {
      class: name,
      x: middle - thick / 2,
      y: y.of(to),
      width: thick,
      height: Math.max(1, y.of(from) - y.of(to)),
      rx: Math.min(3, thick / 3),
    });
  const part = bar.part ?? 0;
  const group = svg("g", {}, svg("title", {}, bar.title), rect(0, bar.value, "chart-bar"));
  if (part > 0) group.append(rect(0, part, "chart-bar chart-bar-error"));
  return [group];
}
