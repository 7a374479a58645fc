// The start as a handle on a picture: what is dragged is the spec's.

import { pointHandle } from "./point_handle.js";
import { startOf } from "./terrain.js";

/** @typedef {import("./point_handle.js").Point} Point */

/** @param {{picture: import("./plot.js").Figure, session: import("./types").Session, signal: AbortSignal,
 *   names: () => string[], moved: () => void, place: (start: number[]) => Point | null,
 *   weights?: (point: Point) => number[], label?: string}} options
 *   place: where a start is in the picture, null where it is not drawn. weights: the start at a place. */
export function startHandle({
  picture, session, signal, names, moved, place, weights = (point) => point, label = "Start point",
}) {
  let moving = false; // whether a change of the spec is its own

  const handle = pointHandle({
    picture, signal, label, names,
    at() {
      const start = startOf(session);
      return session.interactive && start ? place(start) : null;
    },
    home: () => session.problem.start && place(session.problem.start),
    move(point, live) {
      const start = weights(point);
      moving = true;
      session.update({ start }, { live });
      moving = false;
      moved();
      return place(start) ?? point;
    },
  });

  // Whoever goes back, or takes another problem, has ended the move.
  session.listen((event) => {
    if (event.kind === "spec" && !moving) handle.release();
  }, { signal });

  return handle;
}
