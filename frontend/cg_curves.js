// What the probe cg-trace tells, in numbers and in words.

import { written } from "./dom.js";

/** @typedef {(number | null)[]} Column */
/** @typedef {"conjugate-gradient" | "preconditioned" | "gradient-descent"} Method */
/** @typedef {{name: Method, ended: string, quadratic: Column, residual: Column, error: Column, loss: Column}} Curve */
/** @typedef {{matrix: string, damping: number, iterations: number, method: "exact" | "lanczos",
 *   lanczos_iterations: number | null, extremes: [number | null, number | null], condition: number | null,
 *   preconditioned_condition: number | null, lowest: number | null, curves: Curve[],
 *   bounds: Record<string, number[]> | null}} Answer */

/** @type {Record<string, string>} */
export const MATRICES = { "gauss-newton": "Gauss-Newton G", hessian: "Hessian H" };
/** @type {Record<Method, {label: string, hue: string}>} */
export const METHODS = {
  "conjugate-gradient": { label: "conjugate gradients", hue: "--lane-0" },
  preconditioned: { label: "preconditioned", hue: "--lane-2" },
  "gradient-descent": { label: "gradient descent, exact step size", hue: "--lane-1" },
};

const ROUNDING = 1e-12; // a share smaller than this is nothing worth a number
const SHARE = 1e-6; // of the error: how many iterations until that is left

/** @param {{name: Method}} curve */
export const shortOf = ({ name }) => METHODS[name].label.split(",")[0];

/** Of each curve φ above its minimum, or where that is not known above the lowest φ met.
 * @param {Answer} answer @returns {Column[]} */
export function gaps({ curves, lowest }) {
  const met = curves.flatMap(({ quadratic }) => quadratic.map((φ) => φ ?? 0));
  const low = met.reduce((a, b) => Math.min(a, b), lowest ?? 0);
  // φ(v) - φ(v*) = ½‖v - v*‖², without the difference's rounding.
  const gap = (/** @type {number | null} */ φ, /** @type {number | null} */ error) =>
    error === null ? (φ ?? NaN) - low : (error * error) / 2;
  return curves.map(({ quadratic, error }) => quadratic.map((φ, k) => gap(φ, error[k])));
}

/** @param {Answer} answer */
export function matrixWords({ matrix, damping, extremes, condition, preconditioned_condition, ...found }) {
  const n = found.lanczos_iterations;
  const source =
    found.method === "exact"
      ? ""
      : matrix === "hessian"
        ? `, as ${n} Lanczos iterations see them`
        : `: the largest after ${n} Lanczos iterations, the smallest at least η and ℓ₂`;
  const [low, high] = extremes;
  const better = preconditioned_condition === null ? "" : `, preconditioned ${written(preconditioned_condition)}`;
  const size = `(eigenvalues from ${written(low)} to ${written(high)}${source})`;
  const told =
    condition !== null
      ? `has the condition number κ = ${written(condition)} ${size}${better}`
      : low === null
        ? "is indefinite: it has no condition number"
        : `is ${low < 0 ? "indefinite" : "singular"}: it has no condition number ${size}`;
  return `${MATRICES[matrix]} damped by η = ${written(damping)} ${told}.`;
}

/** @param {Answer} answer */
export function curveWords(answer) {
  const { curves } = answer,
    above = gaps(answer);
  const many = (/** @type {number} */ n) => `${n} iteration${n === 1 ? "" : "s"}`;
  const after = (/** @type {Curve} */ curve) => `after ${many(curve.loss.length - 1)}`;
  const met = curves.filter(({ ended }) => ended === "negative curvature");
  const left = curves.map((curve, i) => {
    const share = (above[i].at(-1) ?? NaN) / (above[i][0] ?? NaN);
    return `${shortOf(curve)} ${share < ROUNDING ? "nothing" : `${written(100 * share, 3)} %`} ${after(curve)}`;
  });
  const unknown = curves[0].error[0] === null ? " (to the lowest value met)" : "";
  const outcome = met.length
    ? `φ has no minimum: ${met.map((c) => `${shortOf(c)} met negative curvature ${after(c)}`).join(", ")}.`
    : `Of what φ can fall${unknown} is left: ${left.join(", ")}.`;
  const best = curves
    .flatMap(({ name, loss }) => loss.map((J, k) => ({ name, J: J ?? Infinity, k })))
    .reduce((a, b) => (b.J < a.J ? b : a));
  return `${outcome} The true cost is lowest, ${written(best.J)}, after ${many(best.k)} of ${shortOf(best)}.`;
}

/** Iterations until a millionth of the error is left: by the bounds 2((√κ − 1)/(√κ + 1))^k (Nocedal & Wright 2006,
 * eq. 5.36) and ((κ − 1)/(κ + 1))^k (theorem 3.3), about √κ/2 · ln(2/ε) and κ/2 · ln(1/ε); and as measured.
 * @param {Answer} answer */
export function boundWords({ condition: κ, curves, bounds }) {
  if (κ === null || !bounds) return "";
  const needed = (/** @type {number} */ root, /** @type {number} */ rise) =>
    Math.max(1, Math.ceil(Math.log(rise / SHARE) / Math.log((root + 1) / (root - 1))));
  const most = { "conjugate-gradient": needed(Math.sqrt(κ), 2), "gradient-descent": needed(κ, 1) };
  const told = Object.entries(most).map(([name, limit]) => {
    const curve = curves.find((c) => c.name === name);
    const first = curve?.error[0] ?? NaN, k = curve?.error.findIndex((e) => e !== null && e <= SHARE * first) ?? -1;
    const met = k >= 0 ? `${k}` : `more than ${(curve?.error.length ?? 1) - 1}`;
    return `${shortOf({ name: /** @type {Method} */ (name) })} ${limit} iterations at most (it took ${met})`;
  });
  return `To leave a millionth of the error the bounds allow ${told.join(", ")}.`;
}

/** The data table: every iterate of every method.
 * @param {Answer} answer @returns {Generator<(string | number | null)[]>} */
export function* rowsOf({ curves, bounds }) {
  const start = curves[0].error[0];
  for (const curve of curves) {
    const bound = start === null ? null : bounds?.[curve.name]?.map((share) => share * start);
    const { quadratic, residual, error, loss } = curve;
    for (let k = 0; k < loss.length; k++) {
      yield [shortOf(curve), k, quadratic[k], residual[k], error[k], loss[k], bound?.[k] ?? null];
    }
  }
}
