/** Which points get a label: the most frequent ones in view, as many as there is room for. */

const MAX_LABELS = 60;
const MAX_SCANNED = 60_000;
const CELL_WIDTH = 168;
const CELL_HEIGHT = 64;

/**
 * Points in view, no two in the same cell of a grid over the window.
 *
 * @param {import("./points.js").Points} points
 * @param {import("./camera.js").Camera} camera
 * @returns {number[]} most frequent first
 */
export function labelledPoints(points, camera) {
  const taken = new Set();
  const chosen = [];
  const { width, height, covered } = camera;
  const end = Math.min(points.count, MAX_SCANNED);
  for (let at = 0; at < end && chosen.length < MAX_LABELS; at++) {
    const { x, y } = camera.toPixel(points.x[at], points.y[at]);
    if (x < covered.left + 12 || y < 24 || x > width - 60 || y > height - covered.bottom - 16)
      continue;
    const column = Math.floor(x / CELL_WIDTH);
    const row = Math.floor(y / CELL_HEIGHT);
    const cell = `${column} ${row}`;
    if (taken.has(cell)) continue;
    taken.add(cell);
    chosen.push(at);
  }
  return chosen;
}
