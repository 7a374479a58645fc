// Directions side by side from stiff to flat: what a step along each changes in training and held out, as two bars, and
// below them the eigenvalues with the damping among them.

import { written } from "./dom.js";
import { css } from "./geometry.js";
import { word } from "./paths.js";

/** @typedef {{damping: number, loss: number, held_out_loss: number, eigenvalues: number[], gradient: number[],
 *   steps: (number | null)[], train: (number | null)[], held_out: (number | null)[], predicted: (number | null)[],
 *   whole: {train: number | null, held_out: number | null}}} Gains */

export const PANELS = { changes: [0.42, 1], sizes: [0, 0.34] }; // shares of the height
const DEPTH = 1e-13; // eigenvalues smaller than this share of the largest are rounding: drawn on the lower edge
const WIDEST = 14; // pixels of a bar
const USUAL = 0.98; // of all changes: those that are many times larger, next to a pole of 1/(ν + η), leave the picture
const MANY = 3;

/** What the axes have to show. @param {Gains} gains */
export function rangesOf({ eigenvalues: nu, train, held_out, damping }) {
  const changes = [...train, ...held_out].map((v) => v ?? 0), n = nu.length;
  const sorted = changes.map(Math.abs).sort((a, b) => a - b), most = MANY * sorted[Math.floor(USUAL * (2 * n - 1))];
  const limit = most > 0 ? most : Infinity;
  const low = Math.max(changes.reduce((a, b) => Math.min(a, b), 0), -limit);
  const high = Math.min(changes.reduce((a, b) => Math.max(a, b), 0), limit);
  const pad = 0.06 * (high - low) || 1e-12;
  const largest = nu.reduce((a, v) => Math.max(a, Math.abs(v)), 0) || 1;
  const sizes = nu.map(Math.abs).filter((v) => v > DEPTH * largest);
  if (damping > 0) sizes.push(Math.min(Math.max(damping, largest * 1e-6), largest * 1e4));
  const decade = (/** @type {number} */ v, /** @type {number} */ by) => Math.log10(v) + by;
  return {
    x: [0.4, n + 0.6], changes: [low - pad, high + pad], beyond: changes.filter((v) => v < low || v > high).length,
    sizes: [
      Math.floor(decade(sizes.reduce((a, b) => Math.min(a, b), largest), -0.1)),
      Math.ceil(decade(sizes.reduce((a, b) => Math.max(a, b), largest), 0.1)),
    ],
  };
}

/** @param {CanvasRenderingContext2D} context @param {import("./plot.js").Area} area
 * @param {import("./plot.js").Figure} picture @param {Gains} gains @param {{colour: import("./geometry.js").RGB}} style */
export function drawGains(context, { width, height, theme }, picture, gains, { colour }) {
  const upper = picture.mapper("xaxis", "yaxis"), lower = picture.mapper("xaxis", "yaxis2");
  if (!upper || !lower) return;
  const { eigenvalues: nu, train, held_out, damping } = gains;
  const step = upper(2, 0)[0] - upper(1, 0)[0], bar = Math.max(0.5, Math.min(step * 0.36, WIDEST));
  const [, zero] = upper(1, 0), floor = height, ceiling = (1 - PANELS.sizes[1]) * height;
  context.save();
  context.beginPath();
  context.rect(0, 0, width, (1 - PANELS.changes[0]) * height);
  context.clip();
  context.strokeStyle = css(theme.muted);
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, zero);
  context.lineTo(width, zero);
  context.stroke();
  for (const [values, side, filled] of /** @type {[(number | null)[], number, boolean][]} */ (
    [[train, -1, true], [held_out, 1, false]])) {
    context.fillStyle = css(filled ? colour : theme.paper);
    context.strokeStyle = css(filled ? colour : theme.ink);
    context.lineWidth = Math.min(1.6, bar / 2);
    values.forEach((v, j) => {
      if (v === null) return;
      const [centre, y] = upper(j + 1, v), x = centre + (side < 0 ? -bar - 1 : 1);
      context.fillRect(x, Math.min(y, zero), bar, Math.abs(y - zero));
      if (!filled) context.strokeRect(x, Math.min(y, zero), bar, Math.abs(y - zero));
    });
  }
  context.restore();
  context.save();
  context.beginPath();
  context.rect(0, ceiling - 1, width, floor - ceiling + 2);
  context.clip();
  if (damping > 0) {
    const [, y] = lower(1, damping);
    context.strokeStyle = css(theme.ink, 0.85);
    context.setLineDash([6, 4]);
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
    context.setLineDash([]);
    word(context, `η = ${written(damping, 3)}`, width / 2, y < ceiling + 22 ? y + 12 : y - 12, theme);
  }
  const radius = Math.min(4.5, Math.max(1.6, step * 0.45));
  nu.forEach((v, j) => {
    const [x, y] = lower(j + 1, Math.abs(v)), at = Number.isFinite(y) ? Math.min(y, floor - 1) : floor - 1;
    context.beginPath();
    context.arc(x, at, radius, 0, 7);
    context.fillStyle = css(v > 0 ? colour : theme.paper);
    context.strokeStyle = css(v > 0 ? colour : theme.ink);
    context.lineWidth = v > 0 ? 0.5 : 1.6;
    context.fill();
    context.stroke();
  });
  context.restore();
}

/** The same for Plotly, which exports it and answers to hover. @param {Gains} gains
 * @param {{ink: string, paper: string, own: string}} colours */
export function gainTraces({ eigenvalues: nu, train, held_out }, { ink, paper, own }) {
  const rank = nu.map((_, j) => j + 1);
  const bars = (/** @type {string} */ name, /** @type {(number | null)[]} */ y, /** @type {object} */ marker) => ({
    type: "bar", name, x: rank, y, marker, customdata: nu,
    hovertemplate: `direction %{x}, ν = %{customdata:.4g}<br>${name}: %{y:.4g}<extra></extra>`,
  });
  return [
    bars("training", train, { color: own }), bars("held out", held_out, { color: paper, line: { color: ink, width: 1.6 } }),
    {
      type: "scatter", mode: "markers", name: "|ν|", x: rank, y: nu.map((v) => Math.abs(v) || null), yaxis: "y2",
      customdata: nu, marker: { color: own, size: 7 }, hovertemplate: "ν<sub>%{x}</sub> = %{customdata:.5g}<extra></extra>",
    },
  ];
}
