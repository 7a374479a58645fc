// Each optimizer twice: in the weights w, and in other coordinates w̃. Which of them take the same path, and how far
// apart are the others? For two weights the map is drawn, with its basis vectors to be dragged; for a network its inputs
// are moved and scaled.

import { basisHandles } from "../basis_handles.js";
import { h, written } from "../dom.js";
import { lossPairs } from "../loss_pairs.js";
import { pathPairs } from "../path_pairs.js";
import { apart, apartInLoss, inWords, measures, moved, pairs, present, withoutTwins, withTwins }
  from "../reparameterization.js";
import { knobField } from "../sliders.js";

/** @typedef {import("../types").Coordinates} Coordinates */
/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../reparameterization.js").Pair} Pair */

export const name = "invariance";
export const title = "Invariance";
export const order = 26;
export const wide = true;

/** @param {Session} session @returns {true | string} */
export const wants = (session) => session.dimension === 2 || Boolean(session.problem.blocks) ||
  "It is drawn for two weights, or for a network’s inputs.";

/** What the twins begin with. @type {Record<"matrix" | "inputs", Coordinates>} */
const FIRST = { matrix: { matrix: [[0.8, 0.4], [0, 0.6]] }, inputs: { inputs: { scale: 1, shift: 1 } } };

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  let inside = new AbortController(); // of what is drawn for the present kind
  let built = "", moving = false; // whether a change of the spec is its own
  /** @type {{on: (event: SessionEvent) => void} | null} */
  let picture = null;
  /** @type {{set: () => void, release: () => void} | null} */
  let handles = null;
  /** @type {Pair[]} */
  let found = [];

  const told = h("p", { class: "view-readout" });
  const add = h("button", { type: "button", class: "quiet", onclick: () => twin() },
    "Run each optimizer in other coordinates, too");
  const remove = h("button", { type: "button", class: "quiet", onclick: () => {
    session.update({ optimizers: withoutTwins(session.spec.optimizers) });
  } }, "Only in their own coordinates");
  const stage = h("div", { class: "invariance-stage" });
  const head = h("tr"), body = h("tbody");
  const region = { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "How far apart the pairs are" };
  const numbers = h("div", region, h("table", { class: "view-numbers" }, h("thead", {}, head), body));
  const wrong = h("p", { class: "view-error", role: "status" });
  element.append(h("div", { class: "view-controls" }, add, remove), wrong, stage, numbers, told);
  signal.addEventListener("abort", () => {
    inside.abort();
    element.replaceChildren();
  });

  /** What the twins' coordinates are, or would be. @returns {"matrix" | "inputs"} */
  function kind() {
    const now = present(session);
    if (now) return now.matrix ? "matrix" : "inputs";
    return session.dimension === 2 ? "matrix" : "inputs";
  }

  /** The l2 penalty, which is another one in other coordinates. */
  const l2 = () => session.spec.problem.l2 ?? session.problem.knobs.properties.l2?.default ?? 0;

  function twin() {
    const { problem, optimizers } = session.spec;
    session.attempt({
      optimizers: withTwins(optimizers, FIRST[kind()]), ...(l2() !== 0 && { problem: { ...problem, l2: 0 } }),
    });
  }

  /** @param {Coordinates} coordinates @param {boolean} live */
  function change(coordinates, live) {
    moving = true;
    session.update({ optimizers: moved(session.spec.optimizers, coordinates) }, { live });
    moving = false;
    handles?.set();
  }

  /** The figures of the present kind, made anew where that has changed. */
  function build() {
    const now = present(session) ? kind() : "";
    add.hidden = Boolean(now) || !session.interactive;
    remove.hidden = !now || !session.interactive;
    add.textContent = `Run each optimizer in other coordinates, too${l2() !== 0 ? " (without the l2 penalty)" : ""}`;
    numbers.hidden = !now;
    if (now === built) return;
    built = now;
    inside.abort();
    inside = new AbortController();
    stage.replaceChildren();
    picture = handles = null;
    if (now === "matrix") planes();
    else if (now === "inputs") curves();
  }

  function planes() {
    const left = h("div", { class: "invariance-paths" }, h("h4", {}, "In w: solid from w, dashed from w̃"));
    const right = h("div", { class: "invariance-map" }, h("h4", {}, "w = Rw̃ + b: drag r₁ and r₂"));
    stage.append(left, right);
    const paths = pathPairs({ element: left, session, signal: inside.signal, tell, pairs: () => found });
    const basis = basisHandles({
      element: right, signal: inside.signal, able: session.interactive, names: paths.names,
      R: () => present(session)?.matrix ?? null, change: (matrix, live) => change({ matrix }, live),
    });
    basis.commit();
    picture = { on(event) {
      paths.on(event);
      if (event.kind === "theme") {
        basis.picture.dress();
        basis.commit();
      }
    } };
    handles = { set: basis.moved, release: basis.release };
  }

  function curves() {
    const form = session.catalog.coordinates.oneOf.find(({ properties }) => properties.inputs);
    const schemas = form?.properties.inputs.properties;
    const value = (/** @type {string} */ key) =>
      /** @type {Record<string, number>} */ (present(session)?.inputs ?? {})[key] ?? schemas[key].default;
    const fields = Object.keys(schemas).map((key) => ({ key, ...knobField({
      path: `${name}.${key}`, key, schema: schemas[key],
      change: (to, live) => change({ inputs: { ...present(session)?.inputs, [key]: to } }, live),
    }) }));
    const place = h("div", { class: "invariance-losses" });
    stage.append(h("div", { class: "view-controls view-knobs" }, fields.map((field) => field.element)),
      h("h4", {}, "Solid on the inputs x, dashed on x̃ = sx + c"), place);
    picture = lossPairs({ element: place, session, signal: inside.signal, tell, pairs: () => found });
    handles = { set: () => fields.forEach((field) => field.set(value(field.key))), release() {} };
    handles.set();
  }

  const stepOf = (/** @type {number} */ lane) =>
    Math.min(Math.round(session.step), Math.max((session.lanes[lane]?.length ?? 1) - 1, 0));

  /** @param {Pair} pair */
  function row({ own, other, coordinates }) {
    const [mine, its] = [session.lanes[own], session.lanes[other]];
    const swatches = [own, other].map((lane, i) => {
      const key = h("span", { class: `line-key${i ? " dashed" : ""}`, "aria-hidden": "true" });
      key.style.setProperty("--own", session.colour(lane));
      return key;
    });
    const cells = coordinates.matrix ? compared(mine, its, coordinates.matrix) : losses(mine, its, own, other);
    return h("tr", {}, h("th", { scope: "row" }, ...swatches, mine.label),
      cells.map((cell) => h("td", { class: /^[\d−–]/.test(cell) ? "num" : null }, cell)));
  }

  /** @param {import("../types").Lane} mine @param {import("../types").Lane} its @param {number[][]} matrix */
  function compared(mine, its, matrix) {
    const { difference, last } = apart(mine.w ?? [], its.w ?? [], Math.round(session.step));
    return [inWords(difference, measures(matrix).condition), written(difference), String(Math.max(last, 0))];
  }

  /** @param {import("../types").Lane} mine @param {import("../types").Lane} its @param {number} own
   * @param {number} other */
  function losses(mine, its, own, other) {
    const [a, b] = [mine.columns.loss?.[stepOf(own)] ?? null, its.columns.loss?.[stepOf(other)] ?? null];
    const difference = apartInLoss(mine.columns.loss ?? [], its.columns.loss ?? [], Math.round(session.step));
    const ratio = a && b !== null ? b / a : null;
    return [a, b, ratio, difference].map((value) => written(value));
  }

  const HEADS = {
    matrix: ["optimizer", "the two paths", "largest distance", "steps"],
    inputs: ["optimizer", "loss on x", "loss on x̃", "ratio", "largest difference"],
  };

  function tell() {
    found = pairs(session).filter(({ own, other }) => session.lanes[own]?.length && session.lanes[other]?.length);
    const now = kind();
    const words = now === "matrix" ? 2 : 1; // columns without a number
    head.replaceChildren(...HEADS[now].map((text, i) => h("th", { scope: "col", class: i < words ? null : "num" }, text)));
    body.replaceChildren(...found.map(row));
    const cut = found.filter(({ own, other }) =>
      session.finished && session.lanes[own].length !== session.lanes[other].length);
    told.textContent = !present(session)
      ? ["Newton’s method, Gauss-Newton and the natural gradient take the same path in any coordinates of the weights.",
        "What measures their length, as damping and gradient descent do, takes another in each."].join(" ")
      : [
        `Up to step ${Math.round(session.step)}.`,
        now === "matrix" ? [
          "The distance is max‖w − Rw̃ − b‖ / max‖w‖ over the steps:",
          "0 but for rounding where the method is invariant."].join(" ")
          : "The difference is the largest of |J̃ − J| / J over the steps.",
        cut.length ? "Where one of a pair has ended before the other, as many steps are compared as both have." : "",
      ].join(" ");
  }

  build();
  tell();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (event.kind === "error") {
        const own = event.error?.at?.includes(".coordinates") ? event.error : null;
        const allowed = typeof own?.allowed === "string" ? own.allowed : JSON.stringify(own?.allowed);
        wrong.textContent = own ? `${own.message}. Allowed: ${allowed}.` : "";
      }
      if (event.kind === "spec" || event.kind === "run") {
        if (event.kind === "spec" && !moving) handles?.release();
        build();
        if (!moving) handles?.set();
      }
      if (["axis", "clock", "select", "probe"].includes(event.kind)) return;
      if (["run", "chunk", "end"].includes(event.kind)) found = pairs(session)
        .filter(({ own, other }) => session.lanes[own]?.length && session.lanes[other]?.length);
      if (!picture || event.kind === "end") tell();
      picture?.on(event);
    },
  };
}
