/** The canvas of the map: points, labels, the path of the sequence; dragged, zoomed, clicked. */

import { h } from "../../dom.js";
import { drawOverlay } from "./overlay.js";
import { Camera } from "./camera.js";
import { labelledPoints } from "./labels.js";
import { readPalette } from "./palette.js";
import { listenToPointer } from "./pointer.js";
import { Raster } from "./raster.js";

const MAX_RATIO = 2;
const REST_MS = 140;
const FRAME_MS = 14;
const LEAST_POINTS = 8_000;
const PICK_PIXELS = 14;
const ARROW_PIXELS = 80;

/**
 * @typedef {object} MapScene what is drawn over the points; numbers of points
 * @property {number[]} path the sequence
 * @property {number | null} selected
 * @property {number[]} similar
 * @property {number | null} only the group in full colour
 */

export class MapCanvas {
  /**
   * @param {import("./points.js").Points} points
   * @param {import("./titles.js").Titles} titles
   * @param {{choose: (index: number) => void, settled: (labelled: number[]) => void}} listeners
   *   a point was chosen; the camera rests, with the points that have labels
   */
  constructor(points, titles, listeners) {
    this.points = points;
    this.camera = new Camera();
    /** @type {MapScene} */
    this.scene = { path: [], selected: null, similar: [], only: null };
    this._titles = titles;
    this._listeners = listeners;
    this._raster = new Raster();
    this.palette = readPalette();
    /** @type {number[]} */
    this.labelled = [];
    /** @type {{index: number, x: number, y: number, width: number}[]} */
    this._boxes = [];
    this._hovered = /** @type {number | null} */ (null);
    this._drawnPoints = points.count;
    this._isMoving = false;
    this._request = 0;
    this._timer = 0;
    this._points = h("canvas", { class: "map-layer", "aria-hidden": "true" });
    this._overlay = h("canvas", {
      class: "map-layer map-top",
      tabIndex: 0,
      role: "application",
      "aria-label": "Map of the items",
      "aria-describedby": "map-keys",
      on: { keydown: (/** @type {KeyboardEvent} */ event) => this._key(event) },
    });
    this.element = h("div", { class: "map-canvas" }, this._points, this._overlay);
    listenToPointer(this._overlay, this.camera, {
      moved: () => this.move(),
      hovered: (x, y) => this._hover(x, y),
      clicked: (x, y) => this._click(x, y),
    });
    this._sizes = new ResizeObserver(() => this._resize());
    this._sizes.observe(this.element);
    this._recolour = () => {
      this.palette = readPalette();
      this.redraw();
    };
    addEventListener("themechange", this._recolour);
  }

  /** The view is left. */
  destroy() {
    cancelAnimationFrame(this._request);
    clearTimeout(this._timer);
    this._sizes.disconnect();
    removeEventListener("themechange", this._recolour);
  }

  /** Draw the next frame. */
  redraw() {
    if (this._request === 0) this._request = requestAnimationFrame(() => this._draw());
  }

