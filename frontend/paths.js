// Strokes and marks on a canvas: lanes' paths, the iterate, the minimizer.

import { css, locate } from "./geometry.js";

/** @typedef {import("./geometry.js").RGB} RGB */
/** @typedef {import("./geometry.js").Trail} Trail */

/** @param {CanvasRenderingContext2D} context @param {Trail} path @param {number} from @param {number} to */
function follow(context, path, from, to) {
  for (let k = from; k <= to; k++) {
    if (Number.isNaN(path.x[k])) continue;
    if (k === from || Number.isNaN(path.x[k - 1])) context.moveTo(path.x[k], path.y[k]);
    else context.lineTo(path.x[k], path.y[k]);
  }
}

/** A lane's path: whole up to `step`, faint after it, a dot a step, the iterate on top, an arrowhead where it left.
 * @param {CanvasRenderingContext2D} context @param {Trail} path @param {number} step
 * @param {{colour: RGB, halo: RGB, strong?: boolean, size?: number}} style */
export function drawPath(context, path, step, { colour, halo, strong = false, size = 1 }) {
  const n = path.step.length, head = locate(path, step);
  if (!n) return;
  context.lineJoin = context.lineCap = "round";
  const passed = head ? head.index : path.step[0] <= step ? n - 1 : -1;
  context.strokeStyle = css(colour, 0.32);
  context.lineWidth = 1.3 * size;
  context.beginPath();
  if (head) context.moveTo(head.x, head.y);
  follow(context, path, Math.max(passed, 0), n - 1);
  context.stroke();
  for (const under of [true, false]) {
    context.strokeStyle = under ? css(halo, 0.6) : css(colour);
    context.lineWidth = ((strong ? 2.6 : 1.8) + (under ? 2 : 0)) * size;
    context.beginPath();
    follow(context, path, 0, passed);
    if (head && passed >= 0) context.lineTo(head.x, head.y);
    context.stroke();
  }
  dots(context, path, passed, colour, (strong ? 2.7 : 2.1) * size);
  if (path.leaves) arrow(context, path.leaves, colour, path.leaves.step <= step, 9 * size);
  const k = head?.index ?? 0;
  if (head && k > 0 && path.cut[k] && head.x === path.x[k]) {
    // The iterate is beyond the edge: an arrowhead says where.
    const angle = Math.atan2(path.y[k] - path.y[k - 1], path.x[k] - path.x[k - 1]);
    arrow(context, { x: head.x, y: head.y, angle }, colour, true, 12 * size);
  } else if (head) mark(context, "disc", head.x, head.y, { colour, halo, size: (strong ? 6 : 4.8) * size });
}

/** A dot a step, as far as they can be told apart. @param {CanvasRenderingContext2D} context @param {Trail} path
 * @param {number} passed @param {RGB} colour @param {number} radius */
function dots(context, path, passed, colour, radius) {
  for (const [from, to, alpha] of [[0, passed, 1], [passed + 1, path.step.length - 1, 0.35]]) {
    let x = -1e9, y = -1e9;
    context.fillStyle = css(colour, alpha);
    context.beginPath();
    for (let k = from; k <= to; k++) {
      if (path.cut[k] || (path.x[k] - x) ** 2 + (path.y[k] - y) ** 2 < 25) continue;
      [x, y] = [path.x[k], path.y[k]];
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 7);
    }
    context.fill();
  }
}

/** @param {CanvasRenderingContext2D} context @param {{x: number, y: number, angle: number}} at @param {RGB} colour
 * @param {boolean} reached @param {number} size */
function arrow(context, { x, y, angle }, colour, reached, size) {
  context.save();
  context.translate(x, y);
  context.rotate(angle);
  context.beginPath();
  context.moveTo(0, 0);
  context.lineTo(-size * 1.3, size * 0.65);
  context.lineTo(-size * 1.3, -size * 0.65);
  context.closePath();
  context.fillStyle = css(colour, reached ? 1 : 0.4);
  context.fill();
  context.restore();
}

/** @param {CanvasRenderingContext2D} context @param {"disc" | "cross" | "diamond"} shape
 * @param {number} x @param {number} y @param {{colour: RGB, halo: RGB, size?: number}} style */
