// Optimizers twice in one run: in the problem's own weights, and in other coordinates. A twin has its optimizer's values
// and `coordinates` besides; the two are a pair for as long as that is all they differ in.

import { lanesOf, named } from "./catalog.js";
import { eigen } from "./geometry.js";

/** @typedef {import("./types").Coordinates} Coordinates */
/** @typedef {import("./types").NamedPart} NamedPart */
/** @typedef {import("./types").Session} Session */
/** @typedef {{own: number, other: number, coordinates: Coordinates}} Pair  the lanes' numbers */

export const MOST_CONDITION = 1e6; // of R: beyond, a run is refused

/** What an entry says beside its coordinates. @param {NamedPart} part */
const method = ({ coordinates, ...rest }) =>
  JSON.stringify(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Whether an entry is another's twin. @param {NamedPart[]} optimizers @param {number} index */
export const isTwin = (optimizers, index) => Boolean(optimizers[index]?.coordinates) &&
  optimizers.some((part) => !part.coordinates && method(part) === method(optimizers[index]));

/** The entries with one replaced; its twins go with it. @param {NamedPart[]} optimizers @param {number} index
 * @param {NamedPart} next @returns {NamedPart[]} */
export function replaced(optimizers, index, next) {
  const before = optimizers[index];
  return optimizers.map((part, i) => {
    if (i === index) return next;
    const follows = !before.coordinates && part.coordinates && method(part) === method(before);
    return follows ? { ...next, coordinates: part.coordinates } : part;
  });
}

/** Every entry that has none gets a twin, beside it. @param {NamedPart[]} optimizers @param {Coordinates} coordinates
 * @returns {NamedPart[]} */
export const withTwins = (optimizers, coordinates) => optimizers.flatMap((part) =>
  (part.coordinates || optimizers.some((other) => other.coordinates && method(other) === method(part))
    ? [part] : [part, { ...part, coordinates }]));

/** The entries without the twins among them. @param {NamedPart[]} optimizers */
export const withoutTwins = (optimizers) => optimizers.filter((_, i) => !isTwin(optimizers, i));

/** The twins moved to other coordinates. @param {NamedPart[]} optimizers @param {Coordinates} coordinates */
export const moved = (optimizers, coordinates) => optimizers.map((part, i) =>
  (isTwin(optimizers, i) ? { ...part, coordinates: { ...part.coordinates, ...coordinates } } : part));

/** The coordinates of the spec's first twin. @param {Session} session @returns {Coordinates | null} */
export function present({ spec: { optimizers } }) {
  const twin = optimizers.find((_, i) => isTwin(optimizers, i));
  return twin?.coordinates ?? null;
}

/** The run's pairs of lanes. @param {Session} session @returns {Pair[]} */
export function pairs(session) {
  let next = 0;
  const entries = (session.run?.spec.optimizers ?? []).map((part) => {
    const first = next, count = lanesOf(part, named(session.catalog.optimizers, part.name));
    next += count;
    return { part, first, count };
  });
  return entries.filter(({ part }) => part.coordinates).flatMap((other) => {
    const own = entries.find(({ part }) => !part.coordinates && method(part) === method(other.part));
    if (!own) return [];
    return Array.from({ length: own.count }, (_, i) =>
      ({ own: own.first + i, other: other.first + i, coordinates: other.part.coordinates }));
  });
}

/** Determinant and condition number (the ratio of the singular values) of R. @param {number[][]} R */
export function measures([[a, b], [c, d]]) {
  const { values: [, high] } = eigen([[a * a + c * c, a * b + c * d], [a * b + c * d, b * b + d * d]]);
  const determinant = a * d - b * c;
  return { determinant, condition: high / Math.abs(determinant) }; // σ₁² over σ₁σ₂
}

/** max‖w − w′‖ / max‖w‖ over the rows of two lanes up to a step, and the last row that was compared.
 * @param {number[][]} own @param {number[][]} other @param {number} step */
export function apart(own, other, step) {
  const last = Math.min(step, own.length - 1, other.length - 1);
  let most = 0, size = 0;
  for (let k = 0; k <= last; k++) {
    most = Math.max(most, Math.hypot(...own[k].map((value, i) => value - other[k][i])));
    size = Math.max(size, Math.hypot(...own[k]));
  }
  return { difference: last < 0 ? NaN : size > 0 ? most / size : most, last };
}

/** The largest relative difference of two columns up to a step, as far as both go.
 * @param {import("./types").Column} own @param {import("./types").Column} other @param {number} step */
export function apartInLoss(own, other, step) {
  const last = Math.min(step, own.length - 1, other.length - 1);
  let most = last < 0 ? NaN : 0;
  for (let k = 0; k <= last; k++) {
    const [a, b] = [own[k], other[k]];
    if (a !== null && b !== null && a !== 0) most = Math.max(most, Math.abs(b - a) / Math.abs(a));
  }
  return most;
}

/** What a difference of paths comes to. Rounding grows with the condition number of R. @param {number} difference
 * @param {number} condition */
export function inWords(difference, condition) {
  if (!Number.isFinite(difference)) return "";
  if (difference <= 1e-9 * condition) return "the same to rounding";
  return difference < 1e-3 ? "nearly the same" : "differs";
}
