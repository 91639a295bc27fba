/** Moves elements from where they were to where they are (first, last, invert, play). */

const DURATION_MS = 220;
const EASE = "cubic-bezier(0.2, 0, 0, 1)";

export function isMotionReduced() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/**
 * Change the children of a list and slide those that moved to their new places.
 *
 * @param {Element} list
 * @param {() => void} change
 */
export function slide(list, change) {
  if (isMotionReduced()) return change();
  const before = new Map([...list.children].map((child) => [child, child.getBoundingClientRect()]));
  change();
  for (const child of list.children) {
    const from = before.get(child);
    if (from === undefined) {
      child.animate([{ opacity: 0 }, { opacity: 1 }], { duration: DURATION_MS, easing: EASE });
      continue;
    }
    const to = child.getBoundingClientRect();
    const [x, y] = [from.left - to.left, from.top - to.top];
    if (x === 0 && y === 0) continue;
    const start = { transform: `translate(${x}px, ${y}px)` };
    child.animate([start, { transform: "none" }], { duration: DURATION_MS, easing: EASE });
  }
}

/**
 * Let an element arrive from where another one was.
 *
 * @param {Element} element
 * @param {DOMRect} from
 */
export function arrive(element, from) {
  if (isMotionReduced()) return;
  const to = element.getBoundingClientRect();
  if (to.width === 0) return;
  const start = {
    transform: `translate(${from.left - to.left}px, ${from.top - to.top}px)`,
    zIndex: "5",
  };
  element.animate([start, { transform: "none", zIndex: "5" }], { duration: 150, easing: EASE });
}
