// Plane geometry and colour without a DOM: what the views compute before they draw.

/** @typedef {[number, number]} Point */
/** @typedef {(x: number, y: number) => Point} ToPixel  data to pixels */
/** @typedef {[[number, number], [number, number]]} Window  [[x0, x1], [y0, y1]] */
/** @typedef {{at: Point, loss: number, gradient: Point, hessian: number[][]}} Model */

/** The part of the segment a→b inside a box (Liang-Barsky), or null.
 * @param {number} ax @param {number} ay @param {number} bx @param {number} by @param {Window} box
 * @returns {[number, number, number, number] | null} */
export function clip(ax, ay, bx, by, [[x0, x1], [y0, y1]]) {
  // The far end may be 1e300: halve the numbers first so that no difference overflows.
  const dx = (bx / 2 - ax / 2) * 2, dy = (by / 2 - ay / 2) * 2;
  let enter = 0, leave = 1;
  for (const [direction, room] of [[-dx, ax - x0], [dx, x1 - ax], [-dy, ay - y0], [dy, y1 - ay]]) {
    if (direction === 0 || !Number.isFinite(direction)) {
      if (room < 0) return null;
      if (direction === 0) continue;
    }
    const t = room / direction;
    if (direction < 0) enter = Math.max(enter, t);
    else leave = Math.min(leave, t);
    if (enter > leave) return null;
  }
  return [ax + enter * dx, ay + enter * dy, ax + leave * dx, ay + leave * dy];
}

/** @param {Point} p @param {Window} box */
export const inside = (p, box) => p[0] >= box[0][0] && p[0] <= box[0][1] && p[1] >= box[1][0] && p[1] <= box[1][1];

/** Points with nulls for those far outside a window: a lane that diverges has coordinates that nothing can draw.
 * @param {(number | null)[][]} points @param {Window} window @returns {(number | null)[][]} */
export const near = (points, window) => points.map((p) =>
  (window.every(([low, high], i) => p[i] !== null && Math.abs(p[i] - low) < 50 * (high - low)) ? p : [null, null]));

/** The window that shows `points` as well, with a margin; a point further out than the window is wide does not count,
 * so that a lane that diverges cannot stretch the picture. `anchors` always count.
 * @param {Window} window @param {Iterable<number[]>} points @param {number[][]} [anchors] @returns {Window} */
export function grow(window, points, anchors = []) {
  const result = /** @type {Window} */ ([[...window[0]], [...window[1]]]);
  const spans = window.map(([low, high]) => high - low);
  const reach = window.map(([low, high], i) => [low - spans[i], high + spans[i]]);
  const take = (/** @type {number[]} */ p, /** @type {boolean} */ always) => {
    if (!Number.isFinite(p[0]) || !Number.isFinite(p[1])) return;
    if (!always && [0, 1].some((i) => p[i] < reach[i][0] || p[i] > reach[i][1])) return;
    for (const i of [0, 1]) {
      const margin = 0.06 * spans[i];
      if (p[i] < window[i][0] + margin / 2) result[i][0] = Math.min(result[i][0], p[i] - margin);
      if (p[i] > window[i][1] - margin / 2) result[i][1] = Math.max(result[i][1], p[i] + margin);
    }
  };
  for (const p of points) take(p, false);
  for (const p of anchors) take(p, true);
  return result;
}

/** Eigenvalues and orthonormal eigenvectors of a symmetric 2x2 matrix, the lower one first.
 * @param {number[][]} matrix */
export function eigen([[a, b], [, d]]) {
  const mean = (a + d) / 2, radius = Math.hypot((a - d) / 2, b), angle = Math.atan2(2 * b, a - d) / 2;
  const high = /** @type {Point} */ ([Math.cos(angle), Math.sin(angle)]);
  let [low, top] = [mean - radius, mean + radius];
  // The smaller one in size suffers from cancellation: the determinant gives it exactly.
  if (mean > 0 && top !== 0) low = (a * d - b * b) / top;
  else if (mean < 0 && low !== 0) top = (a * d - b * b) / low;
  return { values: [low, top], vectors: /** @type {[Point, Point]} */ ([[-high[1], high[0]], high]) };
}