  /** The camera moves: draw soon, and with all details once it rests. */
  move() {
    this._isMoving = true;
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._rest(), REST_MS);
    this.redraw();
  }

  /**
   * Move the camera to a point.
   *
   * @param {number} index
   */
  flyTo(index) {
    const { x, y } = this.camera.toPixel(this.points.x[index], this.points.y[index]);
    const { width, height, covered, zoom } = this.camera;
    const isSeen =
      x > covered.left + 80 && x < width - 80 && y > 60 && y < height - covered.bottom - 60;
    if (isSeen && zoom >= 3) return this.redraw();
    this.camera.flyTo(this.points.x[index], this.points.y[index], Math.max(zoom, 5));
    this.move();
  }

  _rest() {
    this._isMoving = false;
    this.labelled = labelledPoints(this.points, this.camera);
    this._listeners.settled(this.labelled);
    this.redraw();
  }

  _resize() {
    const { width, height } = this.element.getBoundingClientRect();
    const ratio = this._ratio;
    this.camera.width = Math.max(1, width);
    this.camera.height = Math.max(1, height);
    for (const canvas of [this._points, this._overlay]) {
      canvas.width = Math.max(1, Math.round(width * ratio));
      canvas.height = Math.max(1, Math.round(height * ratio));
    }
    this.move();
  }

  get _ratio() {
    return Math.min(MAX_RATIO, devicePixelRatio || 1);
  }

  _draw() {
    this._request = 0;
    const isFlying = this.camera.step();
    const start_ms = performance.now();
    const pen = this._points.getContext("2d");
    const top = this._overlay.getContext("2d");
    if (pen === null || top === null) return;
    const ratio = this._ratio;
    const count = this._isMoving ? this._drawnPoints : this.points.count;
    const { only } = this.scene;
    this._raster.draw(pen, this.points, this.camera, {
      colours: this.palette.pixels,
      ratio,
      count,
      only,
    });
    top.setTransform(ratio, 0, 0, ratio, 0, 0);
    this._boxes = drawOverlay(top, this, {
      hovered: this._hovered,
      hasCross: this._overlay.matches(":focus-visible"),
      titleOf: (index) => this._titles.get(index)?.title,
    });
    if (this._isMoving) this._adapt(performance.now() - start_ms);
    if (isFlying) this.move();
  }

  /**
   * Draw fewer of the rare items while the camera moves, if a frame took too long.
   *
   * @param {number} took_ms
   */
  _adapt(took_ms) {
    if (took_ms > FRAME_MS)
      this._drawnPoints = Math.max(LEAST_POINTS, Math.round(this._drawnPoints * 0.8));
    else if (took_ms < FRAME_MS / 2) this._drawnPoints = Math.round(this._drawnPoints * 1.1);
    this._drawnPoints = Math.min(this.points.count, this._drawnPoints);
  }

  /**
   * The point or label under a pixel.
   *
   * @param {number} x
   * @param {number} y
   */
  _at(x, y) {
    const box = this._boxes.find(
      (label) => x >= label.x && x <= label.x + label.width && Math.abs(y - label.y) < 10,
    );
    if (box !== undefined) return box.index;
    const place = this.camera.toPlace(x, y);
    return this.points.nearest(place.x, place.y, PICK_PIXELS / this.camera.scale);
  }

  /**
   * @param {number | null} x null where the pointer has left
   * @param {number} y
   */
  _hover(x, y) {
    const hovered = x === null ? null : this._at(x, y);
    this._overlay.classList.toggle("is-over-point", hovered !== null);
    if (hovered === this._hovered) return;
    this._hovered = hovered;
    this.redraw();
    if (hovered !== null && this._titles.get(hovered) === undefined) {
      const load = async () => {
        await this._titles.load([hovered]);
        this.redraw();
      };
      load().catch(() => {});
    }
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  _click(x, y) {
    const index = this._at(x, y);
    if (index !== null) this._listeners.choose(index);
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    const steps = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [ARROW_PIXELS, 0],
      ArrowRight: [-ARROW_PIXELS, 0],
      ArrowUp: [0, ARROW_PIXELS],
      ArrowDown: [0, -ARROW_PIXELS],
    });
    const { camera } = this;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) camera.moveBy(...steps[event.key]);
    else if (event.key === "+" || event.key === "=") camera.zoomBy(1.4, camera.middle);
    else if (event.key === "-") camera.zoomBy(1 / 1.4, camera.middle);
    else if (event.key === "0") camera.flyTo(0.5, 0.5, 1);
    else if (event.key === "Enter") {
      const nearest = this.points.nearest(camera.x, camera.y, 2);
      if (nearest !== null) this._listeners.choose(nearest);
    } else return;
    event.preventDefault();
    this.move();
  }
}
