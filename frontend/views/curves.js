// Curves: the loss, or any other column, against steps, passes or seconds; the scrubbed step is a line to drag.

import { h, written } from "../dom.js";
import { css } from "../geometry.js";
import { figure, rgb } from "../plot.js";
import { thinned } from "../paths.js";
import { choice, toggles } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../types").Lane} Lane */
/** @typedef {{x: number[], y: number[], step: number[]}} Series */

export const name = "curves";
export const title = "Curves";
export const order = 20;

/** @param {Session} _session @returns {true | string} */
export const wants = (_session) => true;

/** Titles of the columns every run has; an optimizer's own go by their names. @type {Record<string, string>} */
const TITLES = {
  loss: "loss J", test_loss: "held-out loss", batch_loss: "loss on the batch", gradient_norm: "gradient norm ‖∇J‖",
  step_norm: "step norm ‖Δw‖", slope: "slope ∇Jᵀ Δw", damping: "damping η", rho: "reduction ratio ρ",
  passes: "passes over the data",
};
const titleOf = (/** @type {string} */ column) => TITLES[column] ?? column.replaceAll("_", " ");
const AXES = { steps: "steps", passes: "passes over the data", seconds: "seconds of compute" };
const POINTS = 2000; // of a lane in Plotly; the overlay draws them all

