// The same run twice: in the weights w, and in the coordinates w̃ = R⁻¹(w − b) in which a preconditioned step is plain
// gradient descent. Level sets, the quadratic model's ellipses and their images, condition numbers; a crosshair in
// either picture marks the same point in the other.

import { named } from "../catalog.js";
import { conditionOf, into, minimizer, out, partOf, transformed, windowAround } from "../coordinates.js";
import { crosshair } from "../crosshair.js";
import { h, written } from "../dom.js";
import { laneOf, stepOf } from "../iterate.js";
import { figure } from "../plot.js";
import { scene } from "../scene.js";
import { knobField } from "../sliders.js";
import { asker, recorded, terrain } from "../terrain.js";
import { choice } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../geometry.js").Model} Model */
/** @typedef {import("../geometry.js").Window} Window */
/** @typedef {import("../coordinates.js").Frame} Frame */
/** @typedef {Model & Frame & {matrix: string, factor: string, damping: number, reason: string | null,
 *   tilde: {x: number[], y: number[], loss: number[][]} | null}} Space */
/** @typedef {{lane: number, step: number, from: number, space: Space, model: Model}} Shown
 *   space: measured at the step `from`; model: at the step shown */

export const name = "preconditioned-space";
export const title = "Preconditioned space";
export const order = 25;
export const wide = true;

/** @param {Session} session @returns {true | string} */
export const wants = (session) =>
  session.lacking(name) ?? (session.dimension === 2 || "It is drawn for two weights.");

