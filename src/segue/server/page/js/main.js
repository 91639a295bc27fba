/** Starts the page: the store, the session with a model, the views, and the top bar. */

import { Api } from "./api.js";
import { errorState, loadingState } from "./components/states.js";
import { replaceChildren } from "./dom.js";
import { Router } from "./router.js";
import { requestKey } from "./shell/api-key.js";
import { watchServer } from "./shell/connection.js";
import { listenToKeys } from "./shell/keys.js";
import { announce, toast } from "./shell/toasts.js";
import { TopBar } from "./shell/top-bar.js";
import { addressOf, stateOf } from "./store/address.js";
import { ItemCache } from "./store/items.js";
import { Store } from "./store/store.js";

/** @typedef {Omit<import("./router.js").ViewContext, "signal">} Session */

const root = elementOf("view");
const api = new Api(requestKey);
const store = new Store(stateOf(location.hash));
const router = new Router(root);
/** @type {Session | null} */
let session = null;

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
function elementOf(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no element ${id}`);
  return element;
}

/** Ask the server for the model of the state, and show the view. */
async function start() {
  const name = store.state.model;
  replaceChildren(root, loadingState("Loading the model"));
  try {
    const [{ models }, model, catalogue] = await Promise.all([
      api.get("/v1/models"),
      api.get("/v1/model", { model: name }),
      api.get("/v1/catalogue", { model: name }),
    ]);
    const items = new ItemCache(api, model.name);
    items.keep([...catalogue.popular, ...catalogue.examples.flat()]);
    const { k, top_k } = store.state;
    const limits = { k: Math.min(k, model.max_k), top_k: Math.min(top_k, model.max_k) };
    store.change(limits, { isUndoable: false });
    session = { api, store, items, model, models, catalogue, toast, announce };
    bar.show(session);
    await router.show(store.state.view, session);
  } catch (error) {
    replaceChildren(
      root,
      errorState(error, () => void start()),
    );
  }
}

const bar = new TopBar(elementOf("top-bar"), store, () => api.forgetKey());
store.watch((state, previous) => {
  const address = addressOf(state);
  if (address !== location.hash) {
    if (state.view === previous.view) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
  }
  if (state.model !== previous.model) void start();
  else if (state.view !== previous.view && session) void router.show(state.view, session);
  else router.current.update?.(state, previous);
});
addEventListener("popstate", () => store.replace(stateOf(location.hash)));
listenToKeys(store, router, () => bar.focusSearch());
watchServer(api, elementOf("banner"), () => {
  if (session === null) void start();
  else router.current.reconnected?.();
});
void start();
