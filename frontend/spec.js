// The page's state in its URL, both ways. Reading never fails: what cannot be used is replaced by the nearest that can,
// and every such change is told.
//
//   ?problem=logistic-cost&start=3,-1&optimizer=damped-newton:damping=0.01,0.1,1&steps=40&views=landscape,curves&at=12

import { firstSpec, lanesOf, MOST_LANES, MOST_STEPS, plain, stateOf, unfit } from "./catalog.js";
import { fieldsOf, PREFIX, readFields } from "./coordinates_text.js";
import { written } from "./dom.js";

/** @typedef {import("./types").Catalog} Catalog */
/** @typedef {import("./types").Entry} Entry */
/** @typedef {import("./types").NamedPart} NamedPart */
/** @typedef {import("./types").Schema} Schema */
/** @typedef {import("./types").Spec} Spec */
/** @typedef {import("./types").State} State */

export const AXES = /** @type {const} */ (["steps", "examples", "passes", "seconds"]);
export const HIDEABLE = ["player", "legend", "link"];
const KEYS = [
  "problem",
  "optimizer",
  "start",
  "seed",
  "steps",
  "tolerance",
  "probe",
  "views",
  "axis",
  "at",
  "lane",
  "hide",
  "theme",
  "id",
];
const PROBE_EXTRAS = { every: { type: "integer", minimum: 1, maximum: MOST_STEPS } };

// --- Writing ------------------------------------------------------------------------------------------------------

const SPECIAL = /[%,;=]/g;
const shield = (/** @type {string} */ text) =>
  text.replace(SPECIAL, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
const legible = (/** @type {string} */ text) =>
  encodeURIComponent(text)
    .replace(/%(2C|3A|3B|3D|40|2F)/g, (_, code) => String.fromCharCode(parseInt(code, 16)))
    .replaceAll("%20", "+");
const scalar = (/** @type {any} */ value) =>
  shield(typeof value === "number" ? String(value).replace("e+", "e") : String(value));

/** @param {any} value */
function text(value) {
  if (!Array.isArray(value)) return scalar(value);
  if (value.some(Array.isArray)) return shield(JSON.stringify(value));
  // A list of one is told from a single value by its comma.
  return value.map(scalar).join(",") + (value.length === 1 ? "," : "");
}

/** @param {NamedPart} part */
function partText({ name, coordinates, ...rest }) {
  const fields = [...Object.entries(rest), ...(coordinates ? fieldsOf(coordinates) : [])]
    .filter(([, v]) => v !== undefined && v !== null)
    .map(([k, v]) => `${k}=${text(v)}`);
  return fields.length ? `${name}:${fields.join(";")}` : name;
}

/** The query that says a state, without the question mark; what is at its default is left out. @param {State} state */
export function encode({ spec, views, axis, at, lane, hide }) {
  /** @type {[string, string][]} */
  const pairs = [["problem", partText(spec.problem)]];
  if (spec.start) pairs.push(["start", spec.start.map(scalar).join(",")]);
  for (const part of spec.optimizers) pairs.push(["optimizer", partText(part)]);
  for (const key of /** @type {const} */ (["seed", "steps", "tolerance"])) {
    if (spec[key] !== undefined && !(key === "seed" && spec[key] === 0)) pairs.push([key, scalar(spec[key])]);
  }
  for (const part of spec.probes ?? []) pairs.push(["probe", partText(part)]);
  if (views) pairs.push(["views", views.join(",")]);
  if (axis !== "steps") pairs.push(["axis", axis]);
  if (at !== null) pairs.push(["at", String(at)]);
  if (lane) pairs.push(["lane", String(lane)]);
  if (hide.length) pairs.push(["hide", hide.join(",")]);
  return pairs.map(([key, value]) => `${key}=${legible(value)}`).join("&");
}

// --- Reading ------------------------------------------------------------------------------------------------------

/** Edit distance (Levenshtein). @param {string} a @param {string} b */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + Number(a[i - 1] !== b[j - 1]));
    }
    row = next;
  }
  return row[b.length];
}