const OWN = "own";
/** @type {Record<string, string>} */
const MATRICES = {
  hessian: "Hessian H", "gauss-newton": "Gauss-Newton G", fisher: "Fisher F", "empirical-fisher": "Empirical Fisher",
  diagonal: "Diagonal diag G", identity: "Identity I",
};
/** @type {Record<string, string>} */
const FACTORS = { cholesky: "Cholesky", "square-root": "symmetric square root" };
const TILDE = ["w̃0", "w̃1"];

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const reduced = matchMedia("(prefers-reduced-motion: reduce)");
  const entry = named(session.catalog.probes, name), own = session.spec.probes?.find((p) => p.name === name);
  /** What the reader chose; the matrix OWN and a factor of null are the lane's. */
  const settings = { matrix: own?.matrix ?? OWN, factor: own?.factor ?? null, damping: own?.damping ?? 0 };
  /** @type {Shown | null} */
  let shown = null;
  let asked = "", frame = "", framed = 0;
  /** The ground's, whose level sets take long to trace. @type {import("../scene.js").Relief | null} */
  let relief = null;

  const which = choice("Matrix C ", (value) => choose({ matrix: value }));
  const how = choice("Factor R ", (value) => choose({ factor: value }));
  const schema = { type: "number", ...entry?.knobs.properties.damping, title: "damping" };
  const damp = knobField({ path: `${name}.damping`, key: "damping", schema, change: (damping) => choose({ damping }) });
  damp.set(settings.damping);
  const stage = h("div", { class: "pullback-panels" });
  const cross = h("p", { class: "view-readout" });
  const wrong = h("p", { class: "view-error", role: "status" });
  element.append(
    h("div", { class: "view-controls view-knobs" }, which.element, how.element, damp.element), stage, cross, wrong);
  signal.addEventListener("abort", () => element.replaceChildren());

  const ground = terrain({
    session,
    changed() {
      const { grid, relief: shade } = ground;
      relief = grid && shade && { ...grid, heights: shade.z, levels: shade.levels };
      compose();
      commit();
      paint();
    },
    failed: (message) => (wrong.textContent = message),
  });
  const panels = [panel("In w", "w", ground.names), panel("In w̃ = R⁻¹(w − b)", "w-tilde", () => TILDE)];
  const [plain, tilde] = panels;

  /** @param {string} label @param {string} file @param {() => string[]} names */
  function panel(label, file, names) {
    const place = h("div", { class: "pullback-panel" }, h("h4", {}, label)), number = stage.childElementCount;
    stage.append(place);
    const picture = figure({
      element: place, signal, label, file, tell, settle: commit, seen: ask, viewed: () => (number ? ask() : commit()),
      draw: (context, area) => draw(number, context, area),
      table: () => ({ head: ["lane", "step", ...names(), "J"], rows: () => rows(number) }),
    });
    const words = h("p", { class: "view-readout" });
    picture.root.after(words);
    return { picture, words, label, names, scene: scene(session, picture) };
  }

  const lens = crosshair({
    places: [
      { ...plain, into: (w) => w, out: (w) => w },
      { ...tilde, into: (w) => (shown?.space.tilde ? into(shown.space, w) : null),
        out: (p) => (shown?.space.tilde ? out(shown.space, p) : null) },
    ],
    rest: () => shown?.model.at ?? null, signal, changed: () => { point(); paint(); },
  });

  const paint = () => panels.forEach(({ picture }) => picture.paint());
  const moved = () => panels.forEach(({ picture }) => picture.moved());
  /** The lane's own part of the spec, where it goes by coordinates of its own. */
  function preconditioned() {
    const part = partOf(session, session.selected);
    return part?.name === "preconditioned-gradient" ? part : null;
  }

  /** @param {Partial<typeof settings>} change */
  function choose(change) {
    Object.assign(settings, change);
    ask();
  }

  /** The coordinates in use, and the lane's part of the spec where they are its own. */
  function use() {
    const part = preconditioned(), matrix = settings.matrix === OWN && !part ? "hessian" : settings.matrix;
    const factor = settings.factor ?? part?.factor ?? "cholesky";
    if (part && matrix === OWN) return { part, matrix: part.matrix, factor, damping: laneOf(session)?.knobs.damping };
    return { part: null, matrix, factor, damping: settings.damping };
  }

  function offer() {
    const { part, matrix, factor } = use();
    which.offer([
      ...(preconditioned() ? [/** @type {[string, string]} */ ([OWN, "the lane’s own"])] : []),
      ...Object.entries(MATRICES),
    ], part ? OWN : matrix);
    how.offer(Object.entries(FACTORS), factor);
    damp.element.hidden = Boolean(part);
  }

  const question = asker((/** @type {Shown} */ answer) => {
    const { reason } = answer.space, first = !shown;
    shown = answer;
    wrong.textContent = "";
    tilde.picture.say(reason && `Here ${reason}: it is no change of coordinates. More damping makes it one.`);
    compose();
    point();
    if (first) axes(true);
    moved();
  }, (message) => (wrong.textContent = message));

  /** The coordinates at the scrubbed step: a lane's own are those of the step at which it measured C last. */
  function ask() {
    const at = { lane: session.selected, step: stepOf(session) }, seen = ground.window;
    if (!laneOf(session)?.length || !seen || !panels.some(({ picture }) => picture.visible)) return;
    const { part, ...asking } = use(), probe = { name, ...asking };
    const from = { ...at, step: !part ? at.step : part.refresh ? at.step - (at.step % part.refresh) : 0 };
    const ranges = tilde.picture.zoomed ? [tilde.picture.range("xaxis"), tilde.picture.range("yaxis")] : null;
    const rows = session.lanes.map((one) => one.length);
    const key = JSON.stringify([session.run?.id, at, from, probe, rows, seen, ranges]);
    if (key === asked) return;
    asked = key;
    offer();
    const points = session.lanes.flatMap((_, i) => ground.path(i));
    const get = async (/** @type {any} */ one, /** @type {typeof at} */ where) => {
      const fits = (/** @type {any} */ data) => one.name !== name || data.matrix === probe.matrix;
      return recorded(session, one.name, where.lane, where.step, fits) ?? session.probe(one, where);
    };
    question(async () => {
      const first = await get(probe, from);
      const model = from.step === at.step ? first : await get({ name: "quadratic-model" }, at);
      const goal = minimizer(model);
      const window = first.tilde && (ranges ?? windowAround(first, goal ? [...points, goal] : points, seen));
      const space = window ? await get({ ...probe, window }, from) : first;
      return { ...at, from: from.step, space, model };
    });
  }

  /** Level sets of the same costs in both pictures, so that each curve on one side has its image on the other. */
  function compose() {
    const shade = ground.relief, space = shown?.space, image = space?.tilde;
    plain.scene.show({ relief, model: shown?.model ?? null, path: ground.path });
    tilde.scene.show({
      relief: image && shade
        ? { ...image, heights: image.loss.map((row) => row.map(shade.height)), levels: shade.levels } : null,
      model: shown && image ? transformed(shown.space, shown.model) : null,
      path: (i) => (space && image ? ground.path(i).map((w) => into(space, w)) : []),
    });
  }

  /** @param {number} number @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(number, context, area) {
    ask();
    fit();
    panels[number].scene.draw(context, area, reduced.matches ? Math.round(session.step) : session.step);
    lens.draw(number, context, area);
  }

  /** What each picture covers. @returns {(Window | null)[]} */
  function windows() {
    const image = shown?.space.tilde, ends = (/** @type {number[]} */ a) => [a[0], a[a.length - 1]];
    return [ground.window, image ? /** @type {Window} */ ([ends(image.x), ends(image.y)]) : null];
  }

  /** Axes follow while things move, as often as Plotly can. */
  function fit() {
    if (panels.some(({ picture }) => picture.zoomed) || !tilde.picture.due(framed)) return;
    if (JSON.stringify(windows()) !== frame) axes(false);
  }

  function commit() {
    const x = plain.picture.range("xaxis"), y = plain.picture.range("yaxis");
    ground.refresh(plain.picture.zoomed && x && y ? [x, y] : null);
    ask();
    axes(true);
  }

  /** Hands Plotly the axes and, at rest, everything for hover and export. @param {boolean} whole */
  function axes(whole) {
    const both = windows();
    [frame, framed] = [JSON.stringify(both), performance.now()];
    panels.forEach(({ picture, names, scene }, number) => {
      const window = both[number];
      if (!window) return;
      const [u, v] = names();
      picture.commit(whole ? scene.traces(window) : [{ type: "scatter", x: [], y: [] }], {
        xaxis: { range: window[0], title: { text: u }, nticks: 7 },
        yaxis: { range: window[1], title: { text: v }, nticks: 7, scaleanchor: "x", constrain: "range" },
        margin: { l: 52, r: 8, t: 8, b: 44 },
      });
    });
  }

  /** Where the crosshair is, in both pictures. */
  function point() {
    const w = lens.at, space = shown?.space;
    const told = (/** @type {number[]} */ p) => `(${p.map((value) => written(value)).join(", ")})`;
    cross.textContent = !w ? "" : [
      `Crosshair: w = ${told(w)}`, ...(space?.tilde ? [`w̃ = ${told(into(space, w))}`] : []),
    ].join(" is ") + ". Point at either picture, or move it with the arrow keys.";
  }

  function tell() {
    if (!shown) return;
    const { space, model, from, step } = shown, label = session.lanes[shown.lane]?.label ?? "The lane";
    const image = tilde.scene.content.model, R = space.R?.map((row) => row.map((value) => written(value)).join(", "));
    plain.words.textContent = [
      `${label}, step ${step}: J = ${written(model.loss)}. The condition number of H is`,
      `${written(conditionOf(model.hessian))}; the ellipses are the quadratic model’s.`,
    ].join(" ");
    tilde.words.textContent = !image ? "" : [
      `RRᵀ = (C + ηI)⁻¹ with C = ${MATRICES[space.matrix]}${from === step ? "" : ` of step ${from}`},`,
      `η = ${written(space.damping)}: R = (${R.join("; ")}). The condition number of H̃ = RᵀHR is`,
      `${written(conditionOf(image.hessian))}.`,
    ].join(" ");
  }

  /** @param {number} number @returns {Iterable<(string | number | null)[]>} */
  function* rows(number) {
    const limit = Math.max(10, Math.floor(1000 / Math.max(1, session.lanes.length)));
    for (const [i, one] of session.lanes.entries()) {
      for (const [step, [u, v]] of panels[number].scene.content.path(i).slice(0, limit).entries()) {
        yield [one.label, step, u, v, one.columns.loss?.[step] ?? null];
      }
    }
  }

  offer();
  commit();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (ground.on(event)) {
        shown = null;
        panels.forEach(({ picture }) => picture.reset());
      }
      if (event.kind === "theme") {
        panels.forEach(({ picture }) => picture.dress());
        commit();
      }
      if (["axis", "clock", "run", "spec"].includes(event.kind)) return;
      moved();
    },
  };
}
