// What it costs to reach a loss where data have a price of their own: cost = passes + r · epochs, r the price of
// reading one epoch, in passes. Over r each lane's cost is a line, so the cheapest lane changes where two lines cross.

/** @typedef {import("./types").Lane} Lane */
/** @typedef {{step: number, passes: number, epochs: number}} Reached */
/** @typedef {{lane: number, from: number}} Reign  the lane that is cheapest from this r on, up to the next reign */

/** Epochs of data read before each step. @param {Lane} lane @param {number} examples  N */
export const epochsOf = (lane, examples) => (lane.columns.examples ?? []).map((read) => (read ?? NaN) / examples);

/** The first step at or under the target, or null. @param {Lane} lane @param {number} target @param {number} examples
 * @returns {Reached | null} */
export function reached(lane, target, examples) {
  const step = (lane.columns.loss ?? []).findIndex((loss) => loss !== null && loss <= target);
  const passes = lane.columns.passes?.[step], read = lane.columns.examples?.[step];
  return typeof passes === "number" && typeof read === "number" ? { step, passes, epochs: read / examples } : null;
}

/** What the losses are: the lowest that every lane reaches (one that never falls below its start left out), the lowest
 * above 0 and the lowest of all, and the highest start. @param {Lane[]} lanes */
export function survey(lanes) {
  let common = -Infinity, positive = Infinity, lowest = Infinity, start = -Infinity;
  for (const { columns } of lanes) {
    const [first = null, ...later] = columns.loss ?? [];
    if (first === null) continue;
    let low = first;
    for (const loss of later) if (loss !== null && loss < low) low = loss;
    for (const loss of later) if (loss !== null && loss > 0 && loss < positive) positive = loss;
    if (low < first) common = Math.max(common, low);
    lowest = Math.min(lowest, low);
    start = Math.max(start, first);
  }
  return { common: common > -Infinity ? common : null, positive: Math.min(positive, start), lowest, start };
}

/** @param {number} passes @param {number} epochs @param {number} r */
export const costOf = (passes, epochs, r) => passes + r * epochs;

/** Who is cheapest at which r ≥ 0: the lower envelope of the lanes' lines. At a break-even the one with fewer epochs
 * takes over: (p' − p) / (e − e'). @param {(Reached | null)[]} lanes @returns {Reign[]} */
export function reigns(lanes) {
  const all = lanes.flatMap((at, lane) => (at ? [{ ...at, lane }] : []));
  if (!all.length) return [];
  let now = all.reduce((a, b) => (b.passes < a.passes || (b.passes === a.passes && b.epochs < a.epochs) ? b : a));
  const found = [{ lane: now.lane, from: 0 }];
  for (;;) {
    const { passes, epochs } = now;
    const rivals = all.filter((rival) => rival.epochs < epochs)
      .map((rival) => ({ rival, r: (rival.passes - passes) / (epochs - rival.epochs) }));
    if (!rivals.length) return found;
    const next = rivals.reduce((a, b) => (b.r < a.r || (b.r === a.r && b.rival.epochs < a.rival.epochs) ? b : a));
    now = next.rival;
    found.push({ lane: now.lane, from: next.r });
  }
}
