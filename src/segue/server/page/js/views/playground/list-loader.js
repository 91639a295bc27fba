/** Asks for the list of a state; a newer question aborts an older one. */

import { isAbort } from "../../api.js";
import { patiently } from "../../components/patience.js";
import { filtersOf, hasQuery, listCall, recommendBody } from "./requests.js";

/**
 * @typedef {import("../../store/state.js").State} State
 * @typedef {import("../../api.js").Answer} Answer
 * @typedef {import("./requests.js").Filter} Filter
 *
 * @typedef {{kind: "empty"} | {kind: "loading"} |
 *   {kind: "waiting", error: import("../../api.js").ApiError} | {kind: "error", error: unknown} |
 *   {kind: "nothing", blamed: Filter | null, answer: Answer} | {kind: "list", answer: Answer}}
 *   ListState
 */

const DELAY_MS = 30;

export class ListLoader {
  /**
   * @param {import("../../router.js").ViewContext} context
   * @param {string | null} model null for the first one of the server
   * @param {(state: ListState) => void} show
   */
  constructor(context, model, show) {
    this._context = context;
    this._model = model;
    this._show = show;
    this._calls = new AbortController();
    this._timer = 0;
    context.signal.addEventListener("abort", () => this.stop());
  }

  /** @param {Readonly<State>} state */
  load(state) {
    this.stop();
    if (!hasQuery(state)) return this._show({ kind: "empty" });
    this._calls = new AbortController();
    this._show({ kind: "loading" });
    this._timer = setTimeout(() => void this._load(state, this._calls.signal), DELAY_MS);
  }

  stop() {
    clearTimeout(this._timer);
    this._calls.abort();
  }

  /**
   * @param {Readonly<State>} state
   * @param {AbortSignal} signal
   */
  async _load(state, signal) {
    const { api, items } = this._context;
    try {
      const { path, body } = listCall(state, this._model);
      const call = () => /** @type {Promise<Answer>} */ (api.post(path, body, signal));
      const refused = (/** @type {import("../../api.js").ApiError} */ error) =>
        this._show({ kind: "waiting", error });
      const answer = await patiently(call, { signal, refused });
      items.keep(answer.items);
      if (answer.items.length > 0) return this._show({ kind: "list", answer });
      const blamed = await this._blamed(state, signal);
      this._show({ kind: "nothing", blamed, answer });
    } catch (error) {
      if (!isAbort(error)) this._show({ kind: "error", error });
    }
  }

  /**
   * The filter without which there would be a list; null if that is no single one.
   *
   * @param {Readonly<State>} state
   * @param {AbortSignal} signal
   * @returns {Promise<Filter | null>}
   */
  async _blamed(state, signal) {
    const { api, items } = this._context;
    const filters = filtersOf(state, (id) => items.get(id)?.title ?? id).slice(0, 32);
    if (filters.length === 0) return null;
    const requests = filters.map(({ without }) => {
      const { model: _, ...body } = recommendBody({ ...state, ...without, k: 1 }, null);
      return body;
    });
    const body = { requests, ...(this._model === null ? {} : { model: this._model }) };
    const { answers } = await api.post("/v1/recommend", body, signal);
    const at = answers.findIndex((/** @type {Answer} */ answer) => answer.items.length > 0);
    return filters[at] ?? null;
  }
}
