// Eigenvalues of one layer's block of G beside the products aᵢ sⱼ of its factors' eigenvalues, and EKFAC's.

import { h, written } from "./dom.js";
import { css } from "./geometry.js";
import { figure, rgb } from "./plot.js";

/** @typedef {"exact" | "products" | "corrected"} Which */
/** @typedef {Record<Which, number[]> & {layer: number}} Layer  eigenvalues, the largest first */

/** @type {Record<Which, {label: string, hue: string, width: number, dash: number[]}>} */
const CURVES = {
  exact: { label: "exact block", hue: "--ink", width: 2.6, dash: [] },
  products: { label: "products aᵢ sⱼ", hue: "--lane-0", width: 2, dash: [] },
  corrected: { label: "EKFAC", hue: "--lane-1", width: 2, dash: [6, 4] },
};
const WHICH = /** @type {Which[]} */ (Object.keys(CURVES));
const DEPTH = 1e-10; // of the largest: below is not drawn

/** @param {{element: HTMLElement, signal: AbortSignal}} options */
export function eigenvalues({ element, signal }) {
  /** @type {Layer | null} */
  let shown = null;
  const key = h("p", { class: "heat-caption line-keys" }, WHICH.map((which) =>
    h("span", {}, h("span", { class: `line-key eigen-${which}`, "aria-hidden": "true" }), CURVES[which].label)));
  const readout = h("p", { class: "view-readout" });
  element.append(key);
  const picture = figure({
    element, signal, label: "Eigenvalues of the layer's block", file: "block-eigenvalues", draw, tell, settle: () => commit(),
    table: () => ({ head: ["rank", ...WHICH.map((which) => CURVES[which].label)], rows }),
  });
  picture.root.after(readout);

  const colour = (/** @type {Which} */ which) =>
    rgb(getComputedStyle(element).getPropertyValue(CURVES[which].hue), "#444");

  function ranges() {
    const top = shown ? Math.max(...WHICH.map((which) => shown?.[which][0] ?? 0)) : 1;
    const drawn = WHICH.map((which) => shown?.[which].filter((v) => v > DEPTH * top) ?? []), values = drawn.flat();
    const n = Math.max(...drawn.map((curve) => curve.length), 2);
    const low = values.reduce((a, b) => Math.min(a, b), top);
    return { x: [0.5 - n * 0.01, n + 0.5 + n * 0.01], y: [Math.log10(low) - 0.3, Math.log10(top) + 0.3] };
  }

  /** @param {CanvasRenderingContext2D} context @param {import("./plot.js").Area} area */
  function draw(context, { width, height }) {
    const toPixel = picture.mapper();
    if (!shown || !toPixel) return;
    context.save();
    context.beginPath();
    context.rect(0, 0, width, height);
    context.clip();
    for (const which of WHICH) {
      const { width: thick, dash } = CURVES[which];
      context.strokeStyle = css(colour(which));
      context.lineWidth = thick;
      context.setLineDash(dash);
      context.beginPath();
      shown[which].forEach((v, i) => v > 0 && context.lineTo(...toPixel(i + 1, v)));
      context.stroke();
    }
    context.restore();
  }

  function commit() {
    if (!shown) return;
    const { x, y } = ranges();
    picture.commit(WHICH.map((which) => ({
      type: "scatter", mode: "lines", name: CURVES[which].label, x: shown?.[which].map((_, i) => i + 1),
      y: shown?.[which].map((v) => (v > 0 ? v : null)), line: { color: css(colour(which)), width: CURVES[which].width },
      hovertemplate: `${CURVES[which].label} %{x}: %{y:.4g}<extra></extra>`,
    })), {
      xaxis: { range: x, title: { text: "rank of the eigenvalue" }, tickformat: "d" },
      yaxis: { range: y, type: "log", title: { text: "eigenvalue" }, dtick: Math.max(1, Math.ceil((y[1] - y[0]) / 6)) },
      margin: { l: 56, r: 8, t: 8, b: 44 },
    });
  }

  function tell() {
    if (!shown) return;
    const sum = (/** @type {Which} */ which) => shown?.[which].reduce((a, b) => a + b, 0) ?? 0;
    readout.textContent =
      `Layer ${shown.layer}: the largest eigenvalue of the block is ${written(shown.exact[0])}; the factors make of it ` +
      `${written(shown.products[0])}, EKFAC ${written(shown.corrected[0])}. Their sums: ${written(sum("exact"))}, ` +
      `${written(sum("products"))}, ${written(sum("corrected"))}; EKFAC keeps the trace.`;
  }

  function* rows() {
    for (let i = 0; i < (shown?.exact.length ?? 0); i++) yield [i + 1, ...WHICH.map((which) => shown?.[which][i] ?? null)];
  }

  return {
    /** @param {Layer} layer */
    show(layer) {
      shown = layer;
      commit();
      picture.moved();
    },
    dress() {
      picture.dress();
      commit();
    },
  };
}
