/** Lines over a common axis, each with its name at its end, or above where the chart is narrow. */

/** @import { Scale } from "./scale.js" */
/** @import { Area } from "./frame.js" */

import { svg } from "../dom.js";
import { axisWidth, bottomTexts, figure, gridLines } from "./frame.js";
import { linear, tickText } from "./scale.js";

/**
 * @typedef {{name: string, colour: number, x: number[], y: (number | null)[], isFaint?: boolean}}
 *   Line `colour` is the number of a series, from 1
 */

const NAME_HEIGHT = 15;
const DASH = 12;
const LETTER = 7.4;
/** The width below which names would take too much of it. */
const NARROW = 320;

/**
 * @param {{title: string, unit?: string, text: string, height?: number, lines: Line[],
 *   xText?: (value: number) => string, yText?: (value: number) => string, fromZero?: boolean,
 *   mark?: {x: number, text: string} | null, xRange?: [number, number]}} chart
 * @returns {HTMLElement}
 */
export function lineChart(chart) {
  const { title, unit, text, height = 190, lines, fromZero = false, mark = null } = chart;
  const { xText = tickText, yText = tickText } = chart;
  const named = lines.filter((line) => line.name !== "");
  const draw = (/** @type {number} */ width) => {
    const longest = Math.max(0, ...named.map((line) => line.name.length));
    const isAbove = width < NARROW && named.length > 0;
    const isBeside = !isAbove && named.length > 0;
    const right = width - (isBeside ? Math.min(24 + DASH + LETTER * longest, width / 2.5) : 12);
    const names = isAbove ? namesAbove(named, width) : [];
    const top = 12 + NAME_HEIGHT * ((names.at(-1)?.row ?? -1) + 1);
    const xs = lines.flatMap((line) => line.x);
    const ys = lines.flatMap((line) => line.y.filter((value) => value !== null));
    const vertical = /** @type {[number, number]} */ ([height - 26, top]);
    const y = linear(fromZero ? 0 : least(ys), most(ys), vertical, { count: 4 });
    const area = { left: axisWidth(y, yText), right, top, bottom: height - 26 };
    const [low, high] = chart.xRange ?? [least(xs), most(xs)];
    const x = linear(low, high, [area.left, area.right], {
      isRound: false,
      count: (right - area.left) / 64,
    });
    return [
      ...gridLines(y, area, yText),
      ...bottomTexts(x, area, xText),
      ...(mark === null ? [] : markOf(mark, x, area)),
      ...lines.flatMap((line) => shapesOf(line, x, y)),
      ...(isAbove
        ? names.flatMap(({ line, x: at, row }) => nameOf(line, at, 6 + NAME_HEIGHT * row))
        : namesOf(named, y, area)),
    ];
  };
  return figure({ title, unit, text, height, draw });
}

/**
 * A path through the points that follow each other; a point between two gaps is a dot.
 *
 * @param {Line} line
 * @param {Scale} x
 * @param {Scale} y
 * @returns {Node[]}
 */
function shapesOf(line, x, y) {
  const style = { "--series": `var(--series-${line.colour})` };
  let path = "";
  /** @type {Node[]} */
  const dots = [];
  line.y.forEach((value, at) => {
    if (value === null) return;
    const [cx, cy] = [x.of(line.x[at]).toFixed(1), y.of(value).toFixed(1)];
    const isFirst = (line.y[at - 1] ?? null) === null;
    const isLast = (line.y[at + 1] ?? null) === null;
    if (isFirst && isLast) dots.push(svg("circle", { class: "chart-point", style, cx, cy, r: 3 }));
    else path += `${isFirst ? "M" : "L"}${cx} ${cy}`;
  });
  const name = line.isFaint ? "chart-line is-faint" : "chart-line";
  return [svg("path", { class: name, style, d: path }), ...dots];
}

/**
 * The names of lines at their ends, each after a dash of its colour, moved apart where they would overlap.
 *
 * @param {Line[]} lines
 * @param {Scale} y
 * @param {Area} area
 */
function namesOf(lines, y, area) {
  const places = lines
    .map((line) => ({ line, y: y.of(line.y.findLast((value) => value !== null) ?? y.low) }))
    .sort((left, right) => left.y - right.y);
  places.forEach((place, at) => {
    if (at > 0) place.y = Math.max(place.y, places[at - 1].y + NAME_HEIGHT);
  });
  const over = Math.max(0, (places.at(-1)?.y ?? 0) - area.bottom);
  const from = area.right + 8;
  return places.flatMap(({ line, y: at }) => nameOf(line, from, at - over));
}

/**
 * Places of the names of lines in rows at the top.
 *
 * @param {Line[]} lines
 * @param {number} width of the rows
 */
function namesAbove(lines, width) {
  let [x, row] = [0, 0];
  return lines.map((line) => {
    const length = DASH + 6 + LETTER * line.name.length;
    if (x > 0 && x + length > width) [x, row] = [0, row + 1];
    const place = { line, x, row };
    x += length + 12;
    return place;
  });
}

/**
 * A name after a dash of the colour of its line.
 *
 * @param {Line} line
 * @param {number} x
 * @param {number} y
 */
function nameOf(line, x, y) {
  return [
    svg("path", {
      class: line.isFaint ? "chart-line is-faint" : "chart-line",
      style: { "--series": `var(--series-${line.colour})` },
      d: `M${x} ${y}h${DASH}`,
    }),
    svg("text", { class: "chart-name", x: x + DASH + 6, y: y + 4 }, line.name),
  ];
}

/**
 * @param {{x: number, text: string}} mark
 * @param {Scale} x
 * @param {Area} area
 */
function markOf(mark, x, area) {
  const at = Math.round(x.of(mark.x)) + 0.5;
  const isRight = at > (area.left + area.right) / 2;
  return [
    svg("line", { class: "chart-mark", x1: at, x2: at, y1: area.top, y2: area.bottom }),
    svg(
      "text",
      {
        class: "chart-text",
        x: at + (isRight ? -6 : 6),
        y: area.top + 8,
        "text-anchor": isRight ? "end" : "start",
      },
      mark.text,
    ),
  ];
}

/** @param {number[]} values */
function least(values) {
  return values.reduce((left, right) => Math.min(left, right), Infinity);
}

/** @param {number[]} values */
function most(values) {
  return values.reduce((left, right) => Math.max(left, right), -Infinity);
}
