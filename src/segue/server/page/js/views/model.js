/** The view Model: what it is, how well it does, how it was trained, on what, and its graph. */

import { isAbort } from "../api.js";
import { intervalChart } from "../charts/intervals.js";
import { patiently, refusalsIn } from "../components/patience.js";
import { errorState, loadingState } from "../components/states.js";
import { h, replaceChildren } from "../dom.js";
import { metricName, whole } from "../format.js";
import { auditOf } from "./model/audit.js";
import { curvesOf } from "./model/curves.js";
import { graphOf } from "./model/graph.js";

/**
 * @typedef {{metric: string, part: string, n: number, remark: string,
 *   scores: import("../charts/intervals.js").Dot[]}} Scores
 * @typedef {{sentences: {topic: string, text: string}[], scores: Scores | null, audit: Record<string, any> | null,
 *   graph: import("./model/graph.js").GraphNode[]}} Card
 */

export const title = "Model";

/**
 * @param {HTMLElement} root
 * @param {import("../router.js").ViewContext} context
 * @returns {import("../router.js").MountedView}
 */
export function mount(root, context) {
  const { api, model, signal } = context;
  const body = h("div", { class: "stack-wide" });
  root.append(h("h1", { class: "model-name", dir: "auto" }, model.name), body);
  const load = async () => {
    replaceChildren(body, loadingState("Loading the card of the model", 6));
    try {
      const parameters = { model: model.name };
      const call = () =>
        Promise.all([
          api.get("/v1/model/card", parameters, signal),
          api.get("/v1/model/curves", parameters, signal),
        ]);
      const refused = refusalsIn(body);
      const [card, curves] = await patiently(call, { signal, refused });
      replaceChildren(body, ...contentOf(card, curves));
    } catch (error) {
      if (!isAbort(error))
        replaceChildren(
          body,
          errorState(error, () => void load()),
        );
    }
  };
  void load();
  return { reconnected: () => void load() };
}

/**
 * @param {Card} card
 * @param {import("./model/curves.js").Curves} curves
 */
function contentOf(card, curves) {
  return [
    h(
      "dl",
      { class: "facts model-card" },
      ...card.sentences.map(({ topic, text }) =>
        h("div", { class: "fact" }, h("dt", {}, topic), h("dd", {}, text)),
      ),
    ),
    section("Results", resultsOf(card.scores)),
    section("Training", ...curvesOf(curves)),
    section("Data", ...auditOf(card.audit)),
    section("Graph", graphOf(card.graph)),
  ];
}

/**
 * @param {string} heading
 * @param {...Node} content
 */
function section(heading, ...content) {
  return h("section", { class: "panel stack" }, h("h2", {}, heading), ...content);
}

/** @param {Scores | null} scores */
function resultsOf(scores) {
  if (scores === null) {
    const command = "segue evaluate RUN --data DATASET --json > RUN/evaluation.json";
    return h(
      "p",
      { class: "quiet" },
      "This run has no results yet. Measure it with ",
      h("code", {}, command),
      ".",
    );
  }
  const { metric, part, n, remark } = scores;
  const best = scores.scores.find((score) => score.role === "model") ?? scores.scores[0];
  const text = scores.scores.map((score) => `${score.name}: ${score.mean.toFixed(3)}`).join(", ");
  return h(
    "div",
    { class: "stack" },
    intervalChart({
      title: metricName(metric),
      unit: `${part} part, ${whole(n)} targets`,
      text: `${metricName(metric)} of ${best.name} and others. ${text}`,
      dots: scores.scores,
    }),
    h(
      "ul",
      { class: "legend small quiet" },
      legend("model", "what is served"),
      legend("member", "members of the ensemble"),
      legend("baseline", "baselines"),
    ),
    h("p", { class: "small quiet remark" }, `${remark.charAt(0).toUpperCase()}${remark.slice(1)}.`),
  );
}

/**
 * @param {string} role
 * @param {string} text
 */
function legend(role, text) {
  return h("li", {}, h("i", { class: `legend-dot role-${role}`, "aria-hidden": "true" }), text);
}
