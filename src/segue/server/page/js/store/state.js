/** The state of the page: the query that it shows, and where the user is. */

/**
 * @typedef {"playground" | "people" | "map" | "model" | "system"} ViewName
 * @typedef {"=" | "!=" | "<" | "<=" | ">" | ">=" | "has" | "lacks"} Operator
 * @typedef {{attribute: string, operator: Operator, value: string}} Condition
 *
 * @typedef {object} State
 * @property {ViewName} view
 * @property {Record<string, string>} options of the current view; dropped when the view changes
 * @property {string | null} model null for the first one of the server
 * @property {string[]} items the sequence, oldest first
 * @property {"suggestions" | "continuation"} mode of the list
 * @property {string | null} compare the second list: a model, or `PLAIN`; null for none
 * @property {number} k
 * @property {number} popularity -1 is discovery, 1 mainstream
 * @property {number} diversity 0 to 1
 * @property {Record<string, number>} cap most items with the same value, by attribute
 * @property {Condition[]} where
 * @property {string[]} exclude
 * @property {string[]} unlike
 * @property {Record<string, string>} features of the sequence, by name
 * @property {boolean} include_seen
 * @property {Record<number, string>} locked item ids by position from 0
 * @property {number} length of a continuation
 * @property {number} temperature
 * @property {number} top_k
 * @property {number} seed
 */

/** @type {ViewName[]} */
export const VIEWS = ["playground", "people", "map", "model", "system"];

/** @type {Operator[]} */
export const OPERATORS = ["=", "!=", "<=", ">=", "<", ">", "has", "lacks"];

/** The second list of a comparison that has the same model, without any control. */
export const PLAIN = "*";

/** Lengths of lists and texts that the page keeps, as the server would. */
export const MAX_ITEMS = 1_000;
export const MAX_TEXT = 1_000;

/** @type {Readonly<State>} */
export const DEFAULTS = Object.freeze({
  view: "playground",
  options: {},
  model: null,
  items: [],
  mode: "suggestions",
  compare: null,
  k: 12,
  popularity: 0,
  diversity: 0,
  cap: {},
  where: [],
  exclude: [],
  unlike: [],
  features: {},
  include_seen: false,
  locked: {},
  length: 10,
  temperature: 1,
  top_k: 50,
  seed: 1,
});

/** Keys that the panel of controls changes, and that its reset takes back. */
export const CONTROL_KEYS = /** @type {const} */ ([
  "k",
  "popularity",
  "diversity",
  "cap",
  "where",
  "exclude",
  "unlike",
  "features",
  "include_seen",
  "length",
  "temperature",
  "top_k",
  "seed",
]);

/** Where the user is, and with which model: undo leaves these keys alone. */
export const PLACE_KEYS = /** @type {const} */ (["view", "options", "model"]);

/**
 * @param {State} state
 * @param {keyof State} key
 */
export function isChanged(state, key) {
  return !isEqual(state[key], DEFAULTS[key]);
}

/**
 * Whether two plain values are equal.
 *
 * @param {unknown} left
 * @param {unknown} right
 */
export function isEqual(left, right) {
  return JSON.stringify(left) === JSON.stringify(right);
}
