/** The view Map: all items in two dimensions, similar ones near each other. */

/** @import { ViewContext } from "../router.js" */

import { ApiError, isAbort } from "../api.js";
import { patiently, refusalsIn } from "../components/patience.js";
import { progressState } from "../components/progress.js";
import { emptyState, errorState, explained, loadingState } from "../components/states.js";
import { h, icon, replaceChildren } from "../dom.js";
import { whole } from "../format.js";
import { MapCanvas } from "./map/canvas.js";
import { Panel } from "./map/panel.js";
import { Points } from "./map/points.js";
import { Titles } from "./map/titles.js";

/**
 * @typedef {import("../api.js").Item} Item
 * @typedef {{status: "computing" | "ready" | "failed" | "unavailable", share: number, hint: string,
 *   n_items: number | null, attribute: string | null, groups: string[],
 *   kept_neighbours: number | null}} MapState
 */

export const title = "Map";

const REMARK = "It is done once and kept in the run.";
const N_SIMILAR = 10;

/**
 * @param {HTMLElement} root
 * @param {ViewContext} context
 * @returns {import("../router.js").MountedView}
 */
export function mount(root, context) {
  const body = h("div", { class: "map-body" }, loadingState("Loading the map"));
  root.append(h("h1", { class: "visually-hidden" }, title), body);
  /** @type {LoadedMap | null} */
  let map = null;
  const { signal } = context;
  const load = async () => {
    const refused = refusalsIn(body);
    try {
      const state = await patiently(() => stateOf(context), {
        signal,
        refused,
        isReady: ({ status, share }) => {
          if (status !== "computing") return true;
          replaceChildren(body, progressState("Drawing the map of the items", share, REMARK));
          return false;
        },
      });
      if (state.status === "ready") {
        const bytes = await patiently(() => pointsOf(context), { signal, refused });
        map?.destroy();
        map = new LoadedMap(body, context, state, new Points(bytes));
      } else replaceChildren(body, emptyState("There is no map of this model", state.hint));
    } catch (error) {
      if (!isAbort(error) && map === null)
        replaceChildren(
          body,
          errorState(error, () => void load()),
        );
    }
  };
  void load();
  return {
    update: () => map?.update(),
    reconnected: () => {
      if (map === null) void load();
    },
    destroy: () => map?.destroy(),
  };
}

/**
 * @param {ViewContext} context
 * @returns {Promise<MapState>}
 */
async function stateOf({ api, model, signal }) {
  return await api.get("/v1/map", { model: model.name }, signal);
}

/** @param {ViewContext} context */
async function pointsOf({ api, model }) {
  const blob = await api.image(`/v1/map/points?model=${encodeURIComponent(model.name)}`);
  if (blob === null) throw new ApiError(404, "not_computed", "The points are not there yet", "");
  return await blob.arrayBuffer();
}

class LoadedMap {
  /**
   * @param {HTMLElement} body
   * @param {ViewContext} context
   * @param {MapState} state
   * @param {Points} points
   */
  constructor(body, context, state, points) {
    this._context = context;
    this._state = state;
    this._titles = new Titles(context);
    this.canvas = new MapCanvas(points, this._titles, {
      choose: (index) => void this._choose(index),
      settled: (labelled) => void this._settle(labelled),
    });
    this.panel = new Panel(context, {
      select: (item) => this._select(item.item_id),
      add: (item) => this._add(item),
      clear: () => this._select(null),
      only: (group) => this._only(group),
    });
    /** @type {string | null} */
    this._selected = null;
    /** @type {Item[] | null} */
    this._similar = null;
    this._legend = () =>
      this.panel.showLegend(
        state.attribute,
        state.groups,
        this.canvas.palette,
        this.canvas.scene.only,
      );
    addEventListener("themechange", this._legend);
    replaceChildren(
      body,
      this.canvas.element,
      this.panel.element,
      this._tools(),
      keyHelp(),
      this._quality(),
    );
    this._legend();
    this._cover();
    this.update();
    // On narrow windows the height of the panel, which its content changes, is taken from the map.
    this._sizes = new ResizeObserver(() => {
      this._cover();
      this.canvas.move();
    });
    this._sizes.observe(this.panel.element);
  }

  destroy() {
    removeEventListener("themechange", this._legend);
    this._sizes.disconnect();
    this.canvas.destroy();
  }

  update() {
    const { items, options } = this._context.store.state;
    void this._showPath(items);
    const selected = options.item ?? null;
    if (selected !== this._selected) void this._showItem(selected);
    else if (selected !== null) this._showPanel();
  }

  _cover() {
    const isNarrow = matchMedia("(max-width: 760px)").matches;
    const { offsetHeight } = this.panel.element;
    this.canvas.camera.covered = isNarrow
      ? { left: 0, bottom: offsetHeight }
      : { left: 336, bottom: 0 };
  }

