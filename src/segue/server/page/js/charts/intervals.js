/** Dots with intervals, one row per name, best first. */

import { svg } from "../dom.js";
import { bottomTexts, figure } from "./frame.js";
import { linear, tickText } from "./scale.js";

/**
 * @typedef {{name: string, role: string, mean: number, low: number | null, high: number | null}}
 *   Dot
 */

const ROW = 30;
const LETTER = 7;
/** The height of a name that stands above its line, where both do not fit beside each other. */
const NAME = 18;

/**
 * @param {{title: string, unit?: string, text: string, dots: Dot[]}} chart
 * @returns {HTMLElement}
 */
export function intervalChart({ title, unit, text, dots }) {
  const isStacked = matchMedia("(max-width: 480px)").matches;
  const height = dots.length * (isStacked ? ROW + NAME : ROW) + 34;
  const draw = (/** @type {number} */ width) => {
    const longest = dots.reduce((most, dot) => Math.max(most, dot.name.length), 0);
    const left = isStacked ? 0 : Math.min(16 + LETTER * longest, width * 0.46);
    const area = { left, right: width - 56, top: 4, bottom: height - 26 };
    const highest = dots.reduce((most, dot) => Math.max(most, dot.high ?? dot.mean), 0);
    const x = linear(0, highest || 1, [area.left, area.right], {
      isRound: false,
      count: width < 420 ? 3 : 5,
    });
    return [
      // The axis itself would cut the names that begin on it.
      ...x.ticks
        .filter((tick) => tick > 0 || !isStacked)
        .map((tick) => {
          const at = Math.round(x.of(tick)) + 0.5;
          return svg("line", {
            class: "chart-rule",
            x1: at,
            x2: at,
            y1: area.top,
            y2: area.bottom,
          });
        }),
      ...bottomTexts(x, area, tickText),
      ...dots.flatMap((dot, row) => {
        const middle = ROW * (row + 0.5) + (isStacked ? NAME * (row + 1) - 6 : 0);
        return rowOf(dot, area.top + middle, x, area, isStacked ? null : left);
      }),
    ];
  };
  return figure({ title, unit, text, height, draw });
}

/**
 * @param {Dot} dot
 * @param {number} y
 * @param {import("./scale.js").Scale} x
 * @param {import("./frame.js").Area} area
 * @param {number | null} room for the name at the left of the line; null for one above it
 */
function rowOf(dot, y, x, area, room) {
  const letters = room === null ? 44 : Math.max(4, Math.floor((room - 12) / LETTER));
  const name = dot.name.length > letters ? `${dot.name.slice(0, letters - 1)}…` : dot.name;
  const isModel = dot.role === "model";
  const end = dot.high === null ? dot.mean : dot.high;
  /** @type {Node[]} */
  const nodes = [
    svg(
      "text",
      {
        class: isModel ? "chart-label is-strong" : "chart-label",
        x: 0,
        y: room === null ? y - NAME + 5 : y + 4,
      },
      svg("title", {}, dot.name),
      name,
    ),
  ];
  if (dot.low !== null && dot.high !== null) {
    nodes.push(
      svg("line", {
        class: `chart-interval role-${dot.role}`,
        x1: x.of(dot.low),
        x2: x.of(dot.high),
        y1: y,
        y2: y,
      }),
    );
  }
  nodes.push(
    svg("circle", {
      class: `chart-dot role-${dot.role}`,
      cx: x.of(dot.mean),
      cy: y,
      r: isModel ? 6 : 4.5,
    }),
    svg(
      "text",
      {
        class: isModel ? "chart-value is-strong" : "chart-value",
        x: Math.max(x.of(end) + 12, area.left),
        y: y + 4,
      },
      dot.mean.toFixed(3),
    ),
  );
  return nodes;
}
