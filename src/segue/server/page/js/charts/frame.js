/** The frame of every chart: a title, its unit, and a picture drawn anew at each width. */

/** @import { Scale } from "./scale.js" */

import { h, replaceChildren, svg } from "../dom.js";

/**
 * @typedef {{left: number, right: number, top: number, bottom: number}} Area in pixels
 */

const SMALLEST = 120;

/**
 * The width that the values of a vertical axis need.
 *
 * @param {Scale} scale
 * @param {(value: number) => string} textOf
 */
export function axisWidth(scale, textOf) {
  return 14 + 7 * scale.ticks.reduce((most, tick) => Math.max(most, textOf(tick).length), 2);
}

/**
 * A figure with a heading and a picture as wide as its place.
 *
 * @param {{title: string, unit?: string, text: string, height: number,
 *   draw: (width: number, height: number) => Node[]}} chart `text` says for screen readers what
 *   the picture shows
 * @returns {HTMLElement}
 */
export function figure({ title, unit = "", text, height, draw }) {
  const picture = svg("svg", { class: "chart", role: "img", "aria-label": text, height });
  const place = h("div", { class: "chart-place", style: { height: `${height}px` } }, picture);
  let drawn = 0;
  const watcher = new ResizeObserver(([entry]) => {
    const width = Math.max(SMALLEST, Math.round(entry.contentRect.width));
    if (width === drawn) return;
    drawn = width;
    picture.setAttribute("width", String(width));
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    replaceChildren(picture, ...draw(width, height));
  });
  watcher.observe(place);
  return h(
    "figure",
    { class: "figure" },
    h(
      "figcaption",
      { class: "figure-head" },
      h("h3", {}, title),
      h("span", { class: "quiet small" }, unit),
    ),
    place,
  );
}

/**
 * Horizontal hairlines with their values, at the left of an area.
 *
 * @param {Scale} scale
 * @param {Area} area
 * @param {(value: number) => string} textOf
 * @returns {Node[]}
 */
export function gridLines(scale, area, textOf) {
  return scale.ticks.flatMap((tick) => {
    const y = Math.round(scale.of(tick)) + 0.5;
    return [
      svg("line", { class: "chart-rule", x1: area.left, x2: area.right, y1: y, y2: y }),
      svg(
        "text",
        { class: "chart-text", x: area.left - 8, y: y + 4, "text-anchor": "end" },
        textOf(tick),
      ),
    ];
  });
}

/**
 * The values of a horizontal axis below an area.
 *
 * @param {Scale} scale
 * @param {Area} area
 * @param {(value: number) => string} textOf
 * @returns {Node[]}
 */
export function bottomTexts(scale, area, textOf) {
  return scale.ticks.map((tick, at) => {
    const isFirst = at === 0 && scale.of(tick) - area.left < 8;
    const isLast = at === scale.ticks.length - 1 && area.right - scale.of(tick) < 16;
    const anchor = isFirst ? "start" : isLast ? "end" : "middle";
    const x = isFirst ? area.left : isLast ? area.right : scale.of(tick);
    return svg(
      "text",
      { class: "chart-text", x, y: area.bottom + 18, "text-anchor": anchor },
      textOf(tick),
    );
  });
}
