// A spectrum that is known exactly, eigenvalue by eigenvalue: |ν| by rank, the damping η among them, the filter
// ν/(ν + η) that damping lays over Newton's step, and how much of the gradient lies along each eigenvector.

import { written } from "./dom.js";
import { css } from "./geometry.js";

/** @typedef {import("./types").SpectrumLook} Look */
/** @typedef {import("./types").SpectrumScene} Scene */

const DEPTH = 1e-13; // eigenvalues smaller than this share of the largest are rounding: drawn on the lower edge

/** The share of Newton's step that damping leaves along an eigenvector. @param {number} nu @param {number} eta */
export const filter = (nu, eta) => nu / (nu + eta);

/** @param {{eigenvalues: number[], gradient: number[]}} answer @returns {Look} */
export function ranks(answer) {
  const size = answer.eigenvalues.reduce((a, v) => Math.max(a, Math.abs(v)), 0) || 1;
  const nu = [...answer.eigenvalues].reverse(), g = [...answer.gradient].reverse(), n = nu.length;

  /** Log ranges rounded outwards to decades, so that they seldom move while scrubbing. @param {number | null} eta */
  function ranges(eta) {
    const sizes = nu.map(Math.abs).filter((v) => v > DEPTH * size);
    if (eta) sizes.push(Math.min(Math.max(eta, size * 1e-6), size * 1e4));
    const squares = g.map((v) => v * v).filter((v) => v > 0), peak = squares.reduce((a, b) => Math.max(a, b), 0) || 1;
    const decades = (/** @type {number[]} */ values, /** @type {number} */ floor) => {
      const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), 0);
      if (!(high > 0)) return [-1, 1];
      return [Math.floor(Math.log10(Math.max(low, floor)) - 0.1), Math.ceil(Math.log10(high) + 0.1)];
    };
    const wide = Math.max(n, 1);
    return {
      x: [0.5 - wide * 0.015, wide + 0.5 + wide * 0.015], nu: decades(sizes, 0), g: decades(squares, peak * 1e-16),
      below: nu.some((v) => v < -DEPTH * size),
    };
  }

  /** @param {Scene} scene */
  function draw({ context, area: { width, theme }, picture, colour, eta, label }) {
    const [upper, lower, right] = ["yaxis", "yaxis2", "yaxis3"].map((axis) => picture.mapper("xaxis", axis));
    const [y, y2] = [picture.scale("yaxis"), picture.scale("yaxis2")];
    const [edge, edge2] = [picture.range("yaxis"), picture.range("yaxis2")];
    if (!upper || !lower || !right || !y || !y2 || !edge || !edge2) return;
    const floor = y.offset + y.slope * edge[0], top = y.offset + y.slope * edge[1];
    const step = upper(2, 1)[0] - upper(1, 1)[0];
    context.save();
    context.beginPath();
    context.rect(0, top - 1, width, floor - top + 2);
    context.clip();
    if (n <= 80) {
      context.strokeStyle = css(colour, 0.35);
      context.lineWidth = 1.5;
      context.beginPath();
      nu.forEach((v, j) => {
        const [px, py] = upper(j + 1, Math.abs(v));
        context.moveTo(px, floor);
        context.lineTo(px, Math.min(Number.isFinite(py) ? py : floor, floor));
      });
      context.stroke();
    }
    if (eta) {
      const [, level] = upper(1, eta);
      context.setLineDash([6, 4]);
      context.strokeStyle = css(theme.ink, 0.85);
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(0, level);
      context.lineTo(width, level);
      context.stroke();
      context.setLineDash([]);
      context.strokeStyle = css(theme.accent);
      context.lineWidth = 2;
      context.beginPath();
      nu.forEach((v, j) => {
        const [px, py] = right(j + 1, Math.min(Math.max(filter(v, eta), -10), 10));
        if (j) context.lineTo(px, py);
        else context.moveTo(px, py);
      });
      context.stroke();
      label(`η = ${written(eta, 3)}`, width / 2, level - 5 < top + 12 ? level + 14 : level - 5);
    }
    const radius = Math.min(4.5, Math.max(1.6, step * 0.45));
    for (const sign of [1, -1]) {
      context.beginPath();
      nu.forEach((v, j) => {
        if ((v < 0 ? -1 : 1) !== sign) return;
        const [px, py] = upper(j + 1, Math.abs(v)), at = Number.isFinite(py) ? Math.min(py, floor - 1) : floor - 1;
        context.moveTo(px + radius, at);
        context.arc(px, at, radius, 0, 7);
      });
      context.fillStyle = sign > 0 ? css(colour) : css(theme.paper);
      context.fill();
      context.strokeStyle = css(sign > 0 ? colour : theme.ink);
      context.lineWidth = sign > 0 ? 0.5 : 1.6;
      context.stroke();
    }
    context.restore();
    const ground = y2.offset + y2.slope * edge2[0], bar = Math.max(1, Math.min(step * 0.7, 26));
    context.fillStyle = css(colour, 0.85);
    g.forEach((v, j) => {
      const [px, py] = lower(j + 1, v * v);
      if (v !== 0 && py < ground) context.fillRect(px - bar / 2, py, bar, ground - py);
    });
  }

  return {
    lower: null,
    frame: (eta) => JSON.stringify([ranges(eta), Boolean(eta)]),
    draw,
    traces({ theme, colour, eta }) {
      const rank = nu.map((_, j) => j + 1);
      return [
        {
          type: "scatter", mode: "markers", name: "|ν|", x: rank, y: nu.map((v) => Math.abs(v) || null), customdata: nu,
          marker: {
            color: nu.map((v) => (v < 0 ? css(theme.paper) : css(colour))), size: 8,
            line: { color: nu.map((v) => (v < 0 ? css(theme.ink) : css(colour))), width: 1.5 },
          },
          hovertemplate: "ν<sub>%{x}</sub> = %{customdata:.5g}<extra></extra>",
        },
        {
          type: "bar", name: "squared gradient component", x: rank, y: g.map((v) => v * v), yaxis: "y2",
          marker: { color: css(colour) },
          hovertemplate: "(gᵀq<sub>%{x}</sub>)² = %{y:.4g}<extra></extra>",
        },
        ...(eta ? [
          {
            type: "scatter", mode: "lines", name: "ν/(ν + η)", x: rank, y: nu.map((v) => filter(v, eta)), yaxis: "y3",
            line: { color: css(theme.accent), width: 2 }, hovertemplate: "filter %{y:.3g}<extra></extra>",
          },
          {
            type: "scatter", mode: "lines", name: `η = ${written(eta, 3)}`, x: ranges(eta).x, y: [eta, eta],
            hoverinfo: "skip", line: { color: css(theme.ink), dash: "dash", width: 1.5 },
          },
        ] : []),
      ];
    },
    layout(eta) {
      const range = ranges(eta), log = { type: "log", nticks: 6, exponentformat: "power" };
      const spaced = (/** @type {number[]} */ [low, high]) =>
        ({ range: [low, high], dtick: Math.max(1, Math.ceil((high - low) / 5)) });
      return {
        xaxis: {
          range: range.x, title: { text: "rank of the eigenvalue" }, showgrid: false,
          ...(n <= 12 ? { dtick: 1 } : { tickformat: "d" }),
        },
        yaxis: { ...log, ...spaced(range.nu), title: { text: "|ν|" } },
        yaxis2: { ...log, ...spaced(range.g), title: { text: "(gᵀq)²" } },
        below: range.below,
      };
    },
    head: ["rank", "eigenvalue ν", "gradient component", "filter ν/(ν + η)"],
    *rows(eta) {
      for (let j = 0; j < n; j++) yield [j + 1, nu[j], g[j], eta ? filter(nu[j], eta) : null];
    },
    words(eta) {
      const negative = nu.filter((v) => v < -DEPTH * size).length;
      const tiny = nu.filter((v) => Math.abs(v) <= DEPTH * size).length;
      const parts = [`${n} eigenvalues, ν from ${written(nu[n - 1])} to ${written(nu[0])}`];
      if (negative) parts.push(`${negative} negative (hollow)`);
      if (tiny) parts.push(`${tiny} zero to rounding (on the lower edge)`);
      if (eta) {
        const above = nu.filter((v) => v > eta).length;
        parts.push(`${above} above η = ${written(eta)}: there the step is Newton’s, below it is gradient descent’s`);
      }
      return parts.join("; ");
    },
  };
}
