/** Starts the page: the store, the session with a model, the views, and the top bar. */

import { Api, isAbort } from "./api.js";
import { patiently, refusalsIn } from "./components/patience.js";
import { errorState, loadingState } from "./components/states.js";
import { replaceChildren } from "./dom.js";
import { Router } from "./router.js";
import { requestKey } from "./shell/api-key.js";
import { watchServer } from "./shell/connection.js";
import { listenToKeys } from "./shell/keys.js";
import { announce, toast } from "./shell/toasts.js";
import { TopBar } from "./shell/top-bar.js";
import { addressOf, stateOf } from "./store/address.js";
import { PLAIN } from "./store/state.js";
import { ItemCache } from "./store/items.js";
import { Store } from "./store/store.js";

/** @typedef {Omit<import("./router.js").ViewContext, "signal">} Session */

const ADDRESS_RETRY_MS = 500;
const root = elementOf("view");
const api = new Api(requestKey);
const store = new Store(stateOf(location.hash));
const router = new Router(root);
/** @type {Session | null} */
let session = null;
let isStarting = false;
/** Aborts what an earlier start still loads. */
let visit = new AbortController();
let addressTimer = 0;

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
function elementOf(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no element ${id}`);
  return element;
}

/**
 * A link may name models that this server does not have.
 *
 * @param {import("./api.js").ModelSummary[]} models
 */
function dropUnknownModels(models) {
  const { model, compare } = store.state;
  const isKnown = (/** @type {string | null} */ name) =>
    name === null || name === PLAIN || models.some((one) => one.name === name);
  const unknown = [model, compare].filter((name) => !isKnown(name));
  if (unknown.length === 0) return;
  isStarting = true;
  const known = {
    model: isKnown(model) ? model : null,
    compare: isKnown(compare) ? compare : null,
  };
  store.change(known, { isUndoable: false });
  isStarting = false;
  toast(`This server has no model ${unknown[0]}; this is ${store.state.model ?? models[0].name}.`);
}

/**
 * Change the state before it is shown.
 *
 * @param {Partial<import("./store/state.js").State>} patch
 */
function correct(patch) {
  isStarting = true;
  store.change(patch, { isUndoable: false });
  isStarting = false;
}

/** Ask the server for the model of the state, and show the view. */
async function start() {
  visit.abort();
  visit = new AbortController();
  const { signal } = visit;
  replaceChildren(root, loadingState("Loading the model"));
  const refused = refusalsIn(root);
  try {
    const { models } = await api.get("/v1/models", {}, signal);
    signal.throwIfAborted();
    dropUnknownModels(models);
    const name = store.state.model;
    const load = () =>
      Promise.all([
        api.get("/v1/model", { model: name }, signal),
        api.get("/v1/catalogue", { model: name }, signal),
      ]);
    const [model, catalogue] = await patiently(load, { signal, refused });
    const items = new ItemCache(api, model.name);
    items.keep([...catalogue.popular, ...catalogue.examples.flat()]);
    const { k, top_k } = store.state;
    correct({ k: Math.min(k, model.max_k), top_k: Math.min(top_k, model.max_k) });
    session = { api, store, items, model, models, catalogue, toast, announce };
    bar.show(session);
    await router.show(store.state.view, session);
  } catch (error) {
    if (isAbort(error)) return;
    replaceChildren(
      root,
      errorState(error, () => void start()),
    );
  }
}

/**
 * Put the state into the address. Browsers refuse that when it happens too often, as it does while
 * a slider moves; then it is done a little later.
 *
 * @param {"pushState" | "replaceState"} method
 */
function writeAddress(method) {
  clearTimeout(addressTimer);
  const address = addressOf(store.state);
  if (address === location.hash) return;
  try {
    history[method](null, "", address);
  } catch {
    addressTimer = setTimeout(() => writeAddress(method), ADDRESS_RETRY_MS);
  }
}

const bar = new TopBar(elementOf("top-bar"), store);
store.watch((state, previous) => {
  writeAddress(state.view === previous.view ? "replaceState" : "pushState");
  if (isStarting) return;
  if (state.model !== previous.model) void start();
  else if (state.view !== previous.view && session) void router.show(state.view, session);
  else router.current.update?.(state, previous);
});
// The address holds the state, so the link must not change it.
elementOf("skip-link").addEventListener("click", (event) => {
  event.preventDefault();
  root.focus();
});
addEventListener("popstate", () => store.replace(stateOf(location.hash)));
listenToKeys(store, router, () => bar.focusSearch());
watchServer(api, elementOf("banner"), () => {
  if (session === null) void start();
  else router.current.reconnected?.();
});
void start();
