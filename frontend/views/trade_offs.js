// Compute trade-offs: the loss against what it costs, where reading an epoch of data costs r passes, and which lane
// comes to a chosen loss at the lowest cost. Drawn from the run's rows: r and the target start no run.

import { costOf, epochsOf, reached, reigns, survey } from "../break_even.js";
import { h, written } from "../dom.js";
import { curvePainter, furthest, heights, rowsOf, seconds, series, traces } from "../lane_curves.js";
import { figure } from "../plot.js";
import { knobField } from "../sliders.js";
import { targetLine } from "../target_line.js";
import { choice, toggles } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../types").Schema} Schema */
/** @typedef {import("../lane_curves.js").Curve} Curve */
/** @typedef {keyof typeof AXES} Axis */

export const name = "trade-offs";
export const title = "Compute trade-offs";
export const order = 22;
export const wide = true;

/** @param {Session} session @returns {true | string} */
export const wants = (session) =>
  session.lanes.length > 1 || "It compares lanes: add an optimizer, or compare values of a knob.";

const AXES = {
  cost: "passes + r · epochs", epochs: "epochs of data read", passes: "passes over the data",
  seconds: "seconds of compute",
};
/** What reading one epoch costs: 0, or four decades up from 0.01. @type {Schema} */
const PRICE = {
  type: "number", title: "price of reading an epoch, in passes", symbol: "r", scale: "log", minimum: 0, maximum: 1000,
  default: 100, // the decades begin four below
};
const HEAD = ["lane", "cost", "× the cheapest", "step", "examples", "passes", "seconds"];
const BEYOND = 1.25; // the axes end so far beyond where the last lane reaches the target
const EDGE = 1.06; // and this far beyond the last lane's end
const ROUNDING = 1e-16; // a share of the first loss: nothing under it is worth a place on a slider

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const show = { logarithmic: true, logCost: false }, uses = { common: true };
  let price = 0, axis = /** @type {Axis} */ ("cost");
  let target = /** @type {number | null} */ (null);
  let news = true, stale = true, untold = true; // rows came; the curves moved; the words beside them were not yet told
  let met = survey([]), epochs = /** @type {number[][]} */ ([]);
  let chosen = false; // whether the reader chose the scale; else it is logarithmic where it can be
  /** @type {Curve[]} */
  let curves = [];
  /** @type {(import("../break_even.js").Reached & {x: number, y: number} | null)[]} */
  let ends = [];
  let framed = 0, frame = "", bounds = "";

  const picture = figure({
    element, signal, label: "Loss against its cost", file: "trade-offs", draw, settle: () => commit(),
    tell: () => tell(),
    table: () => ({ head: ["lane", "step", AXES[axis], "loss J"], rows: () => rowsOf(session, curves) }),
  });
  const painter = curvePainter(session, picture);
  const line = targetLine({ picture, session, signal, aim, rest: () => picture.moved() });
  const data = knobField({ path: `${name}.price`, key: "price", schema: PRICE, change: (value) => {
    price = value;
    moved();
  } });
  const goal = h("div", { class: "control" });
  /** @type {import("../fields.js").Field | null} */
  let goalField = null;
  const common = toggles("Which target", uses, { common: "the lowest loss that all lanes reach" }, () => moved());
  const where = choice("Against ", (value) => {
    axis = /** @type {Axis} */ (value);
    again();
  });
  const logs = { logarithmic: "log loss", logCost: "log cost" };
  const switches = toggles("How the axes are drawn", show, logs, (which) => {
    chosen ||= which === "logarithmic";
    again();
  });
  const body = h("tbody");
  const region = { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "What the target costs" };
  const head = HEAD.map((text, i) => h("th", { scope: "col", class: i ? "num" : null }, text));
  const numbers = h("div", region,
    h("table", { class: "view-numbers" }, h("thead", {}, h("tr", {}, head)), body));
  const verdict = h("p", { class: "view-readout" });
  element.prepend(h("div", { class: "view-controls view-knobs" }, data.element, goal),
    h("div", { class: "view-controls" }, where.element, switches, common));
  signal.addEventListener("abort", () => element.replaceChildren());
  picture.root.before(verdict, numbers);
  picture.root.after(h("p", { class: "view-readout" }, "Cost = passes over the data + r × epochs of data read: r = 0",
    " counts computation alone. A lane reaches the target at its first step at or under it."));
  where.offer(Object.entries(AXES), axis);
  data.set(price);

  const examples = () => session.run?.examples ?? NaN;

  /** Every lane's curve in the units of the axes, and where it reaches the target. */
  function gather() {
    if (news) {
      met = survey(session.lanes);
      epochs = session.lanes.map((lane) => epochsOf(lane, examples()));
      news = false;
    }
    if (!chosen) {
      show.logarithmic = met.lowest >= 0;
      switches.querySelectorAll("input")[0].checked = show.logarithmic;
    }
    if (uses.common) target = met.common;
    const scales = { logX: show.logCost, logY: show.logarithmic };
    ends = [];
    curves = session.lanes.map((lane, i) => {
      const { loss = [], passes = [] } = lane.columns, read = epochs[i] ?? [];
      const xs = axis === "seconds" ? seconds(lane) : axis === "passes" ? passes : axis === "epochs" ? read
        : passes.map((spent, k) => costOf(spent ?? NaN, read[k], price));
      const at = target === null ? null : reached(lane, target, examples());
      ends[i] = at && { ...at, x: xs[at.step] ?? NaN, y: loss[at.step] ?? NaN };
      return { ...series(xs, loss, scales), held: null };
    });
    stale = false;
    untold = true;
  }

  /** The way to the target and a little beyond. */
  function ranges() {
    const all = furthest(curves) || 1;
    const last = ends.reduce((most, at) => Math.max(most, at?.x || 0), 0);
    const end = last > 0 ? Math.min(BEYOND * last, EDGE * all) : all;
    const first = curves.reduce((least, { x }) => Math.min(least, x[0] ?? Infinity), end);
    const x = show.logCost ? [Math.log10(first) - 0.05, Math.log10(Math.max(end, first)) + 0.05] : [0, end];
    return { x, y: line.held ?? heights(curves, { logY: show.logarithmic, loss: true, floor: floor() }) };
  }

  /** As far below the target as the axis goes. */
  function floor() {
    const { start } = met;
    if (target === null || !(target < start)) return undefined;
    return show.logarithmic ? start * (target / start) ** BEYOND : start - BEYOND * (start - target);
  }

  /** @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(context, area) {
    const fresh = stale;
    if (stale) gather();
    fit();
    const toPixel = picture.mapper();
    if (!toPixel) return;
    painter.strokes(context, curves, area, toPixel, fresh);
    painter.dots(context, curves, area, toPixel, show.logarithmic);
    line.draw(context, area, toPixel, target, ends);
  }

  /** New ranges while something moves: a few times a second, and only where they differ. */
  function fit() {
    if (picture.zoomed || !picture.due(framed)) return;
    if (JSON.stringify(ranges()) === frame) return;
    framed = performance.now();
    axes();
  }

  function axes(/** @type {object[]} */ drawn = [{ type: "scatter", x: [], y: [] }]) {
    const { x, y } = ranges();
    frame = JSON.stringify({ x, y });
    const heading = axis === "cost" ? `${AXES.cost}, r = ${written(price)}` : AXES[axis];
    picture.commit(drawn, {
      xaxis: { range: x, type: show.logCost ? "log" : "linear", title: { text: heading }, nticks: 7 },
      yaxis: { range: y, type: show.logarithmic ? "log" : "linear", title: { text: "loss J" }, nticks: 7 },
    });
  }

  /** Hands Plotly the curves, thinned, for hover and export. */
  function commit() {
    if (stale) gather();
    axes(traces(session, curves, "loss J"));
  }

  /** r or the target moved, or rows came. */
  function moved() {
    stale = true;
    picture.moved();
  }

  function again() {
    stale = true;
    framed = 0;
    picture.reset();
    commit();
    picture.moved();
  }

  /** @param {number} value */
  function aim(value) {
    target = value;
    common.querySelectorAll("input")[0].checked = uses.common = false;
    moved();
  }

  /** A slider for the target, from the lowest loss to the highest start; built anew where these change. */
  function offerTarget() {
    const { logarithmic } = show, high = met.start;
    const low = logarithmic ? Math.max(met.positive, ROUNDING * high) : met.lowest;
    if (!(low < high)) return;
    const [minimum, maximum] = logarithmic
      ? [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))] : [low, high];
    const now = JSON.stringify([minimum, maximum, logarithmic]);
    if (now !== bounds && !goal.contains(document.activeElement)) {
      bounds = now;
      const scale = logarithmic ? "log" : "linear";
      /** @type {Schema} */
      const schema = { type: "number", title: "target loss", symbol: "J", scale, minimum, maximum };
      goalField = knobField({ path: `${name}.target`, key: "target", schema, change: aim });
      goal.replaceChildren(goalField.element);
    }
    goalField?.set(target === null ? NaN : uses.common ? Number(target.toPrecision(4)) : target);
  }

  function tell() {
    if (!untold) return;
    untold = false;
    offerTarget();
    const costs = ends.map((at) => (at ? costOf(at.passes, at.epochs, price) : Infinity)), least = Math.min(...costs);
    body.replaceChildren(...session.lanes.map((lane, i) => {
      const at = ends[i], swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = session.colour(i);
      const who = h("th", { scope: "row" }, swatch, lane.label);
      if (!at) return h("tr", {}, who, h("td", { colspan: HEAD.length - 1 }, "not reached"));
      const cells = [
        written(costs[i]), least > 0 ? written(costs[i] / least, 3) : "–", String(at.step),
        String(lane.columns.examples?.[at.step]), written(at.passes), written(seconds(lane)[at.step], 3),
      ];
      const rest = cells.map((text) => h("td", { class: "num" }, text));
      return h("tr", { class: costs[i] === least ? "best" : null }, who, rest);
    }));
    verdict.textContent = target === null ? "No lane falls below its start." : judge(costs, least);
  }

  /** Is it advantageous? Who is cheapest now, and from which r on somebody else. @param {number[]} costs
   * @param {number} least */
  function judge(costs, least) {
    const label = (/** @type {number} */ lane) => session.lanes[lane]?.label ?? "";
    const goal = `J ≤ ${written(target)}`;
    if (!(least < Infinity)) return `No lane reaches ${goal}.`;
    const over = reigns(ends), now = over.findLastIndex(({ from }) => from <= price), { lane } = over[now];
    const found = `At r = ${written(price)} the cheapest way to ${goal} is ${label(lane)}:`;
    const cost = `${found} ${written(costs[lane])} passes.`;
    if (over.length === 1) return `${cost} It is so whatever data cost.`;
    const spans = over.map(({ lane }, i) =>
      label(lane) + (i + 1 < over.length ? ` up to r = ${written(over[i + 1].from)}` : ""));
    return `${cost} Cheapest is ${spans.join(", then ")}.`;
  }

  commit();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (event.kind === "theme") {
        picture.dress();
        return moved();
      }
      if (["run", "spec", "probe", "axis"].includes(event.kind)) return;
      if (["chunk", "end", "clock"].includes(event.kind)) {
        news = true;
        return moved();
      }
      picture.moved();
    },
  };
}
