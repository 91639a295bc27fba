/** The views, and which one is mounted. Each is a module that is loaded when it is first shown. */

import { h, replaceChildren } from "./dom.js";
import { errorState } from "./components/states.js";

/**
 * @typedef {import("./store/state.js").State} State
 * @typedef {import("./store/state.js").ViewName} ViewName
 *
 * What a view gets.
 * @typedef {object} ViewContext
 * @property {import("./api.js").Api} api
 * @property {import("./store/store.js").Store} store
 * @property {import("./store/items.js").ItemCache} items
 * @property {import("./api.js").ModelInfo} model the current model
 * @property {import("./api.js").ModelSummary[]} models all models of the server
 * @property {import("./api.js").Catalogue} catalogue
 * @property {(text: string, action?: {label: string, run: () => void}) => void} toast
 * @property {(text: string) => void} announce to screen readers
 * @property {AbortSignal} signal is aborted when the view is left
 *
 * What a mounted view gives back; all optional.
 * @typedef {object} MountedView
 * @property {(state: Readonly<State>, previous: Readonly<State>) => void} [update] after every
 *   change of the store
 * @property {() => void} [reconnected] the server answers again after it was away
 * @property {() => void} [destroy] the view is left; its signal is aborted already
 * @property {Record<string, (event: KeyboardEvent) => void>} [keys] single keys, outside of fields
 *
 * @typedef {object} ViewModule
 * @property {string} title
 * @property {(root: HTMLElement, context: ViewContext) => MountedView} mount
 */

/** @type {Record<ViewName, {label: string, load: () => Promise<ViewModule>}>} */
export const ROUTES = {
  playground: { label: "Playground", load: () => import("./views/playground.js") },
  people: { label: "People", load: () => import("./views/people.js") },
  map: { label: "Map", load: () => import("./views/map.js") },
  model: { label: "Model", load: () => import("./views/model.js") },
  system: { label: "System", load: () => import("./views/system.js") },
};

export class Router {
  /** @param {HTMLElement} root */
  constructor(root) {
    this._root = root;
    /** @type {MountedView} */
    this._mounted = {};
    this._leave = new AbortController();
    this._visit = 0;
  }

  /** The mounted view. */
  get current() {
    return this._mounted;
  }

  /**
   * Leave the current view and show another one.
   *
   * @param {ViewName} name
   * @param {Omit<ViewContext, "signal">} context
   */
  async show(name, context) {
    const visit = ++this._visit;
    this._unmount();
    this._root.dataset.view = name;
    try {
      const module = await ROUTES[name].load();
      if (visit !== this._visit) return;
      document.title = `${module.title} · ${context.model.name} · Segue`;
      const page = h("div", { class: `page page-${name}` });
      replaceChildren(this._root, page);
      this._mounted = module.mount(page, { ...context, signal: this._leave.signal });
    } catch (error) {
      if (visit !== this._visit) return;
      console.error(error);
      const retry = () => void this.show(name, context);
      replaceChildren(this._root, errorState(error, retry));
    }
  }

  _unmount() {
    this._leave.abort();
    this._leave = new AbortController();
    this._mounted.destroy?.();
    this._mounted = {};
  }
}
