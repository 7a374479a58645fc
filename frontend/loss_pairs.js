// Pairs of lanes as loss curves: solid the optimizer in w, dashed its twin, which sees other inputs.

import { css } from "./geometry.js";
import { furthest, heights, series } from "./lane_curves.js";
import { thinned } from "./paths.js";
import { figure, rgb } from "./plot.js";

/** @typedef {import("./lane_curves.js").Series} Series */

/** @param {{element: HTMLElement, session: import("./types").Session, signal: AbortSignal, tell: () => void,
 *   pairs: () => import("./reparameterization.js").Pair[]}} options */
export function lossPairs({ element, session, signal, tell, pairs }) {
  let frame = "", framed = 0;
  const picture = figure({
    element, signal, label: "Losses of the pairs", file: "invariance", draw, tell, settle: commit,
    table: () => ({ head: ["lane", "step", "J"], rows }),
  });

  /** @returns {{lane: number, dashed: boolean, curve: Series}[]} */
  const curves = () => pairs().flatMap(({ own, other }) => [own, other].map((lane) => ({
    lane, dashed: lane === other, curve: series(null, session.lanes[lane]?.columns.loss ?? [], { logY: true }),
  })));

  function ranges() {
    const all = curves().map(({ curve }) => curve);
    return { x: [0, furthest(all) || 1], y: heights(all, { logY: true, loss: true }) };
  }

  /** @param {CanvasRenderingContext2D} context @param {import("./plot.js").Area} area */
  function draw(context, { width, height, theme }) {
    if (!picture.zoomed && picture.due(framed) && JSON.stringify(ranges()) !== frame) axes([]);
    const toPixel = picture.mapper();
    if (!toPixel) return;
    const [x] = toPixel(session.step, 1);
    context.strokeStyle = css(theme.muted);
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height);
    context.stroke();
    context.lineJoin = "round";
    context.lineWidth = 2.2;
    for (const { lane, dashed, curve } of curves()) {
      context.strokeStyle = css(rgb(session.colour(lane)));
      context.setLineDash(dashed ? [7, 5] : []);
      context.stroke(thinned(curve, toPixel, width, height));
    }
    context.setLineDash([]);
  }

  /** @param {object[]} traces */
  function axes(traces) {
    const { x, y } = ranges();
    [frame, framed] = [JSON.stringify({ x, y }), performance.now()];
    picture.commit(traces.length ? traces : [{ type: "scatter", x: [], y: [] }], {
      xaxis: { range: x, title: { text: "steps" }, ...(x[1] < 9 ? { dtick: 1 } : { tickformat: "d" }) },
      yaxis: { range: y, type: "log", title: { text: "loss J" }, nticks: 7 },
    });
  }

  function commit() {
    axes(curves().map(({ lane, dashed, curve }) => ({
      type: "scatter", mode: "lines", name: session.lanes[lane]?.label, x: curve.x, y: curve.y,
      line: { color: session.colour(lane), width: 2, dash: dashed ? "dash" : "solid" },
      hovertemplate: `${session.lanes[lane]?.label}, step %{x}<br>J = %{y:.6g}<extra></extra>`,
    })));
  }

  function* rows() {
    const all = curves(), limit = Math.max(10, Math.floor(1000 / Math.max(1, all.length)));
    for (const { lane, curve } of all) {
      const label = session.lanes[lane]?.label ?? "";
      for (let k = 0; k < Math.min(curve.x.length, limit); k++) yield [label, curve.step[k], curve.y[k]];
    }
  }

  commit();
  return {
    picture,
    /** @param {import("./types").SessionEvent} event */
    on(event) {
      if (event.kind === "theme") {
        picture.dress();
        commit();
      }
      picture.moved();
    },
  };
}
