// How a slider's positions stand for a knob's values: whole ticks, each a number that is short to write.

/** @typedef {import("./types").Schema} Schema */
/** @typedef {{ticks: number, page: number, value: (tick: number) => number, tick: (value: number) => number}} Scale */

const PER_DECADE = 20;
const TICKS = 150; // of a linear slider, about

const rounded = (/** @type {number} */ value, /** @type {number} */ digits) => Number(value.toPrecision(digits));

/** Two digits a tick over the decades between the bounds. Where zero is allowed it is the leftmost tick, and the
 * decades begin four below the default. @param {Schema} schema @returns {Scale} */
function logarithmic({ minimum = 0, maximum = 1, default: usual }) {
  const zero = minimum <= 0;
  const low = zero ? 10 ** Math.floor(Math.log10(usual > 0 ? usual : 1e-2) - 4) : minimum;
  const decades = Math.log10(maximum / low),
    last = Math.round(decades * PER_DECADE),
    shift = zero ? 1 : 0;
  return {
    ticks: last + shift,
    page: PER_DECADE,
    value(tick) {
      if (zero && tick <= 0) return 0;
      const k = tick - shift;
      return k >= last ? maximum : k <= 0 ? low : rounded(low * 10 ** (k / PER_DECADE), 2);
    },
    tick(value) {
      if (zero && !(value > 0)) return 0;
      const k = Math.round(Math.log10(value / low) * PER_DECADE);
      return Math.min(Math.max(k, 0), last) + shift;
    },
  };
}

/** Steps of 1, 2 or 5 times a power of ten. @param {Schema} schema @returns {Scale} */
function linear({ minimum = 0, maximum = 1 }) {
  const rough = (maximum - minimum) / TICKS,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((k) => k * power >= rough * 0.999) ?? 10) * power;
  const ticks = Math.ceil((maximum - minimum) / step - 1e-9);
  return {
    ticks,
    page: Math.max(1, Math.round(ticks / 10)),
    value: (tick) => (tick >= ticks ? maximum : rounded(minimum + tick * step, 10)),
    tick: (value) => Math.min(Math.max(Math.round((value - minimum) / step), 0), ticks),
  };
}

/** The whole numbers among a scale's values, each once. @param {Scale} scale @returns {Scale} */
function whole({ ticks, page, value }) {
  const values = [...new Set(Array.from({ length: ticks + 1 }, (_, tick) => Math.round(value(tick))))];
  const last = values.length - 1;
  return {
    ticks: last,
    page: Math.max(1, Math.round((page * last) / ticks)),
    value: (tick) => values[Math.min(Math.max(tick, 0), last)],
    tick: (at) => values.reduce((best, v, k) => (Math.abs(v - at) < Math.abs(values[best] - at) ? k : best), 0),
  };
}

/** @param {Schema} schema */
export function scaleOf(schema) {
  const scale = schema.scale === "log" ? logarithmic(schema) : linear(schema);
  return schema.multipleOf ? whole(scale) : scale;
}

/** @param {Schema} schema @param {number} value */
const allowed = (schema, value) => (schema.multipleOf ? Math.round(value) : value);

/** Values about one, a factor of ten apart (or evenly apart on a linear scale), within the bounds.
 * @param {Schema} schema @param {number} value */
export function spread(schema, value) {
  const { minimum = -Infinity, maximum = Infinity } = schema;
  const centre = schema.scale === "log" && !(value > 0) ? (schema.default > 0 ? schema.default : 1e-2) : value;
  const values =
    schema.scale === "log"
      ? [0.1, 1, 10].map((f) => rounded(centre * f, 6))
      : [-1, 0, 1].map((k) => rounded(centre + (k * (maximum - minimum)) / 10, 6));
  return [...new Set(values.map((v) => Math.min(Math.max(allowed(schema, v), minimum), maximum)))];
}

/** The next value to compare with: ten times the last (or as far again), else one below the first.
 * @param {Schema} schema @param {number[]} values */
export function another(schema, values) {
  const { minimum = -Infinity, maximum = Infinity } = schema;
  const apart = schema.scale === "log" ? null : (maximum - minimum) / 10;
  const high = Math.max(...values),
    low = Math.min(...values);
  const up = allowed(schema, rounded(apart === null ? (high > 0 ? high * 10 : 1e-2) : high + apart, 6));
  const down = allowed(schema, rounded(apart === null ? low / 10 : low - apart, 6));
  if (up <= maximum) return up;
  return down >= minimum && down !== low ? down : allowed(schema, rounded((high + low) / 2, 6));
}
