// A loss to be reached: a line across the figure with a handle to drag it by, and marks where each lane comes to it.

import { h } from "./dom.js";
import { css } from "./geometry.js";
import { rgb } from "./plot.js";

const INSET = 20; // pixels of the handle from the right edge

/** @param {{picture: import("./plot.js").Figure, session: import("./types").Session, signal: AbortSignal,
 *   aim: (loss: number) => void, rest: () => void}} options  rest: told when the handle is let go */
export function targetLine({ picture, session, signal, aim, rest }) {
  // For pointers: the keyboard has the target's slider.
  const handle = h("div", { class: "point-handle target-handle", "aria-hidden": "true", hidden: true });
  picture.area.append(handle);
  /** The axis while the handle is dragged: it must not move beneath the pointer. @type {[number, number] | null} */
  let held = null;

  handle.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    held = picture.range("yaxis");
    const drag = new AbortController();
    handle.addEventListener("pointermove", (next) => {
      const to = picture.fromPixel(...picture.pointer(next));
      if (!to || !held) return;
      const [low, high] = picture.scale("yaxis")?.log ? held.map((power) => 10 ** power) : held;
      aim(Number(Math.min(Math.max(to[1], low), high).toPrecision(3)));
    }, { signal: drag.signal });
    for (const end of ["pointerup", "pointercancel"]) {
      handle.addEventListener(end, () => {
        drag.abort();
        held = null;
        rest();
      }, { signal: drag.signal });
    }
  }, { signal });

  return {
    get held() { return held; },
    /** @param {CanvasRenderingContext2D} context @param {import("./plot.js").Area} area
     * @param {import("./geometry.js").ToPixel} toPixel @param {number | null} target
     * @param {({x: number, y: number} | null)[]} ends  where each lane reaches it */
    draw(context, { width, height, theme }, toPixel, target, ends) {
      const level = target === null ? NaN : toPixel(1, target)[1];
      context.lineWidth = 1.2;
      context.setLineDash([6, 4]);
      context.strokeStyle = css(theme.ink);
      context.beginPath();
      context.moveTo(0, level);
      context.lineTo(width, level);
      context.stroke();
      context.setLineDash([3, 3]);
      ends.forEach((at, i) => {
        const [x, y] = at ? toPixel(at.x, at.y) : [NaN, NaN];
        if (!(x >= -1 && x <= width + 1)) return;
        context.strokeStyle = context.fillStyle = css(rgb(session.colour(i)));
        context.beginPath();
        context.moveTo(x, Math.min(Math.max(y, 0), height));
        context.lineTo(x, height);
        context.stroke();
        context.beginPath();
        context.moveTo(x - 5, height);
        context.lineTo(x + 5, height);
        context.lineTo(x, height - 8);
        context.fill();
      });
      context.setLineDash([]);
      handle.hidden = !(level >= -1 && level <= height + 1);
      const { left, top } = picture.corner();
      if (!handle.hidden) handle.style.transform = `translate(${left + width - INSET}px, ${top + level}px)`;
    },
  };
}
