// The spectrum at the scrubbed iterate: eigenvalues by rank, the damping η among them, the filter ν/(ν + η) that
// damping lays over Newton's step, and how much of the gradient lies along each eigenvector.

import { named, unfit } from "../catalog.js";
import { h, written } from "../dom.js";
import { css } from "../geometry.js";
import { figure, rgb } from "../plot.js";
import { asker, dampingAt, recorded } from "../terrain.js";
import { choice } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../plot.js").Theme} Theme */
/** @typedef {{matrix: string, method: string, eigenvalues: number[], gradient: number[]}} Answer */
/** @typedef {Answer & {lane: number, step: number}} Spectrum */
/** @typedef {{nu: number[], g: number[], size: number}} Ranked  descending; size is the largest |ν| */

export const name = "spectrum";
export const title = "Spectrum";
export const order = 30;

/** @param {Session} session @returns {true | string} */
export function wants(session) {
  const entry = named(session.catalog.probes, "spectrum");
  return (entry && unfit(entry, session.problem, session.spec.problem)) ?? true;
}

/** @type {Record<string, string>} */
const MATRICES = {
  hessian: "Hessian H", "gauss-newton": "Gauss-Newton G", fisher: "Fisher F", "empirical-fisher": "empirical Fisher",
};
const DEPTH = 1e-13; // eigenvalues smaller than this share of the largest are rounding: drawn on the lower edge

