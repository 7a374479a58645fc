// A run in one picture's coordinates: level sets of the cost, the quadratic model at the iterate, the lanes' paths.

import { minimizer } from "./coordinates.js";
import { css, isolines, levelSets, near, trail } from "./geometry.js";
import { curve, drawPath, mark } from "./paths.js";
import { rgb } from "./plot.js";

/** @typedef {import("./geometry.js").Model} Model */
/** @typedef {import("./types").Session} Session */
/** @typedef {{x: number[], y: number[], heights: number[][], levels: number[]}} Relief */
/** @typedef {{relief: Relief | null, model: Model | null, path: (lane: number) => number[][]}} Content */

const SHOWN = 2000; // rows of a lane that are handed to Plotly

/** @param {Session} session @param {import("./plot.js").Figure} picture */
export function scene(session, picture) {
  /** @type {Content} */
  let content = { relief: null, model: null, path: () => [] };
  /** Segments of level sets. @type {number[][]} */
  let lines = [];
  /** @type {import("./geometry.js").Trail[]} */
  let trails = [];
  let axes = ""; // what the trails were made for

  return {
    get content() { return content; },
    /** @param {Content} next */
    show(next) {
      const { relief } = next;
      if (relief !== content.relief) {
        lines = relief?.levels.flatMap((level) => isolines(relief.x, relief.y, relief.heights, level)) ?? [];
      }
      content = next;
      axes = "";
    },
    /** @param {CanvasRenderingContext2D} context @param {import("./plot.js").Area} area @param {number} step */
    draw(context, { width, height, theme }, step) {
      const toPixel = picture.mapper(), x = picture.range("xaxis"), y = picture.range("yaxis");
      if (!toPixel || !x || !y) return;
      const { model, path } = content, colour = rgb(session.colour(session.selected)), halo = theme.paper;
      const now = [session.run?.id, width, height, ...x, ...y, session.lanes.map((lane) => lane.length)].join();
      if (now !== axes) trails = session.lanes.map((_, i) => trail(path(i), toPixel, width, height));
      axes = now;
      context.strokeStyle = css(theme.ink, theme.dark ? 0.34 : 0.26);
      context.lineWidth = 0.9;
      context.beginPath();
      for (const [ax, ay, bx, by] of lines) {
        context.moveTo(...toPixel(ax, ay));
        context.lineTo(...toPixel(bx, by));
      }
      context.stroke();
      for (const { through, lines: rings } of model ? levelSets(model, [x, y]) : []) {
        context.strokeStyle = css(colour, through ? 0.95 : 0.5);
        context.lineWidth = through ? 2 : 1.1;
        context.beginPath();
        for (const points of rings) curve(context, points, toPixel);
        context.stroke();
      }
      const order = trails.map((_, i) => i).filter((i) => i !== session.selected);
      for (const i of [...order, ...(trails[session.selected] ? [session.selected] : [])]) {
        const strong = i === session.selected;
        drawPath(context, trails[i], step, { colour: rgb(session.colour(i)), halo, strong });
      }
      const goal = model && minimizer(model);
      if (goal) mark(context, "cross", ...toPixel(...goal), { colour, halo });
    },
    /** The same for Plotly, which exports it and answers to hover. @param {import("./geometry.js").Window} window */
    traces(window) {
      const line = (/** @type {(number | null)[][]} */ points, /** @type {object} */ style) => ({
        type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false,
        x: points.map((p) => p[0]), y: points.map((p) => p[1]), ...style,
      });
      const { model, path } = content, muted = css(picture.theme.muted, 0.5);
      const levels = lines.flatMap(([ax, ay, bx, by]) => [[ax, ay], [bx, by], [null, null]]);
      const rings = model ? levelSets(model, window).flatMap((ring) => ring.lines) : [];
      const own = { color: session.colour(session.selected), width: 1.2 };
      return [
        line(levels, { line: { color: muted, width: 0.8 } }),
        ...rings.map((points) => line(points, { line: own })),
        ...session.lanes.map((lane, i) => line(near(path(i).slice(0, SHOWN), window), {
          mode: "lines+markers", name: lane.label, showlegend: true, hoverinfo: "x+y+name",
          line: { color: session.colour(i), width: 2 }, marker: { size: 5 },
        })),
      ];
    },
  };
}