/** The known name that a misspelt one most likely means, or null. @param {string} name @param {string[]} known */
export function nearest(name, known) {
  const short = name.slice(0, 60).toLowerCase();
  const ranked = known.map((k) => ({ k, d: distance(short, k) })).sort((a, b) => a.d - b.d);
  return ranked.length && ranked[0].d <= Math.max(2, ranked[0].k.length / 3) ? ranked[0].k : null;
}

const quote = (/** @type {string} */ value) => `“${value.length > 40 ? `${value.slice(0, 40)}…` : value}”`;
const unshield = (/** @type {string} */ value) =>
  value.replace(/%([0-9A-F]{2})/gi, (_, code) => String.fromCharCode(parseInt(code, 16)));

/** Reads one query; `changes` collects what had to be changed. */
class Reader {
  /** @param {Catalog} catalog */
  constructor(catalog) {
    this.catalog = catalog;
    /** @type {string[]} */
    this.changes = [];
  }

  /** @param {string} change */
  say(change) {
    this.changes.push(change);
  }

  /** One number within bounds, or undefined.
   * @param {string} told @param {Partial<Schema>} schema @param {string} what */
  number(told, schema, what) {
    const value = told.trim() === "" ? NaN : Number(told);
    if (!Number.isFinite(value)) return void this.say(`${what}: ${quote(told)} is not a number and was left out.`);
    let used = schema.type === "integer" ? Math.round(value) : value;
    used = Math.min(Math.max(used, schema.minimum ?? -Infinity), schema.maximum ?? Infinity);
    if (used !== value) this.say(`${what}: ${quote(told)} was changed to ${written(used, 7)}.`);
    return used;
  }

  /** A value that a schema allows, or undefined. @param {string} told @param {Schema} schema @param {string} what
   * @returns {any} */
  value(told, schema, what) {
    const plain = unshield(told);
    if (schema.enum) {
      if (schema.enum.map(String).includes(plain)) return schema.enum.find((v) => String(v) === plain);
      const near = nearest(plain, schema.enum.map(String));
      if (!near) return void this.say(`${what}: ${quote(plain)} is not one of the choices and was left out.`);
      this.say(`${what}: ${quote(plain)} was read as ${quote(near)}.`);
      return near;
    }
    if (schema.type === "array") return this.list(told, schema, what);
    if (schema.type === "number" || schema.type === "integer") return this.number(plain, schema, what);
    if (schema.type === "boolean") {
      if (plain === "true" || plain === "false") return plain === "true";
      return void this.say(`${what}: ${quote(plain)} is neither true nor false and was left out.`);
    }
    if (plain.length <= (schema.maxLength ?? Infinity)) return plain;
    return void this.say(`${what}: a text of more than ${schema.maxLength} characters was left out.`);
  }

  /** @param {string} told @param {Schema} schema @param {string} what */
  list(told, schema, what) {
    if (told.startsWith("[")) {
      try {
        return JSON.parse(unshield(told));
      } catch {
        return void this.say(`${what}: ${quote(told)} could not be read and was left out.`);
      }
    }
    const items = told
      .split(",")
      .filter((item) => item !== "")
      .map((item) => this.value(item, schema.items ?? { type: "string" }, what))
      .filter((item) => item !== undefined);
    const distinct = schema.uniqueItems ? [...new Set(items)] : items;
    const kept = distinct.slice(0, schema.maxItems ?? MOST_LANES);
    if (kept.length < items.length) this.say(`${what}: ${items.length - kept.length} entries too many were left out.`);
    return kept.length >= (schema.minItems ?? 0) ? kept : void this.say(`${what}: too short a list was left out.`);
  }

