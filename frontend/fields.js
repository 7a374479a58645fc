// Single controls: a knob's slider, a list of values side by side, a choice, a number, a list. Each shows a value, tells of
// a change, and shows what the server says of it.

import { h, icon, unique, written } from "./dom.js";
import { another, scaleOf, spread } from "./scale.js";

/** @typedef {import("./types").Schema} Schema */
/** @typedef {{element: HTMLElement, path: string, set(value: any): void, complain(message: string | null): void}} Field */
/** @typedef {(value: any, live: boolean) => void} Change  live: still being dragged */

const CROSS = "M4 4l8 8M12 4l-8 8";

/** What any field has: a name, a place for the control, a place for a complaint.
 * @param {string} path @param {(Node | string)[]} label @param {HTMLElement} control @param {HTMLElement[]} extra */
function frame(path, label, control, ...extra) {
  const name = unique("field"), told = unique("told");
  const complaint = h("p", { class: "complaint", id: told, role: "alert", hidden: true });
  const element = h("div", { class: "control", "data-path": path },
    h("div", { class: "control-head" }, h("span", { class: "control-name", id: name }, ...label), ...extra),
    control, complaint);
  element.setAttribute("role", "group");
  element.setAttribute("aria-labelledby", name);
  return {
    element, name,
    /** @param {string | null} message */
    complain(message) {
      complaint.hidden = !message;
      complaint.textContent = message ?? "";
      for (const input of element.querySelectorAll("input, select")) {
        if (message) input.setAttribute("aria-invalid", "true");
        else input.removeAttribute("aria-invalid");
        if (message) input.setAttribute("aria-describedby", told);
        else input.removeAttribute("aria-describedby");
      }
    },
  };
}

/** The label of a field: its symbol, where it has one, and its title. @param {Schema} schema @param {string} key */
const labelOf = (schema, key) => [
  ...(schema.symbol ? [h("span", { class: "symbol" }, schema.symbol), " "] : []), schema.title ?? key.replaceAll("_", " "),
];

/** @param {number} value */
const plain = (value) => String(value).replace("e+", "e");

/** A number typed in; arrow keys move it by `nudge`.
 * @param {{label: string, change: Change, nudge: (value: number, by: number) => number, complain: (message: string | null) => void}} options */
function numberInput({ label, change, nudge, complain }) {
  const input = h("input", { class: "number", type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": label });
  let shown = NaN;
  const read = () => {
    const text = input.value.trim().replace("−", "-").replace(",", ".");
    return text === "" ? NaN : Number(text);
  };
  input.addEventListener("change", () => {
    const value = read();
    if (!Number.isFinite(value)) return complain("Write a number, such as 0.1 or 1e-3.");
    complain(null);
    if (value !== shown) change((shown = value), false);
  });
  input.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || !Number.isFinite(read())) return;
    event.preventDefault();
    const value = nudge(read(), by);
    input.value = plain(value);
    change((shown = value), false);
  });
  return {
    input,
    /** @param {number | null | undefined} value */
    set(value) {
      shown = value ?? NaN;
      if (document.activeElement !== input || read() !== shown) {
        input.value = value === null || value === undefined ? "" : plain(value);
      }
    },
  };
}

/** A slider beside a number for one value.
 * @param {{schema: Schema, label: string, change: Change, complain: (message: string | null) => void, bounds?: boolean}} options */
