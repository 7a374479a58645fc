// Where the reader looks: the selected lane at the scrubbed step, and a probe that is asked there.

import { asker, recorded } from "./terrain.js";

/** @typedef {import("./types").Session} Session */

/** The selected lane. @param {Session} session @returns {import("./types").Lane | undefined} */
export const laneOf = (session) => session.lanes[session.selected];

/** The scrubbed step, as far as the selected lane goes. @param {Session} session */
export const stepOf = (session) =>
  Math.min(Math.round(session.step), Math.max((laneOf(session)?.length ?? 1) - 1, 0));

/** Asks a probe of the scrubbed iterate, once for each iterate and settings: what the run recorded there; then the
 * server; in a recording the last answer before.
 * @template Data @param {{session: Session, name: string, take: (data: Data, lane: number, step: number) => void,
 *   fail: (message: string) => void}} options  take: told which iterate the answer is about */
export function iterateProbe({ session, name, take, fail }) {
  const question = asker((/** @type {{data: Data, lane: number, step: number}} */ { data, lane, step }) =>
    take(data, lane, step), fail);
  let asked = "";
  /** @param {object} settings of the probe
   * @param {(data: Data) => boolean} [fits]  whether what the run recorded is an answer to them */
  return (settings, fits = () => true) => {
    const at = { lane: session.selected, step: stepOf(session) }, lane = laneOf(session);
    if (!lane?.length) return;
    const key = JSON.stringify([session.run?.id, at, settings]);
    if (key === asked) return;
    asked = key;
    const known = recorded(session, name, at.lane, at.step, fits);
    const before = session.interactive ? null
      : lane.probes.filter((p) => p.name === name && p.step <= at.step).at(-1);
    if (known) question(async () => ({ data: known, ...at }));
    else if (before) question(async () => ({ data: before.data, lane: at.lane, step: before.step }));
    else question(async () => ({ data: await session.probe({ name, ...settings }, at), ...at }));
  };
}
