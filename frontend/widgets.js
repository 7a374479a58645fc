// Small controls that several views share.

import { h } from "./dom.js";

/** How a lane ended, in three words. @param {import("./types").LaneEnd} end */
export const verdict = (end) => (end.status === "budget" ? `all ${end.step} steps` : `${end.status} at ${end.step}`);

/** Checkboxes that switch the truth values of `state`.
 * @template {Record<string, boolean>} T
 * @param {string} name @param {T} state @param {Partial<Record<keyof T, string>>} labels
 * @param {(key: keyof T) => void} changed */
export function toggles(name, state, labels, changed) {
  const field = h("div", { class: "view-toggles", role: "group", "aria-label": name });
  for (const [key, label] of Object.entries(labels)) {
    const input = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox" }));
    input.checked = state[key];
    input.addEventListener("change", () => {
      /** @type {Record<string, boolean>} */ (state)[key] = input.checked;
      changed(key);
    });
    field.append(h("label", {}, input, String(label)));
  }
  return field;
}

/** A labelled choice whose options can be replaced. @param {string} label @param {(value: string) => void} changed */
export function choice(label, changed) {
  const select = /** @type {HTMLSelectElement} */ (h("select"));
  const element = h("label", { class: "view-choice" }, label, select);
  let known = "";
  select.addEventListener("change", () => changed(select.value));
  return {
    element,
    /** @param {[string, string][]} options value and text @param {string} value */
    offer(options, value) {
      const now = JSON.stringify(options);
      if (now !== known) select.replaceChildren(...options.map(([v, text]) => h("option", { value: v }, text)));
      known = now;
      select.value = value;
    },
  };
}
