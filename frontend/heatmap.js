// Symmetric matrices as pictures on a canvas: colours that tell sign and size over many powers of ten, the boundaries of
// layers, and one entry that the pointer or the arrow keys choose.

import { h } from "./dom.js";
import { blend, css } from "./geometry.js";
import { surface } from "./plot.js";

/** @typedef {import("./geometry.js").RGB} RGB */
/** @typedef {import("./plot.js").Theme} Theme */
/** @typedef {{positive: RGB, negative: RGB, zero: RGB, ink: RGB}} Hues */
/** @typedef {{row: number, column: number}} Entry */
/** @typedef {{at: number, label: string}} Boundary  where a layer begins, and its name */

export const DECADES = 4; // of sizes that can be told apart: what is smaller looks like the smallest
const FAINTEST = 0.1; // of an entry that is not zero, so that zeros stand out
const MARGIN = 15; // pixels for the names of layers

/** Where a value stands between -1 and 1: evenly in its logarithm, with its sign; 0 is 0.
 * @param {number} value @param {number} most the largest size */
export function signedLog(value, most) {
  if (value === 0 || !(most > 0)) return 0;
  const depth = Math.log10(Math.abs(value) / most) / DECADES; // 0 for the largest, -1 for DECADES below
  return Math.sign(value) * Math.min(1, Math.max(FAINTEST, FAINTEST + (1 - FAINTEST) * (1 + depth)));
}

/** A colour for a place between -1 and 1. @param {number} t @param {Hues} hues @returns {RGB} */
export function shade(t, { positive, negative, zero, ink }) {
  const hue = t < 0 ? negative : positive, size = Math.abs(t);
  return size < 0.7 ? blend(zero, hue, size / 0.7) : blend(hue, ink, ((size - 0.7) / 0.3) * 0.55);
}

/** The largest size among the entries of some matrices. @param {(number[][] | null)[]} matrices */
export const largest = (matrices) =>
  matrices.reduce((a, matrix) => (matrix ?? []).reduce((b, row) => row.reduce((c, v) => Math.max(c, Math.abs(v)), b), a), 0);

/** A legend: the scale from the largest negative entry to the largest positive one.
 * @param {(value: number) => string} written */
export function legend(written) {
  const canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { "aria-hidden": "true" }));
  const ends = [h("span"), h("span", {}, "0"), h("span")];
  const words = h("p", { class: "heat-caption" });
  const place = h("div", { class: "heat-ramp" }, canvas);
  const element = h("div", { class: "heat-legend" }, place, h("div", { class: "heat-ends" }, ...ends), words);
  return {
    element,
    /** @param {number} most @param {Hues} hues */
    paint(most, hues) {
      const [width, height] = [place.clientWidth, place.clientHeight];
      if (!width || !height) return;
      const context = surface(canvas, width, height);
      for (let x = 0; x < width; x++) {
        const t = (2 * x) / (width - 1) - 1;
        context.fillStyle = css(shade(Math.abs(t) < 0.02 ? 0 : t, hues));
        context.fillRect(x, 0, 1, height);
      }
      ends[0].textContent = written(-most);
      ends[2].textContent = written(most);
      words.textContent = `Colours follow the logarithm of the size, down to ${written(most * 10 ** -DECADES)}; zeros are blank.`;
    },
  };
}

/** One matrix. @param {{label: string, chosen: (entry: Entry | null) => void}} options
 *   chosen: another entry is pointed at, or none */
