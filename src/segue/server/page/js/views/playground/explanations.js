/** Explanations of the items of a list: asked for once per list, or for one item. */

import { isAbort } from "../../api.js";
import { recommendBody } from "./requests.js";

/**
 * @typedef {import("../../store/state.js").State} State
 * @typedef {import("../../api.js").Answer} Answer
 * @typedef {{id: string, contribution: number}} Event
 * @typedef {{
 *   text: string,
 *   reason: import("../../api.js").Reason | null,
 *   events: Event[],
 *   ranks: [string, number][] | null,
 * }} Why `ranks` by each member of the ensemble alone are asked for with a single item
 */

const MAX_EVENTS = 6;

/**
 * Why each item of a list of suggestions is there, by item id; empty if that cannot be said.
 *
 * @param {import("../../router.js").ViewContext} context
 * @param {Readonly<State>} state
 * @param {string | null} model
 * @param {string[]} candidates items of the list
 * @param {AbortSignal} signal
 * @returns {Promise<Map<string, Why>>}
 */
export async function explain(context, state, model, candidates, signal) {
  const body = recommendBody({ ...state, k: candidates.length }, model);
  const only = { items: body.items, sequence_features: body.sequence_features, model: body.model };
  const members = candidates.length === 1;
  const answer = await context.api.post("/v1/explain", { ...only, candidates, members }, signal);
  return whyById(answer);
}

/**
 * The same, but a failure only means that there is no explanation.
 *
 * @param {Parameters<typeof explain>} call
 * @returns {Promise<Map<string, Why> | null>} null if the call was aborted
 */
export async function explainIfPossible(...call) {
  try {
    return await explain(...call);
  } catch (error) {
    return isAbort(error) ? null : new Map();
  }
}

/**
 * @param {Answer} answer
 * @returns {Map<string, Why>}
 */
function whyById({ items, events = [], contributions = [], member_ranks = null }) {
  return new Map(
    items.map((item, row) => {
      const parts = events.map((id, at) => ({ id, contribution: contributions[row]?.[at] ?? 0 }));
      parts.sort((left, right) => Math.abs(right.contribution) - Math.abs(left.contribution));
      const why = {
        text: item.why?.text ?? "",
        reason: item.why?.reasons[0] ?? null,
        events: parts.slice(0, MAX_EVENTS),
        ranks: member_ranks && ranksOf(member_ranks, row),
      };
      return [item.item_id, why];
    }),
  );
}

/**
 * @param {Record<string, number[]>} memberRanks
 * @param {number} row
 * @returns {[string, number][]}
 */
function ranksOf(memberRanks, row) {
  return Object.entries(memberRanks).map(([name, ranks]) => [name, ranks[row]]);
}
