// Single controls: a number, a choice, a list. Each shows a value, tells of a change, and shows what is wrong with it.

import { h, icon, unique } from "./dom.js";

/** @typedef {import("./types").Schema} Schema */
/** @typedef {(value: any, live: boolean) => void} Change  live: still being dragged */
/** @typedef {(message: string | null, at?: number | null) => void} Complain  at: the character of a text that is wrong */
/** @typedef {{element: HTMLElement, path: string, set(value: any): void, complain: Complain}} Field */

export const CROSS = "M4 4l8 8M12 4l-8 8";

/** What any field has: a name, a place for the control, a place for a complaint.
 * @param {string} path @param {(Node | string)[]} label @param {HTMLElement} control @param {HTMLElement[]} extra */
export function frame(path, label, control, ...extra) {
  const name = unique("field"),
    told = unique("told");
  const complaint = h("p", { class: "complaint", id: told, role: "alert", hidden: true });
  const element = h(
    "div",
    { class: "control", "data-path": path },
    h("div", { class: "control-head" }, h("span", { class: "control-name", id: name }, ...label), ...extra),
    control,
    complaint,
  );
  element.setAttribute("role", "group");
  element.setAttribute("aria-labelledby", name);
  return {
    element,
    name,
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
export function labelOf({ symbol, title }, key) {
  const words = title ?? key.replaceAll("_", " ");
  if (!symbol) return [words];
  const [letter, index] = symbol.split("_"); // λ_FSD
  return [h("span", { class: "symbol" }, letter, index ? h("sub", {}, index) : ""), " ", words];
}

/** @param {number} value */
const plain = (value) => String(value).replace("e+", "e");

/** A number typed in; arrow keys move it by `nudge`.
 * @param {{label: string, change: Change, nudge: (value: number, by: number) => number, complain: Complain}} options */
export function numberInput({ label, change, nudge, complain }) {
  const input = h("input", {
    class: "number",
    type: "text",
    inputmode: "decimal",
    autocomplete: "off",
    "aria-label": label,
  });
  let shown = NaN,
    typing = false; // what is half written is not overwritten
  const read = () => {
    const text = input.value.trim().replace("−", "-").replace(",", ".");
    return text === "" ? NaN : Number(text);
  };
  input.addEventListener("input", () => {
    typing = true;
  });
  input.addEventListener("blur", () => {
    typing = false;
  });
  input.addEventListener("change", () => {
    typing = false;
    const value = read();
    if (!Number.isFinite(value)) return complain("Write a number, such as 0.1 or 1e-3.");
    complain(null);
    if (value !== shown) change((shown = value), false);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") typing = false;
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || !Number.isFinite(read())) return;
    event.preventDefault();
    typing = false;
    const value = nudge(read(), by);
    input.value = plain(value);
    change((shown = value), false);
  });
  return {
    input,
    /** @param {number | null | undefined} value */
    set(value) {
      shown = value ?? NaN;
      if (typing) return;
      if (document.activeElement !== input || read() !== shown) {
        input.value = value === null || value === undefined ? "" : plain(value);
      }
    },
  };
}

/** A structural option, by its schema. @param {{path: string, key: string, schema: Schema, change: Change}} options
 * @returns {Field} */
export function optionField({ path, key, schema, change }) {
  if (schema.type === "array") return listField({ path, key, schema, change });
  if (schema.enum) {
    const select = h(
      "select",
      {},
      schema.enum.map((v) => h("option", { value: String(v) }, String(v).replaceAll("-", " "))),
    );
    const field = frame(path, labelOf(schema, key), select);
    select.setAttribute("aria-labelledby", field.name);
    select.addEventListener("change", () => change(schema.enum?.[select.selectedIndex], false));
    return {
      ...field,
      path,
      set: (value) => {
        select.selectedIndex = schema.enum?.indexOf(value) ?? 0;
      },
    };
  }
  if (schema.type === "boolean") {
    const box = h("input", { type: "checkbox" });
    const field = frame(path, labelOf(schema, key), box);
    box.setAttribute("aria-labelledby", field.name);
    box.addEventListener("change", () => change(box.checked, false));
    return {
      ...field,
      path,
      set: (value) => {
        box.checked = Boolean(value);
      },
    };
  }
  return numberField({ path, key, schema, change });
}

/** A number without a slider. @param {{path: string, key: string, schema: Schema, change: Change}} options
 * @returns {Field} */
export function numberField({ path, key, schema, change }) {
  /** @type {Complain} */
  let complain = () => {};
  const step = schema.type === "integer" ? 1 : 0.05;
  const number = numberInput({
    label: schema.title ?? key,
    change,
    complain: (message) => complain(message),
    nudge: (from, by) =>
      Math.min(
        Math.max(Number((from + by * step).toPrecision(10)), schema.minimum ?? -Infinity),
        schema.maximum ?? Infinity,
      ),
  });
  const { minimum, maximum } = schema;
  const range =
    minimum !== undefined && maximum !== undefined && maximum < 2 ** 31
      ? `${minimum.toLocaleString("en")} … ${maximum.toLocaleString("en")}`
      : "";
  const row = h("div", { class: "number-row" }, number.input, range && h("small", {}, range));
  const field = frame(path, labelOf(schema, key), row);
  complain = field.complain;
  return { ...field, path, set: number.set };
}

/** The start, one number a weight.
 * @param {{names: string[], window: number[][] | null, count: number, change: Change, present: () => number[]}} options
 * @returns {Field} */
export function startField({ names, window, count, change, present }) {
  /** @type {Complain} */
  let complain = () => {};
  const numbers = Array.from({ length: count }, (_, i) => {
    const [low, high] = window?.[i] ?? [0, 4]; // a window has two axes, whatever the number of weights
    const step = 10 ** Math.floor(Math.log10((high - low) / 40));
    return numberInput({
      label: `Start, ${names[i] ?? i + 1}`,
      complain: (message) => complain(message),
      nudge: (from, by) => Number((from + by * step).toPrecision(10)),
      change: (value, live) =>
        change(
          present().map((v, k) => (k === i ? value : v)),
          live,
        ),
    });
  });
  const row = h(
    "div",
    { class: "number-row" },
    numbers.map(({ input }, i) => h("label", {}, h("span", { class: "symbol" }, names[i] ?? ""), input)),
  );
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
      const told = input.value
        .split(/[\s,;]+/)
        .filter(Boolean)
        .map(Number);
      if (told.some((value) => !Number.isFinite(value)))
        return field.complain("Write numbers with commas between them.");
      field.complain(null);
      change(told, false);
    });
    return {
      ...field,
      path,
      set: (value) => {
        input.value = (value ?? []).join(", ");
      },
    };
  }
  const choices = /** @type {string[]} */ (items.enum),
    title = schema.title ?? key;
  const body = h("div", { class: "control-body" });
  const field = frame(path, labelOf(schema, key), body);
  /** @param {string[]} value */
  function set(value) {
    const rows = value.map((chosen, i) => {
      const select = h(
        "select",
        { "aria-label": `${title}, ${i + 1}` },
        choices.map((c) => h("option", { disabled: c !== chosen && value.includes(c) }, c)),
      );
      select.value = chosen;
      select.addEventListener("change", () => say(value.map((v, k) => (k === i ? select.value : v))));
      return h(
        "li",
        {},
        select,
        h(
          "button",
          {
            type: "button",
            class: "icon-button",
            "aria-label": `Remove ${chosen}`,
            title: "Remove",
            onclick: () => say(value.filter((_, k) => k !== i)),
          },
          icon(CROSS),
        ),
      );
    });
    const free = choices.filter((c) => !value.includes(c));
    const most = schema.maxItems ?? choices.length;
    body.replaceChildren(
      ...(rows.length ? [h("ul", { class: "values" }, rows)] : []),
      h(
        "div",
        { class: "value-tools" },
        value.length < most &&
          h(
            "button",
            {
              type: "button",
              class: "quiet",
              onclick: () => say(value.length ? [...value, free[0]] : free.slice(0, 2)),
            },
            value.length ? "Add one" : "Choose two",
          ),
        value.length > 0 &&
          h("button", { type: "button", class: "quiet", onclick: () => say([]) }, `All ${choices.length}`),
      ),
    );
  }
  /** @param {string[]} value */
  const say = (value) => {
    set(value);
    change(value, false);
  };
  return { ...field, path, set };
}