/** The ellipse gᵀC⁻¹g = radius² of a covariance C. @param {number[][]} C @param {number} radius @returns {Point[]} */
export function ellipse(C, radius) {
  const { values, vectors: [p, q] } = eigen(C), [a, b] = values.map((v) => radius * Math.sqrt(Math.max(v, 0)));
  return Array.from({ length: 97 }, (_, i) => {
    const [c, s] = [a * Math.cos((i * Math.PI) / 48), b * Math.sin((i * Math.PI) / 48)];
    return [c * p[0] + s * q[0], c * p[1] + s * q[1]];
  });
}

/** Where a curve y over x crosses a level. @param {number[]} x @param {number[]} y @param {number} level */
export function crossings(x, y, level) {
  /** @type {number[]} */
  const found = [];
  for (let i = 0; i + 1 < y.length; i++) {
    if (y[i] > level === y[i + 1] > level) continue;
    found.push(x[i] + ((level - y[i]) / (y[i + 1] - y[i])) * (x[i + 1] - x[i]));
  }
  return found;
}

const SAMPLES = 48;
/** @param {number} from @param {number} to @param {(t: number) => Point} curve @returns {Point[]} */
const sample = (from, to, curve) =>
  Array.from({ length: SAMPLES + 1 }, (_, i) => curve(from + ((to - from) * i) / SAMPLES));

/** Level sets of J + gᵀd + ½ dᵀHd around an iterate, as exact conics: ellipses, hyperbolas, parabolas or lines.
 * Levels lie so that rings are evenly wide around the model's stationary point; the one through the iterate is marked.
 * @param {Model} model @param {Window} box
 * @returns {{level: number, through: boolean, lines: Point[][]}[]} */
export function levelSets({ at, loss, gradient, hessian }, box) {
  const { values: nu, vectors: q } = eigen(hessian);
  const g = q.map((v) => v[0] * gradient[0] + v[1] * gradient[1]);
  const reach = Math.hypot(box[0][1] - box[0][0], box[1][1] - box[1][0]) / 2;
  const middle = [(box[0][0] + box[0][1]) / 2 - at[0], (box[1][0] + box[1][1]) / 2 - at[1]];
  const seen = q.map((v) => v[0] * middle[0] + v[1] * middle[1]); // the window's centre in eigencoordinates
  /** @param {number[]} e @returns {Point} */
  const point = (e) => [at[0] + e[0] * q[0][0] + e[1] * q[1][0], at[1] + e[0] * q[0][1] + e[1] * q[1][1]];
  const biggest = Math.max(Math.abs(nu[0]), Math.abs(nu[1]));
  const flat = nu.map((v) => Math.abs(v) <= 1e-12 * biggest);

  if (flat[0] || flat[1]) {
    const slope = Math.hypot(gradient[0], gradient[1]), curved = flat[0] ? 1 : 0, free = 1 - curved;
    const unit = slope * (reach / 4) + nu[curved] * (reach / 4) ** 2 / 2;
    if (!(Math.abs(unit) > 0)) return [];
    return [-6, -4.5, -3, -2, -1, 0, 1, 2, 3, 4.5, 6].map((k) => {
      const rise = k * unit;
      /** @type {Point[][]} */
      let lines = [];
      const place = (/** @type {number} */ c, /** @type {number} */ f) => point(curved ? [f, c] : [c, f]);
      if (Math.abs(g[free]) > 1e-9 * slope) {
        lines = [sample(seen[curved] - reach, seen[curved] + reach,
          (c) => place(c, (rise - g[curved] * c - (nu[curved] * c * c) / 2) / g[free]))];
      } else {
        const root = g[curved] ** 2 + 2 * nu[curved] * rise;
        const roots = nu[curved] === 0 ? [rise / g[curved]]
          : root < 0 ? [] : [1, -1].map((s) => (-g[curved] + s * Math.sqrt(root)) / nu[curved]);
        lines = roots.map((c) => [place(c, seen[free] - reach), place(c, seen[free] + reach)]);
      }
      return { level: loss + rise, through: k === 0, lines };
    });
  }

  const centre = [-g[0] / nu[0], -g[1] / nu[1]];
  const drop = -(g[0] ** 2 / nu[0] + g[1] ** 2 / nu[1]) / 2; // J_quad at its stationary point, less J at the iterate
  const definite = nu[0] * nu[1] > 0, sign = Math.sign(nu[1]);
  // Near the stationary point the ring through the iterate is a speck: rings that can be seen stand in for it.
  const least = definite ? (Math.min(...nu.map(Math.abs)) / 2) * (reach / 12) ** 2 : (biggest / 2) * (reach / 5) ** 2;
  const unit = Math.max(Math.abs(drop), least);
  const rings = definite ? [1 / 3, 2 / 3, 1, 1.5, 2.3, 3.5] : [0.6, 1.2, 2];
  const rises = rings.flatMap((f) => (definite ? [sign * unit * f * f] : [unit * f * f, -unit * f * f]));
  const through = rises.findIndex((rise) => Math.abs(rise + drop) < 1e-9 * unit);
  if (through < 0 && Math.abs(drop) > 0) rises.push(-drop);
  return rises.map((rise) => {
    // Solve for the coordinate whose term has the sign of the rise; where both have it, for the narrower one.
    const solved = definite ? (Math.abs(nu[0]) > Math.abs(nu[1]) ? 0 : 1) : rise / nu[0] > 0 ? 0 : 1;
    const free = 1 - solved;
    const place = (/** @type {number} */ f, /** @type {number} */ s) =>
      point(solved ? [centre[0] + f, centre[1] + s] : [centre[0] + s, centre[1] + f]);
    const height = (/** @type {number} */ f) => Math.sqrt(Math.max(0, (2 * rise - nu[free] * f * f) / nu[solved]));
    let [from, to] = [seen[free] - centre[free] - reach, seen[free] - centre[free] + reach];
    let lift = (/** @type {number} */ t) => t;
    if (definite) {
      const axis = Math.sqrt((2 * rise) / nu[free]);
      if (from > axis || to < -axis) return { level: loss + drop + rise, through: false, lines: [] };
      from = Math.asin(Math.max(from / axis, -1));
      to = Math.asin(Math.min(to / axis, 1));
      lift = (t) => axis * Math.sin(t);
    } else {
      const axis = Math.sqrt(Math.abs((2 * rise) / nu[free])) || reach * 1e-6;
      from = Math.asinh(from / axis);
      to = Math.asinh(to / axis);
      lift = (t) => axis * Math.sinh(t); // points crowd where the hyperbola bends
    }
    const lines = [1, -1].map((s) => sample(from, to, (t) => place(lift(t), s * height(lift(t)))));
    return { level: loss + drop + rise, through: Math.abs(rise + drop) < 1e-9 * unit, lines };
  });
}

