/** The points of a map: their arrays, and which of them are near a place. */

const STEPS = 65_535;
const CELLS = 128;

/** Points in the unit square, the most frequent item first. */
export class Points {
  /**
   * @param {ArrayBuffer} bytes x and y as uint16, group and popularity as uint8, one array after
   *   the other, little-endian
   */
  constructor(bytes) {
    const n = Math.floor(bytes.byteLength / 6);
    const view = new DataView(bytes);
    this.count = n;
    this.x = new Float32Array(n);
    this.y = new Float32Array(n);
    for (let at = 0; at < n; at++) {
      this.x[at] = view.getUint16(2 * at, true) / STEPS;
      this.y[at] = view.getUint16(2 * (n + at), true) / STEPS;
    }
    this.group = new Uint8Array(bytes, 4 * n, n);
    this.popularity = new Uint8Array(bytes, 5 * n, n);
    /** Points by cell, and where each cell begins. */
    this._order = new Uint32Array(n);
    this._starts = new Uint32Array(CELLS * CELLS + 1);
    this._sortIntoCells();
  }

  /**
   * The point nearest to a place, within a radius; null if there is none.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} radius
   * @returns {number | null}
   */
  nearest(x, y, radius) {
    let best = null;
    let least = radius * radius;
    const [left, right] = [cellOf(x - radius), cellOf(x + radius)];
    const [top, bottom] = [cellOf(y - radius), cellOf(y + radius)];
    for (let row = top; row <= bottom; row++) {
      for (
        let at = this._starts[row * CELLS + left];
        at < this._starts[row * CELLS + right + 1];
        at++
      ) {
        const point = this._order[at];
        const distance = (this.x[point] - x) ** 2 + (this.y[point] - y) ** 2;
        if (distance < least || (distance === least && best !== null && point < best)) {
          least = distance;
          best = point;
        }
      }
    }
    return best;
  }

  _sortIntoCells() {
    const starts = this._starts;
    const cells = new Uint32Array(this.count);
    for (let at = 0; at < this.count; at++) {
      cells[at] = cellOf(this.y[at]) * CELLS + cellOf(this.x[at]);
      starts[cells[at] + 1]++;
    }
    for (let cell = 0; cell < CELLS * CELLS; cell++) starts[cell + 1] += starts[cell];
    const next = starts.slice(0, -1);
    for (let at = 0; at < this.count; at++) this._order[next[cells[at]]++] = at;
  }
}

/** @param {number} value */
function cellOf(value) {
  return Math.min(CELLS - 1, Math.max(0, Math.floor(value * CELLS)));
}
