// Newton's step for one weight, drawn twice over one x axis: above the cost with the parabola that is minimized, below
// the gradient with the line whose zero is sought.

import { h } from "./dom.js";
import { css } from "./geometry.js";
import { curve, mark, word } from "./paths.js";

/** @typedef {{window: [number, number], x: number[], loss: (number | null)[], gradient: (number | null)[],
 *   iterate: {w: number, loss: number | null, gradient: number | null, hessian: number | null}, damping: number,
 *   curvature: number | null, next: number | null, next_loss: number | null, model: number | null,
 *   kind: "minimum" | "maximum" | null, outside: "left" | "right" | null}} Answer */
/** @typedef {{answer: Answer, past: number[], taken: {x: number, loss: number | null} | null}} Content
 *   past: w_0 … w_k. taken: where the lane goes from w_k. */
/** @typedef {{x: [number, number], cost: [number, number], gradient: [number, number]}} Ranges */

export const GAP = { cost: [0.54, 1], gradient: [0, 0.46] }; // shares of the height
const NEAR = 0.15; // of the width of what is marked, beyond it, and at least …
const LEAST = 0.25; // … of the window, within which the curves say how high the pictures are
const MODEL = 2; // heights of the curve that a parabola's far vertex may add

/** What is drawn in which style, for the eye. */
export const legend = () => h("p", { class: "line-keys view-readout", "aria-hidden": "true" },
  ...[["readings-curve", "J and ∇J"], ["readings-model", "quadratic model and its derivative, the tangent"],
    ["readings-undamped", "the same without damping"], ["readings-next", "x⁺"]].map(([key, text]) =>
    h("span", {}, h("span", { class: `line-key ${key}` }), text)));

/** J's parabola at the iterate, with ½ηd² added or not, and its derivative.
 * @param {Answer} answer @param {boolean} [damped] */
function model({ iterate: { w, loss, gradient, hessian }, curvature }, damped = true) {
  const g = gradient ?? NaN, c = (damped ? curvature : hessian) ?? NaN;
  return {
    value: (/** @type {number} */ x) => (loss ?? NaN) + g * (x - w) + (c * (x - w) ** 2) / 2,
    slope: (/** @type {number} */ x) => g + c * (x - w),
  };
}

/** Heights that show the curves around what is marked. @param {Content} content @returns {Ranges} */
export function rangesOf({ answer, past, taken }) {
  const { window: [low, high], iterate, next } = answer;
  const within = (/** @type {number | null | undefined} */ x) => x !== null && x !== undefined && x >= low && x <= high;
  const marked = [...past, iterate.w, next, taken?.x].filter(within).map(Number);
  const from = Math.min(...marked), to = Math.max(...marked);
  const margin = Math.max(NEAR * (to - from), (LEAST * (high - low) - (to - from)) / 2);
  /** @param {(number | null)[]} values @param {(number | null)[]} also @returns {[number, number]} */
  const around = (values, also) => {
    const seen = values.filter((v, i) => v !== null && answer.x[i] >= from - margin && answer.x[i] <= to + margin);
    const all = /** @type {number[]} */ (seen.concat(also).filter((v) => v !== null && Number.isFinite(v)));
    const [bottom, top] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
    const pad = 0.08 * (top - bottom) || 0.5;
    return [bottom - pad, top + pad];
  };
  const cost = around(answer.loss, [iterate.loss]);
  const height = cost[1] - cost[0], vertex = within(next) ? answer.model : null;
  if (vertex !== null) {
    cost[0] = Math.min(cost[0], Math.max(vertex - 0.1 * height, cost[0] - MODEL * height));
    cost[1] = Math.max(cost[1], Math.min(vertex + 0.1 * height, cost[1] + MODEL * height));
  }
  return { x: [low, high], cost, gradient: around(answer.gradient, [iterate.gradient, 0]) };
}

