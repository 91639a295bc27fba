/** Which part of the unit square the canvas shows. */

const LEAST_ZOOM = 0.6;
const MOST_ZOOM = 200;
const MARGIN = 0.9;
const FLIGHT_MS = 260;

export class Camera {
  constructor() {
    this.x = 0.5;
    this.y = 0.5;
    this.zoom = 1;
    this.width = 1;
    this.height = 1;
    /** Pixels at the left and the bottom that are covered by the panel. */
    this.covered = { left: 0, bottom: 0 };
    /** @type {{from: number[], to: number[], start_ms: number} | null} */
    this._flight = null;
  }

  /** Pixels of the shorter side of what is not covered. */
  get free() {
    return Math.min(this.width - this.covered.left, this.height - this.covered.bottom);
  }

  /** Pixels per unit. */
  get scale() {
    return Math.max(1, this.free * MARGIN * this.zoom);
  }

  /** The pixel of the middle of what is not covered. */
  get middle() {
    return {
      x: (this.width + this.covered.left) / 2,
      y: (this.height - this.covered.bottom) / 2,
    };
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  toPixel(x, y) {
    const { scale, middle } = this;
    return { x: (x - this.x) * scale + middle.x, y: (y - this.y) * scale + middle.y };
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  toPlace(x, y) {
    const { scale, middle } = this;
    return { x: (x - middle.x) / scale + this.x, y: (y - middle.y) / scale + this.y };
  }

  /**
   * @param {number} right pixels
   * @param {number} down pixels
   */
  moveBy(right, down) {
    this._flight = null;
    this.x = inside(this.x - right / this.scale);
    this.y = inside(this.y - down / this.scale);
  }

  /**
   * Zoom so that the place under a pixel stays there.
   *
   * @param {number} factor
   * @param {{x: number, y: number}} pixel
   */
  zoomBy(factor, pixel) {
    this._flight = null;
    const before = this.toPlace(pixel.x, pixel.y);
    this.zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, this.zoom * factor));
    const after = this.toPlace(pixel.x, pixel.y);
    this.x = inside(this.x + before.x - after.x);
    this.y = inside(this.y + before.y - after.y);
  }

  /**
   * Move to a place within a quarter of a second, or at once where the user wants no motion.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} zoom
   */
  flyTo(x, y, zoom) {
    const to = [inside(x), inside(y), Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, zoom))];
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      [this.x, this.y, this.zoom] = to;
      this._flight = null;
    } else this._flight = { from: [this.x, this.y, this.zoom], to, start_ms: performance.now() };
  }

  /**
   * Be where a flight is by now.
   *
   * @returns {boolean} whether it goes on
   */
  step() {
    if (this._flight === null) return false;
    const { from, to, start_ms } = this._flight;
    const share = Math.min(1, (performance.now() - start_ms) / FLIGHT_MS);
    const eased = 1 - (1 - share) ** 3;
    this.x = from[0] + (to[0] - from[0]) * eased;
    this.y = from[1] + (to[1] - from[1]) * eased;
    this.zoom = from[2] * (to[2] / from[2]) ** eased;
    if (share === 1) this._flight = null;
    return this._flight !== null;
  }
}

/** @param {number} value */
function inside(value) {
  return Math.min(1, Math.max(0, value));
}
