// A spectrum of many eigenvalues: their density, mostly an estimate, on an axis of decades that is linear around 0, the
// damping η on it with the filter ν/(ν + η), and how much of the gradient lies at which eigenvalue.

import { written } from "./dom.js";
import { css } from "./geometry.js";
import { filter } from "./spectrum_ranks.js";

/** @typedef {import("./types").SpectrumLook} Look */
/** @typedef {import("./types").SpectrumScene} Scene */
/** @typedef {{probes: number, iterations: number, done: number, nodes: number[][], weights: number[][],
 *   extremes: [number, number]}} Estimate */
/** @typedef {Partial<Estimate> & {method: string, eigenvalues: number[] | null, gradient: number[] | null,
 *   density: {scale: number, eigenvalues: number[], density: number[]}}} Dense */

const FAINTEST = 0.1; // of the height of a single eigenvalue: less of the density is not drawn

/** @param {Dense} answer @param {number} count of all eigenvalues
 * @param {number[] | null} before  the gradient's range, kept until this one's is known
 * @returns {Look} */
export function densityOf(answer, count, before = null) {
  const { scale, eigenvalues: grid, density } = answer.density;
  const place = (/** @type {number} */ nu) => Math.asinh(nu / scale) / Math.LN10;
  const x = grid.map(place), ritz = answer.eigenvalues ?? [], g = answer.gradient ?? [];
  const estimate = answer.method === "lanczos" ? /** @type {Estimate} */ (answer) : null;
  const extremes = estimate?.extremes ?? [ritz[0], ritz[ritz.length - 1]];
  // One eigenvalue has the area 1/count; blurred over a fifth of a decade it is about so high.
  const least = (FAINTEST * 5) / count;

  const peak = g.reduce((a, v) => Math.max(a, v * v), 0);
  const lower = peak > 0 ? [Math.floor(Math.log10(peak)) - 7, Math.ceil(Math.log10(peak) + 0.1)] : before;

  /** @param {number | null} eta */
  function ranges(eta) {
    const ends = [x[0], x[x.length - 1]];
    if (eta) ends[1] = Math.max(ends[1], Math.min(place(eta), ends[1] + 2) + 0.25);
    const highest = density.reduce((a, b) => Math.max(a, b), 0);
    return {
      x: ends, below: grid.length > 0 && extremes[0] < -scale,
      p: [Math.floor(2 * Math.log10(least)) / 2, Math.ceil(2 * Math.log10(Math.max(highest, 10 * least)) + 0.2) / 2],
      g: lower ?? [-1, 1],
    };
  }

  /** Powers of ten on both sides of 0, as many as are told apart. @param {number[]} ends */
  function ticks([low, high]) {
    const first = Math.ceil(Math.log10(scale)), values = [0], labels = ["0"];
    const every = Math.max(1, Math.ceil((high - low) / 12));
    for (let k = 0; place(10 ** (first + k)) < Math.max(high, -low); k++) {
      const power = first + k, size = 10 ** power;
      const text = power < -3 || power > 4 ? `10<sup>${String(power).replace("-", "−")}</sup>` : written(size);
      if (k % every || place(size) < 0.35 * every) continue;
      values.push(size, -size);
      labels.push(text, `−${text}`);
    }
    return { tickmode: "array", tickvals: values.map(place), ticktext: labels };
  }

  /** How many eigenvalues lie above η, and one standard error. @param {number} eta @returns {[number, number]} */
  function above(eta) {
    if (!estimate) return [ritz.filter((v) => v > eta).length, 0];
    const each = estimate.nodes.map((nu, i) =>
      count * nu.reduce((sum, v, j) => (v > eta ? sum + estimate.weights[i][j] : sum), 0));
    const mean = each.reduce((a, b) => a + b, 0) / each.length;
    const spread = each.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(each.length - 1, 1);
    return [mean, Math.sqrt(spread / each.length)];
  }

  /** The filter along the axis: without the pole that it has at ν = -η. @param {number} eta @returns {number[][]} */
  const filtered = (eta) => x.map((u, i) => [u, grid[i] + eta > 0.1 * eta ? filter(grid[i], eta) : NaN]);

  /** @param {Scene} scene */
  function draw({ context, area: { width, height, theme }, picture, colour, eta, label }) {
    const [upper, under, right] = ["yaxis", "yaxis2", "yaxis3"].map((axis) => picture.mapper("xaxis", axis));
    const [y, y2] = [picture.scale("yaxis"), picture.scale("yaxis2")];
    const [edge, edge2] = [picture.range("yaxis"), picture.range("yaxis2")];
    if (!upper || !under || !right || !y || !y2 || !edge || !edge2) return;
    const floor = y.offset + y.slope * edge[0], top = y.offset + y.slope * edge[1];
    context.save();
    context.beginPath();
    context.rect(0, top - 1, width, floor - top + 2);
    context.clip();
    context.beginPath();
    context.moveTo(upper(x[0], 1)[0], floor + 2);
    for (const [i, u] of x.entries()) {
      const [px, py] = upper(u, Math.max(density[i], 1e-30));
      context.lineTo(px, Math.min(py, floor + 2));
    }
    context.lineTo(upper(x[x.length - 1], 1)[0], floor + 2);
    context.fillStyle = css(colour, 0.22);
    context.fill();
    context.strokeStyle = css(colour);
    context.lineWidth = 1.8;
    context.lineJoin = "round";
    context.stroke();
    if (eta) {
      const [at] = upper(place(eta), 1);
      context.setLineDash([6, 4]);
      context.strokeStyle = css(theme.ink, 0.85);
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(at, top);
      context.lineTo(at, floor);
      context.stroke();
      context.setLineDash([]);
      context.strokeStyle = css(theme.accent);
      context.lineWidth = 2;
      context.beginPath();
      let pen = false;
      for (const [u, share] of filtered(eta)) {
        const [px, py] = right(u, Math.max(share, -10));
        if (pen && Number.isFinite(py)) context.lineTo(px, py);
        else if (Number.isFinite(py)) context.moveTo(px, py);
        pen = Number.isFinite(py);
      }
      context.stroke();
      const text = `η = ${written(eta, 3)}`, room = context.measureText(text).width + 12;
      label(text, at + room > width ? at - room : at + 6, top + 14);
    }
    context.restore();
    const ground = y2.offset + y2.slope * edge2[0], bar = Math.max(2, Math.min(6, height / 90));
    context.fillStyle = css(colour, 0.85);
    ritz.forEach((nu, j) => {
      const [px, py] = under(place(nu), g[j] ** 2);
      if (py < ground) context.fillRect(px - bar / 2, py, bar, ground - py);
    });
  }

  return {
    lower,
    frame: (eta) => JSON.stringify([ranges(eta), Boolean(eta)]),
    draw,
    traces({ theme, colour, eta }) {
      return [
        {
          type: "scatter", mode: "lines", name: "density of eigenvalues", x, y: density, customdata: grid,
          line: { color: css(colour), width: 2 },
          hovertemplate: "ν = %{customdata:.3g}: %{y:.3g} of all per decade<extra></extra>",
        },
        {
          type: "bar", name: "squared gradient component", x: ritz.map(place), y: g.map((v) => v * v), yaxis: "y2",
          marker: { color: css(colour) }, customdata: ritz, width: 0.02,
          hovertemplate: "ν = %{customdata:.4g}: (gᵀq)² = %{y:.4g}<extra></extra>",
        },
        ...(eta ? [
          {
            type: "scatter", mode: "lines", name: "ν/(ν + η)", yaxis: "y3", x,
            y: filtered(eta).map(([, share]) => share),
            line: { color: css(theme.accent), width: 2 }, hovertemplate: "filter %{y:.3g}<extra></extra>",
          },
          {
            type: "scatter", mode: "lines", name: `η = ${written(eta, 3)}`, x: [place(eta), place(eta)],
            y: ranges(eta).p.map((v) => 10 ** v), hoverinfo: "skip",
            line: { color: css(theme.ink), dash: "dash", width: 1.5 },
          },
        ] : []),
      ];
    },
    layout(eta) {
      const range = ranges(eta), log = { type: "log", nticks: 6, exponentformat: "power" };
      const spaced = (/** @type {number[]} */ [low, high]) =>
        ({ range: [low, high], dtick: Math.max(1, Math.ceil((high - low) / 5)) });
      return {
        xaxis: { range: range.x, title: { text: "eigenvalue ν" }, ...ticks(range.x) },
        yaxis: { ...log, ...spaced(range.p), title: { text: "share per decade" } },
        yaxis2: { ...log, ...spaced(range.g), title: { text: "(gᵀq)²" } },
        below: range.below,
      };
    },
    head: ["of", "eigenvalue ν", "share per decade", "gradient component"],
    *rows() {
      for (let j = ritz.length - 1; j >= 0; j--) yield ["gradient", ritz[j], null, g[j]];
      for (let i = grid.length - 1; i >= 0; i--) yield ["density", grid[i], density[i], null];
    },
    words(eta) {
      const span = `${count} eigenvalues, ν from ${written(extremes[0])} to ${written(extremes[1])}`;
      const parts = [span];
      if (estimate) {
        const { done, probes, iterations } = estimate;
        const some = done === probes ? probes : `${done} of ${probes}`;
        parts.unshift(`estimated from ${some} random probes by Lanczos’s method with ${iterations} iterations`);
        parts.push(`the axis is linear within ±${written(scale, 1)}, as closer to 0 they are not told apart`);
      } else parts.push(`the axis is linear within ±${written(scale, 1)}`);
      if (eta && (eta > scale || !estimate)) {
        const [number, error] = above(eta);
        const unsure = estimate && estimate.done > 1 ? ` ± ${written(error, 2)}` : "";
        parts.push(`${estimate ? "about " : ""}${Math.round(number)}${unsure} above η = ${written(eta)}: there the step is Newton’s, below it is gradient descent’s`);
      }
      return parts.join("; ");
    },
  };
}
