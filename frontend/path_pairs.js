// Pairs of lanes over the level sets of two weights: solid the path of the optimizer in w, dashed that of its twin.

import { trail } from "./geometry.js";
import { drawTwin } from "./paths.js";
import { figure, rgb } from "./plot.js";
import { scene } from "./scene.js";
import { terrain } from "./terrain.js";

/** @param {{element: HTMLElement, session: import("./types").Session, signal: AbortSignal, tell: () => void,
 *   pairs: () => import("./reparameterization.js").Pair[]}} options */
export function pathPairs({ element, session, signal, tell, pairs }) {
  const reduced = matchMedia("(prefers-reduced-motion: reduce)");
  /** @type {import("./geometry.js").Trail[]} */
  let dashed = [];
  let drawn = "", frame = "", framed = 0;

  const picture = figure({
    element, signal, label: "Paths of the pairs", file: "invariance", draw, tell, settle: commit, viewed: commit,
    table: () => ({ head: ["lane", "step", ...ground.names(), "J"], rows }),
  });
  const ground = terrain({
    session,
    changed() {
      show();
      commit();
      picture.paint();
    },
    failed: (message) => picture.say(ground.grid ? null : message),
  });
  const solid = scene(session, picture);

  const shown = () => pairs().flatMap(({ own, other }) => [own, other]);
  function show() {
    const { grid, relief } = ground;
    solid.show({
      relief: grid && relief && { ...grid, heights: relief.z, levels: relief.levels }, model: null,
      path: (i) => (pairs().some(({ own }) => own === i) ? ground.path(i) : []),
    });
  }

  /** @param {CanvasRenderingContext2D} context @param {import("./plot.js").Area} area */
  function draw(context, area) {
    fit();
    const toPixel = picture.mapper(), { width, height, theme } = area;
    if (!toPixel) return;
    const step = reduced.matches ? Math.round(session.step) : session.step;
    solid.draw(context, area, step);
    const others = pairs().map(({ other }) => other);
    const now = JSON.stringify([session.run?.id, width, height, picture.range("xaxis"), picture.range("yaxis"),
      others.map((i) => ground.path(i).length)]);
    if (now !== drawn) dashed = others.map((i) => trail(ground.path(i), toPixel, width, height));
    drawn = now;
    others.forEach((i, k) => drawTwin(context, dashed[k], step, { colour: rgb(session.colour(i)), halo: theme.paper }));
  }

  /** Axes follow while things move, as often as Plotly can. */
  function fit() {
    if (picture.zoomed || !picture.due(framed) || JSON.stringify(ground.window) === frame) return;
    axes(false);
  }

  function commit() {
    const x = picture.range("xaxis"), y = picture.range("yaxis");
    ground.refresh(picture.zoomed && x && y ? [x, y] : null);
    axes(true);
  }

  /** @param {boolean} whole  whether everything is handed over, for hover and export */
  function axes(whole) {
    const { window } = ground, [u, v] = ground.names();
    if (!window) return;
    [frame, framed] = [JSON.stringify(window), performance.now()];
    const dash = new Set(pairs().map(({ other }) => session.lanes[other]?.label));
    const traces = whole ? solid.traces(window) : [{ type: "scatter", x: [], y: [] }];
    const twins = whole ? pairs().map(({ other }) => ({
      type: "scatter", mode: "lines+markers", name: session.lanes[other]?.label, hoverinfo: "x+y+name",
      x: ground.path(other).map((w) => w[0]), y: ground.path(other).map((w) => w[1]),
      line: { color: session.colour(other), width: 2, dash: "dash" }, marker: { size: 6, symbol: "circle-open" },
    })) : [];
    picture.commit([...traces.filter((/** @type {any} */ trace) => !dash.has(trace.name)), ...twins], {
      xaxis: { range: window[0], title: { text: u }, nticks: 7 },
      yaxis: { range: window[1], title: { text: v }, nticks: 7 },
      margin: { l: 52, r: 8, t: 8, b: 44 },
    });
  }

  function* rows() {
    const limit = Math.max(10, Math.floor(1000 / Math.max(1, shown().length)));
    for (const i of shown()) {
      const { label, columns } = session.lanes[i] ?? { label: "", columns: {} };
      for (const [step, [u, v]] of ground.path(i).slice(0, limit).entries()) {
        yield [label, step, u, v, columns.loss?.[step] ?? null];
      }
    }
  }

  show();
  commit();
  return {
    picture,
    names: ground.names,
    path: ground.path,
    /** @param {import("./types").SessionEvent} event */
    on(event) {
      if (ground.on(event)) picture.reset();
      if (event.kind === "theme") {
        picture.dress();
        commit();
      }
      picture.moved();
    },
  };
}
