// One point marked in several pictures, each with coordinates of its own: the pointer or the arrow keys move it in one
// of them, and it moves in all (with shift ten times as far; Home puts it back where it rests).

import { h, written } from "./dom.js";
import { css, inside } from "./geometry.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./plot.js").Figure} Figure */
/** @typedef {{picture: Figure, label: string, names: () => string[], into: (w: Point) => Point | null,
 *   out: (p: Point) => Point | null}} Place  a picture, and how its coordinates become those of the point and back */

/** @param {{places: Place[], rest: () => Point | null, signal: AbortSignal, changed: () => void}} options
 *   rest: where the point is while nobody holds it */
export function crosshair({ places, rest, signal, changed }) {
  /** @type {Point | null} */
  let held = null;
  const at = () => held ?? rest();

  /** @param {Place} place @param {Point | null} to  in that picture's coordinates; null: back to rest */
  function move({ out }, to) {
    held = to && out(to);
    changed();
  }

  const handles = places.map((place) => {
    const { picture, label } = place;
    /** @returns {any} */
    const ranges = () => ["xaxis", "yaxis"].map((axis) => picture.range(axis) ?? [NaN, NaN]);
    const handle = h("div", {
      class: "crosshair-handle", role: "slider", tabindex: "0", "aria-roledescription": "movable point",
      "aria-label": `Crosshair, ${label}`,
    });
    picture.area.append(handle);
    for (const kind of ["pointermove", "pointerdown"]) {
      picture.area.addEventListener(kind, (event) => {
        const p = picture.fromPixel(...picture.pointer(/** @type {PointerEvent} */ (event)));
        if (p && inside(p, ranges())) move(place, p);
      }, { signal });
    }
    picture.area.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") move(place, null); // what a finger has touched stays touched
    }, { signal });
    handle.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      const now = at(), p = now && place.into(now);
      if (!p || !picture.ready || (!way && event.key !== "Home")) return;
      event.preventDefault();
      if (!way) return move(place, null);
      const share = event.shiftKey ? 0.1 : 0.01;
      move(place, /** @type {Point} */ (ranges().map((/** @type {Point} */ [low, high], /** @type {number} */ i) =>
        Math.min(Math.max(p[i] + way[i] * share * (high - low), low), high))));
    }, { signal });
    return handle;
  });

  return {
    get at() { return at(); },
    /** Its two lines in a picture, and the handle that the keyboard finds it by.
     * @param {number} number @param {CanvasRenderingContext2D} context @param {import("./plot.js").Area} area */
    draw(number, context, { width, height, theme }) {
      const { picture, into, names } = places[number], handle = handles[number], toPixel = picture.mapper();
      const now = at(), p = now && into(now);
      handle.hidden = !p;
      if (!p || !toPixel) return;
      const [x, y] = toPixel(...p), { left, top } = picture.corner();
      context.strokeStyle = css(theme.ink, held ? 0.85 : 0.4);
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, height);
      context.moveTo(0, y);
      context.lineTo(width, y);
      context.stroke();
      const [px, py] = [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
      handle.style.transform = `translate(${left + px}px, ${top + py}px)`;
      const [low, high] = picture.range("xaxis") ?? p;
      for (const [key, value] of [["valuenow", p[0]], ["valuemin", low], ["valuemax", high]]) {
        handle.setAttribute(`aria-${key}`, String(value));
      }
      handle.setAttribute("aria-valuetext", names().map((name, i) => `${name} = ${written(p[i])}`).join(", "));
    },
  };
}