  /** "name:key=value;key=value" against what the catalog knows.
   * @template {Entry} E
   * @param {string} told @param {E[]} entries @param {string} kind
   * @param {{sweeps?: boolean, extras?: Record<string, any>}} options
   * @returns {{part: NamedPart, entry: E} | null} */
  part(told, entries, kind, { sweeps = false, extras = {} } = {}) {
    const colon = told.indexOf(":");
    const name = colon < 0 ? told : told.slice(0, colon);
    let entry = entries.find((e) => e.name === name);
    if (!entry) {
      const near = nearest(
        name,
        entries.map((e) => e.name),
      );
      entry = entries.find((e) => e.name === near);
      if (!entry) {
        this.say(`There is no ${kind} ${quote(name)}.`);
        return null;
      }
      this.say(`There is no ${kind} ${quote(name)}: ${quote(entry.name)} was taken.`);
    }
    /** @type {NamedPart} */
    const part = { name: entry.name };
    const knobs = entry.knobs.properties,
      schemas = { ...knobs, ...entry.options.properties, ...extras };
    /** @type {Record<string, string>} */
    const coordinates = {};
    for (const field of colon < 0
      ? []
      : told
          .slice(colon + 1)
          .split(";")
          .filter(Boolean)) {
      const equals = field.indexOf("=");
      const key = equals < 0 ? field : field.slice(0, equals),
        value = equals < 0 ? "" : field.slice(equals + 1);
      if (sweeps && key.startsWith(PREFIX)) {
        coordinates[key.slice(PREFIX.length)] = value;
        continue;
      }
      const known = key in schemas ? key : nearest(key, Object.keys(schemas));
      if (!known || !Object.hasOwn(schemas, known)) {
        this.say(`${entry.title} has no ${quote(key)}: it was left out.`);
        continue;
      }
      if (known !== key) this.say(`${entry.title} has no ${quote(key)}: it was read as ${quote(known)}.`);
      const what = `${entry.title}, ${known}`;
      const many = value.includes(",") && known in knobs;
      if (many && !sweeps) this.say(`${what}: only an optimizer's knob can have several values; the first was taken.`);
      const read =
        many && sweeps
          ? this.list(value, { type: "array", items: schemas[known], minItems: 1 }, what)
          : this.value(many ? value.split(",")[0] : value, schemas[known], what);
      if (read !== undefined) part[known] = read;
    }
    const other =
      Object.keys(coordinates).length > 0 && readFields(coordinates, this.catalog.coordinates, this, entry.title);
    if (other) part.coordinates = other;
    return { part, entry };
  }
}

/** What a query says. `base` is what an empty one means.
 * @param {string} query @param {Catalog} catalog @param {State} [base] @param {string[]} [viewNames]
 * @returns {{state: State, changes: string[]}} */
export function decode(query, catalog, base = stateOf(firstSpec(catalog)), viewNames = []) {
  const reader = new Reader(catalog),
    params = new URLSearchParams(query);
  const state = { ...base };
  for (const key of new Set(params.keys())) {
    const meant = KEYS.includes(key) ? null : nearest(key, KEYS);
    if (meant) reader.say(`${quote(key)} was not understood. ${quote(meant)} would be.`);
  }
  if (params.has("problem") || params.has("optimizer")) {
    state.spec = readSpec(reader, params, base.spec);
    state.at = null; // the base's was a step of the base's own run
  }
  const views = params.get("views");
  if (views !== null) {
    const known = views.split(",").filter((name) => !viewNames.length || viewNames.includes(name));
    for (const name of views.split(",")) {
      if (name && !known.includes(name)) reader.say(`There is no view ${quote(name)}.`);
    }
    state.views = [...new Set(known.filter(Boolean))];
  }
  const axis = params.get("axis");
  if (axis !== null) {
    const known = AXES.find((a) => a === axis);
    if (!known) reader.say(`There is no axis ${quote(axis)}: steps were taken.`);
    state.axis = known ?? "steps";
  }
  const at = params.get("at");
  if (at !== null)
    state.at = reader.number(at, { type: "integer", minimum: 0, maximum: MOST_STEPS }, "Step shown") ?? null;
  const lane = params.get("lane");
  if (lane !== null)
    state.lane = reader.number(lane, { type: "integer", minimum: 0, maximum: MOST_LANES - 1 }, "Lane") ?? 0;
  const hide = params.get("hide");
  if (hide !== null) state.hide = hide.split(",").filter((part) => HIDEABLE.includes(part));
  return { state, changes: reader.changes };
}

