/** Calls the server again by itself while the answer is being prepared. */

import { ApiError } from "../api.js";
import { replaceChildren } from "../dom.js";
import { waitingState } from "./states.js";

const FIRST_MS = 1_000;
const LONGEST_MS = 10_000;
const GROWTH = 1.4;

/**
 * Call until there is an answer that is ready, with pauses that grow, or are as long as the server
 * says.
 *
 * @template T
 * @param {() => Promise<T>} call
 * @param {object} options
 * @param {AbortSignal} options.signal ends the pauses: the answer is not needed any more
 * @param {(error: ApiError) => void} options.refused shows that the server is not ready; called
 *   once per message, so that a screen reader says it once
 * @param {(answer: T) => boolean} [options.isReady] whether an answer is the last one
 * @returns {Promise<T>}
 * @throws what the call throws, unless it says to call again; an `AbortError` after the signal
 */
export async function patiently(call, { signal, refused, isReady = () => true }) {
  let said = "";
  for (let pauses = 0; ; pauses++) {
    let least_ms = 0;
    try {
      const answer = await call();
      signal.throwIfAborted(); // it may have been left after the answer was sent
      if (isReady(answer)) return answer;
    } catch (error) {
      if (!(error instanceof ApiError && error.isPending)) throw error;
      least_ms = 1_000 * error.retryAfter_s;
      if (error.message !== said) refused(error);
      said = error.message;
    }
    await pause(Math.max(least_ms, Math.min(LONGEST_MS, FIRST_MS * GROWTH ** pauses)), signal);
  }
}

/**
 * Shows refusals in a place.
 *
 * @param {HTMLElement} place
 * @returns {(error: ApiError) => void}
 */
export function refusalsIn(place) {
  return (error) => replaceChildren(place, waitingState(error));
}

/**
 * @param {number} length_ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(length_ms, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(resolve, length_ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
