/** The graph of the transformer: boxes from the input down to the scores, and skip connections. */

import { h, svg } from "../../dom.js";
import { whole } from "../../format.js";

/**
 * @typedef {{name: string, role: "input" | "table" | "module" | "add" | "scores", kind: string,
 *   output: number[], parameters: number, repeats: number, is_in_block: boolean,
 *   sources: number[]}} GraphNode
 * @typedef {{bottom: number, from: number, to: number, lane: number, isPlus: boolean}} Skip
 * @typedef {{top: number, bottom: number}} Place
 */

/** A phone: a third line in each box, so that letters keep their size. */
const IS_NARROW = matchMedia("(max-width: 760px)").matches;
const WIDTH = IS_NARROW ? 236 : 340;
const BOX = IS_NARROW ? 64 : 46;
const GAP = 22;
const PLUS = 11;
const LANE = 18;
const FRAME = 14;
const ROUND = 8;

/**
 * @param {GraphNode[]} nodes in drawing order, each after those that it reads
 * @returns {HTMLElement}
 */
export function graphOf(nodes) {
  const places = placesOf(nodes);
  const skips = skipsOf(nodes, places);
  const lanes = 1 + skips.reduce((most, skip) => Math.max(most, skip.lane), 0);
  const frame = frameOf(nodes, places);
  const left = frame === null ? 2 : 58;
  const width = left + WIDTH + FRAME + lanes * LANE + 8;
  const height = (places.at(-1)?.bottom ?? 0) + 4;
  const picture = svg(
    "svg",
    {
      class: "graph",
      role: "img",
      "aria-label": "The parts listed below, and what each reads",
      viewBox: `${-left} -2 ${width} ${height + 4}`,
      width,
    },
    ...(frame === null ? [] : frameNodes(frame, lanes)),
    ...arrowsOf(nodes, places),
    ...skips.map((skip) => skipNode(skip)),
    ...nodes.flatMap((node, at) => partOf(node, places[at])),
  );
  const rows = nodes
    .filter((node) => node.role !== "add")
    .map((node) => {
      const repeats = node.is_in_block && node.repeats > 1 ? `, ${node.repeats} times` : "";
      return h(
        "li",
        {},
        `${readable(node.name)}: ${node.kind || node.role}, ${whole(node.parameters)} parameters${repeats}`,
      );
    });
  return h(
    "div",
    { class: "graph-place" },
    picture,
    h("ul", { class: "visually-hidden" }, ...rows),
  );
}

/** @param {GraphNode[]} nodes */
function placesOf(nodes) {
  let y = 0;
  return nodes.map((node, at) => {
    if (at > 0 && node.is_in_block !== nodes[at - 1].is_in_block) y += FRAME;
    const size = node.role === "add" ? 2 * PLUS : BOX;
    const place = { top: y, bottom: y + size };
    y += size + GAP;
    return place;
  });
}

/**
 * Connections that jump over nodes, each in a lane of its own at the right.
 *
 * @param {GraphNode[]} nodes
 * @param {Place[]} places
 */
function skipsOf(nodes, places) {
  /** @type {Skip[]} */
  const skips = [];
  nodes.forEach((node, at) => {
    for (const source of node.sources) {
      if (source === at - 1) continue;
      const from = source < 0 ? 0 : places[source].bottom + GAP / 2;
      const to =
        node.role === "add" ? (places[at].top + places[at].bottom) / 2 : places[at].top + BOX / 2;
      let lane = 1;
      while (skips.some((skip) => skip.lane === lane && skip.from < to && from < skip.to)) lane++;
      skips.push({
        bottom: source < 0 ? 0 : places[source].bottom,
        from,
        to,
        lane,
        isPlus: node.role === "add",
      });
    }
  });
  return skips;
}

/**
 * @param {GraphNode[]} nodes
 * @param {Place[]} places
 */
function frameOf(nodes, places) {
  const inside = nodes
    .map((node, at) => ({ node, at }))
    .filter(({ node }) => node.is_in_block && node.repeats > 1);
  if (inside.length === 0) return null;
  const first = inside[0];
  const last = inside[inside.length - 1];
  return {
    top: places[first.at].top - FRAME,
    bottom: places[last.at].bottom + FRAME,
    repeats: first.node.repeats,
  };
}