/** Seconds of compute at every step, from the few that the clock told. @param {Lane} lane @returns {number[]} */
export function seconds(lane) {
  const marks = [{ step: 0, seconds: 0 }, ...lane.clock];
  const result = new Array(lane.length).fill(NaN);
  for (let i = 0; i + 1 < marks.length; i++) {
    const [a, b] = [marks[i], marks[i + 1]];
    for (let k = a.step; k <= Math.min(b.step, lane.length - 1); k++) {
      const share = b.step > a.step ? (k - a.step) / (b.step - a.step) : 1;
      result[k] = a.seconds + (b.seconds - a.seconds) * share;
    }
  }
  return result;
}

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const show = { logarithmic: true, best: false };
  let column = "loss";
  let stale = true, chosen = false; // whether the reader chose the scale; else it is logarithmic where it can be
  /** @type {(Series & {held: Series | null})[]} */
  let series = [];
  /** @type {{key: string, curves: {whole: Path2D, held: Path2D | null}[]}} */
  let strokes = { key: "", curves: [] };
  let framed = 0; // when the axes were last fitted
  let frame = "";

  const picture = figure({
    element, signal, label: "Curves of the run", file: "curves", draw, settle: () => commit(), tell: () => tell(),
    table: () => ({ head: ["lane", "step", session.axis === "steps" ? "x" : AXES[session.axis], heading()], rows }),
  });
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
      show.logarithmic = best - shift >= 0 && column !== "passes";
      box("logarithmic").checked = show.logarithmic;
    }
    series = session.lanes.map((lane) => {
      const xs = session.axis === "steps" ? null : session.axis === "passes" ? lane.columns.passes : seconds(lane);
      const read = (/** @type {string} */ from) => {
        /** @type {Series} */
        const result = { x: [], y: [], step: [] };
        const values = lane.columns[from] ?? [];
        for (let k = 0; k < values.length; k++) {
          const x = xs ? xs[k] : k, y = values[k];
          if (x === null || x === undefined || Number.isNaN(x) || y === null) continue;
          if (show.logarithmic && y - shift <= 0) continue;
          result.x.push(x);
          result.y.push(y - shift);
          result.step.push(k);
        }
        return result;
      };
      const held = column === "loss" && lane.columns.test_loss ? read("test_loss") : null;
      return { ...read(column), held };
    });
    stale = false;
  }

  /** Ranges that show every lane, except that one that diverges may leave through the top. */
  function ranges() {
    let x1 = 0, low = Infinity, high = -Infinity, first = -Infinity;
    for (const curve of series.flatMap((s) => (s.held ? [s, s.held] : [s]))) {
      if (curve.x.length) x1 = Math.max(x1, curve.x[curve.x.length - 1]);
      if (curve.y.length) first = Math.max(first, curve.y[0]);
      for (const y of curve.y) {
        if (y < low) low = y;
        if (y > high) high = y;
      }
    }
    if (!(low <= high)) [low, high, first] = show.logarithmic ? [0.1, 1, 1] : [0, 1, 1];
    if (show.logarithmic) {
      const l = Math.log10(low), h = Math.min(Math.log10(high), Math.log10(first) + 4);
      const pad = Math.max(0.05 * (h - l), 0.05);
      return { x: [0, x1 || 1], y: [l - pad, h + pad] };
    }
    const h = column.endsWith("loss") && first > low ? Math.min(high, low + 3 * (first - low)) : high;
    const pad = 0.05 * (h - low) || Math.abs(h) * 0.1 || 0.5;
    return { x: [0, x1 || 1], y: [low - pad, h + pad] };
  }

  /** @param {number} lane @param {number} step the place on a curve at a fractional step */
  function place(lane, step) {
    const { x, y, step: at } = series[lane] ?? { x: [], y: [], step: [] };
    if (!at.length) return null;
    if (at[0] > step) return null;
    let k = 0, above = at.length; // at[k] ≤ step < at[above]
    while (above - k > 1) {
      const middle = (k + above) >> 1;
      if (at[middle] <= step) k = middle;
      else above = middle;
    }
    const next = Math.min(k + 1, at.length - 1), t = next > k ? Math.min((step - at[k]) / (at[next] - at[k]), 1) : 0;
    const mid = show.logarithmic ? y[k] * (y[next] / y[k]) ** t : y[k] + t * (y[next] - y[k]);
    return { x: x[k] + t * (x[next] - x[k]), y: mid };
  }

  /** @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(context, { width, height, theme }) {
    const fresh = stale;
    if (stale) gather();
    fit();
    const toPixel = picture.mapper();
    if (!toPixel) return;
    const key = JSON.stringify([width, height, picture.range("xaxis"), picture.range("yaxis"), show]);
    if (fresh || key !== strokes.key) {
      const path = (/** @type {Series} */ s) => thinned(s, toPixel, width, height);
      strokes = { key, curves: series.map((s) => ({ whole: path(s), held: s.held && path(s.held) })) };
    }
    context.lineJoin = "round";
    const cursor = place(session.selected, session.step)?.x ?? session.step;
    const [cx] = toPixel(cursor, 1);
    context.strokeStyle = css(theme.muted);
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(cx, 0);
    context.lineTo(cx, height);
    context.stroke();
    strokes.curves.forEach(({ whole, held }, i) => {
      context.strokeStyle = css(rgb(session.colour(i)));
      context.lineWidth = i === session.selected ? 2.4 : 1.6;
      context.stroke(whole);
      if (!held) return;
      context.setLineDash([5, 4]);
      context.stroke(held);
      context.setLineDash([]);
    });
    series.forEach((_, i) => {
      const at = place(i, session.step);
      if (!at) return;
      const [x, y] = toPixel(at.x, at.y);
      if (y < -8 || y > height + 8) return;
      context.beginPath();
      context.arc(x, y, i === session.selected ? 5 : 4, 0, 7);
      context.fillStyle = css(rgb(session.colour(i)));
      context.fill();
      context.strokeStyle = css(theme.paper);
      context.lineWidth = 1.6;
      context.stroke();
    });
  }

  /** New ranges while rows stream in: a few times a second, and only where they differ. */
  function fit() {
    if (picture.zoomed || !picture.due(framed)) return;
    const wanted = JSON.stringify(ranges());
    if (wanted === frame) return;
    framed = performance.now();
    axes();
  }

  function axes(/** @type {object[] | null} */ traces = null) {
    const { x, y } = ranges();
    frame = JSON.stringify({ x, y });
    const whole = x[1] < 9 ? { dtick: 1 } : { tickformat: "d" }; // there is no half a step
    picture.commit(traces ?? [{ type: "scatter", x: [], y: [] }], {
      xaxis: { range: x, title: { text: AXES[session.axis] }, ...(session.axis === "steps" && whole) },
      yaxis: { range: y, type: show.logarithmic ? "log" : "linear", title: { text: heading() }, nticks: 7 },
    });
  }

  /** Hands Plotly the curves, thinned, for hover and export. */
  function commit() {
    if (stale) gather();
    const thin = (/** @type {Series} */ s) => {
      const every = Math.ceil(s.x.length / POINTS) || 1;
      const keep = (/** @type {number[]} */ a) => a.filter((_, k) => k % every === 0);
      return { x: keep(s.x), y: keep(s.y), customdata: keep(s.step) };
    };
    const said = (/** @type {string} */ who) => `${who}, step %{customdata}<br>${heading()} = %{y:.6g}<extra></extra>`;
    axes(series.flatMap((s, i) => {
      const lane = session.lanes[i];
      if (!lane) return [];
      const style = { type: "scatter", mode: "lines", line: { color: session.colour(i), width: 2 } };
      const own = { ...style, ...thin(s), name: lane.label, hovertemplate: said(lane.label) };
      if (!s.held) return [own];
      const name = `${lane.label}, held out`, dashed = { ...style.line, dash: "dash" };
      return [own, { ...style, ...thin(s.held), name, hovertemplate: said(name), line: dashed }];
    }));
  }

  function tell() {
    const lane = session.lanes[session.selected], step = Math.min(Math.round(session.step), (lane?.length ?? 1) - 1);
    columns.offer(known().map((c) => [c, titleOf(c)]), column);
    box("best").parentElement?.toggleAttribute("hidden", !column.endsWith("loss"));
    const value = lane?.columns[column]?.[step];
    const dashed = series.some((s) => s.held) ? " Dashed: the held-out loss." : "";
    const cut = show.logarithmic && lane?.columns[column]?.some((v) => v !== null && v <= 0)
      ? " Values that are not positive have no place on a log scale." : "";
    const here = lane?.length ? `${lane.label}, step ${step}: ${titleOf(column)} = ${written(value)}.` : "";
    readout.textContent = here && here + dashed + cut;
  }

  function* rows() {
    const limit = Math.max(10, Math.floor(1000 / Math.max(1, session.lanes.length)));
    for (const [i, s] of series.entries()) {
      const label = session.lanes[i]?.label ?? "";
      for (let k = 0; k < Math.min(s.x.length, limit); k++) yield [label, s.step[k], s.x[k], s.y[k]];
    }
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
    const at = picture.fromPixel(...picture.pointer(event)), curve = series[session.selected];
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