/** How a landscape is shaded: evenly in log(J − min + offset), so that a narrow valley and a far slope both read.
 * @param {number[][]} loss */
export function relief(loss) {
  const flat = loss.flat().filter((v) => v !== null && Number.isFinite(v)).sort((a, b) => a - b);
  if (!flat.length) return null;
  const low = flat[0], quantile = (/** @type {number} */ p) => flat[Math.floor(p * (flat.length - 1))] - low;
  const span = quantile(1) || 1;
  const offset = Math.max(quantile(0.02), quantile(0.5) / 200, span * 1e-9);
  const height = (/** @type {number} */ v) =>
    v === null || !Number.isFinite(v) ? Math.log10(span + offset) : Math.log10(Math.max(v - low, 0) + offset);
  const base = Math.log10(offset), top = Math.log10(quantile(0.995) + offset), count = 16;
  return {
    low, height, base, top, step: (top - base) / count,
    levels: Array.from({ length: count }, (_, i) => base + ((i + 1) * (top - base)) / count),
    lossOf: (/** @type {number} */ h) => {
      const loss = low + 10 ** h - offset;
      return Math.abs(loss) < 1e-9 * span ? 0 : loss; // a minimum of 0 is 0, not rounding
    },
    z: loss.map((row) => row.map(height)),
  };
}

/** Level lines of a grid by marching squares: segments [x0, y0, x1, y1] in the grid's coordinates.
 * @param {number[]} x @param {number[]} y @param {number[][]} z @param {number} level */
