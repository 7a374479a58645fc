// An optimizer's coordinates in the page's URL: R row by row, b, and the scale and shift of a network's inputs.
//
//   optimizer=newton:coordinates.matrix=1,0.5,0,1;coordinates.shift=0,1
//   optimizer=kfac:coordinates.inputs.scale=3;coordinates.inputs.shift=2

/** @typedef {import("./types").Coordinates} Coordinates */

export const PREFIX = "coordinates.";

/** The fields that say some coordinates, what is at its default left out. @param {Coordinates} coordinates
 * @returns {[string, any][]} */
export function fieldsOf({ matrix, shift, inputs }) {
  if (matrix) {
    const told = /** @type {[string, any][]} */ ([[`${PREFIX}matrix`, matrix.flat()]]);
    return shift?.some(Boolean) ? [...told, [`${PREFIX}shift`, shift]] : told;
  }
  return Object.entries({ scale: 1, ...inputs }).map(([key, value]) => [`${PREFIX}inputs.${key}`, value]);
}

/** What some fields say, null where that is nothing; what cannot be used is left out, and said.
 * @param {Record<string, string>} told without the prefix @param {any} schema the catalog's
 * @param {{say: (change: string) => void,
 *   number: (told: string, schema: any, what: string) => number | undefined}} reader
 * @param {string} title of the optimizer @returns {Coordinates | null} */
export function readFields(told, schema, reader, title) {
  const forms = Object.assign({}, ...schema.oneOf.map((/** @type {any} */ form) => form.properties));
  const knobs = forms.inputs.properties, entry = forms.shift.items;
  const leave = (/** @type {string} */ key, /** @type {string} */ why) =>
    reader.say(`${title}, ${PREFIX}${key}: ${why} and was left out.`);
  const numbers = (/** @type {string} */ key) => {
    const what = `${title}, ${PREFIX}${key}`;
    const read = told[key].split(",").filter(Boolean).map((one) => reader.number(one, entry, what));
    return read.every((value) => value !== undefined) ? /** @type {number[]} */ (read) : [];
  };
  /** @type {Coordinates} */
  const read = {};
  const unknown = Object.keys(told).filter((key) => key !== "matrix" && key !== "shift" &&
    !Object.hasOwn(knobs, key.replace(/^inputs\./, "")));
  for (const key of unknown) leave(key, "it is not known");
  if ("matrix" in told) {
    const entries = numbers("matrix"), n = Math.sqrt(entries.length);
    if (![1, 2, 3].includes(n)) {
      leave("matrix", "it has no row and column for each weight");
      return null;
    }
    read.matrix = Array.from({ length: n }, (_, i) => entries.slice(i * n, (i + 1) * n));
    if ("shift" in told) {
      const shift = numbers("shift");
      if (shift.length === n) read.shift = shift;
      else leave("shift", `it has ${shift.length} numbers, not ${n}`);
    }
    return read;
  }
  if ("shift" in told) leave("shift", "it goes with a matrix");
  for (const key of Object.keys(knobs)) {
    const value = `inputs.${key}` in told
      ? reader.number(told[`inputs.${key}`], knobs[key], `${title}, ${PREFIX}inputs.${key}`) : undefined;
    if (value !== undefined) read.inputs = { ...read.inputs, [key]: value };
  }
  return read.inputs ? read : null;
}
