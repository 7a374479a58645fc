// The page's state in the address bar: discrete choices make an entry in the history, a drag makes one for the whole of
// it, and looking around (scrubbing, selecting) only rewrites the entry.

import { decode, encode } from "./spec.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./types").State} State */

const PAUSE = 250; // milliseconds between rewrites: browsers refuse to hear more than some hundred in ten seconds

/** What the session shows now.
 * @param {Session} session @param {string[] | null} views @param {string[]} [hide] @returns {State} */
export const stateOfSession = (session, views, hide = []) => ({
  spec: session.spec,
  views,
  axis: session.axis,
  at: session.following || session.playing ? null : Math.round(session.step),
  lane: session.selected,
  hide,
});

/** @param {{session: Session, state: () => State, base: State, names: string[], signal: AbortSignal,
 *   restored: (state: State, changes: string[]) => void}} options
 *   base: what the address means without a query */
export function address({ session, state, base, names, signal, restored }) {
  let written = encode(state());
  let dragging = false,
    restoring = false,
    timer = 0;

  /** @param {boolean} push */
  function write(push) {
    clearTimeout(timer);
    timer = 0;
    const now = encode(state());
    if (now === written) return;
    written = now;
    try {
      history[push ? "pushState" : "replaceState"](null, "", `${location.pathname}?${now}`);
    } catch {
      // Too many changes in too short a time for this browser: the next one will be heard.
    }
  }
  const later = () => {
    timer ||= window.setTimeout(() => write(false), PAUSE);
  };

  session.listen(
    (event) => {
      if (restoring) return;
      if (event.kind === "spec") {
        if (event.live && dragging) return later();
        write(!dragging);
        dragging = event.live;
      } else if (event.kind === "axis" || event.kind === "select" || (event.kind === "scrub" && !session.playing))
        later();
    },
    { signal },
  );

  window.addEventListener(
    "popstate",
    () => {
      const { state: read, changes } = decode(location.search, session.catalog, base, names);
      clearTimeout(timer);
      timer = 0;
      restoring = true;
      session.load(read);
      restored(read, changes);
      written = encode(state());
      restoring = dragging = false;
    },
    { signal },
  );

  return { /** After a choice that the session does not know of. */ changed: () => write(true) };
}
