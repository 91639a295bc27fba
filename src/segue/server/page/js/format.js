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
