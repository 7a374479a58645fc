// The controls of a spec: one group for the problem, one for each optimizer, one for the run. They follow from the
// catalog; nothing here knows a problem or an optimizer by name.

import { defaultOf, lanesOf, named, withProblem } from "./catalog.js";
import { equation, prose } from "./catalogue.js";
import { h, icon, unique } from "./dom.js";
import { CROSS, numberField, optionField, startField } from "./fields.js";
import { addMenu } from "./menu.js";
import { isTwin, replaced } from "./reparameterization.js";
import { knobField } from "./sliders.js";
import { textField } from "./text_field.js";

/** @typedef {import("./fields.js").Field} Field */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./types").Entry} Entry */
/** @typedef {import("./types").NamedPart} NamedPart */
/** @typedef {import("./types").Spec} Spec */

const KINDS = /** @type {const} */ ([
  ["toy", "Toy problems"],
  ["data", "Real data"],
  ["network", "Networks"],
]);
const SHOWN_OPTIONS = 4; // of an optimizer; where there are more they stand folded
const RUN_FIELDS = {
  steps: { type: "integer", minimum: 1, maximum: 100_000, title: "steps" },
  seed: { type: "integer", minimum: 0, maximum: 2 ** 32 - 1, title: "seed" },
  tolerance: { type: "number", minimum: 0, maximum: 1e6, title: "tolerance of the gradient norm (0: never stop)" },
};

/** @param {{element: HTMLElement, session: Session, signal: AbortSignal, only?: string[] | null,
 *   notify?: (changes: string[]) => void}} options
 *   only: the places that a lesson lets the reader change */
