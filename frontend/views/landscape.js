// The landscape: level sets of J, the lanes' paths, and at the scrubbed iterate what Newton's method believes there:
// the quadratic model, its minimizer, and the damping path from the Newton step to the gradient direction.

import { named } from "../catalog.js";
import { h, written } from "../dom.js";
import { blend, css, levelSets, near, trail } from "../geometry.js";
import { figure, rgb } from "../plot.js";
import { startHandle } from "../start_handle.js";
import { asker, dampingAt, recorded, terrain } from "../terrain.js";
import { curve, drawPath, mark } from "../paths.js";
import { toggles } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../geometry.js").Trail} Trail */

export const name = "landscape";
export const title = "Landscape";
export const order = 10;

/** @param {Session} session @returns {true | string} */
export const wants = (session) => session.dimension >= 2 || "A landscape needs at least two weights.";

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const show = { trajectories: true, model: true, damping: true };
  const reduced = matchMedia("(prefers-reduced-motion: reduce)");
  /** The linked probes' answers. @type {{lane: number, step: number, model: any, path: any}} */
  let local = { lane: -1, step: 0, model: null, path: null };
  let asked = "", problem = ""; // the iterate that was asked about, and what was wrong with that
  /** @type {Trail[]} */
  let trails = [];
  let stale = true; // trails do not fit the lanes or the axes any more
  let axesKey = "";

  const picture = figure({
    element, signal, label: "Landscape of the cost with the optimizers' paths", file: "landscape", drag: "zoom",
    draw, settle: commit, viewed, tell: () => tell(), table: () => ({ head: ["lane", "step", ...names(), "J"], rows }),
  });
  const ground = terrain({
    session,
    changed: () => { stale = true; commit(); picture.moved(); },
    failed: (message) => picture.say(ground.grid ? null : message),
  });
  const names = () => ground.names();
  const readout = h("p", { class: "view-readout" });
  const switches = toggles("Shown on the landscape", show, {
    trajectories: "paths", model: "quadratic model", damping: "damping path",
  }, () => picture.moved());
  element.prepend(switches);
  signal.addEventListener("abort", () => element.replaceChildren());
  picture.root.after(readout);

  const handle = startHandle({
    picture, session, signal, names, moved: picture.moved,
    place: ([x, y]) => (ground.planar() && y !== undefined ? [x, y] : null),
  });

  const iterate = () => {
    const lane = session.lanes[session.selected];
    const last = lane ? Math.max(lane.length - 1, 0) : 0;
    return { lane: session.selected, step: Math.min(Math.round(session.step), last) };
  };

  /** Whether a probe can be asked here at all, as far as the catalog knows. @param {string} probe */
  function able(probe) {
    return Boolean(named(session.catalog.probes, probe) && !session.lacking(probe));
  }

  const question = asker((/** @type {typeof local} */ answer) => {
    local = answer;
    problem = "";
    picture.moved();
  }, (message) => {
    local = { lane: -1, step: 0, model: null, path: null };
    problem = message;
    picture.moved();
  });

  /** The linked probes at the scrubbed iterate: asked one at a time, the newest question wins. */
  function ask() {
    const at = iterate(), lane = session.lanes[at.lane];
    if (!lane?.length || !picture.visible || (!show.model && !show.damping)) return;
    if (!ground.planar() && !session.finished) return; // the plane is the whole run's
    const key = [session.run?.id, at.lane, at.step, show.model, show.damping].join();
    if (key === asked) return;
    asked = key;
    // A fixed damping the server knows; one that adapts it is told.
    const eta = lane.columns.damping && { damping: dampingAt(session, at.lane, at.step) };
    const get = async (/** @type {any} */ probe) =>
      recorded(session, probe.name, at.lane, at.step) ?? (session.interactive ? session.probe(probe, at) : null);
    question(async () => {
      const answers = await Promise.allSettled([
        show.model && able("quadratic-model") ? get({ name: "quadratic-model" }) : null,
        show.damping && able("damping-path") ? get({ name: "damping-path", ...eta }) : null,
      ]);
      const [model, path] = answers.map((answer) => (answer.status === "fulfilled" ? answer.value : null));
      const failed = answers.find((answer) => answer.status === "rejected");
      if (failed && !model && !path) throw failed.reason;
      return { ...at, model, path };
    });
  }

  /** What the picture says in words. */
  function tell() {
    const at = iterate(), lane = session.lanes[at.lane], { model, path } = local, grid = ground.grid;
    /** @type {string[]} */
    const says = [];
    if (grid?.slice && grid.explained) {
      const share = Math.round(100 * grid.explained.reduce((a, b) => a + b, 0));
      says.push(`A slice through ${session.dimension} weights: the plane of the paths’ first two principal directions, ${
        share} % of their variance.`);
    }
    if (lane?.length) says.push(`${lane.label}, step ${at.step}: J = ${written(lane.columns.loss?.[at.step])}.`);
    if (model && show.model) {
      const [low] = model.eigenvalues;
      says.push(`Lowest eigenvalue ${written(low)}: ${
        model.bounded && low < 0 ? "the model has a minimizer in this slice (×), but is unbounded below outside it."
          : model.bounded ? "the model has a minimizer (×)."
            : low < 0 ? "the model is unbounded below, × is only its stationary point."
              : "the model has no single minimizer."}`);
    }
    if (path && show.damping && path.damping !== null) says.push(`Damping path at η = ${written(path.damping)} (◇).`);
    const gone = session.lanes.flatMap(({ label }, i) => {
      const exit = trails[i]?.leaves;
      return exit ? [`${label} leaves the picture at step ${exit.step}.`] : [];
    });
    if (gone.length > 2) says.push(`${gone.length} lanes leave the picture.`);
    else says.push(...gone);
    if (problem) says.push(problem);
    readout.textContent = says.join(" ");
  }

  /** @returns {Iterable<(string | number | null)[]>} */
  function* rows() {
    const own = session.lanes[local.lane], centre = local.model && (local.model.minimizer ?? stationary(local.model));
    if (own && centre) {
      const what = local.model.minimizer ? "minimizer" : "stationary point";
      yield [`${own.label}: the model’s ${what}`, local.step, ...centre, null];
    }
    if (own && local.path?.point) yield [`${own.label}: damped step`, local.step, ...local.path.point, null];
    const limit = Math.max(10, Math.floor(1000 / Math.max(1, session.lanes.length)));
    for (const [i, lane] of session.lanes.entries()) {
      for (const [step, [u, v]] of ground.path(i).slice(0, limit).entries()) {
        yield [lane.label, step, u, v, lane.columns.loss?.[step] ?? null];
      }
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(context, { width, height, theme }) {
    const toPixel = picture.mapper(), x = picture.range("xaxis"), y = picture.range("yaxis");
    if (!toPixel || !x || !y) return;
    const now = [width, height, ...x, ...y].join();
    if (stale || now !== axesKey) {
      trails = session.lanes.map((_, i) => trail(ground.path(i), toPixel, width, height));
      axesKey = now;
      stale = false;
    }
    const box = /** @type {import("../geometry.js").Window} */ ([x, y]);
    ask(); // what is not in sight is not asked for
    // While the next answer is under way the last one stands: a blink at every step would be worse than a lag.
    const current = local.lane === session.selected;
    const lane = rgb(session.colour(session.selected)), halo = theme.paper;
    if (current && show.model && local.model) {
      context.lineJoin = "round";
      for (const { through, lines } of levelSets(local.model, box)) {
        context.strokeStyle = css(lane, through ? 0.95 : 0.5);
        context.lineWidth = through ? 2 : 1.1;
        context.beginPath();
        for (const points of lines) curve(context, points, toPixel);
        context.stroke();
      }
    }
    if (current && show.damping && local.path) {
      for (const branch of local.path.branches) {
        context.setLineDash(branch.main ? [] : [4, 4]);
        context.strokeStyle = css(theme.ink, branch.main ? 0.9 : 0.55);
        context.lineWidth = branch.main ? 1.8 : 1.2;
        context.beginPath();
        curve(context, branch.points, toPixel);
        context.stroke();
      }
      context.setLineDash([]);
    }
    const step = reduced.matches ? Math.round(session.step) : session.step;
    if (show.trajectories) {
      const order = trails.map((_, i) => i).filter((i) => i !== session.selected);
      if (trails[session.selected]) order.push(session.selected);
      for (const i of order) {
        drawPath(context, trails[i], step, { colour: rgb(session.colour(i)), halo, strong: i === session.selected });
      }
    }
    if (current && show.model && local.model) {
      const centre = local.model.minimizer ?? stationary(local.model);
      if (centre) mark(context, "cross", ...toPixel(centre[0], centre[1]), { colour: lane, halo });
    }
    if (current && show.damping && local.path?.point) {
      const [u, v] = local.path.point;
      mark(context, "diamond", ...toPixel(u, v), { colour: theme.ink, halo });
    }
    handle.place(toPixel, width, height);
  }

  /** The reader zoomed: the same ground at a finer grain. */
  function viewed() {
    const x = picture.range("xaxis"), y = picture.range("yaxis");
    if (ground.planar()) ground.refresh(picture.zoomed && x && y ? [x, y] : null);
    picture.moved();
  }

  /** Hands Plotly the level sets and everything that has come to rest. */
  function commit() {
    if (!handle.held) {
      const x = picture.range("xaxis"), y = picture.range("yaxis");
      ground.refresh(picture.zoomed && x && y ? [x, y] : null);
    }
    const { grid, relief: shade, window } = ground;
    if (!grid && !ground.planar()) picture.say("With more than two weights a slice is drawn, once the run has ended.");
    if (!grid || !shade || !window) return;
    picture.say(null);
    const theme = picture.theme, [u, v] = names();
    const low = blend(theme.paper, theme.muted, theme.dark ? 0.62 : 0.55);
    const line = css(theme.ink, theme.dark ? 0.3 : 0.25);
    const ticks = Array.from({ length: 6 }, (_, i) => shade.base + (i * (shade.top - shade.base)) / 5);
    const wide = picture.area.clientWidth > 560;
    const contour = {
      type: "contour", x: grid.x, y: grid.y, z: shade.z, customdata: grid.loss, name: "J", showlegend: false,
      contours: { start: shade.levels[0], end: shade.levels[shade.levels.length - 1], size: shade.step },
      autocontour: false, zmin: shade.base, zmax: shade.top,
      colorscale: [[0, css(low)], [1, css(blend(theme.paper, theme.muted, 0.04))]],
      line: { color: line, width: 0.8 }, showscale: wide,
      colorbar: {
        thickness: 10, outlinewidth: 0, tickvals: ticks, ticktext: ticks.map((h) => written(shade.lossOf(h), 2)),
        title: { text: "J", side: "top" }, tickfont: { size: 11 }, xpad: 4,
      },
      hovertemplate: `J = %{customdata:.4g}<br>${u} = %{x:.4g}<br>${v} = %{y:.4g}<extra></extra>`,
    };
    const lanes = show.trajectories ? session.lanes.map((lane, i) => {
      const shown = near(ground.path(i).slice(0, 2000), window);
      return {
        type: "scatter", mode: "lines+markers", name: lane.label, showlegend: true,
        x: shown.map((p) => p[0]), y: shown.map((p) => p[1]),
        line: { color: session.colour(i), width: 2 }, marker: { size: 5 },
        text: shown.map((_, k) => `${lane.label}, step ${k}<br>J = ${written(lane.columns.loss?.[k])}`),
        hovertemplate: `%{text}<br>${u} = %{x:.4g}<br>${v} = %{y:.4g}<extra></extra>`,
      };
    }) : [];
    picture.commit([contour, ...lanes, ...atRest(window)], {
      xaxis: { range: window[0], title: { text: u } }, yaxis: { range: window[1], title: { text: v } },
      margin: { l: 56, r: wide ? 8 : 12, t: 10, b: 44 },
    });
  }

  /** The model and the damping path as traces, for the exported picture.
   * @param {import("../geometry.js").Window} window */
  function atRest(window) {
    const line = (/** @type {(number | null)[][]} */ points, /** @type {any} */ style) => {
      const [x, y] = [0, 1].map((i) => near(points, window).map((p) => p[i]));
      return { type: "scatter", mode: "lines", hoverinfo: "skip", line: style, showlegend: false, x, y };
    };
    const colour = session.colour(session.selected), ink = css(picture.theme.ink);
    const rings = show.model && local.model ? levelSets(local.model, window) : [];
    const branches = show.damping && local.path ? local.path.branches : [];
    return [
      ...rings.flatMap(({ through, lines }) => lines.map((p) => line(p, { color: colour, width: through ? 2 : 1 }))),
      ...branches.map((/** @type {any} */ branch) =>
        line(branch.points, { color: ink, width: 1.5, dash: branch.main ? "solid" : "dot" })),
    ];
  }

  commit();
  tell();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (ground.on(event)) {
        local = { lane: -1, step: 0, model: null, path: null };
        picture.reset();
      }
      if (event.kind === "theme") {
        picture.dress();
        commit();
      }
      if (["axis", "clock", "run"].includes(event.kind)) return;
      if (event.kind === "chunk" || event.kind === "end") stale = true;
      picture.moved();
    },
  };
}

/** @param {import("../geometry.js").Model} model @returns {number[] | null} */
function stationary({ at, gradient: g, hessian: [[a, b], [, d]] }) {
  const det = a * d - b * b;
  if (Math.abs(det) <= 1e-14 * (a * a + d * d + 2 * b * b)) return null;
  return [at[0] - (d * g[0] - b * g[1]) / det, at[1] - (a * g[1] - b * g[0]) / det];
}
