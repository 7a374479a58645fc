// The start as a handle: dragged by pointer, or moved by the arrow keys (with shift ten times as far; Home is the
// problem's own start).

import { h, written } from "./dom.js";
import { startOf } from "./terrain.js";

const REST = 400; // milliseconds after the last key until the move counts as finished

/** @param {{picture: import("./plot.js").Figure, session: import("./types").Session,
 *   ground: ReturnType<typeof import("./terrain.js").terrain>, signal: AbortSignal, moved: () => void}} options */
export function startHandle({ picture, session, ground, signal, moved }) {
  const handle = h("div", {
    class: "start-handle", role: "slider", tabindex: "0", "aria-roledescription": "movable point",
    "aria-label": "Start point", hidden: true,
  });
  picture.area.append(handle);
  /** @type {[number, number] | null} */
  let held = null; // where it is while it moves
  let rest = 0;
  let moving = false; // whether a change of the spec is its own

  /** Inside the picture, and rounded to what a pixel can tell, so that the URL stays short.
   * @param {number[]} at @returns {[number, number]} */
  function nearby(at) {
    return /** @type {[number, number]} */ (["xaxis", "yaxis"].map((axis, i) => {
      const [low, high] = picture.range(axis) ?? [-Infinity, Infinity];
      const digits = Math.max(0, Math.ceil(-Math.log10((high - low) / 1000)));
      return Number(Math.min(Math.max(at[i], low), high).toFixed(Math.min(digits, 12)));
    }));
  }

  /** @param {number[]} at @param {boolean} live  still under way */
  function move(at, live) {
    const start = nearby(at);
    held = live ? start : null;
    moving = true;
    session.update({ start }, { live });
    moving = false;
    moved();
  }

  // Whoever goes back, or takes another problem, has ended the move: it must not come after that.
  session.listen((event) => {
    if (event.kind !== "spec" || moving) return;
    held = null;
    clearTimeout(rest);
  }, { signal });

  handle.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    handle.focus({ preventScroll: true });
    handle.setPointerCapture(event.pointerId);
    const drag = new AbortController();
    signal.addEventListener("abort", () => drag.abort(), { signal: drag.signal });
    handle.addEventListener("pointermove", (next) => {
      const at = picture.fromPixel(...picture.pointer(next));
      if (at) move(at, true);
    }, { signal: drag.signal });
    for (const end of ["pointerup", "pointercancel"]) {
      handle.addEventListener(end, () => {
        drag.abort();
        if (held) move(held, false);
      }, { signal: drag.signal });
    }
  }, { signal });

  handle.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const at = held ?? startOf(session), x = picture.range("xaxis"), y = picture.range("yaxis");
    if (!at || !x || !y || (!way && event.key !== "Home")) return;
    event.preventDefault();
    const share = event.shiftKey ? 0.1 : 0.01;
    const spans = [x[1] - x[0], y[1] - y[0]];
    const to = way ? at.map((value, i) => value + way[i] * share * spans[i]) : session.problem.start;
    if (to) move(to, true);
    clearTimeout(rest);
    rest = window.setTimeout(() => !signal.aborted && held && move(held, false), REST);
  }, { signal });

  return {
    get held() { return held !== null; },
    /** Puts the handle where the start is. @param {(x: number, y: number) => [number, number]} toPixel
     * @param {number} width @param {number} height */
    place(toPixel, width, height) {
      const at = held ?? startOf(session), able = session.interactive && ground.planar() && at?.length === 2;
      const [px, py] = able && at ? toPixel(at[0], at[1]) : [NaN, NaN];
      const outside = !(px >= -1 && py >= -1 && px <= width + 1 && py <= height + 1);
      // Hidden it would lose the focus, and the next key with it, to a frame in which the axes are being changed.
      if (outside && able && document.activeElement === handle) return;
      handle.hidden = outside;
      if (handle.hidden || !at) return;
      const { left, top } = picture.corner(), [u, v] = ground.names();
      handle.style.transform = `translate(${left + px}px, ${top + py}px)`;
      const words = `${u} = ${written(at[0])}, ${v} = ${written(at[1])}`;
      if (handle.getAttribute("aria-valuetext") === words) return;
      const [low, high] = picture.range("xaxis") ?? [at[0], at[0]];
      for (const [name, value] of [["valuenow", at[0]], ["valuemin", low], ["valuemax", high]]) {
        handle.setAttribute(`aria-${name}`, String(value));
      }
      handle.setAttribute("aria-valuetext", words);
    },
  };
}