/** The share of Newton's step that damping leaves along an eigenvector. @param {number} nu @param {number} eta */
export const filter = (nu, eta) => nu / (nu + eta);

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  /** @type {Spectrum | null} */
  let shown = null;
  /** @type {Ranked} */
  let ranked = { nu: [], g: [], size: 1 };
  let asked = "", frame = "", framed = 0;
  const options = session.catalog.probes.find((p) => p.name === "spectrum")?.options.properties.matrix;
  /** @type {string[]} */
  const matrices = options?.enum ?? Object.keys(MATRICES);
  let matrix = session.spec.probes?.find((p) => p.name === "spectrum")?.matrix ?? options?.default ?? matrices[0];

  const picture = figure({
    element, signal, label: "Spectrum of the curvature at the scrubbed iterate", file: "spectrum", draw,
    tell: () => tell(), settle: () => commit(), seen: () => ask(),
    table: () => ({ head: ["rank", "eigenvalue ν", "gradient component", "filter ν/(ν + η)"], rows }),
  });
  picture.root.classList.add("tall");
  const which = choice("Matrix ", (value) => {
    matrix = value;
    ask();
  });
  const readout = h("p", { class: "view-readout" });
  const wrong = h("p", { class: "view-error", role: "status" });
  element.prepend(h("div", { class: "view-controls" }, which.element));
  signal.addEventListener("abort", () => element.replaceChildren());
  picture.root.after(readout, wrong);

  const lane = () => session.lanes[session.selected];
  const stepOf = () => Math.min(Math.round(session.step), Math.max((lane()?.length ?? 1) - 1, 0));
  function damping() {
    const value = dampingAt(session, session.selected, stepOf());
    return value !== null && value > 0 ? value : null;
  }

  const question = asker((/** @type {Spectrum} */ answer) => {
    const first = !shown;
    shown = answer;
    const size = answer.eigenvalues.reduce((a, v) => Math.max(a, Math.abs(v)), 0) || 1;
    ranked = { nu: [...answer.eigenvalues].reverse(), g: [...answer.gradient].reverse(), size };
    wrong.textContent = "";
    picture.say(null);
    if (first) commit();
    picture.moved();
  }, (message) => {
    wrong.textContent = message;
    if (!shown) picture.say(null);
  });

  /** Prefers what the run itself recorded at this step; then the server; in a recording the last spectrum before. */
  function ask() {
    const at = { lane: session.selected, step: stepOf() };
    if (!lane()?.length || !picture.visible) return;
    const key = [session.run?.id, at.lane, at.step, matrix].join();
    if (key === asked) return;
    asked = key;
    const fits = (/** @type {any} */ data) => data.matrix === matrix;
    const own = recorded(session, "spectrum", at.lane, at.step, fits);
    const before = session.interactive ? null
      : lane().probes.filter((p) => p.name === "spectrum" && p.step <= at.step && fits(p.data)).at(-1);
    if (own) question(async () => ({ ...own, ...at }));
    else if (before) question(async () => ({ ...before.data, lane: at.lane, step: before.step }));
    else question(async () => ({ ...(await session.probe({ name: "spectrum", matrix }, at)), ...at }));
  }

  function tell() {
    which.offer(matrices.map((m) => [m, MATRICES[m] ?? m]), matrix);
    if (!shown) return;
    const { nu, size } = ranked, eta = damping(), n = nu.length;
    const negative = nu.filter((v) => v < -DEPTH * size).length;
    const tiny = nu.filter((v) => Math.abs(v) <= DEPTH * size).length;
    const whose = `${MATRICES[shown.matrix] ?? shown.matrix} of ${session.lanes[shown.lane]?.label ?? "the lane"}`;
    const parts = [
      `${whose} at step ${shown.step}: ${n} eigenvalues, ν from ${written(nu[n - 1])} to ${written(nu[0])}`,
    ];
    if (negative) parts.push(`${negative} negative (hollow)`);
    if (tiny) parts.push(`${tiny} zero to rounding (on the lower edge)`);
    if (eta) {
      const above = nu.filter((v) => v > eta).length;
      parts.push(`${above} above η = ${written(eta)}: there the step is Newton’s, below it is gradient descent’s`);
    }
    readout.textContent = `${parts.join("; ")}.${shown.method === "exact" ? "" : ` Estimated (${shown.method}).`}`;
  }

  /** Log ranges rounded outwards to decades, so that they seldom move while scrubbing. */
  function ranges() {
    const { nu, g, size: top } = ranked, eta = damping();
    const sizes = nu.map(Math.abs).filter((v) => v > DEPTH * top);
    if (eta) sizes.push(Math.min(Math.max(eta, top * 1e-6), top * 1e4));
    const squares = g.map((v) => v * v).filter((v) => v > 0), peak = squares.reduce((a, b) => Math.max(a, b), 0) || 1;
    const decades = (/** @type {number[]} */ values, /** @type {number} */ floor) => {
      const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), 0);
      if (!(high > 0)) return [-1, 1];
      return [Math.floor(Math.log10(Math.max(low, floor)) - 0.1), Math.ceil(Math.log10(high) + 0.1)];
    };
    const n = Math.max(nu.length, 1);
    return {
      x: [0.5 - n * 0.015, n + 0.5 + n * 0.015], nu: decades(sizes, 0), g: decades(squares, peak * 1e-16),
      below: nu.some((v) => v < -DEPTH * top),
    };
  }

  /** @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(context, { width, theme }) {
    ask();
    fit();
    const [upper, lower, right] = ["yaxis", "yaxis2", "yaxis3"].map((axis) => picture.mapper("xaxis", axis));
    const [y, y2] = [picture.scale("yaxis"), picture.scale("yaxis2")];
    const [edge, edge2] = [picture.range("yaxis"), picture.range("yaxis2")];
    if (!shown || !upper || !lower || !right || !y || !y2 || !edge || !edge2) return;
    const { nu, g } = ranked, n = nu.length, eta = damping();
    const floor = y.offset + y.slope * edge[0], top = y.offset + y.slope * edge[1];
    const colour = rgb(session.colour(shown.lane)), step = upper(2, 1)[0] - upper(1, 1)[0];
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
      label(context, `η = ${written(eta, 3)}`, width / 2, level - 5 < top + 12 ? level + 14 : level - 5, theme);
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

  /** @param {CanvasRenderingContext2D} context @param {string} text @param {number} x @param {number} y
   * @param {Theme} theme */
  function label(context, text, x, y, theme) {
    context.font = `12px ${theme.font}`;
    context.lineWidth = 4;
    context.lineJoin = "round";
    context.strokeStyle = css(theme.paper);
    context.strokeText(text, x, y);
    context.fillStyle = css(theme.ink);
    context.fillText(text, x, y);
  }

  function fit() {
    if (picture.zoomed || !picture.due(framed)) return;
    if (JSON.stringify([ranges(), Boolean(damping())]) === frame) return;
    framed = performance.now();
    commit([]);
  }

  /** @param {object[] | null} traces  none: everything, for hover and export */
  function commit(traces = null) {
    if (!shown) return;
    const range = ranges(), { nu, g } = ranked, eta = damping(), theme = picture.theme;
    frame = JSON.stringify([range, Boolean(eta)]);
    const rank = nu.map((_, j) => j + 1), colour = session.colour(shown.lane);
    const all = [
      {
        type: "scatter", mode: "markers", name: "|ν|", x: rank, y: nu.map((v) => Math.abs(v) || null), customdata: nu,
        marker: {
          color: nu.map((v) => (v < 0 ? css(theme.paper) : colour)), size: 8,
          line: { color: nu.map((v) => (v < 0 ? css(theme.ink) : colour)), width: 1.5 },
        },
        hovertemplate: "ν<sub>%{x}</sub> = %{customdata:.5g}<extra></extra>",
      },
      {
        type: "bar", name: "squared gradient component", x: rank, y: g.map((v) => v * v), yaxis: "y2",
        marker: { color: colour },
        hovertemplate: "(gᵀq<sub>%{x}</sub>)² = %{y:.4g}<extra></extra>",
      },
      ...(eta ? [
        {
          type: "scatter", mode: "lines", name: "ν/(ν + η)", x: rank, y: nu.map((v) => filter(v, eta)), yaxis: "y3",
          line: { color: css(theme.accent), width: 2 }, hovertemplate: "filter %{y:.3g}<extra></extra>",
        },
        {
          type: "scatter", mode: "lines", name: `η = ${written(eta, 3)}`, x: range.x, y: [eta, eta], hoverinfo: "skip",
          line: { color: css(theme.ink), dash: "dash", width: 1.5 },
        },
      ] : []),
    ];
    const empty = ["y", "y2", "y3"].map((yaxis) => ({ type: "scatter", x: [], y: [], yaxis }));
    const log = { type: "log", dtick: 1, nticks: 6, exponentformat: "power" };
    const spaced = (/** @type {number[]} */ [low, high]) =>
      ({ range: [low, high], dtick: Math.max(1, Math.ceil((high - low) / 5)) });
    picture.commit(traces ? empty : [...all, ...(eta ? [] : [empty[2]])], {
      xaxis: {
        range: range.x, title: { text: "rank of the eigenvalue" }, anchor: "y2", showgrid: false,
        ...(nu.length <= 12 ? { dtick: 1 } : { tickformat: "d" }),
      },
      yaxis: { ...log, ...spaced(range.nu), domain: [0.4, 1], title: { text: "|ν|" } },
      yaxis2: { ...log, ...spaced(range.g), domain: [0, 0.31], title: { text: "(gᵀq)²" } },
      yaxis3: {
        overlaying: "y", side: "right", anchor: "x", range: range.below ? [-1.05, 2.05] : [-0.02, 1.05],
        title: { text: eta ? "filter ν/(ν + η)" : "" }, color: css(theme.accent), showgrid: false,
        showline: Boolean(eta), showticklabels: Boolean(eta), ticks: eta ? "outside" : "",
        tickfont: { color: css(theme.accent), size: 12 },
        tickmode: "array", tickvals: range.below ? [-1, 0, 1, 2] : [0, 0.5, 1],
      },
      margin: { l: 56, r: eta ? 56 : 12, t: 10, b: 44 }, bargap: 0.3,
    });
  }

  function* rows() {
    const { nu, g } = ranked, eta = damping();
    for (let j = 0; j < nu.length; j++) yield [j + 1, nu[j], g[j], eta ? filter(nu[j], eta) : null];
  }

  tell();
  picture.say("The spectrum appears with the run's first step.");
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
