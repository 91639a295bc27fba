/** A list as a file: CSV, JSON, M3U or URIs. */

/**
 * @typedef {import("../../api.js").ListedItem} ListedItem
 * @typedef {"csv" | "json" | "m3u" | "txt"} Format
 */

/** @type {{format: Format, label: string, detail: string}[]} */
export const FORMATS = [
  { format: "csv", label: "CSV", detail: "rank, id, title, score" },
  { format: "json", label: "JSON", detail: "as the API has it" },
  { format: "m3u", label: "M3U", detail: "a playlist" },
  { format: "txt", label: "URIs", detail: "one id per line" },
];

const TYPES = {
  csv: "text/csv",
  json: "application/json",
  m3u: "audio/x-mpegurl",
  txt: "text/plain",
};

/**
 * @param {ListedItem[]} items
 * @param {Format} format
 * @returns {string}
 */
export function exported(items, format) {
  if (format === "json") return `${JSON.stringify({ items }, null, 2)}\n`;
  if (format === "txt") return items.map(({ item_id }) => `${oneLine(item_id)}\n`).join("");
  if (format === "m3u") {
    const entries = items.map(({ item_id, title, attributes }) => {
      const artist = typeof attributes.artist === "string" ? `${attributes.artist} - ` : "";
      // A line that begins with # is a directive.
      const location = oneLine(item_id).replace(/^(\s*)#/u, "$1%23");
      return `#EXTINF:-1,${oneLine(artist + title)}\n${location}\n`;
    });
    return `#EXTM3U\n${entries.join("")}`;
  }
  const rows = items.map(({ rank, item_id, title, score }) => [rank, item_id, title, score]);
  return [["rank", "item_id", "title", "score"], ...rows]
    .map((row) => `${row.map(csvField).join(",")}\r\n`)
    .join("");
}

/**
 * Save a list as a file.
 *
 * @param {ListedItem[]} items
 * @param {Format} format
 * @param {string} name without the ending
 */
export function save(items, format, name) {
  const blob = new Blob([exported(items, format)], { type: TYPES[format] });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

/** How a formula begins: spreadsheets skip blanks and read full-width signs as well. */
const FORMULA = /^\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]/u;

/**
 * A field of CSV. A text that a spreadsheet would take for a formula gets an apostrophe.
 *
 * @param {string | number} value
 */
function csvField(value) {
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {string} text */
function oneLine(text) {
  return text.replace(/[\r\n]+/g, " ");
}