export function controls({ element, session, signal, only = null, notify = () => {} }) {
  const { catalog } = session;
  /** @type {(Field & {value: () => any})[]} */
  let fields = [];
  /** @type {{swatches: HTMLElement, index: number}[]} */
  let chips = [];
  let built = "",
    sizedFor = 0; // the number of weights that the start's field was made for
  const slot = h("div", { class: "slot" }); // of that field

  /** The field of a part's knob or option; at its default, a key leaves the spec. A text is the heart of its part, and
   * stands in sight with the knobs.
   * @param {NamedPart} part @param {Entry} entry @param {string} base
   * @param {(part: NamedPart, live: boolean, tried: boolean) => void} change  tried: it may well be refused
   * @param {boolean} sweeps @param {() => NamedPart | undefined} present */
  function partFields(part, entry, base, change, sweeps, present) {
    const wanted = (/** @type {string} */ key) => !only || only.includes(`${base}.${key}`);
    const usual = (/** @type {string} */ key) =>
      key in entry.knobs.properties ? defaultOf(entry, key, session.problem) : entry.options.properties[key].default;
    const isText = (/** @type {string} */ key) => {
      const schema = entry.options.properties[key];
      return schema?.type === "string" && !schema.enum;
    };
    const set = (/** @type {string} */ key) => (/** @type {any} */ value, /** @type {boolean} */ live) => {
      const next = { ...(present() ?? part), [key]: value };
      if (JSON.stringify(value) === JSON.stringify(usual(key))) delete next[key];
      change(next, live, isText(key));
    };
    const make = (/** @type {string} */ key) => {
      const path = `${base}.${key}`,
        knob = entry.knobs.properties[key],
        schema = knob ?? entry.options.properties[key];
      const field = knob
        ? knobField({ path, key, schema: { ...schema, default: usual(key) }, change: set(key), sweeps })
        : (isText(key) ? textField : optionField)({ path, key, schema, change: set(key) });
      return register(field, () => present()?.[key] ?? usual(key));
    };
    const options = Object.keys(entry.options.properties).filter(wanted);
    return {
      knobs: [...options.filter(isText), ...Object.keys(entry.knobs.properties).filter(wanted)].map(make),
      options: options.filter((key) => !isText(key)).map(make),
    };
  }

  /** @param {Field} field @param {() => any} value */
  function register(field, value) {
    fields.push({ ...field, value });
    return field.element;
  }

  /** A group whose own complaint stands under its heading.
   * @param {string} path @param {(Node | null | false)[]} children */
  function group(path, ...children) {
    const complaint = h("p", { class: "complaint", role: "alert", hidden: true });
    const box = h("section", { class: "group", "data-path": path }, ...children, complaint);
    register(
      {
        element: box,
        path,
        set() {},
        complain(message) {
          complaint.hidden = !message;
          complaint.textContent = message ?? "";
        },
      },
      () => null,
    );
    return box;
  }

  /** @param {HTMLElement[]} options */
  const more = (options, summary = "More") =>
    options.length > 0 && h("details", { class: "more" }, h("summary", {}, summary), options);

  function problemGroup() {
    const entry = session.problem;
    const { knobs, options } = partFields(
      session.spec.problem,
      entry,
      "problem",
      (problem, live, tried) =>
        tried
          ? session.attempt({ problem }, { live })
          : session.update(
              { problem, ...(!live && "start" in session.spec && sized(problem) && { start: undefined }) },
              { live },
            ),
      false,
      () => session.spec.problem,
    );
    if (only) return [...knobs, ...options, slot];
    const id = unique("problem");
    const select = h(
      "select",
      { id, class: "wide" },
      KINDS.map(([kind, label]) =>
        h(
          "optgroup",
          { label },
          catalog.problems.filter((p) => p.kind === kind).map((p) => h("option", { value: p.name }, p.title)),
        ),
      ),
    );
    select.value = entry.name;
    select.addEventListener("change", () => {
      const chosen = named(catalog.problems, select.value);
      if (!chosen) return;
      const { spec, left } = withProblem(catalog, session.spec, chosen);
      notify(left);
      session.update({ start: undefined, steps: undefined, tolerance: undefined, probes: undefined, ...spec });
    });
    return [
      group(
        "problem",
        h("h3", {}, h("label", { for: id }, "Problem")),
        select,
        equation(entry),
        about(entry),
        ...knobs,
        slot,
        more(options, "Data and structure"),
      ),
    ];
  }

  /** Whether a problem's number of weights may differ from before. @param {NamedPart} problem */
  const sized = (problem) =>
    Object.keys(session.problem.options.properties).some(
      (key) => JSON.stringify(problem[key]) !== JSON.stringify(session.spec.problem[key]),
    );

  /** The start's field, where it is wanted and there are few enough weights for one. */
  function startOf() {
    if (only && !only.includes("start")) return null;
    const ran = () => (session.run?.spec.problem.name === session.spec.problem.name ? session.run.spec.start : null);
    const shown = () => session.spec.start ?? ran() ?? session.problem.start;
    const values = shown();
    if (!values || values.length > 3 || session.dimension !== values.length) return null;
    const field = startField({
      names: session.problem.weights,
      window: session.problem.window,
      count: values.length,
      change: (start, live) => session.update({ start }, { live }),
      present: () => shown() ?? values,
    });
    return register(field, shown);
  }

  /** @param {Entry} entry */
  const about = (entry) => h("details", { class: "about" }, h("summary", {}, "About"), prose(entry.about));

  /** @param {NamedPart} part @param {number} index */
  function optimizerGroup(part, index) {
    const entry = named(catalog.optimizers, part.name);
    if (!entry) return [];
    const replace = (/** @type {NamedPart} */ next, /** @type {boolean} */ live) =>
      session.update({ optimizers: replaced(session.spec.optimizers, index, next) }, { live });
    const twin = isTwin(session.spec.optimizers, index), title = entry.title + (part.coordinates ? " in w̃" : "");
    if (only && twin) return []; // it has its optimizer's values
    const { knobs, options } = twin ? { knobs: [], options: [] } : partFields(
      part,
      entry,
      `optimizers[${index}]`,
      replace,
      true,
      () => session.spec.optimizers[index],
    );
    const preset = Object.keys(entry.presets).length > 0 && !only && !twin && presetField(entry, index, replace);
    const swatches = h("span", { class: "swatches", "aria-hidden": "true" });
    chips.push({ swatches, index });
    if (only) {
      const heading =
        session.spec.optimizers.length > 1 && knobs.length + options.length > 0 && h("h3", {}, swatches, title);
      return [heading, ...knobs, ...options].filter((node) => node !== false);
    }
    const remove = h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": `Remove ${title}`,
        title: "Remove",
        onclick: () => session.update({ optimizers: session.spec.optimizers.filter((_, i) => i !== index) }),
      },
      icon(CROSS),
    );
    remove.disabled = session.spec.optimizers.length === 1;
    return [
      group(
        `optimizers[${index}]`,
        h("div", { class: "group-head" }, h("h3", {}, swatches, title), remove),
        ...(twin
          ? [h("div", { class: "about" }, h("p", {}, "The same values as in w; the figure “Invariance” sets the coordinates."))]
          : [equation(entry), about(entry)]),
        preset,
        ...knobs,
        ...(options.length > SHOWN_OPTIONS ? [more(options, "Structure and schedule")] : options),
      ),
    ];
  }

  /** A choice among named sets of values. @param {import("./types").OptimizerEntry} entry @param {number} index
   * @param {(part: NamedPart, live: boolean) => void} replace */
  function presetField(entry, index, replace) {
    const sets = { usual: {}, ...entry.presets };
    const schema = { type: "string", default: "usual", title: "values", enum: [...Object.keys(sets), "own"] };
    const path = `optimizers[${index}].preset`;
    const change = (/** @type {keyof typeof sets} */ chosen) => {
      const { coordinates } = session.spec.optimizers[index] ?? {};
      if (sets[chosen]) replace({ name: entry.name, ...sets[chosen], ...(coordinates && { coordinates }) }, false);
    };
    const present = () => {
      const values = Object.entries(session.spec.optimizers[index] ?? {}).filter(([key]) => !["name", "coordinates"].includes(key));
      const same = (/** @type {Record<string, any>} */ set) =>
        values.length === Object.keys(set).length &&
        values.every(([key, value]) => JSON.stringify(set[key]) === JSON.stringify(value));
      return Object.entries(sets).find(([, set]) => same(set))?.[0] ?? "own";
    };
    return register(optionField({ path, key: "preset", schema, change }), present);
  }

  function runGroup() {
    const run = session.spec;
    const make = (/** @type {keyof typeof RUN_FIELDS} */ key, /** @type {() => any} */ usual) => {
      const change = (/** @type {number} */ value) => session.update({ [key]: value === usual() ? undefined : value });
      return register(
        numberField({ path: key, key, schema: RUN_FIELDS[key], change }),
        () => session.spec[key] ?? usual(),
      );
    };
    const wanted = (/** @type {string} */ key) => !only || only.includes(key);
    const tolerance = () => session.run?.spec.tolerance ?? run.tolerance;
    const made = [
      wanted("steps") && make("steps", () => session.problem.steps),
      wanted("seed") && make("seed", () => 0),
    ];
    const late = wanted("tolerance") ? [make("tolerance", tolerance)] : [];
    return only
      ? [...made, ...late].filter((field) => field !== false)
      : [group("", h("h3", {}, "Run"), ...made, more(late))];
  }

  /** Shows the present spec; what stays keeps its elements, so that focus and dragging survive. */
  function sync() {
    const { spec } = session;
    const now = JSON.stringify([spec.problem.name, spec.optimizers.map((o, i) => [o.name, Boolean(o.coordinates), isTwin(spec.optimizers, i)])]);
    if (now !== built) {
      const focused = element.contains(document.activeElement)
        ? document.activeElement?.closest("[data-path]")?.getAttribute("data-path")
        : null;
      const opened = [...element.querySelectorAll("details.more[open]")].map((d) =>
        d.closest("[data-path]")?.getAttribute("data-path"),
      );
      fields = [];
      chips = [];
      const optimizers = spec.optimizers.flatMap(optimizerGroup);
      element.replaceChildren(
        ...problemGroup(),
        ...optimizers,
        ...(only ? [] : [addMenu(session, signal)]),
        ...runGroup(),
      );
      for (const path of opened) {
        element.querySelector(`[data-path="${path}"] > details.more`)?.setAttribute("open", "");
      }
      if (focused) {
        const again = element.querySelector(`[data-path="${CSS.escape(focused)}"] :is(input, select, button)`);
        if (again instanceof HTMLElement) again.focus();
      }
    }
    if (now !== built || !Object.is(session.dimension, sizedFor)) {
      fields = fields.filter((field) => field.path !== "start");
      const start = startOf();
      slot.replaceChildren(...(start ? [start] : []));
    }
    built = now;
    sizedFor = session.dimension;
    for (const field of fields) field.set(field.value());
    paint();
  }

  /** The colours of an optimizer's lanes beside its title. */
  function paint() {
    let first = 0;
    session.spec.optimizers.forEach((part, index) => {
      const entry = named(catalog.optimizers, part.name);
      const count = lanesOf(part, entry);
      const swatches = chips.find((chip) => chip.index === index)?.swatches;
      swatches?.replaceChildren(
        ...Array.from({ length: Math.min(count, 12) }, (_, i) => {
          const swatch = h("span", { class: "swatch" });
          swatch.style.background = session.colour(first + i);
          return swatch;
        }),
      );
      first += count;
    });
  }

  /** Shows what is wrong beside what caused it. @param {import("./types").ApiError | null} error
   * @returns {boolean} whether there was such a place */
  function complain(error) {
    for (const field of fields) field.complain(null);
    const at = error?.at;
    if (!error || !at) return false;
    const under = (/** @type {string} */ path) =>
      path !== "" && (at === path || at.startsWith(`${path}.`) || at.startsWith(`${path}[`));
    const closest = fields.filter((field) => under(field.path)).sort((a, b) => b.path.length - a.path.length)[0];
    if (!closest) return false;
    const choices =
      Array.isArray(error.allowed) && error.allowed.length <= 12 ? ` Allowed: ${error.allowed.join(", ")}.` : "";
    const character = /^\[(\d+)\]$/.exec(at.slice(closest.path.length));
    const told = `${error.message[0].toUpperCase()}${error.message.slice(1)}.${choices}`;
    closest.complain(told, character && Number(character[1]));
    closest.element.closest("details")?.setAttribute("open", "");
    return true;
  }

  session.listen(
    (event) => {
      if (event.kind === "spec" || event.kind === "run") sync();
      else if (event.kind === "theme") paint();
    },
    { signal },
  );
  sync();
  return { complain };
}
