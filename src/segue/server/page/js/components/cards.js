/** Items as cards: a cover, or a title on a colour of its own. */

import { h, icon } from "../dom.js";
import { makerAttribute, subtitleParts } from "../format.js";

/**
 * @typedef {import("../api.js").Item} Item
 * @typedef {Pick<import("../router.js").ViewContext, "api" | "catalogue" | "model">} CoverContext
 */

const MAX_HUE_SHIFT = 24;

/**
 * A hue from 0 to 359 that depends on a text only.
 *
 * @param {string} text
 */
export function hueOf(text) {
  let hash = 2_166_136_261;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 16_777_619);
  }
  return (hash >>> 8) % 360;
}

/**
 * The hue of an item: near that of its maker or kind, so that items that belong together look
 * alike, but not the same.
 *
 * @param {Item} item
 */
export function itemHue(item) {
  const name = makerAttribute(item);
  if (name === null) return hueOf(item.item_id);
  const value = item.attributes[name];
  const shift = (hueOf(item.item_id) % (2 * MAX_HUE_SHIFT)) - MAX_HUE_SHIFT;
  return (hueOf(String(Array.isArray(value) ? value[0] : value)) + shift + 360) % 360;
}

/**
 * The cover of an item: its image where the server has one, else the beginning of its title.
 * Decorative: who uses it writes the title beside it.
 *
 * @param {Item} item
 * @param {CoverContext} context
 * @param {"small" | "large"} [size] 48 px, or as wide as its place
 * @returns {HTMLElement}
 */
export function cover(item, context, size = "small") {
  const text = size === "small" ? initials(item.title) : item.title;
  const card = h(
    "div",
    { class: `cover cover-${size}`, "aria-hidden": "true", style: { "--hue": itemHue(item) } },
    h("span", {}, text),
  );
  if (context.catalogue.n_covers > 0) void addImage(card, item, context);
  return card;
}

/**
 * The second line of an item. Where room is short its kinds are cut, never its year.
 *
 * @param {Item} item
 * @returns {HTMLElement}
 */
export function subtitle(item) {
  const { start, end } = subtitleParts(item);
  const separator = start === "" || end === "" ? "" : " · ";
  return h(
    "span",
    { class: "subtitle quiet small", dir: "auto" },
    h("span", { class: "ellipsis" }, start),
    separator !== "" && h("span", { class: "subtitle-separator" }, separator),
    end !== "" && h("span", { class: "subtitle-end" }, end),
  );
}

/**
 * The card of an id that the model does not know.
 *
 * @returns {HTMLElement}
 */
export function unknownCover() {
  return h(
    "div",
    { class: "cover cover-small cover-unknown", "aria-hidden": "true" },
    icon("help"),
  );
}

/**
 * @param {HTMLElement} card
 * @param {Item} item
 * @param {CoverContext} context
 */
async function addImage(card, item, { api, model }) {
  const path = `/v1/covers/${encodeURIComponent(item.item_id)}?model=${encodeURIComponent(model.name)}`;
  const image = h("img", { alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("load", () => card.classList.add("has-image"));
  image.addEventListener("error", () => image.remove());
  if (!api.hasKey) image.src = path;
  else {
    const blob = await api.image(path).catch(() => null); // then the title stays
    if (blob === null) return;
    const address = URL.createObjectURL(blob);
    for (const end of ["load", "error"]) {
      image.addEventListener(end, () => URL.revokeObjectURL(address), { once: true });
    }
    image.loading = "eager"; // its bytes are here, and one of the two must happen
    image.src = address;
  }
  card.append(image);
}

/** @param {string} title */
function initials(title) {
  const words = title.match(/[\p{L}\p{N}]+/gu) ?? ["?"];
  const strong = words.filter((word) => !/^(the|a|an|of|and|in|to|der|die|das|le|la)$/i.test(word));
  const chosen = (strong.length > 0 ? strong : words).slice(0, 2);
  return chosen.map((word) => [...word][0].toLocaleUpperCase()).join("");
}

/**
 * Popularity as five dots.
 *
 * @param {Item} item
 * @param {import("../api.js").Catalogue} catalogue
 * @returns {HTMLElement}
 */
export function popularityDots(item, catalogue) {
  const count = Number(item.attributes.training_count ?? 0);
  const level = 1 + catalogue.popularity_steps.filter((step) => count >= step).length;
  const label = `Popularity ${level} of 5: ${count.toLocaleString("en")} training events`;
  return h(
    "span",
    { class: "dots", role: "img", "aria-label": label, title: label },
    ...[1, 2, 3, 4, 5].map((dot) => h("i", { class: dot <= level ? "dot dot-on" : "dot" })),
  );
}
