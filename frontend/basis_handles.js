// A linear map of the plane as a picture: the grid of w̃ as it lies in w, with the two basis vectors to be dragged.

import { h, written } from "./dom.js";
import { css, ellipse } from "./geometry.js";
import { curve, word } from "./paths.js";
import { figure } from "./plot.js";
import { pointHandle } from "./point_handle.js";
import { measures, MOST_CONDITION } from "./reparameterization.js";

/** @typedef {[number, number]} Point */
/** @typedef {number[][]} Matrix  rows of R, whose columns are the basis vectors */

const LINES = 12; // of the grid, on either side
const IDENTITY = [[1, 0], [0, 1]];
/** @type {[string, Matrix][]} */
const PRESETS = [
  ["Identity", IDENTITY], ["Rotate", [[0.8, -0.6], [0.6, 0.8]]], ["Shear", [[1, 0.75], [0, 1]]],
  ["Stretch", [[2, 0], [0, 0.5]]],
];

/** @param {{element: HTMLElement, signal: AbortSignal, names: () => string[], R: () => Matrix | null, able: boolean,
 *   change: (R: Matrix, live: boolean) => void}} options */
export function basisHandles({ element, signal, names, R, able, change }) {
  let frame = "", framed = 0;
  const picture = figure({
    element, signal, label: "The map from w̃ to w", file: "map", draw, settle: commit, tell,
    table: () => ({
      head: ["vector of w̃", ...names()],
      rows: () => (R() ? [0, 1].map((j) => [`r${j + 1}`, ...column(j)]) : []),
    }),
  });
  const words = h("p", { class: "view-readout" });
  picture.root.after(words);
  const column = (/** @type {number} */ j) => /** @type {Point} */ ((R() ?? IDENTITY).map((row) => row[j]));
  const handles = [0, 1].map((j) => pointHandle({
    picture, signal, label: `Basis vector r${j + 1} of w̃`, names,
    at: () => (able && R() ? column(j) : null), home: () => IDENTITY.map((row) => row[j]),
    move(to, live) {
      const next = (R() ?? IDENTITY).map((row, i) => row.map((entry, k) => (k === j ? to[i] : entry)));
      // Where the vectors are parallel there is no way back from w to w̃: they stay as they were.
      if (measures(next).condition < MOST_CONDITION) change(next, live);
      else if (!live) change(R() ?? IDENTITY, false);
      return column(j);
    },
  }));
  /** Something else sets R: a key pressed just before must not move a vector after that. */
  const release = () => handles.forEach((handle) => handle.release());
  const set = (/** @type {Matrix} */ matrix) => {
    release();
    change(matrix, false);
  };
  element.append(h("div", { class: "view-controls", role: "group", "aria-label": "Maps" },
    PRESETS.map(([name, matrix]) =>
      h("button", { type: "button", class: "quiet", disabled: !able, onclick: () => set(matrix) }, name))));

  /** A square around both vectors: kept while they move. @returns {Point} */
  function span() {
    const reach = 1.35 * Math.max(1, ...(R() ?? IDENTITY).flat().map(Math.abs));
    const half = [1.5, 2, 3, 5, 10, 20, 50].find((one) => one >= reach) ?? reach;
    return [-half, half];
  }

  /** @param {CanvasRenderingContext2D} context @param {import("./plot.js").Area} area */
  function draw(context, { width, height, theme }) {
    const toPixel = picture.mapper(), now = R();
    if (!toPixel || !now) return;
    if (!picture.zoomed && !handles.some(({ held }) => held) && picture.due(framed)) fit();
    const [[a, b], [c, d]] = now;
    /** @param {number} u @param {number} v @returns {Point} */
    const to = (u, v) => [a * u + b * v, c * u + d * v];
    const line = (/** @type {Point[]} */ points, /** @type {string} */ style, /** @type {number} */ weight) => {
      context.strokeStyle = style;
      context.lineWidth = weight;
      context.beginPath();
      curve(context, points, toPixel);
      context.stroke();
    };
    context.save();
    context.beginPath();
    context.rect(0, 0, width, height);
    context.clip();
    for (let k = -LINES; k <= LINES; k++) {
      const style = css(theme.ink, k ? 0.14 : 0.4);
      line([to(k, -LINES), to(k, LINES)], style, 1);
      line([to(-LINES, k), to(LINES, k)], style, 1);
    }
    context.fillStyle = css(theme.accent, 0.16);
    context.beginPath();
    curve(context, [to(0, 0), to(1, 0), to(1, 1), to(0, 1)], toPixel);
    context.fill();
    context.setLineDash([4, 3]);
    line(ellipse([[a * a + b * b, a * c + b * d], [a * c + b * d, c * c + d * d]], 1), css(theme.accent), 1.4);
    context.setLineDash([]);
    [to(1, 0), to(0, 1)].forEach((tip, j) => {
      line([[0, 0], tip], css(theme.accent), 3);
      const [x, y] = toPixel(...tip), [x0, y0] = toPixel(0, 0), size = Math.hypot(x - x0, y - y0) || 1;
      word(context, `r${"₁₂"[j]}`, x + (24 * (x - x0)) / size, y + (24 * (y - y0)) / size, theme);
    });
    context.restore();
    for (const handle of handles) handle.place(toPixel, width, height);
  }

  function fit() {
    if (JSON.stringify(span()) === frame) return;
    framed = performance.now();
    commit();
  }

  function commit() {
    if (picture.ready && handles.some(({ held }) => held)) return;
    const range = span(), [u, v] = names(), now = R() ?? IDENTITY;
    frame = JSON.stringify(range);
    const arrows = [0, 1].map((j) => ({
      type: "scatter", mode: "lines+markers", name: `r${j + 1}`, x: [0, now[0][j]], y: [0, now[1][j]],
      line: { color: css(picture.theme.accent), width: 3 },
    }));
    picture.commit(arrows, {
      xaxis: { range, title: { text: `${u} − b₁` }, nticks: 7 },
      yaxis: { range, title: { text: `${v} − b₂` }, nticks: 7, scaleanchor: "x", constrain: "range" },
      margin: { l: 52, r: 8, t: 8, b: 44 },
    });
  }

  function tell() {
    const now = R();
    if (!now) return;
    const { determinant, condition } = measures(now);
    words.textContent = [
      `R = (${now.map((row) => row.map((entry) => written(entry)).join(", ")).join("; ")}): determinant`,
      `${written(determinant)}, condition number ${written(condition)}.`,
      determinant ? "Dashed: the unit circle of w̃." : "It is singular: no w̃ belongs to most w.",
    ].join(" ");
  }

  return {
    picture,
    commit,
    moved() {
      tell();
      picture.moved();
    },
    release,
  };
}
