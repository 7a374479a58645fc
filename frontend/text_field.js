// A text that is typed in, such as a formula. On its way to the next valid one it is mostly wrong: it is tried when the
// keys rest, and while it is refused, what is drawn stays and the place that is wrong is marked beneath it.

import { h } from "./dom.js";
import { frame, labelOf } from "./fields.js";

/** @typedef {import("./types").Schema} Schema */

const PAUSE = 350; // milliseconds without a key after which the text is tried

/** @param {{path: string, key: string, schema: Schema, change: import("./fields.js").Change}} options
 * @returns {import("./fields.js").Field} */
export function textField({ path, key, schema, change }) {
  const input = h("input", {
    type: "text",
    class: "formula",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    maxlength: schema.maxLength,
  });
  const field = frame(path, labelOf(schema, key), input);
  input.setAttribute("aria-labelledby", field.name);
  const place = h("p", { class: "place", "aria-hidden": "true", hidden: true });
  field.element.append(place);

  let shown = "", // as the spec has it
    tried = "",
    timer = 0;
  const attempt = (/** @type {boolean} */ live) => {
    clearTimeout(timer);
    change((tried = input.value), live);
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => attempt(true), PAUSE);
  });
  input.addEventListener("change", () => attempt(false));

  return {
    ...field,
    path,
    set(value) {
      // Whatever else happens on the page, it does not take away what is being typed.
      if (document.activeElement === input && value === shown) return;
      input.value = shown = tried = value ?? "";
    },
    complain(message, at = null) {
      field.complain(message);
      place.hidden = !message || at === null;
      if (place.hidden || at === null) return;
      const characters = [...tried]; // by code points, as the server counts them
      const rest = characters.slice(at).join("");
      const wrong = /^(\w+|.)/u.exec(rest)?.[0] ?? "";
      place.replaceChildren(
        characters.slice(0, at).join(""),
        h("mark", {}, wrong || " "),
        rest.slice(wrong.length),
      );
    },
  };
}
