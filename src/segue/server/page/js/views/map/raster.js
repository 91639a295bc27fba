/** Draws points as discs into pixels: a call of the canvas per point would take too long. */

const SIZES = 8;
const OTHER = 255;
const STRONG = 200;
/** The extent from which points have their usual size; on a smaller map they are smaller. */
const USUAL_PIXELS = 700;

/** @typedef {{dx: Int16Array, dy: Int16Array, share: Uint8Array, reach: number}} Stamp */

export class Raster {
  constructor() {
    this._image = new ImageData(1, 1);
    this._pixels = new Uint32Array(this._image.data.buffer);
    /** @type {Stamp[]} */
    this._stamps = [];
    this._stampRadius = 0;
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {import("./points.js").Points} points
   * @param {import("./camera.js").Camera} camera
   * @param {{colours: Uint32Array, ratio: number, count: number, only: number | null}} options
   *   device pixels per pixel; how many points, the most frequent first; the only group in full
   *   colour
   */
  draw(pen, points, camera, { colours, ratio, count, only }) {
    const { width, height } = pen.canvas;
    if (this._image.width !== width || this._image.height !== height) {
      this._image = new ImageData(width, height);
      this._pixels = new Uint32Array(this._image.data.buffer);
    }
    this._pixels.fill(0);
    this._prepareStamps(radiusOf(points.count, camera.zoom, camera.free) * ratio);
    const scale = camera.scale * ratio;
    const left = camera.middle.x * ratio - camera.x * scale;
    const top = camera.middle.y * ratio - camera.y * scale;
    const { x, y, group, popularity } = points;
    for (let at = count - 1; at >= 0; at--) {
      const column = Math.round(x[at] * scale + left);
      const row = Math.round(y[at] * scale + top);
      const stamp = this._stamps[(popularity[at] * SIZES) >> 8];
      const { reach } = stamp;
      if (column < reach || row < reach || column >= width - reach || row >= height - reach)
        continue;
      const isFaint = only !== null && group[at] !== only;
      this._blend(
        stamp,
        row * width + column,
        width,
        isFaint ? colours[OTHER] : colours[group[at]],
        isFaint,
      );
    }
    pen.putImageData(this._image, 0, 0);
  }

  /**
   * @param {Stamp} stamp
   * @param {number} centre
   * @param {number} width
   * @param {number} colour
   * @param {boolean} isFaint
   */
  _blend({ dx, dy, share }, centre, width, colour, isFaint) {
    const pixels = this._pixels;
    const rgb = colour & 0xffffff;
    for (let at = 0; at < dx.length; at++) {
      const place = centre + dy[at] * width + dx[at];
      const alpha = isFaint ? share[at] >> 2 : share[at];
      // The edge of a disc does not cover what is stronger.
      if (alpha >= pixels[place] >>> 24 || alpha >= STRONG) {
        pixels[place] = ((alpha << 24) | rgb) >>> 0;
      }
    }
  }

  /** @param {number} radius of the least popular points, in device pixels */
  _prepareStamps(radius) {
    if (radius === this._stampRadius) return;
    this._stampRadius = radius;
    this._stamps = Array.from({ length: SIZES }, (_, size) =>
      discOf(radius * (1 + (1.2 * size) / SIZES)),
    );
  }
}

/**
 * The radius of the least popular points: smaller for more of them and on small windows, larger
 * near by.
 *
 * @param {number} count
 * @param {number} zoom
 * @param {number} free pixels that the whole map may take
 */
export function radiusOf(count, zoom, free) {
  const room = Math.min(1, free / USUAL_PIXELS);
  const far = Math.min(2.4, Math.max(0.7, (180 * room) / Math.sqrt(count)));
  const near = Math.min(3, Math.max(1, zoom ** 0.35));
  return Math.round(far * near * 4) / 4;
}

/**
 * A disc with smooth edges.
 *
 * @param {number} radius
 * @returns {Stamp}
 */
function discOf(radius) {
  const reach = Math.ceil(radius);
  const cells = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const cover = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(dx, dy)));
      if (cover > 0.04) cells.push({ dx, dy, share: Math.round(225 * cover) });
    }
  }
  return {
    dx: Int16Array.from(cells, (cell) => cell.dx),
    dy: Int16Array.from(cells, (cell) => cell.dy),
    share: Uint8Array.from(cells, (cell) => cell.share),
    reach,
  };
}
