/** The view System: what the server did in the last ten minutes, and what it runs. */

import { isAbort } from "../api.js";
import { barChart } from "../charts/bars.js";
import { lineChart } from "../charts/lines.js";
import { bigNumbers } from "../components/numbers.js";
import { errorState, loadingState } from "../components/states.js";
import { h, replaceChildren } from "../dom.js";
import { plural, threeDigits, whole } from "../format.js";

/**
 * @typedef {{seconds_ago: number, n_requests: number, n_errors: number, p50_ms: number | null,
 *   p95_ms: number | null}} Slot
 * @typedef {{seconds: number, n_requests: number, requests_per_minute: number, n_errors: number,
 *   n_failures: number, latency_ms: {p50: number | null, p95: number | null, p99: number | null},
 *   mean_batch: number | null, batches: {up_to: number | null, n: number}[], slots: Slot[]}} Recent
 * @typedef {{versions: Record<string, string>, uptime_s: number, recent: Recent,
 *   models: (import("../api.js").ModelSummary & {n_waiting: number})[]}} System
 */

export const title = "System";

const POLL_MS = 5_000;

/**
 * @param {HTMLElement} root
 * @param {import("../router.js").ViewContext} context
 * @returns {import("../router.js").MountedView}
 */
export function mount(root, context) {
  const body = h("div", { class: "stack-wide" }, loadingState("Loading the counters", 6));
  root.append(h("h1", {}, title), h("p", { class: "quiet page-lead" }, LEAD), body);
  let timer = 0;
  const load = async () => {
    clearTimeout(timer);
    try {
      const system = /** @type {System} */ (
        await context.api.get("/v1/system", {}, context.signal)
      );
      replaceChildren(body, ...contentOf(system));
      timer = setTimeout(() => void load(), POLL_MS);
    } catch (error) {
      if (!isAbort(error))
        replaceChildren(
          body,
          errorState(error, () => void load()),
        );
    }
  };
  void load();
  return { reconnected: () => void load(), destroy: () => clearTimeout(timer) };
}

const LEAD =
  "Requests for recommendations, continuations, scores and explanations in the last ten minutes.";

/** @param {System} system */
function contentOf({ versions, uptime_s, recent, models }) {
  const { p50, p95, p99 } = recent.latency_ms;
  return [
    bigNumbers([
      { label: "Requests", value: short(recent.requests_per_minute), unit: "/ min" },
      { label: "Median latency", value: milliseconds(p50), unit: p50 === null ? "" : "ms" },
      { label: "95 of 100 below", value: milliseconds(p95), unit: p95 === null ? "" : "ms" },
      { label: "Errors", value: whole(recent.n_errors), unit: `of ${whole(recent.n_requests)}` },
    ]),
    h(
      "div",
      { class: "chart-grid" },
      h("section", { class: "panel" }, requestsChart(recent)),
      h("section", { class: "panel" }, latencyChart(recent, p99)),
      h("section", { class: "panel" }, batchChart(recent)),
    ),
    h(
      "section",
      { class: "panel stack" },
      h("h2", {}, "What runs"),
      runsOf(versions, uptime_s, models),
    ),
  ];
}

/** @param {Recent} recent */
function requestsChart({ slots, n_requests, n_errors }) {
  const step_s = slots.length <= 18 ? 30 : slots.length <= 36 ? 60 : 120;
  const bars = slots.map((slot) => ({
    label: slot.seconds_ago % step_s === 0 ? ago(slot.seconds_ago) : "",
    value: slot.n_requests,
    part: slot.n_errors,
    title: `${plural(slot.n_requests, "request")}, ${plural(slot.n_errors, "error")}, ${ago(slot.seconds_ago)}`,
  }));
  const text = `${plural(n_requests, "request")}, ${plural(n_errors, "error")} in ten minutes`;
  return barChart({
    title: "Requests",
    unit: n_errors > 0 ? "per 10 s, errors in red" : "per 10 s",
    text,
    bars,
  });
}

/**
 * @param {Recent} recent
 * @param {number | null} p99
 */
function latencyChart({ slots, latency_ms: { p50, p95 } }, p99) {
  const unit_s = slots.length > 18 ? 60 : 30; // of which ticks are a round number
  const x = slots.map((slot) => -slot.seconds_ago / unit_s);
  const text =
    p50 === null
      ? "No requests yet"
      : `Half of the requests took at most ${milliseconds(p50)} ms, 95 of 100 at most ` +
        `${milliseconds(p95)} ms, 99 of 100 at most ${milliseconds(p99)} ms`;
  const lines = [
    { name: "95 of 100", colour: 3, x, y: slots.map((slot) => slot.p95_ms) },
    { name: "median", colour: 1, x, y: slots.map((slot) => slot.p50_ms) },
  ];
  const hasValues = lines.some((line) => line.y.some((value) => value !== null));
  return lineChart({
    title: "Latency",
    unit: "ms",
    text,
    lines: hasValues ? lines : [{ name: "", colour: 1, x, y: x.map(() => null) }],
    fromZero: true,
    xText: (value) => ago(-value * unit_s),
    xRange: [Math.min(-10 / unit_s, ...x), 0],
  });
}

/** @param {Recent} recent */
function batchChart({ batches, mean_batch }) {
  const last = batches.findLastIndex((batch) => batch.n > 0);
  const bars = batches.slice(0, Math.max(6, last + 1)).map(({ up_to, n }, at) => {
    const low = at === 0 ? 1 : (batches[at - 1].up_to ?? 0) + 1;
    const label = up_to === null ? `${low}+` : low === up_to ? `${up_to}` : `${low}–${up_to}`;
    return {
      label,
      value: n,
      title: `${plural(n, "batch").replace(/chs$/, "ches")} of ${label} requests`,
    };
  });
  const text =
    mean_batch === null ? "No batches yet" : `A batch had ${mean_batch} requests on average`;
  return barChart({ title: "Batches", unit: "by number of requests", text, bars });
}

/**
 * @param {Record<string, string>} versions
 * @param {number} uptime_s
 * @param {System["models"]} models
 */
function runsOf(versions, uptime_s, models) {
  const facts = [
    ["Segue", versions.segue],
    ["Python", versions.python],
    ["JAX", `${versions.jax} on ${versions.device.toUpperCase()}`],
    ["Running for", duration(uptime_s)],
    ...models.map((model) => [
      model.name,
      `version ${model.version}, ${plural(model.n_items, "item")}, loaded ${whenOf(model.loaded_at)}`,
    ]),
  ];
  return h(
    "dl",
    { class: "facts" },
    ...facts.map(([name, value]) =>
      h("div", { class: "fact" }, h("dt", { dir: "auto" }, name), h("dd", {}, value)),
    ),
  );
}

/** @param {number | null} value */
function milliseconds(value) {
  return value === null ? "–" : short(value);
}

/** @param {number} value */
function short(value) {
  return value >= 100 ? whole(value) : threeDigits(value);
}

/** @param {number} seconds */
function ago(seconds) {
  if (seconds < 5) return "now";
  return seconds % 60 === 0
    ? `−${seconds / 60} min`
    : seconds < 60
      ? `−${Math.round(seconds)} s`
      : `−${(seconds / 60).toFixed(1)} min`;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3_600)} h`
    : `${Math.round(seconds / 86_400)} days`;
}

/** @param {string} time */
function whenOf(time) {
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