/** @param {CanvasRenderingContext2D} context @param {import("./plot.js").Area} area
 * @param {import("./plot.js").Figure} picture @param {Content} content
 * @param {{colour: import("./geometry.js").RGB}} style */
export function drawReadings(context, { width, height, theme }, picture, { answer, past, taken }, { colour }) {
  const upper = picture.mapper("xaxis", "yaxis"), lower = picture.mapper("xaxis", "yaxis2"), x = picture.range("xaxis");
  if (!upper || !lower || !x) return;
  const { iterate: { w, loss, gradient }, next, damping } = answer;
  const halo = theme.paper, damped = model(answer), plain = model(answer, false);
  /** @param {keyof typeof GAP} which @param {() => void} paint */
  const panel = (which, paint) => {
    const [bottom, top] = GAP[which];
    context.save();
    context.beginPath();
    context.rect(0, (1 - top) * height, width, (top - bottom) * height);
    context.clip();
    paint();
    context.restore();
  };
  const stroke = (/** @type {(number | null)[][]} */ points, /** @type {import("./geometry.js").ToPixel} */ toPixel,
    /** @type {{ink: string, wide: number, dash?: number[]}} */ { ink, wide, dash = [] }) => {
    context.strokeStyle = ink;
    context.lineWidth = wide;
    context.lineJoin = "round";
    context.setLineDash(dash);
    context.beginPath();
    curve(context, points, toPixel);
    context.stroke();
    context.setLineDash([]);
  };
  const vertical = (/** @type {number} */ at, /** @type {{ink: string, wide: number, dash?: number[]}} */ style) => {
    const [px] = upper(at, 0);
    if (!(px >= 0 && px <= width)) return;
    context.strokeStyle = style.ink;
    context.lineWidth = style.wide;
    context.setLineDash(style.dash ?? []);
    context.beginPath();
    context.moveTo(px, 0);
    context.lineTo(px, height);
    context.stroke();
    context.setLineDash([]);
  };
  const grid = Array.from({ length: 161 }, (_, i) => x[0] + (i * (x[1] - x[0])) / 160);
  const over = (/** @type {(x: number) => number} */ f) => grid.map((u) => [u, f(u)]);
  const curveStyle = { ink: css(theme.ink), wide: 2.2 }, faint = { ink: css(colour, 0.8), wide: 1.2, dash: [3, 4] };
  const own = { ink: css(colour), wide: 2.4 };

  vertical(w, { ink: css(theme.muted, 0.6), wide: 1 });
  if (next !== null) vertical(next, { ink: css(colour), wide: 1.4, dash: [7, 4] });
  panel("cost", () => {
    stroke(answer.x.map((u, i) => [u, answer.loss[i]]), upper, curveStyle);
    if (damping > 0) stroke(over(plain.value), upper, faint);
    stroke(over(damped.value), upper, own);
    if (taken && taken.loss !== null) ring(context, ...upper(taken.x, taken.loss), theme, colour);
    if (next !== null && answer.model !== null) mark(context, "cross", ...upper(next, answer.model), { colour, halo });
    if (loss !== null) mark(context, "disc", ...upper(w, loss), { colour, halo });
  });
  panel("gradient", () => {
    stroke([[x[0], 0], [x[1], 0]], lower, { ink: css(theme.muted), wide: 1 });
    stroke(answer.x.map((u, i) => [u, answer.gradient[i]]), lower, curveStyle);
    if (damping > 0) stroke(over(plain.slope), lower, faint);
    stroke(over(damped.slope), lower, own);
    if (next !== null) mark(context, "cross", ...lower(next, 0), { colour, halo });
    if (gradient !== null) mark(context, "disc", ...lower(w, gradient), { colour, halo });
  });
  const across = (/** @type {number} */ at) => Math.min(Math.max(upper(at, 0)[0], 0), width);
  const pixels = past.filter((at) => at >= x[0] && at <= x[1]).map(across);
  for (const [y, bottom] of [[(1 - GAP.cost[0]) * height, true], [lower(0, 0)[1], false]]) {
    ticks(context, pixels, Number(y), css(colour));
    if (taken && bottom) arrow(context, across(w), across(taken.x), Number(y) - 12, css(colour));
  }
  // Both names in the gap between the pictures, pushed apart where they would touch.
  const apart = next !== null && Math.abs(across(next) - across(w)) < 24 ? (next < w ? -11 : 11) : 0;
  const between = (1 - GAP.gradient[1] - 0.025) * height;
  const names = /** @type {[number | null, string, number][]} */ ([[w, "x", -apart], [next, "x⁺", apart]]);
  for (const [at, text, shift] of names) {
    if (at !== null && at >= x[0] && at <= x[1]) word(context, text, across(at) + shift, between, theme);
  }
}

