/** The query of a page as commands that give the same list: curl, Python, command line. */

import { listCall } from "./requests.js";

/**
 * @typedef {import("../../store/state.js").State} State
 * @typedef {import("./requests.js").Body} Body
 */

/** Keys that are floating-point numbers in Python, also where their value is whole. */
const FLOATS = ["popularity", "diversity", "temperature"];

/**
 * @param {Readonly<State>} state
 * @param {string | null} model
 * @param {string} origin such as `http://127.0.0.1:8000`
 * @param {boolean} hasKey
 */
export function curlCommand(state, model, origin, hasKey) {
  const { path, body } = listCall(state, model);
  const lines = [`curl -s ${shellQuoted(origin + path)}`];
  if (hasKey) lines.push('-H "Authorization: Bearer $SEGUE_KEY"');
  lines.push("-H 'Content-Type: application/json'", `-d ${shellQuoted(jsonText(body))}`);
  return lines.join(" \\\n  ");
}

/**
 * @param {Readonly<State>} state
 * @param {string | null} model
 * @param {string} origin
 * @param {boolean} hasKey
 */
export function pythonCommand(state, model, origin, hasKey) {
  const { path, body } = listCall(state, model);
  const { items, locked, model: name, ...rest } = body;
  const options = Object.entries(rest).map(([name, value]) => {
    const isWholeFloat = FLOATS.includes(name) && Number.isInteger(value);
    return `${name}=${isWholeFloat ? value.toFixed(1) : pythonValue(value)}`;
  });
  if (locked !== undefined) options.push(`locked=${pythonLocks(locked)}`);
  const call = `${path.split("/")[2]}(${[pythonValue(items), ...options].join(", ")})`;
  const key = hasKey ? ', api_key=os.environ["SEGUE_KEY"]' : "";
  const named = name === undefined ? "" : `, model=${pythonValue(name)}`;
  const lines = [
    ...(hasKey ? ["import os", ""] : []),
    "import segue",
    "",
    `client = segue.Client(${pythonValue(origin)}${key}${named})`,
    `for item in client.${call}:`,
    "    print(item.rank, item.item_id, item.title)",
  ];
  return lines.join("\n");
}

/**
 * What the options cannot say goes into a here-document.
 *
 * @param {Readonly<State>} state
 * @param {string | null} run the path of the run; null if the server does not say
 */
export function shellCommand(state, run) {
  const { path, body } = listCall(state, null);
  const parts = ["segue", path.split("/")[2], run === null ? "RUN" : shellQuoted(run)];
  if (!fitsOptions(body)) {
    const entries = Object.entries(body).map(([name, value]) => `  "${name}": ${jsonText(value)}`);
    return `${parts.join(" ")} --query - --json <<'JSON'\n{\n${entries.join(",\n")}\n}\nJSON\n`;
  }
  const add = (/** @type {string} */ option, /** @type {unknown} */ value) =>
    parts.push(`${option}=${shellQuoted(String(value))}`);
  for (const id of body.items) add("--item", id);
  for (const [name, value] of Object.entries(body)) {
    if (name === "items") continue;
    if (name === "k") parts.push(`-k ${value}`);
    else if (name === "include_seen") parts.push("--include-seen");
    else if (name === "where") value.forEach((/** @type {string} */ text) => add("--where", text));
    else if (name === "cap") pairs(value).forEach((text) => add("--cap", text));
    else if (name === "locked") {
      // Positions count from 0; the command line counts ranks from 1.
      Object.entries(value).forEach(([at, id]) => add("--lock", `${Number(at) + 1}=${id}`));
    } else if (name === "sequence_features") {
      pairs(value).forEach((text) => add("--sequence-feature", text));
    } else if (Array.isArray(value)) value.forEach((id) => add(`--${name}`, id));
    else if (name === "temperature" && value === 0) parts.push("--greedy");
    else add(`--${name.replaceAll("_", "-")}`, value);
  }
  return `${parts.join(" ")} --json`;
}

/**
 * @param {Record<string, unknown>} mapping
 * @returns {string[]}
 */
function pairs(mapping) {
  return Object.entries(mapping).map(([name, value]) => `${name}=${value}`);
}

/**
 * Whether options can say a request. They trim ids and names, and a comma ends an id of a list.
 *
 * @param {Body} body
 */
function fitsOptions(body) {
  const { items, exclude = [], unlike = [], locked = {}, cap = {} } = body;
  const features = Object.entries(body.sequence_features ?? {});
  const trimmed = [...exclude, ...unlike, ...Object.values(locked), ...Object.keys(cap)];
  return (
    !JSON.stringify(body).includes("\\u0000") &&
    !items.some(isBlank) &&
    ![...exclude, ...unlike].some((id) => id.includes(",")) &&
    !features.some(([name]) => name.includes("=")) &&
    [...trimmed, ...features.flat()].every(isTrimmed)
  );
}

/**
 * Whether Python takes all of a text for space.
 *
 * @param {string} text
 */
function isBlank(text) {
  return [...text].every((one) => one.trim() === "" || "\x1c\x1d\x1e\x1f\x85".includes(one));
}

/** @param {string} text */
function isTrimmed(text) {
  return text !== "" && !/^[\s\p{Cc}]|[\s\p{Cc}]$/u.test(text);
}

/**
 * A word of a shell. A terminal acts on control characters even when they are quoted and pasted,
 * so they are written as escapes.
 *
 * @param {string} text
 */
function shellQuoted(text) {
  if (/^[\w./:=-]+$/.test(text)) return text;
  if (!/\p{Cc}/u.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  return `$'${text.replace(/['\\]/g, "\\$&").replace(/\p{Cc}/gu, escapedBytes)}'`;
}

/** @param {string} character */
function escapedBytes(character) {
  const bytes = [...new TextEncoder().encode(character)];
  return bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

/**
 * JSON without control characters.
 *
 * @param {unknown} value
 */
function jsonText(value) {
  const escaped = (/** @type {string} */ character) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replace(/\p{Cc}/gu, escaped);
}

/** @param {Record<string, string>} locked */
function pythonLocks(locked) {
  return `{${Object.entries(locked)
    .map(([at, id]) => `${at}: ${pythonValue(id)}`)
    .join(", ")}}`;
}

/**
 * A value of JSON as a literal of Python.
 *
 * @param {unknown} value
 * @returns {string}
 */
function pythonValue(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value === "object") {
    const entries = Object.entries(value);
    return `{${entries.map(([k, v]) => `${pythonValue(k)}: ${pythonValue(v)}`).join(", ")}}`;
  }
  return jsonText(value);
}