export function heatmap({ label, chosen }) {
  const base = /** @type {HTMLCanvasElement} */ (h("canvas")), over = /** @type {HTMLCanvasElement} */ (h("canvas"));
  const element = h("div", {
    class: "heat", role: "application", tabindex: "0", "aria-roledescription": "heatmap", "aria-label": label,
  }, base, over);
  /** @type {number[][] | null} */
  let matrix = null;
  /** @type {Boundary[]} */
  let boundaries = [];
  /** @type {Entry | null} */
  let entry = null;

  const rows = () => matrix?.length ?? 0;
  const size = () => element.clientWidth;
  const scale = () => (size() - MARGIN) / Math.max(rows(), 1);

  /** @param {Entry | null} next */
  function choose(next) {
    if (next?.row === entry?.row && next?.column === entry?.column) return;
    chosen(next);
  }

  element.addEventListener("pointermove", (event) => {
    const box = element.getBoundingClientRect(), n = rows();
    const place = (/** @type {number} */ pixel) => Math.floor((pixel - MARGIN) / scale());
    const [column, row] = [place(event.clientX - box.left), place(event.clientY - box.top)];
    choose(row >= 0 && column >= 0 && row < n && column < n ? { row, column } : null);
  });
  element.addEventListener("pointerleave", () => choose(null));
  element.addEventListener("blur", () => choose(null));
  element.addEventListener("keydown", (event) => {
    const n = rows(), by = event.shiftKey ? 10 : 1, { row = 0, column = 0 } = entry ?? {};
    const within = (/** @type {number} */ k) => Math.min(Math.max(k, 0), n - 1);
    /** @type {Record<string, Entry>} */
    const moves = {
      ArrowUp: { row: row - by, column }, ArrowDown: { row: row + by, column },
      ArrowLeft: { row, column: column - by }, ArrowRight: { row, column: column + by },
      Home: { row: 0, column: 0 }, End: { row: n - 1, column: n - 1 },
    };
    const next = moves[event.key];
    if (event.key === "Escape") return choose(null);
    if (!next || !n) return;
    event.preventDefault();
    choose(entry ? { row: within(next.row), column: within(next.column) } : { row: 0, column: 0 });
  });

  return {
    element,
    /** @param {number[][] | null} shown @param {Boundary[]} layers @param {number} most @param {Hues} hues
     * @param {Theme} theme */
    paint(shown, layers, most, hues, theme) {
      [matrix, boundaries] = [shown, layers];
      const n = rows(), side = size();
      if (!side) return;
      const context = surface(base, side, side);
      element.classList.toggle("missing", !shown);
      if (!shown || !n) return this.point(entry, theme);
      const small = document.createElement("canvas");
      small.width = small.height = n;
      const brush = small.getContext("2d"), pixels = brush?.createImageData(n, n);
      if (!brush || !pixels) return;
      shown.forEach((row, i) => row.forEach((value, j) => {
        pixels.data.set([...shade(signedLog(value, most), hues), 255], 4 * (i * n + j));
      }));
      brush.putImageData(pixels, 0, 0);
      context.imageSmoothingEnabled = false;
      context.drawImage(small, MARGIN, MARGIN, side - MARGIN, side - MARGIN);
      context.strokeStyle = css(theme.ink, 0.55);
      context.fillStyle = css(theme.muted);
      context.font = `11px ${theme.font}`;
      context.textAlign = "center";
      context.lineWidth = 1;
      boundaries.forEach(({ at, label }, i) => {
        const next = boundaries[i + 1]?.at ?? n, edge = MARGIN + at * scale(), middle = MARGIN + ((at + next) / 2) * scale();
        if ((next - at) * scale() > 9) {
          context.fillText(label, middle, MARGIN - 4);
          context.fillText(label, MARGIN / 2 - 1, middle + 4);
        }
        if (!at) return;
        context.beginPath();
        context.moveTo(Math.round(edge) + 0.5, MARGIN);
        context.lineTo(Math.round(edge) + 0.5, side);
        context.moveTo(MARGIN, Math.round(edge) + 0.5);
        context.lineTo(side, Math.round(edge) + 0.5);
        context.stroke();
      });
      this.point(entry, theme);
    },
    /** Marks an entry, the same one in every matrix. @param {Entry | null} next @param {Theme} theme */
    point(next, theme) {
      entry = next;
      const side = size(), context = surface(over, side, side);
      if (!entry || !matrix || entry.row >= rows() || entry.column >= rows()) return;
      const [x, y, cell] = [MARGIN + entry.column * scale(), MARGIN + entry.row * scale(), scale()];
      context.strokeStyle = css(theme.ink, 0.35);
      context.beginPath();
      context.moveTo(MARGIN, y + cell / 2);
      context.lineTo(side, y + cell / 2);
      context.moveTo(x + cell / 2, MARGIN);
      context.lineTo(x + cell / 2, side);
      context.stroke();
      const frame = Math.max(cell, 5);
      context.lineWidth = 2;
      context.strokeStyle = css(theme.ink);
      context.strokeRect(x + cell / 2 - frame / 2, y + cell / 2 - frame / 2, frame, frame);
    },
  };
}
