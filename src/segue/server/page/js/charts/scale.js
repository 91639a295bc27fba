/** Scales of charts: from values to pixels, with round numbers as ticks. */

import { whole } from "../format.js";

/**
 * @typedef {object} Scale
 * @property {(value: number) => number} of the pixel of a value
 * @property {number[]} ticks
 * @property {number} low
 * @property {number} high
 */

/**
 * A linear scale that ends at round numbers.
 *
 * @param {number} low
 * @param {number} high
 * @param {[number, number]} pixels where low and high are
 * @param {{count?: number, isRound?: boolean, isWhole?: boolean}} [options] about how many ticks;
 *   whether the ends are moved to ticks; whether ticks are whole numbers
 * @returns {Scale}
 */
export function linear(low, high, pixels, options = {}) {
  const { count = 4, isRound = true, isWhole = false } = options;
  const span = high > low ? high - low : Math.abs(high) || 1;
  const step = Math.max(roundStep(span / count), isWhole ? 1 : 0);
  const first = isRound ? Math.floor(low / step) * step : low;
  const last = isRound ? Math.ceil((high > low ? high : low + span) / step) * step : high;
  const ticks = [];
  for (let tick = Math.ceil(first / step); tick * step <= last + step / 1000; tick++) {
    ticks.push(Number((tick * step).toPrecision(12)));
  }
  const of = (/** @type {number} */ value) =>
    pixels[0] + ((value - first) / (last - first || 1)) * (pixels[1] - pixels[0]);
  return { of, ticks, low: first, high: last };
}

/**
 * 1, 2 or 5 times a power of ten.
 *
 * @param {number} rough
 */
function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const times = rough / power;
  return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/**
 * A number for the tick of an axis.
 *
 * @param {number} value
 */
export function tickText(value) {
  const size = Math.abs(value);
  if (value !== 0 && size < 0.0001) return value.toExponential(0).replace("e-", "e−");
  if (size >= 10_000) return COMPACT.format(value);
  return size >= 1_000 ? whole(value) : String(Number(value.toPrecision(4)));
}
