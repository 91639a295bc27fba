/** Calls of the server: `/v1` only, with the API key of this tab, and one kind of error. */

/**
 * @typedef {{item_id: string, title: string, attributes: Record<string, any>}} Item
 * @typedef {{item_id: string, title: string, position: number, contribution: number,
 *   often_follows: boolean}} Reason
 * @typedef {Item & {score: number, rank: number, probability?: number,
 *   why?: {text: string, reasons: Reason[]}}} ListedItem
 * @typedef {{items: ListedItem[], unknown_items: string[], truncated: number, model: string,
 *   took_ms: number, notes: string[], seen: string | null, events?: string[],
 *   contributions?: number[][], member_ranks?: Record<string, number[]> | null}} Answer
 * @typedef {{name: string, version: string, loaded_at: string, n_items: number}} ModelSummary
 * @typedef {ModelSummary & {n_candidates: number, context: number, attributes: string[],
 *   sequence_features: string[], starts_empty: boolean, ends_sequences: boolean,
 *   members: string[], max_k: number, card: Record<string, any>}} ModelInfo
 * @typedef {{name: string, kind: "number" | "text" | "list", minimum: number | null,
 *   maximum: number | null, n_values: number, values: {value: string, n_items: number}[]}}
 *   Attribute
 * @typedef {{attributes: Attribute[], popularity_steps: number[], popular: Item[],
 *   examples: Item[][], n_covers: number, run: string | null}} Catalogue
 */

const KEY_NAME = "segue.key";

/** What the server refused, or that it could not be reached (`status` 0). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {string} hint what to do; may be empty
   * @param {number} retryAfter_s seconds; 0 where the server did not say
   */
  constructor(status, code, message, hint, retryAfter_s = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.retryAfter_s = retryAfter_s;
  }

  /** Whether the same call succeeds later: the server is warming up, computing, or too busy. */
  get isPending() {
    return this.code === "not_computed" || [429, 503].includes(this.status);
  }
}

/**
 * Whether an error says that a call was aborted because its answer is not needed any more.
 *
 * @param {unknown} error
 */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** The API of the server that serves this page. */
export class Api {
  /** @param {(message: string) => Promise<string | null>} requestKey asks the user for a key */
  constructor(requestKey) {
    this._requestKey = requestKey;
    /** @type {Promise<string | null> | null} */
    this._pendingKey = null;
    /** @type {Set<(error: ApiError | null) => void>} */
    this._watchers = new Set();
  }

  /**
   * @param {string} path such as `/v1/items`
   * @param {Record<string, string | number | null | undefined>} [parameters] of the query string
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  async get(path, parameters = {}, signal) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== null && value !== undefined) query.set(name, String(value));
    }
    const text = query.toString();
    return await this._call(text ? `${path}?${text}` : path, { method: "GET" }, signal);
  }

  /**
   * @param {string} path
   * @param {any} body
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  async post(path, body, signal) {
    const headers = { "content-type": "application/json" };
    return await this._call(path, { method: "POST", headers, body: JSON.stringify(body) }, signal);
  }

  /**
   * The bytes of an image; null where there is none.
   *
   * @param {string} path
   * @returns {Promise<Blob | null>}
   */
  async image(path) {
    const response = await fetch(path, { headers: keyHeaders() });
    return response.status === 200 ? await response.blob() : null;
  }

  /** Whether this tab has an API key. */
  get hasKey() {
    return readKey() !== null;
  }

  /** Forget the API key of this tab. */
  forgetKey() {
    sessionStorage.removeItem(KEY_NAME);
  }

  /**
   * Be called after every call: with null if the server answered, with the error if it is away.
   *
   * @param {(error: ApiError | null) => void} watcher
   */
  watchConnection(watcher) {
    this._watchers.add(watcher);
  }

  /**
   * @param {string} path
   * @param {RequestInit & {headers?: Record<string, string>}} options
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  async _call(path, options, signal) {
    const response = await this._fetch(path, options, signal);
    if (response.status === 401 && (await this._renewKey(await errorOf(response)))) {
      return await this._call(path, options, signal);
    }
    if (!response.ok) throw await errorOf(response);
    return await response.json();
  }

  /**
   * @param {string} path
   * @param {RequestInit & {headers?: Record<string, string>}} options
   * @param {AbortSignal} [signal]
   */
  async _fetch(path, options, signal) {
    // Outside of the try: a header that is not possible does not mean that the server is away.
    const headers = new Headers({ ...options.headers, ...keyHeaders() });
    try {
      const response = await fetch(path, { ...options, headers, signal });
      this._watchers.forEach((watch) => watch(null));
      return response;
    } catch (error) {
      if (isAbort(error)) throw error;
      const hint = "Start it again with segue serve; what you built here stays.";
      const away = new ApiError(0, "unreachable", "The server does not answer.", hint);
      this._watchers.forEach((watch) => watch(away));
      throw away;
    }
  }

  /**
   * @param {ApiError} error
   * @returns {Promise<boolean>} whether there is another key now
   */
  async _renewKey(error) {
    this._pendingKey ??= this._requestKey(error.message);
    const key = await this._pendingKey;
    this._pendingKey = null;
    if (key) sessionStorage.setItem(KEY_NAME, key);
    return Boolean(key);
  }
}

function readKey() {
  return sessionStorage.getItem(KEY_NAME);
}

/** @returns {Record<string, string>} */
function keyHeaders() {
  const key = readKey();
  return key ? { authorization: `Bearer ${key}` } : {};
}

/**
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
async function errorOf(response) {
  const retryAfter_s = Number(response.headers.get("retry-after") ?? 0);
  try {
    const { code, message, hint } = (await response.json()).error;
    return new ApiError(response.status, code, message, hint, retryAfter_s);
  } catch {
    const message = `The server answered with status ${response.status}.`;
    return new ApiError(response.status, "unreadable", message, "Try again.", retryAfter_s);
  }
}
