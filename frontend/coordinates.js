// The change of coordinates w = Rw̃ + b that a preconditioner implies, as the page applies it.

import { lanesOf, named } from "./catalog.js";
import { eigen, inside } from "./geometry.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./geometry.js").Model} Model */
/** @typedef {import("./geometry.js").Window} Window */
/** @typedef {import("./types").Session} Session */
/** @typedef {{R: number[][], inverse: number[][], b: Point}} Frame */

const MARGIN = 0.15; // of a window, on each side

/** w̃ = R⁻¹(w − b). @param {Frame} frame @param {number[]} w @returns {Point} */
export function into({ inverse: [[a, b], [c, d]], b: origin }, w) {
  const [x, y] = [w[0] - origin[0], w[1] - origin[1]];
  return [a * x + b * y, c * x + d * y];
}

/** w = Rw̃ + b. @param {Frame} frame @param {number[]} p @returns {Point} */
export const out = ({ R: [[a, b], [c, d]], b: origin }, [u, v]) =>
  [a * u + b * v + origin[0], c * u + d * v + origin[1]];

/** The same quadratic in w̃: its gradient Rᵀg and its Hessian RᵀHR.
 * @param {Frame} frame @param {Model} model @returns {Model} */
export function transformed(frame, { at, loss, gradient: g, hessian: H }) {
  const { R } = frame, columns = [0, 1].map((j) => [R[0][j], R[1][j]]);
  const dot = (/** @type {number[]} */ p, /** @type {number[]} */ q) => p[0] * q[0] + p[1] * q[1];
  const hessian = columns.map((p) => columns.map((q) => dot(p, H.map((row) => dot(row, q)))));
  return { at: into(frame, at), loss, gradient: [dot(columns[0], g), dot(columns[1], g)], hessian };
}

/** The ratio of the largest to the smallest of the eigenvalues' sizes. @param {number[][]} hessian */
export function conditionOf(hessian) {
  const [low, high] = eigen(hessian).values.map(Math.abs).sort((a, b) => a - b);
  return high / low;
}

/** Where a quadratic has its minimum, or null where it has none. @param {Model} model @returns {Point | null} */
export function minimizer({ at, gradient: g, hessian: [[a, b], [, d]] }) {
  const det = a * d - b * b;
  if (!(a > 0 && det > 1e-14 * a * d)) return null;
  return [at[0] - (d * g[0] - b * g[1]) / det, at[1] - (a * g[1] - b * g[0]) / det];
}

/** A square in w̃ around the images of what is seen in w; null where that is less than two points.
 * @param {Frame} frame @param {number[][]} points @param {Window} seen @returns {Window | null} */
export function windowAround(frame, points, seen) {
  const images = points.filter((p) => inside(/** @type {Point} */ (p), seen)).map((p) => into(frame, p));
  const ends = [0, 1].map((i) => images.reduce(
    ([low, high], p) => [Math.min(low, p[i]), Math.max(high, p[i])], [Infinity, -Infinity]));
  const half = (0.5 + MARGIN) * Math.max(...ends.map(([low, high]) => high - low));
  if (!(half > 0)) return null;
  return /** @type {Window} */ (ends.map(([low, high]) => [(low + high) / 2 - half, (low + high) / 2 + half]));
}

/** The part of the run's optimizers that a lane belongs to. @param {Session} session @param {number} lane */
export function partOf(session, lane) {
  let first = 0;
  for (const part of session.run?.spec.optimizers ?? []) {
    first += lanesOf(part, named(session.catalog.optimizers, part.name));
    if (lane < first) return part;
  }
  return null;
}
