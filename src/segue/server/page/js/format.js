/** Numbers and items as text. */

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** @param {number} value */
export const whole = (value) => WHOLE.format(value);

/**
 * A number to three significant digits.
 *
 * @param {number} value
 */
export function threeDigits(value) {
  return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "–";
}

/**
 * A number and its noun, such as `1 item` or `1,200 items`.
 *
 * @param {number} count
 * @param {string} noun in the singular
 */
export function plural(count, noun) {
  return `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Words that end like a plural and are none, or whose singular the rules below would miss. */
const SINGULARS = new Map([
  ["movies", "movie"],
  ["news", "news"],
  ["series", "series"],
  ["species", "species"],
]);

/**
 * The name of a column in words: `release_year` and `releaseYear` are `release year`.
 *
 * @param {string} column
 */
export function wordsOf(column) {
  const apart = column.replaceAll(/(\p{Ll})(\p{Lu})/gu, "$1 $2").replaceAll(/[_\s-]+/g, " ");
  const words = apart.trim().split(" ");
  // What is written in capitals, such as BPM, stays so.
  return words.map((word) => (/^\p{Lu}{2,}$/u.test(word) ? word : word.toLowerCase())).join(" ");
}

/**
 * The name of a column as a label: `release_year` is `Release year`.
 *
 * @param {string} column
 */
export function labelOf(column) {
  return capitalised(wordsOf(column));
}

/**
 * The name of a column for one of its values: `genres` is `genre`.
 *
 * @param {string} column
 */
export function singular(column) {
  const words = wordsOf(column);
  const last = words.slice(words.lastIndexOf(" ") + 1);
  const rest = words.slice(0, words.length - last.length);
  const known = SINGULARS.get(last);
  if (known !== undefined) return rest + known;
  if (/[^aeiou]ies$/.test(last)) return `${rest}${last.slice(0, -3)}y`;
  if (/(ch|sh|ss|x|z)es$/.test(last)) return rest + last.slice(0, -2);
  return rest + (/[^isu]s$/.test(last) ? last.slice(0, -1) : last);
}

/**
 * The name of a metric as papers write it.
 *
 * @param {string} metric such as `ndcg@10`
 */
export function metricName(metric) {
  return metric === "loss" ? "Loss" : metric.toUpperCase();
}

/** @param {string} text */
export function capitalised(text) {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}

/**
 * The values of an item that are short enough for a second line: its maker, year and kinds.
 *
 * @param {import("./api.js").Item} item
 * @returns {{start: string, end: string}} `end` is a last value that is a number, such as a year
 */
export function subtitleParts(item) {
  /** @type {string[]} */
  const parts = [];
  let isNumber = false;
  for (const [name, value] of Object.entries(item.attributes)) {
    if (name === "training_count" || name === "title" || value === null || value === "") continue;
    const text = Array.isArray(value) ? value.slice(0, 3).join(", ") : value;
    if (!["string", "number"].includes(typeof text)) continue;
    isNumber = typeof text === "number";
    parts.push(String(text));
    if (parts.length === 3) break;
  }
  const end = isNumber ? (parts.pop() ?? "") : "";
  return { start: parts.join(" · "), end };
}

/**
 * The attribute that says who made an item, or else of what kind it is; null where there is none.
 *
 * @param {import("./api.js").Item} item
 * @returns {string | null}
 */
export function makerAttribute(item) {
  const names = ["artist", "artists", "author", "authors", "brand", "director", "creator"];
  const kinds = ["genre", "genres", "category", "categories", "album", "type"];
  return [...names, ...kinds].find((name) => item.attributes[name]?.length > 0) ?? null;
}