export function isolines(x, y, z, level) {
  /** @type {number[][]} */
  const segments = [];
  const mix = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ t) => a + (b - a) * t;
  for (let j = 0; j + 1 < y.length; j++) {
    for (let i = 0; i + 1 < x.length; i++) {
      const corner = [z[j][i], z[j][i + 1], z[j + 1][i + 1], z[j + 1][i]];
      const above = corner.map((v) => v > level);
      if (above.every((v) => v === above[0])) continue;
      const at = [[x[i], y[j]], [x[i + 1], y[j]], [x[i + 1], y[j + 1]], [x[i], y[j + 1]]];
      /** @type {number[][]} */
      const cuts = [];
      for (let e = 0; e < 4; e++) {
        const f = (e + 1) % 4;
        if (above[e] === above[f]) continue;
        const t = (level - corner[e]) / (corner[f] - corner[e]);
        cuts.push([mix(at[e][0], at[f][0], t), mix(at[e][1], at[f][1], t)]);
      }
      for (let k = 0; k + 1 < cuts.length; k += 2) segments.push([...cuts[k], ...cuts[k + 1]]);
    }
  }
  return segments;
}

/** @typedef {{x: number, y: number, angle: number, step: number}} Exit */
/** @typedef {{x: number[], y: number[], step: number[], cut: boolean[], leaves: Exit | null}} Trail */

/** A lane's path in pixels: thinned to what can be told apart, cut at the picture's edge (breaks are NaN). `cut` tells
 * points on the edge from iterates; `leaves` is where the path left for good.
 * @param {number[][]} points @param {ToPixel} toPixel
 * @param {number} width @param {number} height @returns {Trail} */
export function trail(points, toPixel, width, height) {
  const box = /** @type {Window} */ ([[0, width], [0, height]]);
  /** @type {Trail} */
  const result = { x: [], y: [], step: [], cut: [], leaves: null };
  /** @type {Point | null} */
  let previous = null;
  const push = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ step, cut = false) => {
    result.x.push(x);
    result.y.push(y);
    result.step.push(step);
    result.cut.push(cut);
  };
  for (let step = 0; step < points.length; step++) {
    const p = toPixel(points[step][0], points[step][1]);
    if (!Number.isFinite(p[0]) || !Number.isFinite(p[1])) break;
    const within = inside(p, box);
    if (previous) {
      const n = result.x.length - 1;
      if (within && n > 0 && Math.hypot(p[0] - result.x[n], p[1] - result.y[n]) < 0.7 && step < points.length - 1) {
        previous = p;
        continue;
      }
      const cut = clip(previous[0], previous[1], p[0], p[1], box);
      if (cut) {
        if (!inside(previous, box)) {
          push(NaN, NaN, step - 1, true);
          push(cut[0], cut[1], step - 1, true);
        }
        push(cut[2], cut[3], step, !within);
        const angle = Math.atan2(cut[3] - cut[1], cut[2] - cut[0]);
        result.leaves = within ? null : { x: cut[2], y: cut[3], angle, step };
      }
    } else if (within) push(p[0], p[1], step);
    previous = p;
  }
  return result;
}

/** Where a trail stands at a (fractional) step; its last point after its end, null before its beginning or in a break.
 * @param {Trail} path @param {number} step @returns {{x: number, y: number, index: number} | null} */
export function locate(path, step) {
  const n = path.step.length;
  if (!n) return null;
  let low = 0, high = n - 1;
  while (low < high) {
    const mid = (low + high + 1) >> 1;
    if (path.step[mid] <= step) low = mid;
    else high = mid - 1;
  }
  if (Number.isNaN(path.x[low])) return null;
  const next = low + 1 < n && !Number.isNaN(path.x[low + 1]) ? low + 1 : low;
  const span = path.step[next] - path.step[low];
  const t = span > 0 ? Math.min(Math.max((step - path.step[low]) / span, 0), 1) : 0;
  const along = (/** @type {number[]} */ a) => a[low] + t * (a[next] - a[low]);
  return { x: along(path.x), y: along(path.y), index: low };
}

/** @typedef {[number, number, number]} RGB */
/** @param {RGB} a @param {RGB} b @param {number} t @returns {RGB} */
export const blend = (a, b, t) => /** @type {RGB} */ (a.map((v, i) => Math.round(v + (b[i] - v) * t)));
/** @param {RGB} c @param {number} [alpha] */
export const css = (c, alpha = 1) => (alpha === 1 ? `rgb(${c.join(", ")})` : `rgba(${c.join(", ")}, ${alpha})`);
