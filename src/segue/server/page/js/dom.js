/** Builds elements. Data becomes text nodes and attributes, never markup. */

/**
 * @typedef {string | number | Node | null | undefined | false} Child
 * @typedef {Record<string, any>} Properties
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Properties} [properties] `class`, `data` (an object), `style` (custom properties and
 *   others, by name), `on` (listeners by event), `ref` (called with the element); a property of
 *   the element if it has one of this name; an attribute otherwise. `null`, `undefined` and
 *   `false` leave an attribute out.
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  applyProperties(element, properties);
  append(element, children);
  return element;
}

/**
 * An SVG element.
 *
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Properties} [properties] as those of `h`; all others are attributes
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  applyProperties(element, properties);
  append(element, children);
  return element;
}

/**
 * Replace all children of an element.
 *
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function replaceChildren(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * @param {Element} element
 * @param {(Child | Child[])[]} children
 */
function append(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * @param {HTMLElement | SVGElement} element
 * @param {Properties} properties
 */
function applyProperties(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.setAttribute("class", value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "style") setStyle(element, value);
    else if (name === "on") listen(element, value);
    else if (name === "ref") value(element);
    else if (element instanceof HTMLElement && name in element) Reflect.set(element, name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * Set style properties through the object model, which the policy of the page allows.
 *
 * @param {HTMLElement | SVGElement} element
 * @param {Record<string, string | number>} values
 */
export function setStyle(element, values) {
  for (const [name, value] of Object.entries(values)) {
    element.style.setProperty(name, String(value));
  }
}

/**
 * @param {Element} element
 * @param {Record<string, (event: any) => void>} listeners
 */
function listen(element, listeners) {
  for (const [event, listener] of Object.entries(listeners)) {
    element.addEventListener(event, listener);
  }
}

/**
 * A line icon of 20 px; decorative.
 *
 * @param {keyof typeof ICONS} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: ICONS[name] }),
  );
}

const ICONS = {
  add: "M10 4v12M4 10h12",
  check: "M4 10.5l4 4 8-9",
  chevron: "M6 8l4 4 4-4",
  close: "M5 5l10 10M15 5L5 15",
  compare: "M4 5h4M4 10h4M4 15h4M12 5h4M12 10h4M12 15h4",
  controls: "M4 6h5M13 6h3M11 4v4M4 14h3M11 14h5M9 12v4",
  copy: "M7 7h9v9H7zM4 13V4h9",
  dark: "M16 11.5A6.5 6.5 0 0 1 8.5 4 6.5 6.5 0 1 0 16 11.5z",
  download: "M10 4v8M6.5 9l3.5 3.5L13.5 9M4 16h12",
  drag: "M7 5h.01M7 10h.01M7 15h.01M13 5h.01M13 10h.01M13 15h.01",
  generate: "M4 6h8M4 10h5M4 14h8M12.5 10H17M14.5 7.5L17 10l-2.5 2.5",
  help: "M7.5 7.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7M10 15h.01",
  less: "M5 8l5 5 5-5M5 4l5 5 5-5",
  light:
    "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M15.7 4.3l-1.1 1.1M5.4 14.6l-1.1 1.1",
  link: "M8.5 11.5l3-3M9 6l1.5-1.5a3 3 0 0 1 4.5 4.5L13.5 10.5M11 14l-1.5 1.5a3 3 0 0 1-4.5-4.5L6.5 9.5",
  lock: "M5.5 9h9v7h-9zM7.5 9V6.5a2.5 2.5 0 0 1 5 0V9",
  never: "M10 3.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM5.4 5.4l9.2 9.2",
  paste: "M7 5H5v12h10V5h-2M7.5 3.5h5v3h-5z",
  reset: "M4.5 8A6 6 0 1 1 4 11M4 4v4h4",
  search: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM13 13l4 4",
  sparkle: "M10 3l1.7 5.3L17 10l-5.3 1.7L10 17l-1.7-5.3L3 10l5.3-1.7z",
  undo: "M4 8h8a4 4 0 0 1 0 8H8M4 8l3.5-3.5M4 8l3.5 3.5",
  why: "M10 3.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM10 9.5v4M10 6.7h.01",
};
