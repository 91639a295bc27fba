/** A dialog that takes ids, a playlist file or a JSON list. */

import { openDialog } from "../../components/dialog.js";
import { h } from "../../dom.js";
import { plural } from "../../format.js";
import { pastedIds } from "./pasted.js";

const MAX_FILE_BYTES = 1_000_000;

/**
 * @param {import("../../router.js").ViewContext} context
 * @param {import("./actions.js").Actions} actions
 */
export function openPasteDialog(context, actions) {
  const field = h("textarea", {
    class: "field",
    id: "paste-field",
    rows: 8,
    spellcheck: false,
    placeholder: "One id per line, a JSON list, or the text of a playlist file",
    on: { input: () => count() },
  });
  const file = h("input", {
    class: "visually-hidden",
    type: "file",
    id: "paste-file",
    accept: ".txt,.csv,.tsv,.json,.m3u,.m3u8",
    on: {
      change: async () => {
        const chosen = file.files?.[0];
        if (chosen !== undefined) field.value = await chosen.slice(0, MAX_FILE_BYTES).text();
        count();
      },
    },
  });
  const found = h("span", { class: "quiet small", role: "status" });
  const add = h(
    "button",
    { class: "button button-primary", type: "submit", disabled: true },
    "Add",
  );
  const count = () => {
    const ids = pastedIds(field.value);
    found.textContent = field.value.trim() === "" ? "" : plural(ids.length, "id");
    add.disabled = ids.length === 0;
  };
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    dialog.close();
    const ids = pastedIds(field.value);
    actions.insert(ids, context.store.state.items.length);
    context.announce(`${plural(ids.length, "id")} added`);
  };
  const form = h(
    "form",
    { class: "stack", on: { submit } },
    h(
      "label",
      { class: "quiet", htmlFor: "paste-field" },
      "Ids that the model does not know are kept, struck through.",
    ),
    field,
    h(
      "div",
      { class: "row row-between" },
      h("label", { class: "button", htmlFor: "paste-file" }, "Choose a file", file),
      h("div", { class: "row" }, found, add),
    ),
  );
  const dialog = openDialog("Paste a sequence", form);
  field.focus();
}
