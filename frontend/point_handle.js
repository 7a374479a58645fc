// A point over a figure that is moved: dragged by pointer, or by the arrow keys (with shift ten times as far; Home puts
// it back where it belongs).

import { h, written } from "./dom.js";

/** @typedef {[number, number]} Point */

const REST = 400; // milliseconds after the last key until the move counts as finished

/** @param {{picture: import("./plot.js").Figure, signal: AbortSignal, label: string, names: () => string[],
 *   at: () => Point | null, home?: () => number[] | null, move: (to: Point, live: boolean) => Point}} options
 *   names: of its coordinates, or of the first alone, which then is all that moves. at: where it is, null where it is
 *   not shown or cannot be moved. move: told to three digits of the visible range, and whether it is still under way;
 *   tells where the point is then. */
export function pointHandle({ picture, signal, label, names, at, home = () => null, move }) {
  const handle = h("div", {
    class: "point-handle", role: "slider", tabindex: "0", "aria-roledescription": "movable point", "aria-label": label,
    hidden: true,
  });
  picture.area.append(handle);
  /** @type {Point | null} */
  let held = null; // where it is while it moves
  let rest = 0;
  signal.addEventListener("abort", () => {
    clearTimeout(rest);
    handle.remove();
  });

  /** Inside the picture, and rounded to what a pixel can tell, so that the URL stays short.
   * @param {number[]} to @returns {Point} */
  function nearby(to) {
    return /** @type {Point} */ (["xaxis", "yaxis"].map((axis, i) => {
      const [low, high] = picture.range(axis) ?? [-Infinity, Infinity];
      const digits = Math.max(0, Math.ceil(-Math.log10((high - low) / 1000)));
      const unit = 10 ** -Math.min(digits, 12);
      // Rounding may not lead out again.
      const inside = Math.min(Math.max(to[i], Math.ceil(low / unit) * unit), Math.floor(high / unit) * unit);
      return Number(inside.toFixed(Math.min(digits, 12)));
    }));
  }

  /** @param {number[]} to @param {boolean} live */
  function send(to, live) {
    const asked = nearby(to);
    held = live ? asked : null; // what is moved may ask whether it is
    const point = move(asked, live);
    if (held) held = point;
  }

  handle.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    handle.focus({ preventScroll: true });
    handle.setPointerCapture(event.pointerId);
    const drag = new AbortController();
    signal.addEventListener("abort", () => drag.abort(), { signal: drag.signal });
    handle.addEventListener("pointermove", (next) => {
      const to = picture.fromPixel(...picture.pointer(next));
      if (to) send(to, true);
    }, { signal: drag.signal });
    for (const end of ["pointerup", "pointercancel"]) {
      handle.addEventListener(end, () => {
        drag.abort();
        if (held) send(held, false);
      }, { signal: drag.signal });
    }
  }, { signal });

  handle.addEventListener("keydown", (event) => {
    const up = names().length > 1 ? [0, 1] : [1, 0]; // of one coordinate up is more, as on any slider
    const way = {
      ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: up, ArrowDown: up.map((to) => -to),
    }[event.key];
    const from = held ?? at(), x = picture.range("xaxis"), y = picture.range("yaxis");
    const back = event.key === "Home" ? home() : null;
    if (!from || !x || !y || (!way && !back)) return;
    event.preventDefault();
    const share = event.shiftKey ? 0.1 : 0.01, spans = [x[1] - x[0], y[1] - y[0]];
    const to = way ? from.map((value, i) => value + way[i] * share * spans[i]) : back;
    if (to) send(to, true);
    clearTimeout(rest);
    rest = window.setTimeout(() => held && send(held, false), REST);
  }, { signal });

  return {
    get held() { return held !== null; },
    /** Ends a move that something else has overtaken: it must not come after that. */
    release() {
      held = null;
      clearTimeout(rest);
    },
    /** Puts the handle where the point is. @param {(x: number, y: number) => Point} toPixel
     * @param {number} width @param {number} height */
    place(toPixel, width, height) {
      const able = at(), point = able && (held ?? able), [px, py] = point ? toPixel(...point) : [NaN, NaN];
      const outside = !(px >= -1 && py >= -1 && px <= width + 1 && py <= height + 1);
      // Hidden it would lose the focus, and the next key with it, to a frame in which the axes are being changed.
      if (outside && point && document.activeElement === handle) return;
      handle.hidden = outside;
      if (outside || !point) return;
      const { left, top } = picture.corner();
      handle.style.transform = `translate(${left + px}px, ${top + py}px)`;
      const words = names().map((coordinate, i) => `${coordinate} = ${written(point[i])}`).join(", ");
      if (handle.getAttribute("aria-valuetext") === words) return;
      const [low, high] = picture.range("xaxis") ?? [point[0], point[0]];
      for (const [name, value] of [["valuenow", point[0]], ["valuemin", low], ["valuemax", high]]) {
        handle.setAttribute(`aria-${name}`, String(value));
      }
      handle.setAttribute("aria-valuetext", words);
    },
  };
}
