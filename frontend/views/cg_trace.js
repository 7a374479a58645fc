// Inside one step: conjugate gradients, preconditioned ones and gradient descent on the same damped quadratic at the
// scrubbed iterate, iteration by iteration, beneath the bounds that the condition number gives.

import { MATRICES, METHODS, boundWords, curveWords, gaps, matrixWords, rowsOf, shortOf } from "../cg_curves.js";
import { h } from "../dom.js";
import { css } from "../geometry.js";
import { iterateProbe, stepOf } from "../iterate.js";
import { figure, rgb } from "../plot.js";
import { knobField } from "../sliders.js";
import { dampingAt } from "../terrain.js";
import { choice, toggles } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../cg_curves.js").Answer} Answer */
/** @typedef {import("../cg_curves.js").Column} Column */
/** @typedef {import("../cg_curves.js").Method} Method */
/** @typedef {Answer & {lane: number, step: number}} Shown */
/** @typedef {{key: Method, label: string, dashed: boolean, x: number[], y: number[]}} Line */

export const name = "cg-trace";
export const title = "Conjugate gradients";
export const order = 34;

/** @param {Session} session @returns {true | string} */
export const wants = (session) => session.lacking(name) ?? true;

/** @type {Record<string, string>} */
const QUANTITIES = {
  gap: "φ(v) above its minimum", error: "error ‖v − v*‖", residual: "residual ‖Av + ∇J‖", loss: "true cost J(w + v)",
};
const HEAD = ["method", "iteration", "φ(v)", "residual", "error", "J(w + v)", "bound on the error"];
const DEEPEST = 1e-17; // of a curve's first value: below is rounding

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const entry = session.catalog.probes.find((p) => p.name === name);
  const own = session.spec.probes?.find((p) => p.name === name);
  const knobs = entry?.knobs.properties ?? {};
  let matrix = own?.matrix ?? entry?.options.properties.matrix.default ?? "gauss-newton", quantity = "gap";
  let iterations = own?.iterations ?? knobs.iterations?.default ?? 50, damping = own?.damping ?? null;
  const show = { "conjugate-gradient": true, preconditioned: true, "gradient-descent": true, bounds: true };
  const uses = { own: damping === null };
  /** @type {Shown | null} */
  let shown = null;
  /** @type {Line[]} */
  let lines = [];
  let frame = "", framed = 0;

  const picture = figure({
    element, signal, label: "Conjugate gradients inside the step from the scrubbed iterate", file: "cg-trace", draw,
    tell: () => tell(), settle: () => commit(), seen: () => ask(),
    table: () => ({ head: HEAD, rows: () => (shown ? rowsOf(shown) : []) }),
  });
  const which = choice("Matrix ", (value) => {
    matrix = value;
    ask();
  });
  const what = choice("Show ", (value) => {
    quantity = value;
    compose();
    picture.reset();
    commit();
    picture.moved();
  });
  const field = (/** @type {string} */ key, /** @type {string} */ title, /** @type {(value: number) => void} */ take) =>
    knobField({ path: `${name}.${key}`, key, schema: { ...knobs[key], title }, change: (value) => {
      take(value);
      ask();
    } });
  const length = field("iterations", "iterations", (value) => (iterations = value));
  const damp = field("damping", "damping", (value) => {
    damping = value;
    whose.querySelectorAll("input")[0].checked = uses.own = false;
  });
  const whose = toggles("Which damping", uses, { own: "the lane’s own damping" }, () => {
    damping = uses.own ? null : here();
    ask();
  });
  const labels = Object.fromEntries(Object.entries(METHODS).map(([key, { label }]) => [key, label]));
  const switches = toggles("Which curves", show, { ...labels, bounds: "bounds" }, () => {
    compose();
    commit();
    picture.moved();
  });
  Object.keys(show).forEach((key, i) =>
    switches.children[i].firstElementChild?.after(h("span", { class: `line-key cg-${key}`, "aria-hidden": "true" })));
  const readout = h("p", { class: "view-readout" });
  const wrong = h("p", { class: "view-error", role: "status" });
  const knobsBox = h("div", { class: "view-controls view-knobs" }, length.element, damp.element);
  element.prepend(h("div", { class: "view-controls" }, which.element, what.element, whose), knobsBox, switches);
  signal.addEventListener("abort", () => element.replaceChildren());
  picture.root.after(readout, wrong);
  length.set(iterations);

  const here = () => dampingAt(session, session.selected, stepOf(session)) ?? 0;

  /** @param {Answer} data @param {number} lane @param {number} step */
  function take(data, lane, step) {
    const first = !shown;
    shown = { ...data, lane, step };
    wrong.textContent = "";
    picture.say(null);
    compose();
    if (first) commit();
    picture.moved();
  }

  const question = iterateProbe({ session, name, take, fail(message) {
    wrong.textContent = message;
    if (!shown) picture.say(null);
  } });

  function ask() {
    if (!picture.visible) return;
    question({ matrix, iterations, ...(damping !== null && { damping }) }, (/** @type {Answer} */ data) =>
      data.matrix === matrix && data.iterations === iterations && (damping === null || data.damping === damping));
  }

  /** Curves and bounds of the chosen quantity, as far as they have a place on its scale. */
  function compose() {
    if (!shown) return;
    const { curves, bounds } = shown, above = gaps(shown), start = curves[0].error[0];
    const scale = (/** @type {number} */ share) => share * (start ?? NaN);
    lines = curves.flatMap((curve, i) => {
      if (!show[curve.name]) return [];
      const values = quantity === "gap" ? above[i] : curve[/** @type {"error" | "residual" | "loss"} */ (quantity)];
      const bound = show.bounds && ["gap", "error"].includes(quantity) ? bounds?.[curve.name]?.map(scale) : null;
      const limit = bound?.map((e) => (quantity === "gap" ? (e * e) / 2 : e));
      return [
        ...(limit ? [line(curve.name, `bound on ${shortOf(curve)}`, true, limit)] : []),
        line(curve.name, METHODS[curve.name].label, false, values),
      ];
    });
  }

  /** @param {Method} key @param {string} label @param {boolean} dashed @param {Column} values @returns {Line} */
  function line(key, label, dashed, values) {
    const floor = quantity === "loss" ? -Infinity : Math.abs(values[0] ?? 0) * DEEPEST;
    /** @type {Line} */
    const result = { key, label, dashed, x: [], y: [] };
    values.forEach((value, k) => {
      if (value === null || !(value > floor)) return;
      result.x.push(k);
      result.y.push(value);
    });
    return result;
  }

  /** Log ranges by whole decades, so that they seldom move; the true cost's from its lowest to above its first. */
  function ranges() {
    const solid = lines.filter(({ dashed }) => !dashed), values = solid.flatMap(({ y }) => y), x = [0, iterations];
    const low = values.reduce((a, b) => Math.min(a, b), Infinity), start = solid[0]?.y[0] ?? 1;
    if (!(low < Infinity)) return { x, y: [-1, 1] };
    if (quantity === "loss") {
      const fall = start - low || Math.abs(start) || 1;
      const high = Math.min(values.reduce((a, b) => Math.max(a, b)), start + 0.4 * fall);
      return { x, y: [low - 0.06 * fall, high + 0.06 * fall] };
    }
    const high = [...values, ...lines.flatMap(({ y }) => y.slice(0, 1))].reduce((a, b) => Math.max(a, b));
    return { x, y: [Math.floor(Math.log10(low) - 0.05), Math.ceil(Math.log10(high) + 0.05)] };
  }

  const colourOf = (/** @type {Method} */ key) => rgb(getComputedStyle(element).getPropertyValue(METHODS[key].hue));

  /** @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(context, { width, height, theme }) {
    ask();
    fit();
    const toPixel = picture.mapper();
    if (!toPixel || !shown) return;
    context.save();
    context.beginPath();
    context.rect(-6, -1, width + 12, height + 2);
    context.clip();
    context.lineJoin = "round";
    for (const { key, dashed, x, y } of lines) {
      context.strokeStyle = css(colourOf(key), dashed ? 0.75 : 1);
      context.lineWidth = dashed ? 1.5 : 2.2;
      context.setLineDash(dashed ? [6, 4] : []);
      context.beginPath();
      x.forEach((k, i) => context.lineTo(...toPixel(k, y[i])));
      context.stroke();
      context.setLineDash([]);
      if (dashed || !x.length) continue;
      context.fillStyle = css(colourOf(key));
      context.strokeStyle = css(theme.paper);
      context.lineWidth = 1.6;
      const last = quantity === "loss" ? y.indexOf(y.reduce((a, b) => Math.min(a, b))) : x.length - 1;
      context.beginPath();
      context.arc(...toPixel(x[last], y[last]), 4.5, 0, 7);
      context.fill();
      context.stroke();
    }
    context.restore();
  }

  function fit() {
    if (!shown || picture.zoomed || !picture.due(framed) || JSON.stringify([ranges(), quantity]) === frame) return;
    framed = performance.now();
    commit(false);
  }

  /** Hands Plotly the axes and, when all is at rest, the curves for hover and export. @param {boolean} [whole] */
  function commit(whole = true) {
    if (!shown) return;
    const { x, y } = ranges(), span = y[1] - y[0];
    frame = JSON.stringify([{ x, y }, quantity]);
    const traces = lines.map(({ key, label, dashed, x, y }) => ({
      type: "scatter", mode: "lines", name: label, x, y, line: {
        color: css(colourOf(key)), width: dashed ? 1.5 : 2.2, dash: dashed ? "dash" : "solid",
      },
      hovertemplate: `${label}, iteration %{x}<br>%{y:.6g}<extra></extra>`,
    }));
    const decades = Math.max(1, Math.ceil(span / 6)), log = { type: "log", dtick: decades, exponentformat: "power" };
    picture.commit(whole ? traces : [{ type: "scatter", x: [], y: [] }], {
      xaxis: {
        range: x, title: { text: "iteration inside the step" }, ...(x[1] < 9 ? { dtick: 1 } : { tickformat: "d" }),
      },
      yaxis: { range: y, title: { text: QUANTITIES[quantity] }, ...(quantity === "loss" ? { nticks: 7 } : log) },
    });
  }

  function tell() {
    which.offer(Object.entries(MATRICES), matrix);
    what.offer(Object.entries(QUANTITIES), quantity);
    damp.set(damping ?? Number(here().toPrecision(4)));
    if (!shown) return;
    const told = session.lanes[shown.lane], taken = told?.columns.cg_iterations?.[shown.step + 1];
    readout.textContent = [
      `${told?.label ?? "The lane"}, step ${shown.step}: ${matrixWords(shown)}`, curveWords(shown), boundWords(shown),
      taken ? `The lane’s own step took ${taken} iterations.` : "",
    ].join(" ");
  }

  picture.say("The curves appear with the run's first step.");
  tell();
  ask();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (event.kind === "theme") {
        picture.dress();
        return commit();
      }
      if (["axis", "clock", "run", "spec"].includes(event.kind)) return;
      ask();
      picture.moved();
    },
  };
}
