/** Colours of the groups, as CSS colours and as pixels, from the theme. */

import { h, setStyle } from "../../dom.js";

const OTHER = 255;
/** Hues that neighbours in the list do not share. */
const HUES = [268, 40, 155, 350, 205, 95, 310, 65, 180, 10, 235];

/**
 * @typedef {{css: string[], other: string, surface: string, text: string, quiet: string,
 *   accent: string, onAccent: string, pixels: Uint32Array}} Palette `pixels` has a colour per
 *   code of a group, as little-endian RGBA
 */

/** @returns {Palette} */
export function readPalette() {
  const isDark = document.documentElement.dataset.theme === "dark";
  const probe = document.body.appendChild(h("span", { hidden: true }));
  const token = (/** @type {string} */ name) => {
    setStyle(probe, { color: `var(${name})` });
    return getComputedStyle(probe).color; // as it is in this theme
  };
  const css = HUES.map((hue) => (isDark ? `oklch(74% 0.14 ${hue})` : `oklch(60% 0.17 ${hue})`));
  const other = isDark ? "oklch(52% 0.015 260)" : "oklch(74% 0.012 260)";
  const pixels = new Uint32Array(256).fill(pixelOf(other));
  css.forEach((colour, code) => (pixels[code] = pixelOf(colour)));
  pixels[OTHER] = pixelOf(other);
  const palette = {
    css,
    other,
    pixels,
    surface: token("--surface"),
    text: token("--text"),
    quiet: token("--text-quiet"),
    accent: token("--accent"),
    onAccent: token("--on-accent"),
  };
  probe.remove();
  return palette;
}

/** @param {string} colour */
export function pixelOf(colour) {
  const canvas = new OffscreenCanvas(1, 1);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (pen === null) return 0xff888888;
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  const [red, green, blue] = pen.getImageData(0, 0, 1, 1).data;
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
