/** Drags, pinches, wheel and clicks on a canvas, as movements of a camera. */

const CLICK_PIXELS = 5;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import("./camera.js").Camera} camera
 * @param {{moved: () => void, hovered: (x: number | null, y: number) => void,
 *   clicked: (x: number, y: number) => void}} listeners
 */
export function listenToPointer(canvas, camera, { moved, hovered, clicked }) {
  /** @type {Map<number, {x: number, y: number}>} */
  const pointers = new Map();
  let travelled = 0;

  const placeOf = (/** @type {MouseEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, placeOf(event));
    travelled = pointers.size > 1 ? Infinity : 0;
    canvas.classList.add("is-dragged");
  });

  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    const now = placeOf(event);
    if (before === undefined) {
      if (event.pointerType === "mouse") hovered(now.x, now.y);
      return;
    }
    const [right, down] = [now.x - before.x, now.y - before.y];
    travelled += Math.hypot(right, down);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, now);
    if (travelled < CLICK_PIXELS) return;
    if (other === undefined) camera.moveBy(right, down);
    else {
      const apart = Math.hypot(before.x - other.x, before.y - other.y);
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      camera.zoomBy(Math.hypot(now.x - other.x, now.y - other.y) / Math.max(apart, 1), middle);
      camera.moveBy(right / 2, down / 2);
    }
    moved();
  });

  const release = (/** @type {PointerEvent} */ event) => {
    if (!pointers.delete(event.pointerId) || pointers.size > 0) return;
    canvas.classList.remove("is-dragged");
    if (event.type === "pointerup" && travelled < CLICK_PIXELS) {
      const { x, y } = placeOf(event);
      clicked(x, y);
    }
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => hovered(null, 0));

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const pixels = event.deltaMode === 1 ? 30 * event.deltaY : event.deltaY;
      camera.zoomBy(Math.exp(-pixels / 400), placeOf(event));
      moved();
    },
    { passive: false },
  );
}
