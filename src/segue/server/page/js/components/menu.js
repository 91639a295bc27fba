/** A button that opens a menu of actions. */

import { h } from "../dom.js";

/**
 * @typedef {{label: string, detail?: string, run: () => void, isDisabled?: boolean}} MenuItem
 */

/**
 * @param {Element[]} face what the button shows
 * @param {string} label for screen readers and as a tooltip
 * @param {() => MenuItem[]} itemsOf is called when the menu opens
 * @param {string} [className] of the button
 * @returns {HTMLElement}
 */
export function menuButton(face, label, itemsOf, className = "button") {
  const button = h(
    "button",
    {
      class: className,
      type: "button",
      title: label,
      "aria-label": label,
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      on: {
        click: () => (button.getAttribute("aria-expanded") === "true" ? close(false) : open()),
      },
    },
    ...face,
  );
  const holder = h("div", { class: "menu-holder" }, button);
  /** @type {HTMLElement | null} */
  let menu = null;

  const closeOutside = (/** @type {Event} */ event) => {
    if (event.target instanceof Node && !holder.contains(event.target)) close(false);
  };

  function open() {
    const entries = itemsOf().map((item) =>
      h(
        "button",
        {
          class: "menu-item",
          type: "button",
          role: "menuitem",
          tabIndex: -1,
          disabled: item.isDisabled,
          on: {
            click: () => {
              close(true);
              item.run();
            },
          },
        },
        h("span", {}, item.label),
        item.detail !== undefined && h("span", { class: "quiet" }, item.detail),
      ),
    );
    menu = h(
      "div",
      { class: "menu", role: "menu", "aria-label": label, on: { keydown: move } },
      ...entries,
    );
    holder.append(menu);
    if (menu.getBoundingClientRect().right > innerWidth - 8) menu.classList.add("menu-left");
    if (menu.getBoundingClientRect().bottom > innerHeight - 8) menu.classList.add("menu-up");
    button.setAttribute("aria-expanded", "true");
    document.addEventListener("pointerdown", closeOutside);
    entries.find((entry) => !entry.disabled)?.focus();
  }

  /** @param {boolean} isFocusKept */
  function close(isFocusKept) {
    menu?.remove();
    menu = null;
    button.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", closeOutside);
    if (isFocusKept) button.focus();
  }

  /** @param {KeyboardEvent} event */
  function move(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key === "Escape" || event.key === "Tab") {
      if (event.key === "Escape") event.preventDefault();
      event.stopPropagation();
      close(true);
    } else if (event.key in steps && menu !== null) {
      event.preventDefault();
      event.stopPropagation();
      const entries = [...menu.querySelectorAll("button:not(:disabled)")];
      const at = entries.indexOf(/** @type {Element} */ (document.activeElement));
      const step = steps[/** @type {keyof steps} */ (event.key)];
      /** @type {HTMLElement} */ (entries[(at + step + entries.length) % entries.length]).focus();
    }
  }

  return holder;
}
