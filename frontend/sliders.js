// A knob's control: one value on a slider beside a number, or several values side by side.

import { h, icon, written } from "./dom.js";
import { CROSS, frame, labelOf, numberInput } from "./fields.js";
import { another, scaleOf, spread } from "./scale.js";

/** @typedef {import("./types").Schema} Schema */
/** @typedef {import("./fields.js").Change} Change */
/** @typedef {import("./fields.js").Complain} Complain */
/** @typedef {import("./fields.js").Field} Field */

/** A slider beside a number for one value.
 * @param {{schema: Schema, label: string, change: Change, complain: Complain, bounds?: boolean}} options */
function slider({ schema, label, change, complain, bounds = true }) {
  const scale = scaleOf(schema);
  const range = h("input", { type: "range", min: 0, max: scale.ticks, step: 1, "aria-label": label });
  let value = NaN,
    moved = false;
  const tell = () => {
    range.setAttribute("aria-valuetext", `${schema.symbol ? `${schema.symbol} = ` : ""}${written(value)}`);
    range.style.setProperty("--share", `${(100 * Number(range.value)) / scale.ticks}%`);
  };
  const number = numberInput({
    label: `${label}, as a number`,
    complain,
    change: (next, live) => {
      set(next);
      change(next, live);
    },
    nudge: (from, by) => {
      const tick = scale.tick(from),
        at = scale.value(tick);
      return scale.value(
        Math.min(Math.max(by > 0 ? (at > from ? tick : tick + 1) : at < from ? tick : tick - 1, 0), scale.ticks),
      );
    },
  });
  /** @param {number} next */
  function set(next) {
    value = next;
    number.set(next);
    range.value = String(scale.tick(next));
    tell();
  }
  range.addEventListener("input", () => {
    value = scale.value(Number(range.value));
    moved = true;
    number.set(value);
    tell();
    complain(null);
    change(value, true);
  });
  range.addEventListener("change", () => {
    if (moved) change(value, false);
    moved = false;
  });
  range.addEventListener("keydown", (event) => {
    const by = { PageUp: scale.page, PageDown: -scale.page }[event.key];
    if (!by) return;
    event.preventDefault();
    range.value = String(Number(range.value) + by);
    range.dispatchEvent(new Event("input", { bubbles: true }));
    range.dispatchEvent(new Event("change", { bubbles: true }));
  });
  const ends = h(
    "div",
    { class: "bounds", "aria-hidden": "true" },
    h("span", {}, written(schema.minimum)),
    h("span", {}, written(schema.maximum)),
  );
  const element = h("div", { class: "slider" }, h("div", { class: "slider-row" }, range, number.input), bounds && ends);
  return { element, set, range };
}

/** A knob: one value on a slider or, where it may sweep, several side by side.
 * @param {{path: string, key: string, schema: Schema, change: Change, sweeps?: boolean}} options @returns {Field} */
export function knobField({ path, key, schema, change, sweeps = false }) {
  const body = h("div", { class: "control-body" });
  const compare = h("button", { type: "button", class: "quiet", "aria-pressed": "false" }, "Compare values");
  const title = schema.title ?? key;
  const field = frame(path, labelOf(schema, key), body, ...(sweeps ? [compare] : []));
  /** @type {any} */
  let value = NaN;
  /** @type {{element: HTMLElement, set: (value: number) => void}[]} */
  let rows = [];
  let layout = "";

  /** @param {number[]} values @param {boolean} [live] */
  const sweep = (values, live = false) => {
    set(values);
    change(values, live);
  };
  compare.addEventListener("click", () => {
    const next = Array.isArray(value) ? value[Math.floor(value.length / 2)] : spread(schema, value);
    set(next);
    change(next, false);
  });

  /** @param {number} index */
  function row(index) {
    const one = slider({
      schema,
      label: Array.isArray(value) ? `${title}, value ${index + 1}` : title,
      complain: field.complain,
      bounds: !Array.isArray(value),
      change: (next, live) => {
        value = Array.isArray(value) ? value.map((v, i) => (i === index ? next : v)) : next;
        change(value, live);
      },
    });
    if (!Array.isArray(value)) return one;
    const remove = h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": `Remove value ${index + 1}`,
        title: "Remove",
        onclick: () => sweep(value.filter((/** @type {number} */ _, /** @type {number} */ i) => i !== index)),
      },
      icon(CROSS),
    );
    remove.disabled = value.length === 1;
    return { element: h("li", {}, one.element, remove), set: one.set };
  }

  function build() {
    const many = Array.isArray(value);
    compare.setAttribute("aria-pressed", String(many));
    rows = (many ? value : [value]).map((/** @type {number} */ _, /** @type {number} */ i) => row(i));
    if (!many) return body.replaceChildren(rows[0].element);
    body.replaceChildren(
      h(
        "ul",
        { class: "values", "aria-label": `${title}, values compared` },
        rows.map((r) => r.element),
      ),
      h(
        "div",
        { class: "value-tools" },
        h(
          "button",
          { type: "button", class: "quiet", onclick: () => sweep([...value, another(schema, value)]) },
          "Add a value",
        ),
        h(
          "button",
          { type: "button", class: "quiet", onclick: () => sweep(spread(schema, value[Math.floor(value.length / 2)])) },
          schema.scale === "log" ? "×10 spread" : "Even spread",
        ),
      ),
    );
  }

  /** @param {any} next */
  function set(next) {
    value = next;
    const now = Array.isArray(next) ? String(next.length) : "one";
    if (now !== layout) build();
    layout = now;
    (Array.isArray(next) ? next : [next]).forEach((v, i) => rows[i].set(v));
  }
  return { ...field, path, set };
}