  /** @param {number[]} labelled */
  async _settle(labelled) {
    try {
      await this._titles.load(labelled);
    } catch {
      return; // the labels come with the next movement
    }
    this.canvas.redraw();
    if (this._selected === null) this._showPanel();
  }

  /** @param {string[]} ids */
  async _showPath(ids) {
    try {
      await this._titles.load([], ids);
    } catch {
      return;
    }
    const found = ids.map((id) => this._titles.find(id)?.index);
    this.canvas.scene.path = found.filter((index) => index !== undefined);
    this.canvas.redraw();
  }

  /** @param {string | null} id */
  async _showItem(id) {
    this._selected = id;
    this._similar = null;
    Object.assign(this.canvas.scene, { selected: null, similar: [] });
    if (id === null) return this._showPanel();
    const { api, model, signal, toast, store } = this._context;
    try {
      await this._titles.load([], [id]);
      const item = this._titles.find(id);
      if (this._selected !== id) return;
      if (!item) {
        toast("Not on the map");
        store.change({ options: {} }, { isUndoable: false });
        return;
      }
      this.canvas.scene.selected = item.index;
      this.canvas.flyTo(item.index);
      this._showPanel();
      const k = Math.min(N_SIMILAR, model.max_k, Math.max(1, model.n_items - 1));
      const answer = await api.post("/v1/similar", { item: id, k, model: model.name }, signal);
      if (this._selected !== id) return;
      this._similar = answer.items;
      const ids = answer.items.map((/** @type {Item} */ other) => other.item_id);
      await this._titles.load([], ids);
      if (this._selected !== id) return;
      const indices = ids.map((/** @type {string} */ other) => this._titles.find(other)?.index);
      this.canvas.scene.similar = indices.filter(
        (/** @type {number | undefined} */ index) => index !== undefined,
      );
      this.canvas.redraw();
      this._showPanel();
    } catch (error) {
      if (isAbort(error) || this._selected !== id) return;
      const item = this._titles.find(id);
      if (item) this.panel.showFailure(item, error, () => void this._showItem(id));
      else toast(explained(error).message);
    }
  }

  _showPanel() {
    const item = this._selected === null ? null : this._titles.find(this._selected);
    if (item) {
      const isInSequence = this._context.store.state.items.includes(item.item_id);
      this.panel.showItem(item, this._similar, isInSequence);
      return;
    }
    const inView = this.canvas.labelled.map((index) => this._titles.get(index));
    this.panel.showView(inView.filter((other) => other !== undefined));
  }

  /** @param {string | null} id */
  _select(id) {
    this._context.store.change({ options: id === null ? {} : { item: id } }, { isUndoable: false });
  }

  /**
   * A point was clicked: it joins the sequence, unless it is there already.
   *
   * @param {number} index
   */
  async _choose(index) {
    try {
      await this._titles.load([index]);
    } catch {
      return;
    }
    const item = this._titles.get(index);
    if (item === undefined) return;
    if (!this._context.store.state.items.includes(item.item_id)) this._add(item);
    this._select(item.item_id);
  }

  /** @param {Item} item */
  _add(item) {
    const { store, toast, items } = this._context;
    items.keep([item]);
    store.change({ items: [...store.state.items, item.item_id] });
    toast(`Added ${item.title}`, { label: "Undo", run: () => store.undo() });
  }

  /** @param {number | null} group */
  _only(group) {
    this.canvas.scene.only = group;
    this._legend();
    this.canvas.redraw();
  }

  _tools() {
    const { canvas } = this;
    const zoom = (/** @type {number} */ factor) => {
      canvas.camera.zoomBy(factor, canvas.camera.middle);
      canvas.move();
    };
    const all = () => {
      canvas.camera.flyTo(0.5, 0.5, 1);
      canvas.move();
    };
    const tool = (
      /** @type {string} */ label,
      /** @type {Node | string} */ face,
      /** @type {() => void} */ run,
    ) =>
      h(
        "button",
        {
          class: "icon-button",
          type: "button",
          "aria-label": label,
          title: label,
          on: { click: run },
        },
        face,
      );
    return h(
      "div",
      { class: "map-tools", role: "group", "aria-label": "Zoom" },
      tool("Zoom in", icon("add"), () => zoom(1.6)),
      tool("Zoom out", h("span", { class: "map-minus", "aria-hidden": "true" }, "−"), () =>
        zoom(1 / 1.6),
      ),
      tool("Show everything", icon("reset"), all),
    );
  }

  _quality() {
    const { kept_neighbours, n_items } = this._state;
    const percent = Math.round(100 * (kept_neighbours ?? 0));
    const text = `${whole(n_items ?? 0)} items; of the 10 most similar ones, ${percent} % are near on the map`;
    return h("p", { class: "map-note small quiet" }, text);
  }
}

function keyHelp() {
  const text =
    "Arrow keys move, plus and minus zoom, 0 shows everything, Enter adds the item in the " +
    "middle. The panel lists the items in view.";
  return h("p", { id: "map-keys", class: "visually-hidden" }, text);
}
