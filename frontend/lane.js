// A lane as the page holds it: its rows as they come, and its colour.

/** @typedef {import("./types").Lane} Lane */

const PALETTE = 8; // colours in style.css; more lanes share a ramp

/** @param {import("./types").LaneName} lane @param {number} index @returns {Lane} */
export const newLane = (lane, index) => ({
  ...lane,
  index,
  columns: {},
  w: null,
  length: 0,
  clock: [],
  end: null,
  probes: [],
});

/** Rows of a chunk at the end of a lane's columns; a column that begins late is null before.
 * @param {Lane} lane @param {import("./types").ChunkEvent} chunk */
export function append(lane, { first, columns }) {
  const before = lane.length;
  let rows = 0;
  for (const [name, values] of Object.entries(columns)) {
    const fresh = values.slice(Math.max(0, before - first));
    rows = Math.max(rows, fresh.length);
    if (name === "w") {
      lane.w ??= [];
      for (const w of /** @type {number[][]} */ (fresh)) lane.w.push(w);
      continue;
    }
    const column = (lane.columns[name] ??= []);
    while (column.length < before) column.push(null);
    for (const value of /** @type {(number | null)[]} */ (fresh)) column.push(value);
  }
  lane.length = before + rows;
}

/** A probe's answer, in the place of what was known of it before.
 * @param {Lane} lane @param {import("./types").ProbeEvent} answer */
export function answered(lane, answer) {
  const last = lane.probes.at(-1);
  if (last?.partial && last.name === answer.name && last.step === answer.step) lane.probes.pop();
  lane.probes.push(answer);
}

/** @type {string[]} */
let colours = [];

/** After a change of theme. */
export const forgetColours = () => {
  colours = [];
};

/** A colour that reads on the present theme. Up to eight lanes have one each; more go from dark violet to light orange,
 * told apart by lightness alone, too. @param {number} lane @param {number} count */
export function laneColour(lane, count) {
  const style = () => getComputedStyle(document.documentElement);
  if (count > PALETTE) {
    if (colours.length !== count) {
      const [low, high] = ["--ramp-low", "--ramp-high"].map((name) => parseFloat(style().getPropertyValue(name)) || 40);
      colours = Array.from({ length: count }, (_, i) => {
        const t = i / (count - 1);
        return `hsl(${Math.round(265 - 240 * t)}, 68%, ${(low + (high - low) * t).toFixed(1)}%)`;
      });
    }
    return colours[lane] ?? colours[count - 1];
  }
  if (colours.length !== PALETTE) {
    colours = Array.from({ length: PALETTE }, (_, i) => style().getPropertyValue(`--lane-${i}`).trim() || "#1f6fb2");
  }
  return colours[lane % PALETTE];
}
