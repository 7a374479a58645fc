// Lanes as curves: the rows of one column against another, where a step is on them, heights that show them, strokes.

import { css } from "./geometry.js";
import { thinned } from "./paths.js";
import { rgb } from "./plot.js";

/** @typedef {import("./types").Column} Column */
/** @typedef {import("./types").Lane} Lane */
/** @typedef {{x: number[], y: number[], step: number[]}} Series */
/** @typedef {Series & {held: Series | null}} Curve  held: a second column of the same lane, dashed */

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

/** The rows that have a place on both axes. @param {Column | null} xs  null: the steps @param {Column} ys
 * @param {{shift?: number, logX?: boolean, logY?: boolean}} scales  shift: taken off y
 * @returns {Series} */
export function series(xs, ys, { shift = 0, logX = false, logY = false }) {
  /** @type {Series} */
  const result = { x: [], y: [], step: [] };
  for (let k = 0; k < ys.length; k++) {
    const x = xs ? xs[k] : k, y = ys[k];
    if (x === null || x === undefined || Number.isNaN(x) || y === null) continue;
    if ((logX && x <= 0) || (logY && y - shift <= 0)) continue;
    result.x.push(x);
    result.y.push(y - shift);
    result.step.push(k);
  }
  return result;
}

/** The place on a curve at a fractional step. @param {Series | undefined} curve @param {number} step
 * @param {boolean} logY */
export function place(curve, step, logY) {
  const { x, y, step: at } = curve ?? { x: [], y: [], step: [] };
  if (!at.length || at[0] > step) return null;
  let k = 0, above = at.length; // at[k] ≤ step < at[above]
  while (above - k > 1) {
    const middle = (k + above) >> 1;
    if (at[middle] <= step) k = middle;
    else above = middle;
  }
  const next = Math.min(k + 1, at.length - 1), t = next > k ? Math.min((step - at[k]) / (at[next] - at[k]), 1) : 0;
  const mid = logY ? y[k] * (y[next] / y[k]) ** t : y[k] + t * (y[next] - y[k]);
  return { x: x[k] + t * (x[next] - x[k]), y: mid };
}

/** A range of y that shows every curve, except that one that diverges may leave through the top.
 * @param {Series[]} curves @param {{logY: boolean, loss: boolean, floor?: number}} how  loss: of curves that are to
 *   fall; floor: what lies lower need not show
 * @returns {[number, number]} */
export function heights(curves, { logY, loss, floor = -Infinity }) {
  let low = Infinity, high = -Infinity, first = -Infinity;
  for (const { y: values } of curves) {
    if (values.length) first = Math.max(first, values[0]);
    for (const y of values) {
      if (y < low) low = y;
      if (y > high) high = y;
    }
  }
  low = Math.max(low, Math.min(floor, high));
  if (!(low <= high)) [low, high, first] = logY ? [0.1, 1, 1] : [0, 1, 1];
  if (logY) {
    const l = Math.log10(low), h = Math.min(Math.log10(high), Math.log10(first) + 4);
    const pad = Math.max(0.05 * (h - l), 0.05);
    return [l - pad, h + pad];
  }
  const h = loss && first > low ? Math.min(high, low + 3 * (first - low)) : high;
  const pad = 0.05 * (h - low) || Math.abs(h) * 0.1 || 0.5;
  return [low - pad, h + pad];
}

/** Where every curve ends at the latest. @param {Series[]} curves */
export const furthest = (curves) => curves.reduce((end, { x }) => Math.max(end, x[x.length - 1] ?? 0), 0);

/** Draws curves on a figure's overlay in their lanes' colours, the selected lane's stronger.
 * @param {import("./types").Session} session @param {import("./plot.js").Figure} picture */
export function curvePainter(session, picture) {
  /** @type {{key: string, paths: {whole: Path2D, held: Path2D | null}[]}} */
  let kept = { key: "", paths: [] };
  const colour = (/** @type {number} */ lane) => css(rgb(session.colour(lane)));
  return {
    /** @param {CanvasRenderingContext2D} context @param {Curve[]} curves @param {import("./plot.js").Area} area
     * @param {import("./geometry.js").ToPixel} toPixel @param {boolean} fresh  whether the curves have changed */
    strokes(context, curves, { width, height }, toPixel, fresh) {
      const frame = ["xaxis", "yaxis"].map((axis) => [picture.range(axis), picture.scale(axis)?.log]);
      const key = JSON.stringify([width, height, frame]);
      if (fresh || key !== kept.key) {
        const path = (/** @type {Series} */ s) => thinned(s, toPixel, width, height);
        kept = { key, paths: curves.map((s) => ({ whole: path(s), held: s.held && path(s.held) })) };
      }
      context.lineJoin = "round";
      kept.paths.forEach(({ whole, held }, i) => {
        context.strokeStyle = colour(i);
        context.lineWidth = i === session.selected ? 2.4 : 1.6;
        context.stroke(whole);
        if (!held) return;
        context.setLineDash([5, 4]);
        context.stroke(held);
        context.setLineDash([]);
      });
    },

    /** A dot a lane at the scrubbed step. @param {CanvasRenderingContext2D} context @param {Curve[]} curves
     * @param {import("./plot.js").Area} area @param {import("./geometry.js").ToPixel} toPixel @param {boolean} logY */
    dots(context, curves, { height, theme }, toPixel, logY) {
      curves.forEach((curve, i) => {
        const at = place(curve, session.step, logY);
        if (!at) return;
        const [x, y] = toPixel(at.x, at.y);
        if (y < -8 || y > height + 8) return;
        context.beginPath();
        context.arc(x, y, i === session.selected ? 5 : 4, 0, 7);
        context.fillStyle = colour(i);
        context.fill();
        context.strokeStyle = css(theme.paper);
        context.lineWidth = 1.6;
        context.stroke();
      });
    },
  };
}

/** Curves as Plotly has them, for hover and export: thinned. @param {import("./types").Session} session
 * @param {Curve[]} curves @param {string} what  of the y axis */
export const traces = (session, curves, what) =>
  curves.flatMap((curve, i) => {
    const lane = session.lanes[i];
    if (!lane) return [];
    const thin = (/** @type {Series} */ { x, y, step }) => {
      const every = Math.ceil(x.length / POINTS) || 1;
      const keep = (/** @type {number[]} */ a) => a.filter((_, k) => k % every === 0);
      return { x: keep(x), y: keep(y), customdata: keep(step) };
    };
    const said = (/** @type {string} */ who) => `${who}, step %{customdata}<br>${what} = %{y:.6g}<extra></extra>`;
    const style = { type: "scatter", mode: "lines", line: { color: session.colour(i), width: 2 } };
    const own = { ...style, ...thin(curve), name: lane.label, hovertemplate: said(lane.label) };
    if (!curve.held) return [own];
    const name = `${lane.label}, held out`, dashed = { ...style.line, dash: "dash" };
    return [own, { ...style, ...thin(curve.held), name, hovertemplate: said(name), line: dashed }];
  });

/** The rows of a data table, as many of each lane. @param {import("./types").Session} session @param {Curve[]} curves
 * @returns {Generator<(string | number | null)[]>} */
export function* rowsOf(session, curves) {
  const limit = Math.max(10, Math.floor(1000 / Math.max(1, session.lanes.length)));
  for (const [i, { x, y, step }] of curves.entries()) {
    const label = session.lanes[i]?.label ?? "";
    for (let k = 0; k < Math.min(x.length, limit); k++) yield [label, step[k], x[k], y[k]];
  }
}