/**
 * @param {{top: number, bottom: number, repeats: number}} frame
 * @param {number} lanes
 */
function frameNodes({ top, bottom, repeats }, lanes) {
  return [
    svg("rect", {
      class: "graph-frame",
      x: -FRAME,
      y: top,
      width: WIDTH + 2 * FRAME + (lanes - 1) * LANE,
      height: bottom - top,
      rx: 10,
    }),
    svg(
      "text",
      { class: "graph-repeats", x: -FRAME - 10, y: (top + bottom) / 2 + 5, "text-anchor": "end" },
      `× ${repeats}`,
    ),
  ];
}

/**
 * @param {GraphNode[]} nodes
 * @param {Place[]} places
 */
function arrowsOf(nodes, places) {
  return nodes.flatMap((node, at) => {
    if (at === 0 || !node.sources.includes(at - 1)) return [];
    const from = places[at - 1].bottom;
    const to = places[at].top;
    const x = WIDTH / 2;
    return [svg("path", { class: "graph-line", d: `M${x} ${from}V${to - 1}${head(x, to)}` })];
  });
}

/**
 * @param {Skip} skip
 */
function skipNode({ bottom, from, to, lane, isPlus }) {
  const x = WIDTH + lane * LANE - 4;
  const end = isPlus ? WIDTH / 2 + PLUS : WIDTH;
  const path =
    `M${WIDTH / 2} ${bottom}V${from}H${x - ROUND}Q${x} ${from} ${x} ${from + ROUND}` +
    `V${to - ROUND}Q${x} ${to} ${x - ROUND} ${to}H${end + 1}` +
    `M${end + 6} ${to - 4}L${end + 1} ${to}L${end + 6} ${to + 4}`;
  return svg("path", { class: "graph-line", d: path });
}

/**
 * @param {number} x
 * @param {number} y
 */
function head(x, y) {
  return `M${x - 4} ${y - 6}L${x} ${y - 1}L${x + 4} ${y - 6}`;
}

/**
 * @param {GraphNode} node
 * @param {Place} place
 * @returns {Node[]}
 */
function partOf(node, place) {
  return node.role === "add" ? plusNodes(place) : boxNodes(node, place);
}

/** @param {Place} place */
function plusNodes({ top, bottom }) {
  const x = WIDTH / 2;
  const y = (top + bottom) / 2;
  return [
    svg("circle", { class: "graph-plus", cx: x, cy: y, r: PLUS }),
    svg("path", { class: "graph-line", d: `M${x - 5} ${y}H${x + 5}M${x} ${y - 5}V${y + 5}` }),
  ];
}

/**
 * @param {GraphNode} node
 * @param {Place} place
 */
function boxNodes(node, { top }) {
  const shape = node.output.map((length) => whole(length)).join(" × ");
  const last = IS_NARROW ? top + 53 : top + 36;
  const size = node.parameters > 0 ? `${whole(node.parameters)} parameters` : "";
  return [
    svg("rect", {
      class: `graph-box graph-${node.role}`,
      x: 0,
      y: top,
      width: WIDTH,
      height: BOX,
      rx: 8,
    }),
    svg("text", { class: "graph-name", x: 12, y: top + 20 }, readable(node.name)),
    svg(
      "text",
      { class: "graph-quiet", x: 12, y: top + 36 },
      shortened(readable(node.kind), IS_NARROW ? 36 : (WIDTH - 40) / 6.4 - size.length),
    ),
    svg(
      "text",
      { class: "graph-shape", x: WIDTH - 12, y: IS_NARROW ? last : top + 20, "text-anchor": "end" },
      shape,
    ),
    svg(
      "text",
      {
        class: "graph-quiet",
        x: IS_NARROW ? 12 : WIDTH - 12,
        y: last,
        "text-anchor": IS_NARROW ? "start" : "end",
      },
      size,
    ),
  ];
}

/** @param {string} name */
function readable(name) {
  return name.replaceAll("_", " ");
}

/**
 * @param {string} text
 * @param {number} letters
 */
function shortened(text, letters) {
  return text.length > letters ? `${text.slice(0, Math.floor(letters) - 1)}…` : text;
}
