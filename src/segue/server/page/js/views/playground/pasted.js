/** Item ids from text that was pasted or dropped: lines, a playlist file, or JSON. */

import { MAX_ITEMS, MAX_TEXT } from "../../store/state.js";

const ID_KEYS = ["item_id", "id", "item", "track_uri", "uri"];
const LIST_KEYS = ["items", "tracks", "events", "history"];

/**
 * The ids in a text, at most `MAX_ITEMS`.
 *
 * JSON is a list of ids or of objects with an id, or an object with such a list under `items` or
 * `tracks`. Any other text has an id per line; lines that begin with `#` are comments, as in M3U.
 * A line that is a location or has columns stands for its last part or first column.
 *
 * @param {string} text
 * @returns {string[]}
 */
export function pastedIds(text) {
  const stripped = text.replace(/^\uFEFF/, "").trim();
  const ids = /^[[{]/.test(stripped) ? (jsonIds(stripped) ?? lineIds(stripped)) : lineIds(stripped);
  return ids.filter((id) => id !== "" && id.length <= MAX_TEXT).slice(0, MAX_ITEMS);
}

/**
 * @param {string} text
 * @returns {string[] | null} null if the text is not JSON
 */
function jsonIds(text) {
  try {
    return idsIn(JSON.parse(text));
  } catch {
    return null;
  }
}

/**
 * @param {unknown} value
 * @returns {string[]}
 */
function idsIn(value) {
  if (Array.isArray(value)) return value.flatMap(idsOfEntry);
  if (typeof value !== "object" || value === null) return [];
  const fields = /** @type {Record<string, unknown>} */ (value);
  const key = LIST_KEYS.find((name) => Array.isArray(fields[name]));
  return key === undefined ? idsOfEntry(value) : idsIn(fields[key]);
}

/**
 * @param {unknown} entry
 * @returns {string[]}
 */
function idsOfEntry(entry) {
  if (typeof entry === "string") return [entry.trim()];
  if (typeof entry === "number" && Number.isSafeInteger(entry)) return [String(entry)];
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) return [];
  const fields = /** @type {Record<string, unknown>} */ (entry);
  const key = ID_KEYS.find((name) => name in fields);
  return key === undefined ? [] : idsOfEntry(fields[key]);
}

/**
 * @param {string} text
 * @returns {string[]}
 */
function lineIds(text) {
  const lines = text.split(/\r\n|\r|\n/).map((line) => line.trim());
  const kept = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (kept.length > 0 && /^item_id\s*([,;\t]|$)/i.test(kept[0])) {
    return kept.slice(1).map((line) => unquoted(line.split(/[,;\t]/)[0].trim()));
  }
  const isOneLine = kept.length === 1 && /^[^\s,]+(\s*,\s*[^\s,]+)+$/.test(kept[0]);
  return (isOneLine ? kept[0].split(",") : kept).map((line) => unquoted(line.trim()));
}

/** @param {string} text */
function unquoted(text) {
  return text.replace(/^"(.*)"$/su, "$1");
}
