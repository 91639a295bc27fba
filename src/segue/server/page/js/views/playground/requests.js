/** From the state of the page to the bodies of calls: keys at their defaults are left out. */

import { capitalised, labelOf, singular } from "../../format.js";
import { conditionText } from "../../store/address.js";
import { isChanged } from "../../store/state.js";

/**
 * @typedef {import("../../store/state.js").State} State
 * @typedef {Record<string, any>} Body
 */

/**
 * What recommend, explain and generate have in common.
 *
 * @param {Readonly<State>} state
 * @param {string | null} model null for the first one of the server
 * @returns {Body}
 */
function commonBody(state, model) {
  /** @type {Body} */
  const body = { items: state.items };
  if (model !== null) body.model = model;
  if (state.where.length > 0) body.where = state.where.map(conditionText);
  for (const key of /** @type {const} */ (["cap", "exclude", "unlike", "popularity"])) {
    if (isChanged(state, key)) body[key] = state[key];
  }
  if (isChanged(state, "features")) body.sequence_features = state.features;
  if (state.include_seen) body.include_seen = true;
  return body;
}

/**
 * @param {Readonly<State>} state
 * @param {string | null} model
 * @returns {Body}
 */
export function recommendBody(state, model) {
  const body = { ...commonBody(state, model), k: state.k };
  return state.diversity === 0 ? body : { ...body, diversity: state.diversity };
}

/**
 * @param {Readonly<State>} state
 * @param {string | null} model
 * @returns {Body}
 */
export function generateBody(state, model) {
  const { length, temperature, seed } = state;
  const locked = Object.fromEntries(
    Object.entries(state.locked).filter(([at]) => Number(at) < length),
  );
  const body = { ...commonBody(state, model), length, temperature, top_k: state.top_k, seed };
  return Object.keys(locked).length > 0 ? { ...body, locked } : body;
}

/**
 * The call that the list of a state comes from.
 *
 * @param {Readonly<State>} state
 * @param {string | null} model
 * @returns {{path: string, body: Body}}
 */
export function listCall(state, model) {
  return state.mode === "continuation"
    ? { path: "/v1/generate", body: generateBody(state, model) }
    : { path: "/v1/recommend", body: recommendBody(state, model) };
}

/**
 * Whether there is something to recommend from.
 *
 * @param {Readonly<State>} state
 */
export function hasQuery(state) {
  return state.items.length > 0 || Object.keys(state.features).length > 0;
}

/**
 * A filter of a state, by a name for people, and the state without it.
 *
 * @typedef {{label: string, without: Partial<State>}} Filter
 */

/**
 * The filters that may leave nothing to list.
 *
 * @param {Readonly<State>} state
 * @param {(id: string) => string} titleOf
 * @returns {Filter[]}
 */
export function filtersOf(state, titleOf) {
  /** @type {Filter[]} */
  const filters = state.where.map((condition, at) => ({
    label: conditionLabel(condition),
    without: { where: state.where.filter((_, other) => other !== at) },
  }));
  for (const [name, most] of Object.entries(state.cap)) {
    const { [name]: _, ...cap } = state.cap;
    filters.push({ label: `At most ${most} per ${singular(name)}`, without: { cap } });
  }
  for (const key of /** @type {const} */ (["exclude", "unlike"])) {
    for (const id of state[key]) {
      const label = `${key === "exclude" ? "Never" : "Less like"} ${titleOf(id)}`;
      filters.push({ label, without: { [key]: state[key].filter((other) => other !== id) } });
    }
  }
  return filters;
}

/**
 * A condition in words, such as `Genre: not Horror`.
 *
 * @param {import("../../store/state.js").Condition} condition
 */
export function conditionLabel({ attribute, operator, value }) {
  const one = capitalised(singular(attribute));
  if (operator === "lacks" || operator === "!=") return `${one}: not ${value}`;
  if (operator === "has" || operator === "=") return `${one}: ${value}`;
  const signs = { "<": "below", "<=": "up to", ">": "above", ">=": "from" };
  return `${labelOf(attribute)} ${signs[operator]} ${value}`;
}