export function mark(context, shape, x, y, { colour, halo, size = 6 }) {
  if (!(Math.abs(x) < 1e5 && Math.abs(y) < 1e5)) return;
  context.beginPath();
  context.lineCap = "butt";
  if (shape === "cross") {
    for (const s of [1, -1]) {
      context.moveTo(x - size, y - s * size);
      context.lineTo(x + size, y + s * size);
    }
    for (const [width, ink] of [[5.5, css(halo)], [2.6, css(colour)]]) {
      context.lineWidth = /** @type {number} */ (width);
      context.strokeStyle = /** @type {string} */ (ink);
      context.stroke();
    }
    return;
  }
  if (shape === "disc") context.arc(x, y, size, 0, 7);
  else {
    context.moveTo(x - size * 1.1, y);
    context.lineTo(x, y - size * 1.1);
    context.lineTo(x + size * 1.1, y);
    context.lineTo(x, y + size * 1.1);
    context.closePath();
  }
  context.fillStyle = css(colour);
  context.fill();
  context.lineWidth = 1.8;
  context.strokeStyle = css(halo);
  context.stroke();
}

/** A word centred on a pixel, legible on any ground. @param {CanvasRenderingContext2D} context @param {string} text
 * @param {number} x @param {number} y @param {import("./plot.js").Theme} theme */
export function word(context, text, x, y, { paper, ink, font }) {
  context.font = `13px ${font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.strokeStyle = css(paper);
  context.strokeText(text, x, y);
  context.fillStyle = css(ink);
  context.fillText(text, x, y);
}

/** A curve in data coordinates; what lies too far out for a canvas is left out.
 * @param {CanvasRenderingContext2D} context @param {(number | null)[][]} points
 * @param {import("./geometry.js").ToPixel} toPixel */
export function curve(context, points, toPixel) {
  let drawing = false;
  for (const [u, v] of points) {
    const [x, y] = u === null || v === null ? [NaN, NaN] : toPixel(u, v); // JSON's null is no number
    if (!(Math.abs(x) < 1e5 && Math.abs(y) < 1e5)) drawing = false;
    else if (drawing) context.lineTo(x, y);
    else {
      context.moveTo(x, y);
      drawing = true;
    }
  }
}

/** A curve, thinned to one vertical stroke a pixel column where it has more points than that.
 * @param {{x: number[], y: number[]}} curve @param {import("./geometry.js").ToPixel} toPixel
 * @param {number} width @param {number} height */
export function thinned({ x, y }, toPixel, width, height) {
  const path = new Path2D();
  let column = NaN, low = 0, high = 0, last = 0;
  const clamp = (/** @type {number} */ v) => Math.min(Math.max(v, -height), 2 * height);
  const finish = () => {
    if (!(high - low >= 0.5)) return;
    for (const v of [low, high, last]) path.lineTo(column, clamp(v));
  };
  for (let k = 0; k < x.length; k++) {
    const [px, py] = toPixel(x[k], y[k]);
    if (px < -width || px > 2 * width) continue;
    if (px - column < 1) {
      low = Math.min(low, py);
      high = Math.max(high, py);
      last = py;
      continue;
    }
    finish();
    if (Number.isNaN(column)) path.moveTo(px, clamp(py));
    else path.lineTo(px, clamp(py));
    column = px;
    low = high = last = py;
  }
  finish();
  return path;
}

/** A second path over the first: dashed up to `step` and a ring a step, so that where they agree both are seen.
 * @param {CanvasRenderingContext2D} context @param {Trail} path @param {number} step
 * @param {{colour: RGB, halo: RGB}} style */
export function drawTwin(context, path, step, { colour, halo }) {
  const n = path.step.length, head = locate(path, step);
  if (!n) return;
  const passed = head ? head.index : path.step[0] <= step ? n - 1 : -1;
  context.lineCap = "butt";
  context.setLineDash([6, 5]);
  for (const [from, to, alpha] of [[0, passed, 1], [Math.max(passed, 0), n - 1, 0.35]]) {
    context.strokeStyle = css(colour, alpha);
    context.lineWidth = 2.2;
    context.beginPath();
    follow(context, path, from, to);
    context.stroke();
  }
  context.setLineDash([]);
  let x = -1e9, y = -1e9;
  context.strokeStyle = css(colour);
  context.lineWidth = 1.6;
  for (let k = 0; k <= passed; k++) {
    if (path.cut[k] || (path.x[k] - x) ** 2 + (path.y[k] - y) ** 2 < 64) continue;
    [x, y] = [path.x[k], path.y[k]];
    context.beginPath();
    context.arc(x, y, 4.2, 0, 7);
    context.stroke();
  }
  if (!head || path.cut[head.index]) return;
  context.beginPath();
  context.arc(head.x, head.y, 8, 0, 7);
  for (const [width, style] of /** @type {[number, string][]} */ ([[4.5, css(halo)], [2.4, css(colour)]])) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.stroke();
  }
}