/** @param {Reader} reader @param {URLSearchParams} params @param {Spec} base @returns {Spec} */
function readSpec(reader, params, base) {
  const { catalog } = reader;
  const read = reader.part(params.get("problem") ?? base.problem.name, catalog.problems, "problem");
  const entry =
    read?.entry ??
    /** @type {import("./types").ProblemEntry} */ (catalog.problems.find((p) => p.name === base.problem.name));
  const problem = read?.part ?? { ...base.problem };
  if (!read) reader.say(`${quote(entry.name)} was taken instead.`);

  let optimizers = params.getAll("optimizer").flatMap((told) => {
    const found = reader.part(told, catalog.optimizers, "optimizer", { sweeps: true });
    const lacking = found && unfit(found.entry, entry, problem);
    if (lacking) reader.say(`${found.entry.title} does not fit ${entry.title}: ${lacking}.`);
    const size = found?.part.coordinates?.matrix?.length;
    if (found && size && plain(entry, problem) && size !== entry.dimension) {
      const what = `${found.entry.title}, ${PREFIX}matrix`;
      reader.say(`${what}: ${entry.title} has ${entry.dimension} weights, not ${size}; it was left out.`);
      delete found.part.coordinates;
    }
    return found && !lacking ? [found.part] : [];
  });
  let lanes = 0;
  optimizers = optimizers.filter((part) => {
    const more = lanesOf(
      part,
      catalog.optimizers.find((o) => o.name === part.name),
    );
    if (lanes + more > MOST_LANES) {
      reader.say(`At most ${MOST_LANES} lanes can run: ${part.name} was left out.`);
      return false;
    }
    lanes += more;
    return true;
  });
  if (!optimizers.length) {
    const first =
      catalog.optimizers.find((o) => o.name === "gradient-descent" && o.fits[entry.name] === true) ??
      catalog.optimizers.find((o) => o.fits[entry.name] === true) ??
      catalog.optimizers[0];
    optimizers = [{ name: first.name }];
    reader.say(`No optimizer was left: ${first.title} was taken.`);
  }

  /** @type {Spec} */
  const spec = { problem, optimizers };
  const start = params.get("start");
  if (start !== null) {
    const values = start.split(",").map((told) => reader.number(told, { type: "number" }, "Start"));
    const expected = plain(entry, problem) ? entry.dimension : null;
    const whole = values.every((value) => value !== undefined);
    if (whole && (expected === null || expected === values.length)) spec.start = /** @type {number[]} */ (values);
    else if (whole)
      reader.say(`Start: ${entry.title} has ${expected} weights, not ${values.length}; its own start was taken.`);
    else reader.say("Start: the problem's own was taken.");
  }
  const bounds = /** @type {const} */ ({
    seed: { type: "integer", minimum: 0, maximum: 2 ** 32 - 1 },
    steps: { type: "integer", minimum: 1, maximum: MOST_STEPS },
    tolerance: { type: "number", minimum: 0, maximum: 1e6 },
  });
  for (const key of /** @type {const} */ (["seed", "steps", "tolerance"])) {
    const told = params.get(key);
    const value = told === null ? undefined : reader.number(told, bounds[key], key[0].toUpperCase() + key.slice(1));
    if (value !== undefined) spec[key] = value;
  }
  const probes = params.getAll("probe").flatMap((told) => {
    const found = reader.part(told, catalog.probes, "probe", { extras: PROBE_EXTRAS });
    const lacking = found && unfit(found.entry, entry, problem);
    if (lacking) reader.say(`The probe ${found.entry.title} does not fit ${entry.title}: ${lacking}.`);
    return found && !lacking ? [found.part] : [];
  });
  if (probes.length) spec.probes = probes;
  return spec;
}
