/**
 * The state in the part of the address after `#`, which browsers do not send to the server.
 *
 * What is read is checked key by key: a link can only set what the page shows.
 */

import { DEFAULTS, MAX_ITEMS, MAX_TEXT, OPERATORS, VIEWS, isChanged } from "./state.js";

/**
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Condition} Condition
 */

const OPTION_PREFIX = "v.";
/** @type {Record<string, [number, number, boolean]>} limits, and whether only whole numbers */
const NUMBERS = {
  k: [1, 100, true],
  popularity: [-1, 1, false],
  diversity: [0, 1, false],
  length: [1, 100, true],
  temperature: [0, 3, false],
  top_k: [1, 100, true],
  seed: [0, 4_294_967_295, true],
};
const LISTS = /** @type {const} */ (["items", "exclude", "unlike"]);
const CONDITION = new RegExp(`^(.+?) (${OPERATORS.join("|")}) (.+)$`, "su");

/**
 * The address of a state, such as `#/playground?items=12&k=5`.
 *
 * @param {Readonly<State>} state
 * @returns {string}
 */
export function addressOf(state) {
  const query = new URLSearchParams();
  for (const key of /** @type {const} */ (["model", "compare"])) {
    if (state[key] !== null) query.set(key, state[key]);
  }
  for (const key of LISTS) state[key].forEach((id) => query.append(key, id));
  if (state.mode === "continuation") query.set("mode", state.mode);
  for (const key of Object.keys(NUMBERS)) {
    const name = /** @type {keyof State} */ (key);
    if (isChanged(state, name)) query.set(key, String(state[name]));
  }
  for (const [name, most] of Object.entries(state.cap)) query.append("cap", `${name}=${most}`);
  for (const condition of state.where) query.append("where", conditionText(condition));
  for (const [name, value] of Object.entries(state.features)) {
    query.append("feature", `${name}=${value}`);
  }
  if (state.include_seen) query.set("include_seen", "1");
  for (const [at, id] of Object.entries(state.locked)) query.append("lock", `${at}=${id}`);
  for (const [name, value] of Object.entries(state.options)) {
    query.set(OPTION_PREFIX + name, value);
  }
  const text = query.toString();
  return `#/${state.view}${text ? `?${text}` : ""}`;
}

/**
 * The state of an address; what it does not say, or says wrongly, has its default.
 *
 * @param {string} address the part after `#`, with it
 * @returns {State}
 */
export function stateOf(address) {
  const [path, ...rest] = address.replace(/^#\/?/, "").split("?");
  const query = new URLSearchParams(rest.join("?"));
  /** @type {State} */
  const state = structuredClone({ ...DEFAULTS });
  state.view = VIEWS.find((view) => view === path) ?? DEFAULTS.view;
  state.model = textOf(query.get("model"));
  state.compare = textOf(query.get("compare"));
  for (const key of LISTS) state[key] = textsOf(query.getAll(key));
  state.mode = query.get("mode") === "continuation" ? "continuation" : "suggestions";
  for (const [key, limits] of Object.entries(NUMBERS)) {
    const value = numberOf(query.get(key), limits);
    if (value !== null) Object.assign(state, { [key]: value });
  }
  for (const [name, text] of pairsOf(query.getAll("cap"))) {
    const most = numberOf(text, [1, 100, true]);
    if (most !== null) state.cap[name] = most;
  }
  state.where = textsOf(query.getAll("where")).flatMap((text) => conditionOf(text) ?? []);
  state.features = Object.fromEntries(pairsOf(query.getAll("feature")));
  state.include_seen = query.get("include_seen") === "1";
  for (const [position, id] of pairsOf(query.getAll("lock"))) {
    const at = numberOf(position, [0, 99, true]);
    if (at !== null) state.locked[at] = id;
  }
  for (const [name, value] of query) {
    if (name.startsWith(OPTION_PREFIX) && value.length <= MAX_TEXT) {
      state.options[name.slice(OPTION_PREFIX.length)] = value;
    }
  }
  return state;
}

/**
 * A condition as the API reads it.
 *
 * @param {Condition} condition
 * @returns {string}
 */
export function conditionText({ attribute, operator, value }) {
  const quote = value.includes('"') ? "'" : '"';
  const isNumber = /^-?\d+(\.\d+)?$/.test(value);
  return `${attribute} ${operator} ${isNumber ? value : quote + value + quote}`;
}

/**
 * @param {string} text
 * @returns {Condition | null}
 */
function conditionOf(text) {
  const match = CONDITION.exec(text);
  if (match === null) return null;
  const operator = OPERATORS.find((known) => known === match[2]);
  const value = match[3].replace(/^(["'])(.*)\1$/su, "$2");
  return operator === undefined || value === "" ? null : { attribute: match[1], operator, value };
}

/**
 * @param {string | null} text
 * @returns {string | null}
 */
function textOf(text) {
  return text !== null && text.length > 0 && text.length <= MAX_TEXT ? text : null;
}

/**
 * @param {string[]} texts
 * @returns {string[]}
 */
function textsOf(texts) {
  return texts.filter((text) => textOf(text) !== null).slice(0, MAX_ITEMS);
}

/**
 * @param {string | null} text
 * @param {[number, number, boolean]} limits
 * @returns {number | null}
 */
function numberOf(text, [least, most, isWhole]) {
  const value = text === null || text.trim() === "" ? Number.NaN : Number(text);
  const isPossible = value >= least && value <= most && (!isWhole || Number.isInteger(value));
  return isPossible ? value : null;
}

/**
 * Texts of the form `NAME=VALUE`.
 *
 * @param {string[]} texts
 * @returns {[string, string][]}
 */
function pairsOf(texts) {
  return textsOf(texts).flatMap((text) => {
    const at = text.indexOf("=");
    return at > 0 && at < text.length - 1 ? [[text.slice(0, at), text.slice(at + 1)]] : [];
  });
}