function slider({ schema, label, change, complain, bounds = true }) {
  const scale = scaleOf(schema);
  const range = h("input", { type: "range", min: 0, max: scale.ticks, step: 1, "aria-label": label });
  let value = NaN, moved = false;
  const tell = () => {
    range.setAttribute("aria-valuetext", `${schema.symbol ? `${schema.symbol} = ` : ""}${written(value)}`);
    range.style.setProperty("--share", `${(100 * Number(range.value)) / scale.ticks}%`);
  };
  const number = numberInput({
    label: `${label}, as a number`, complain, change: (next, live) => { set(next); change(next, live); },
    nudge: (from, by) => {
      const tick = scale.tick(from), at = scale.value(tick);
      return scale.value(Math.min(Math.max(by > 0 ? (at > from ? tick : tick + 1) : at < from ? tick : tick - 1, 0), scale.ticks));
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
  const ends = h("div", { class: "bounds", "aria-hidden": "true" },
    h("span", {}, written(schema.minimum)), h("span", {}, written(schema.maximum)));
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
      schema, label: Array.isArray(value) ? `${title}, value ${index + 1}` : title, complain: field.complain,
      bounds: !Array.isArray(value),
      change: (next, live) => {
        value = Array.isArray(value) ? value.map((v, i) => (i === index ? next : v)) : next;
        change(value, live);
      },
    });
    if (!Array.isArray(value)) return one;
    const remove = h("button", { type: "button", class: "icon-button", "aria-label": `Remove value ${index + 1}`, title: "Remove",
      onclick: () => sweep(value.filter((/** @type {number} */ _, /** @type {number} */ i) => i !== index)) }, icon(CROSS));
    remove.disabled = value.length === 1;
    return { element: h("li", {}, one.element, remove), set: one.set };
  }

  function build() {
    const many = Array.isArray(value);
    compare.setAttribute("aria-pressed", String(many));
    rows = (many ? value : [value]).map((/** @type {number} */ _, /** @type {number} */ i) => row(i));
    if (!many) return body.replaceChildren(rows[0].element);
    body.replaceChildren(
      h("ul", { class: "values", "aria-label": `${title}, values compared` }, rows.map((r) => r.element)),
      h("div", { class: "value-tools" },
        h("button", { type: "button", class: "quiet", onclick: () => sweep([...value, another(schema, value)]) }, "Add a value"),
        h("button", { type: "button", class: "quiet", onclick: () => sweep(spread(schema, value[Math.floor(value.length / 2)])) },
          schema.scale === "log" ? "×10 spread" : "Even spread")));
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

/** A structural option, by its schema. @param {{path: string, key: string, schema: Schema, change: Change}} options
 * @returns {Field} */
export function optionField({ path, key, schema, change }) {
  if (schema.type === "array") return listField({ path, key, schema, change });
  if (schema.enum) {
    const select = h("select", {}, schema.enum.map((v) => h("option", { value: String(v) }, String(v).replaceAll("-", " "))));
    const field = frame(path, labelOf(schema, key), select);
    select.setAttribute("aria-labelledby", field.name);
    select.addEventListener("change", () => change(schema.enum?.[select.selectedIndex], false));
    return { ...field, path, set: (value) => { select.selectedIndex = schema.enum?.indexOf(value) ?? 0; } };
  }
  if (schema.type === "boolean") {
    const box = h("input", { type: "checkbox" });
    const field = frame(path, labelOf(schema, key), box);
    box.setAttribute("aria-labelledby", field.name);
    box.addEventListener("change", () => change(box.checked, false));
    return { ...field, path, set: (value) => { box.checked = Boolean(value); } };
  }
  const text = schema.type === "string";
  if (text) {
    const input = h("input", { type: "text", autocomplete: "off", spellcheck: "false" });
    const field = frame(path, labelOf(schema, key), input);
    input.setAttribute("aria-labelledby", field.name);
    input.addEventListener("change", () => change(input.value, false));
    return { ...field, path, set: (value) => { input.value = value ?? ""; } };
  }
  return numberField({ path, key, schema, change });
}

/** A number without a slider. @param {{path: string, key: string, schema: Schema, change: Change}} options @returns {Field} */
export function numberField({ path, key, schema, change }) {
  /** @type {(message: string | null) => void} */
  let complain = () => {};
  const step = schema.type === "integer" ? 1 : 0.05;
  const number = numberInput({
    label: schema.title ?? key, change, complain: (message) => complain(message),
    nudge: (from, by) => Math.min(Math.max(Number((from + by * step).toPrecision(10)), schema.minimum ?? -Infinity), schema.maximum ?? Infinity),
  });
  const { minimum, maximum } = schema;
  const range = minimum !== undefined && maximum !== undefined && maximum < 2 ** 31
    ? `${minimum.toLocaleString("en")} … ${maximum.toLocaleString("en")}` : "";
  const row = h("div", { class: "number-row" }, number.input, range && h("small", {}, range));
  const field = frame(path, labelOf(schema, key), row);
  complain = field.complain;
  return { ...field, path, set: number.set };
}

/** The start, one number a weight.
 * @param {{names: string[], window: number[][] | null, count: number, change: Change, present: () => number[]}} options
 * @returns {Field} */
export function startField({ names, window, count, change, present }) {
  /** @type {(message: string | null) => void} */
  let complain = () => {};
  const numbers = Array.from({ length: count }, (_, i) => {
    const step = window ? 10 ** Math.floor(Math.log10((window[i][1] - window[i][0]) / 40)) : 0.1;
    return numberInput({
      label: `Start, ${names[i] ?? i + 1}`, complain: (message) => complain(message),
      nudge: (from, by) => Number((from + by * step).toPrecision(10)),
      change: (value, live) => change(present().map((v, k) => (k === i ? value : v)), live),
    });
  });
  const row = h("div", { class: "number-row" }, numbers.map(({ input }, i) => h("label", {}, h("span", { class: "symbol" }, names[i] ?? ""), input)));
  const field = frame("start", ["start"], row);
  complain = field.complain;
  return { ...field, path: "start", set: (values) => numbers.forEach((number, i) => number.set(values?.[i])) };
}

/** A list: names chosen one by one where there is a choice, else numbers with commas between.
 * @param {{path: string, key: string, schema: Schema, change: Change}} options @returns {Field} */
function listField({ path, key, schema, change }) {
  const items = schema.items;
  if (!items?.enum) {
    const input = h("input", { type: "text", autocomplete: "off", spellcheck: "false" });
    const field = frame(path, labelOf(schema, key), input);
    input.setAttribute("aria-labelledby", field.name);
    input.addEventListener("change", () => {
      const told = input.value.split(/[\s,;]+/).filter(Boolean).map(Number);
      if (told.some((value) => !Number.isFinite(value))) return field.complain("Write numbers with commas between them.");
      field.complain(null);
      change(told, false);
    });
    return { ...field, path, set: (value) => { input.value = (value ?? []).join(", "); } };
  }
  const choices = /** @type {string[]} */ (items.enum), title = schema.title ?? key;
  const body = h("div", { class: "control-body" });
  const field = frame(path, labelOf(schema, key), body);
  /** @param {string[]} value */
  function set(value) {
    const rows = value.map((chosen, i) => {
      const select = h("select", { "aria-label": `${title}, ${i + 1}` },
        choices.map((c) => h("option", { disabled: c !== chosen && value.includes(c) }, c)));
      select.value = chosen;
      select.addEventListener("change", () => say(value.map((v, k) => (k === i ? select.value : v))));
      return h("li", {}, select, h("button", { type: "button", class: "icon-button", "aria-label": `Remove ${chosen}`, title: "Remove",
        onclick: () => say(value.filter((_, k) => k !== i)) }, icon(CROSS)));
    });
    const free = choices.filter((c) => !value.includes(c));
    const most = schema.maxItems ?? choices.length;
    body.replaceChildren(
      ...(rows.length ? [h("ul", { class: "values" }, rows)] : []),
      h("div", { class: "value-tools" },
        value.length < most && h("button", { type: "button", class: "quiet",
          onclick: () => say(value.length ? [...value, free[0]] : free.slice(0, 2)) }, value.length ? "Add one" : "Choose two"),
        value.length > 0 && h("button", { type: "button", class: "quiet", onclick: () => say([]) }, `All ${choices.length}`)));
  }
  /** @param {string[]} value */
  const say = (value) => {
    set(value);
    change(value, false);
  };
  return { ...field, path, set };
}
