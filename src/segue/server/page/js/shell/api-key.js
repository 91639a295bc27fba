/** Asks for the API key, which stays in this tab. */

import { h } from "../dom.js";
import { openDialog } from "../components/dialog.js";

const POSSIBLE = /^[\x21-\x7e]+$/;

/**
 * Whether a text can be an API key: a header holds no other characters.
 *
 * @param {string} text
 */
export function isPossibleKey(text) {
  return POSSIBLE.test(text);
}

/**
 * @param {string} message why the server wants a key
 * @returns {Promise<string | null>} null if the user gives none
 */
export function requestKey(message) {
  return new Promise((resolve) => {
    const field = h("input", {
      class: "field",
      type: "password",
      id: "api-key",
      autocomplete: "off",
      required: true,
      on: { input: () => field.setCustomValidity("") },
    });
    const send = h("button", { class: "button button-primary", type: "submit" }, "Use this key");
    const form = h(
      "form",
      {
        class: "stack",
        on: {
          submit: (/** @type {SubmitEvent} */ event) => {
            event.preventDefault();
            const key = field.value.trim();
            if (isPossibleKey(key)) {
              resolve(key);
              dialog.close();
            } else {
              field.setCustomValidity("A key has only letters, digits and signs of ASCII.");
              field.reportValidity();
            }
          },
        },
      },
      h("p", {}, `${sentence(message)} It is kept in this tab only.`),
      h("label", { class: "label", htmlFor: "api-key" }, "API key"),
      field,
      h("div", { class: "row row-end" }, send),
    );
    const dialog = openDialog("This server needs an API key", form, () => resolve(null));
    field.focus();
  });
}

/** @param {string} text */
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1).replace(/\.?$/, ".");
}
