// The start as a handle on the landscape: what is dragged is the spec's.

import { pointHandle } from "./point_handle.js";
import { startOf } from "./terrain.js";

/** @param {{picture: import("./plot.js").Figure, session: import("./types").Session,
 *   ground: ReturnType<typeof import("./terrain.js").terrain>, signal: AbortSignal, moved: () => void}} options */
export function startHandle({ picture, session, ground, signal, moved }) {
  let moving = false; // whether a change of the spec is its own

  const handle = pointHandle({
    picture,
    signal,
    label: "Start point",
    names: () => ground.names(),
    at() {
      const start = startOf(session);
      if (!session.interactive || !ground.planar() || start?.length !== 2) return null;
      return /** @type {[number, number]} */ (start);
    },
    home: () => session.problem.start,
    move(start, live) {
      moving = true;
      session.update({ start }, { live });
      moving = false;
      moved();
      return start;
    },
  });

  // Whoever goes back, or takes another problem, has ended the move.
  session.listen((event) => {
    if (event.kind === "spec" && !moving) handle.release();
  }, { signal });

  return handle;
}
