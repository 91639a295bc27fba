/** What is drawn over the points: labels, the path of the sequence, the selected item. */

/** @import { MapCanvas } from "./canvas.js" */
/** @import { Palette } from "./palette.js" */

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', Cantarell, sans-serif";
const MAX_LETTERS = 26;
const MAX_STRONG_LETTERS = 44;
const STOP = 11;
const LINE = 24;
const GAP = 16;
/** Of the ground of a label: points below it show through, but do not cut its letters. */
const GROUND_ALPHA = 0.86;

/**
 * @typedef {{index: number, x: number, y: number, width: number}} Box
 */

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {MapCanvas} map
 * @param {{hovered: number | null, hasCross: boolean,
 *   titleOf: (index: number) => string | undefined}} options
 * @returns {Box[]} the places of the labels
 */
export function drawOverlay(pen, map, { hovered, hasCross, titleOf }) {
  const { camera, scene, labelled, palette } = map;
  pen.clearRect(0, 0, camera.width, camera.height);
  const placeOf = (/** @type {number} */ index) =>
    camera.toPixel(map.points.x[index], map.points.y[index]);
  const { selected, similar, path } = scene;
  if (selected !== null) drawRays(pen, placeOf(selected), similar.map(placeOf), palette);
  drawPath(pen, path.map(placeOf), palette);
  const stops = new Set(path);
  const special = [...new Set([hovered, selected].filter((index) => index !== null))];
  /** @type {Box[]} */
  const boxes = [];
  const label = (
    /** @type {number} */ index,
    /** @type {number} */ offset,
    /** @type {boolean} */ isStrong,
  ) => {
    const shift = stops.has(index) ? STOP + 8 : offset;
    const text = titleOf(index);
    return (
      text !== undefined && drawLabel(pen, index, text, placeOf(index), shift, map, isStrong, boxes)
    );
  };
  for (const index of special) {
    const isSelected = index === selected;
    const colour = isSelected ? palette.accent : palette.text;
    if (!stops.has(index)) ring(pen, placeOf(index), isSelected ? 7 : 5, colour);
    label(index, 12, true);
  }
  for (const index of path) if (!special.includes(index)) label(index, 0, false);
  for (const index of labelled) {
    if (special.includes(index) || stops.has(index)) continue;
    const isShown = label(index, 10, false);
    if (isShown) ring(pen, placeOf(index), 4, palette.text, 1.5);
  }
  if (hasCross) drawCross(pen, camera.middle, palette);
  return boxes;
}

/**
 * A title beside a point, unless another one is in its place.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {number} index
 * @param {string} title
 * @param {{x: number, y: number}} place
 * @param {number} offset
 * @param {MapCanvas} map
 * @param {boolean} isStrong
 * @param {Box[]} boxes those of the titles so far, which it joins
 * @returns {boolean} whether there was room
 */
function drawLabel(pen, index, title, place, offset, { palette, camera }, isStrong, boxes) {
  const letters = [...title.replaceAll(/\p{C}+/gu, " ")];
  const most = isStrong ? MAX_STRONG_LETTERS : MAX_LETTERS;
  const text = letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : letters.join("");
  pen.font = `${isStrong ? 600 : 400} 12px ${FONT}`;
  const { width } = pen.measureText(text);
  const isAtEdge = place.x + offset + width > camera.width - 4;
  const x = isAtEdge
    ? Math.max(camera.covered.left + 4, place.x - offset - width)
    : place.x + offset;
  const box = { index, x, y: place.y, width };
  if (!isStrong && boxes.some((other) => overlap(box, other))) return false;
  boxes.push(box);
  pen.globalAlpha = GROUND_ALPHA;
  pen.fillStyle = palette.surface;
  pen.beginPath();
  pen.roundRect(x - 4, place.y - 9, width + 8, 18, 6);
  pen.fill();
  pen.globalAlpha = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.fillStyle = palette.text;
  pen.fillText(text, x, place.y + 0.5);
  return true;
}

/**
 * @param {Box} left
 * @param {Box} right
 */
function overlap(left, right) {
  const across = left.x < right.x + right.width + GAP && right.x < left.x + left.width + GAP;
  return across && Math.abs(left.y - right.y) < LINE;
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {{x: number, y: number}[]} places
 * @param {Palette} palette
 */
function drawPath(pen, places, palette) {
  if (places.length === 0) return;
  pen.beginPath();
  places.forEach(({ x, y }, at) => (at === 0 ? pen.moveTo(x, y) : pen.lineTo(x, y)));
  pen.lineJoin = "round";
  for (const [width, colour] of /** @type {[number, string][]} */ ([
    [5, palette.surface],
    [2, palette.accent],
  ])) {
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.stroke();
  }
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.font = `600 12px ${FONT}`;
  for (const { x, y, numbers } of stopsOf(places)) {
    const text = stopText(numbers);
    const half = Math.max(STOP, pen.measureText(text).width / 2 + 6);
    pen.beginPath();
    pen.roundRect(x - half, y - STOP, 2 * half, 2 * STOP, STOP);
    pen.fillStyle = palette.accent;
    pen.fill();
    pen.lineWidth = 2;
    pen.strokeStyle = palette.surface;
    pen.stroke();
    pen.fillStyle = palette.onAccent;
    pen.fillText(text, x, y + 0.5);
  }
}

/**
 * The stops of a path, from 1; those that would cover each other share one.
 *
 * @param {{x: number, y: number}[]} places
 */
function stopsOf(places) {
  /** @type {{x: number, y: number, numbers: number[]}[]} */
  const stops = [];
  places.forEach(({ x, y }, at) => {
    const near = stops.find((stop) => Math.hypot(stop.x - x, stop.y - y) < 1.8 * STOP);
    if (near === undefined) stops.push({ x, y, numbers: [at + 1] });
    else near.numbers.push(at + 1);
  });
  return stops;
}

/** @param {number[]} numbers */
function stopText(numbers) {
  const [first, last] = [numbers[0], numbers[numbers.length - 1]];
  if (numbers.length > 2 && last - first === numbers.length - 1) return `${first}–${last}`;
  return numbers.length > 3 ? `${first}, ${numbers[1]}, …` : numbers.join(", ");
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {{x: number, y: number}} from
 * @param {{x: number, y: number}[]} places
 * @param {Palette} palette
 */
function drawRays(pen, from, places, palette) {
  pen.beginPath();
  for (const { x, y } of places) {
    pen.moveTo(from.x, from.y);
    pen.lineTo(x, y);
  }
  pen.lineWidth = 1;
  pen.strokeStyle = palette.quiet;
  pen.stroke();
  for (const place of places) ring(pen, place, 5, palette.quiet);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {{x: number, y: number}} place
 * @param {number} radius
 * @param {string} colour
 * @param {number} [weight]
 */
function ring(pen, { x, y }, radius, colour, weight = 2) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.lineWidth = weight;
  pen.strokeStyle = colour;
  pen.stroke();
}

/**
 * Where Enter chooses.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {{x: number, y: number}} middle
 * @param {Palette} palette
 */
function drawCross(pen, { x, y }, palette) {
  pen.lineWidth = 2;
  pen.strokeStyle = palette.accent;
  pen.strokeRect(x - 8, y - 8, 16, 16);
}
