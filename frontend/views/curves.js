// Curves: the loss, or any other column, against steps, examples, passes or seconds; the scrubbed step is a line to
// drag.

import { h, written } from "../dom.js";
import { css } from "../geometry.js";
import { curvePainter, furthest, heights, place, rowsOf, seconds, series, traces } from "../lane_curves.js";
import { figure } from "../plot.js";
import { choice, toggles } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../lane_curves.js").Curve} Curve */

export const name = "curves";
export const title = "Curves";
export const order = 20;

/** @param {Session} _session @returns {true | string} */
export const wants = (_session) => true;

/** Titles of the columns every run has; an optimizer's own go by their names. @type {Record<string, string>} */
const TITLES = {
  loss: "loss J", test_loss: "held-out loss", batch_loss: "loss on the batch", gradient_norm: "gradient norm ‖∇J‖",
  step_norm: "step norm ‖Δw‖", slope: "slope ∇Jᵀ Δw", damping: "damping η", rho: "reduction ratio ρ",
  passes: "passes over the data", examples: "examples read",
};
const titleOf = (/** @type {string} */ column) => TITLES[column] ?? column.replaceAll("_", " ");
const AXES = {
  steps: "steps", examples: "examples read", passes: "passes over the data", seconds: "seconds of compute",
};

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const show = { logarithmic: true, best: false };
  let column = "loss";
  let stale = true, chosen = false; // whether the reader chose the scale; else it is logarithmic where it can be
  /** @type {Curve[]} */
  let curves = [];
  let framed = 0; // when the axes were last fitted
  let frame = "";

  const picture = figure({
    element, signal, label: "Curves of the run", file: "curves", draw, settle: () => commit(), tell: () => tell(),
    table: () => ({
      head: ["lane", "step", session.axis === "steps" ? "x" : AXES[session.axis], heading()],
      rows: () => rowsOf(session, curves),
    }),
  });
  const painter = curvePainter(session, picture);
  picture.area.classList.add("scrubs");
  const columns = choice("Show ", (value) => {
    column = value;
    chosen = false;
    again();
  });
  const scales = { logarithmic: "log scale", best: "distance to the best" };
  const switches = toggles("How the curves are drawn", show, scales, (which) => {
    chosen ||= which === "logarithmic";
    again();
  });
  const box = (/** @type {keyof typeof show} */ which) => switches.querySelectorAll("input")[which === "best" ? 1 : 0];
  const readout = h("p", { class: "view-readout" });
  element.prepend(h("div", { class: "view-controls" }, columns.element, switches));
  signal.addEventListener("abort", () => element.replaceChildren());
  picture.root.after(readout);

  const fromBest = () => show.best && column.endsWith("loss");
  /** The columns of any lane, the usual ones first. */
  function known() {
    const all = new Set(["loss", ...session.lanes.flatMap((lane) => Object.keys(lane.columns))]);
    return [...Object.keys(TITLES).filter((c) => all.has(c)), ...[...all].filter((c) => !(c in TITLES)).sort()];
  }
  const heading = () => titleOf(column) + (fromBest() ? " − best" : "");

  /** Every lane's curve in the units of the axes. */
  function gather() {
    const all = session.lanes.map((lane) => lane.columns[column] ?? []);
    let best = Infinity;
    for (const v of all.flat()) if (v !== null && v < best) best = v;
    const shift = fromBest() && Number.isFinite(best) ? best : 0;
    if (!chosen) {
      show.logarithmic = best - shift >= 0 && !["passes", "examples"].includes(column);
      box("logarithmic").checked = show.logarithmic;
    }
    const scales = { shift, logY: show.logarithmic }, { axis } = session;
    curves = session.lanes.map((lane) => {
      const xs = axis === "steps" ? null : axis === "seconds" ? seconds(lane) : lane.columns[axis] ?? [];
      const held = column === "loss" && lane.columns.test_loss ? series(xs, lane.columns.test_loss, scales) : null;
      return { ...series(xs, lane.columns[column] ?? [], scales), held };
    });
    stale = false;
  }

  function ranges() {
    const drawn = curves.flatMap((curve) => (curve.held ? [curve, curve.held] : [curve]));
    const y = heights(drawn, { logY: show.logarithmic, loss: column.endsWith("loss") });
    return { x: [0, furthest(drawn) || 1], y };
  }

  /** @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(context, area) {
    const fresh = stale;
    if (stale) gather();
    fit();
    const toPixel = picture.mapper();
    if (!toPixel) return;
    const cursor = place(curves[session.selected], session.step, show.logarithmic)?.x ?? session.step;
    const [x] = toPixel(cursor, 1);
    context.strokeStyle = css(area.theme.muted);
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, area.height);
    context.stroke();
    painter.strokes(context, curves, area, toPixel, fresh);
    painter.dots(context, curves, area, toPixel, show.logarithmic);
  }

  /** New ranges while rows stream in: a few times a second, and only where they differ. */
  function fit() {
    if (picture.zoomed || !picture.due(framed)) return;
    const wanted = JSON.stringify(ranges());
    if (wanted === frame) return;
    framed = performance.now();
    axes();
  }

  function axes(/** @type {object[]} */ drawn = [{ type: "scatter", x: [], y: [] }]) {
    const { x, y } = ranges();
    frame = JSON.stringify({ x, y });
    const whole = x[1] < 9 ? { dtick: 1 } : { tickformat: "d" }; // there is no half a step
    picture.commit(drawn, {
      xaxis: { range: x, title: { text: AXES[session.axis] }, ...(session.axis === "steps" && whole) },
      yaxis: { range: y, type: show.logarithmic ? "log" : "linear", title: { text: heading() }, nticks: 7 },
    });
  }

  /** Hands Plotly the curves, thinned, for hover and export. */
  function commit() {
    if (stale) gather();
    axes(traces(session, curves, heading()));
  }

  function tell() {
    const lane = session.lanes[session.selected], step = Math.min(Math.round(session.step), (lane?.length ?? 1) - 1);
    columns.offer(known().map((c) => [c, titleOf(c)]), column);
    box("best").parentElement?.toggleAttribute("hidden", !column.endsWith("loss"));
    const value = lane?.columns[column]?.[step];
    const dashed = curves.some(({ held }) => held) ? " Dashed: the held-out loss." : "";
    const cut = show.logarithmic && lane?.columns[column]?.some((v) => v !== null && v <= 0)
      ? " Values that are not positive have no place on a log scale." : "";
    const here = lane?.length ? `${lane.label}, step ${step}: ${titleOf(column)} = ${written(value)}.` : "";
    readout.textContent = here && here + dashed + cut;
  }

  function again() {
    stale = true;
    framed = 0;
    picture.reset();
    commit();
    picture.moved();
  }

  /** The step whose place on the selected lane's curve is nearest to a pointer. @param {PointerEvent} event */
  function scrub(event) {
    const at = picture.fromPixel(...picture.pointer(event)), curve = curves[session.selected];
    if (!at) return;
    let step = Math.round(at[0]);
    if (session.axis !== "steps" && curve?.x.length) {
      let nearest = 0;
      curve.x.forEach((x, k) => Math.abs(x - at[0]) < Math.abs(curve.x[nearest] - at[0]) && (nearest = k));
      step = curve.step[nearest];
    }
    session.playing = false;
    session.step = Math.min(Math.max(step, 0), session.lastStep);
  }
  picture.area.addEventListener("pointerdown", (event) => {
    if (event.button || !picture.ready) return;
    const [px, py] = picture.pointer(event), canvas = picture.area.querySelector("canvas");
    if (!canvas || px < -4 || py < -4 || px > canvas.clientWidth + 4 || py > canvas.clientHeight + 4) return;
    picture.area.setPointerCapture(event.pointerId);
    scrub(event);
    const drag = new AbortController();
    picture.area.addEventListener("pointermove", scrub, { signal: drag.signal });
    for (const end of ["pointerup", "pointercancel"]) {
      picture.area.addEventListener(end, () => drag.abort(), { signal: drag.signal });
    }
  }, { signal });

  commit();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (event.kind === "theme") {
        picture.dress();
        return commit();
      }
      if (event.kind === "spec" || event.kind === "probe") return;
      if (event.kind === "run") return;
      if (event.kind === "end" && !known().includes(column)) column = "loss";
      if (event.kind === "axis") return again();
      if (["chunk", "end"].includes(event.kind) || (event.kind === "clock" && session.axis === "seconds")) stale = true;
      if (event.kind === "clock" && !stale) return;
      picture.moved();
    },
  };
}