/** The iterates on an axis. @param {CanvasRenderingContext2D} context @param {number[]} pixels @param {number} y
 * @param {string} ink */
function ticks(context, pixels, y, ink) {
  context.strokeStyle = ink;
  context.lineWidth = 2;
  context.beginPath();
  for (const px of new Set(pixels.map(Math.round))) {
    context.moveTo(px, y - 5);
    context.lineTo(px, y + 5);
  }
  context.stroke();
}

/** @param {CanvasRenderingContext2D} context @param {number} from @param {number} to @param {number} y
 * @param {string} ink */
function arrow(context, from, to, y, ink) {
  const way = Math.sign(to - from), head = Math.min(8, Math.abs(to - from));
  context.strokeStyle = context.fillStyle = ink;
  context.lineWidth = 1.6;
  context.beginPath();
  context.moveTo(from, y);
  context.lineTo(to - way * head, y);
  context.stroke();
  context.beginPath();
  context.moveTo(to, y);
  context.lineTo(to - way * head, y - head / 2);
  context.lineTo(to - way * head, y + head / 2);
  context.fill();
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y
 * @param {import("./plot.js").Theme} theme @param {import("./geometry.js").RGB} colour */
function ring(context, x, y, theme, colour) {
  if (!(Math.abs(x) < 1e5 && Math.abs(y) < 1e5)) return;
  for (const [wide, ink] of /** @type {[number, string][]} */ ([[5.5, css(theme.paper)], [2.4, css(colour)]])) {
    context.lineWidth = wide;
    context.strokeStyle = ink;
    context.beginPath();
    context.arc(x, y, 6.5, 0, 7);
    context.stroke();
  }
}

/** The same for Plotly, which exports it and answers to hover. @param {Content} content
 * @param {{ink: string, own: string}} colours */
export function readingTraces({ answer }, { ink, own }) {
  const { value, slope } = model(answer), { x, iterate, next } = answer;
  const line = (/** @type {string} */ name, /** @type {(number | null)[]} */ y, /** @type {string} */ yaxis,
    /** @type {string} */ color) => ({
    type: "scatter", mode: "lines", name, x, y, yaxis, line: { color, width: 2 },
    hovertemplate: `${name}<br>x = %{x:.4g}: %{y:.4g}<extra></extra>`,
  });
  const points = (/** @type {(number | null)[]} */ y, /** @type {string} */ yaxis) => ({
    type: "scatter", mode: "markers", name: "x and x⁺", showlegend: yaxis === "y", x: [iterate.w, next], y, yaxis,
    marker: { color: own, size: 11, symbol: ["circle", "x"] },
    text: ["x", "x⁺"], hovertemplate: "%{text} = %{x:.6g}: %{y:.4g}<extra></extra>",
  });
  return [
    line("J", answer.loss, "y", ink), line("quadratic model", x.map(value), "y", own),
    line("∇J", answer.gradient, "y2", ink), line("tangent of ∇J", x.map(slope), "y2", own),
    points([iterate.loss, answer.model], "y"), points([iterate.gradient, 0], "y2"),
  ];
}
