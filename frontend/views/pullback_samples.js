// The pullback sampling trick with two weights, in two panels. Left, inputs one by one: how likely targets drawn from
// the model are with other weights, and the gradients with which they pull. Right, all inputs together: the mean of
// those level sets, and the gradients' covariance on its way to F.

import { h, written } from "../dom.js";
import { clip, crossings, css, eigen, ellipse } from "../geometry.js";
import { iterateProbe } from "../iterate.js";
import { curve, mark } from "../paths.js";
import { figure, rgb } from "../plot.js";
import { knobField } from "../sliders.js";
import { toggles } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../geometry.js").Point} Point */
/** @typedef {import("../geometry.js").RGB} RGB */
/** @typedef {{example: number, input: number[], direction: Point, gradients: Point[], surprise: number[]}} Input */
/** @typedef {"fisher" | "covariance" | "average" | "empirical_fisher"} Which */
/** @typedef {Record<Which, number[][]> & {samples: number, timescale: number, error: Record<string, number>,
 *   expected: Record<string, number>, along: number[], radius: number[], divergence: number[][], gradients: Point[],
 *   inputs: Input[]}} Answer */
/** @typedef {Answer & {lane: number, step: number}} Shown */
/** @typedef {{points: (Point | [null, null])[], colour: RGB, alpha?: number, width: number, dash?: number[],
 *   label?: string}} Stroke */
/** @typedef {{points: Point[], colour: RGB, label: string, radius: number}} Dots */

export const name = "pullback-samples";
export const title = "Pullback samples";
export const order = 36;
export const wide = true;

/** @param {Session} session @returns {true | string} */
export const wants = (session) =>
  session.lacking(name) ?? (session.dimension === 2 || "Gradients are drawn in the plane of two weights.");

/** @type {Record<Which, string>} */
const ELLIPSES = {
  fisher: "Fisher F", covariance: "covariance of the samples", average: "moving average",
  empirical_fisher: "empirical Fisher",
};
const WHICH = /** @type {Which[]} */ (Object.keys(ELLIPSES));
const DEVIATIONS = 2; // of an ellipse: inside are 86 % of what is normally distributed
const HUES = ["--lane-4", "--lane-5", "--lane-6"]; // of the inputs looked at one by one
const BREAK = /** @type {[null, null]} */ ([null, null]);

/** A distance between levels, of 1, 2 or 5 times a power of ten. @param {number} rough */
function round(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((k) => k * power >= rough) ?? 10);
}

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const show = { fisher: true, covariance: true, average: true, empirical_fisher: true, contours: true };
  const knobs = session.catalog.probes.find((p) => p.name === name)?.knobs.properties ?? {};
  const own = session.spec.probes?.find((p) => p.name === name);
  /** @type {Record<string, number>} */
  const settings = Object.fromEntries(Object.entries(knobs).map(([key, knob]) => [key, own?.[key] ?? knob.default]));
  /** @type {Shown | null} */
  let shown = null;
  /** What each panel shows, in data coordinates. @type {{strokes: Stroke[], dots: Dots[]}[]} */
  let scenes = [];
  let frame = "", framed = 0;
  let apart = 0, ridged = false; // how far level sets are apart, and whether a target is likeliest somewhere

  const panels = h("div", { class: "pullback-panels" });
  element.append(panels); // before the figures, which read the page's colours where they stand
  const weights = session.problem.weights;
  const single = panel("Inputs one by one", "pullback-inputs", {
    head: ["example", "input x", "target", ...weights.map((w) => `gradient, ${w}`)], rows: singleRows,
  });
  const together = panel("All inputs together", "pullback-samples", {
    head: ["matrix", "1,1", "1,2", "2,2", "relative error", "usual error"], rows: togetherRows,
  });
  const both = [single, together];
  const fields = Object.entries(knobs).map(([key, schema]) => {
    const change = (/** @type {number} */ value) => {
      settings[key] = value;
      ask();
    };
    const field = knobField({ path: `${name}.${key}`, key, schema, change });
    field.set(settings[key]);
    return field.element;
  });
  const switches = toggles("Drawn together", show, { ...ELLIPSES, contours: "level sets" }, () => {
    compose();
    commit();
  });
  [...switches.children].forEach((label, i) =>
    label.firstElementChild?.after(h("span", { class: `line-key ${WHICH[i] ?? "contours"}`, "aria-hidden": "true" })));
  const wrong = h("p", { class: "view-error", role: "status" });
  panels.before(h("div", { class: "view-controls pullback-knobs" }, fields), switches);
  panels.after(wrong);
  signal.addEventListener("abort", () => element.replaceChildren());

  /** @param {string} label @param {string} file @param {import("../plot.js").Table} table */
  function panel(label, file, table) {
    const place = h("div", { class: "pullback-panel" }, h("h4", {}, label)), number = panels.childElementCount;
    panels.append(place);
    const picture = figure({
      element: place, signal, label, file, draw: (context, { theme }) => draw(number, context, theme), tell,
      settle: () => commit(), seen: () => ask(), table: () => table,
    });
    const words = h("p", { class: "view-readout" });
    picture.root.after(words);
    return { picture, words };
  }

  const moved = () => both.forEach(({ picture }) => picture.moved());
  const say = (/** @type {string | null} */ text) => both.forEach(({ picture }) => picture.say(text));

  /** @param {Answer} data @param {number} lane @param {number} step */
  function take(data, lane, step) {
    const first = !shown;
    shown = { ...data, lane, step };
    wrong.textContent = "";
    say(null);
    compose();
    if (first) commit();
    moved();
  }

  const question = iterateProbe({ session, name, take, fail(message) {
    wrong.textContent = message;
    if (!shown) say(null);
  } });

  function ask() {
    if (!both.some(({ picture }) => picture.visible)) return;
    question(settings, (/** @type {Answer} */ data) =>
      data.samples === settings.samples && Math.abs(data.timescale * (1 - settings.decay) - 1) < 1e-6);
  }

  /** Strokes and dots of both panels, from the answer. */
  function compose() {
    if (!shown) return;
    const { along, radius, inputs, divergence, gradients } = shown, { theme } = single.picture;
    const edge = radius[radius.length - 1], style = getComputedStyle(element), colour = rgb(session.colour(shown.lane));
    const box = /** @type {import("../geometry.js").Window} */ ([[-edge, edge], [-edge, edge]]);
    element.style.setProperty("--own", session.colour(shown.lane));
    const near = (/** @type {Input} */ one) => one.surprise.filter((_, i) => Math.abs(along[i]) < edge / 3);
    apart = round(inputs.flatMap(near).reduce((a, b) => Math.max(a, b), 0) / 3 || 1);
    scenes = [0, 1].map(() => ({ strokes: [], dots: [] }));
    const [left, right] = scenes;
    inputs.forEach(({ input, direction: [u, v], gradients, surprise }, i) => {
      const hue = rgb(style.getPropertyValue(HUES[i % HUES.length]), "#8a6a00");
      const label = `x = ${input.map((x) => written(x, 3))}`;
      /** Lines across the direction. @param {number[]} at @returns {Stroke["points"]} */
      const across = (at) => at.flatMap((s) => {
        const [x, y] = [s * u, s * v];
        const cut = clip(x - 4 * edge * v, y + 4 * edge * u, x + 4 * edge * v, y - 4 * edge * u, box);
        return cut ? [[cut[0], cut[1]], [cut[2], cut[3]], BREAK] : [];
      });
      const low = surprise.reduce((a, b) => Math.min(a, b), Infinity), ridge = surprise.indexOf(low);
      for (let k = Math.ceil(low / apart); k <= 3; k++) {
        const line = { points: across(crossings(along, surprise, k * apart)), colour: hue };
        left.strokes.push({ ...line, alpha: k ? 0.4 : 0.9, width: k ? 1 : 1.8 });
      }
      ridged = ridge > 0 && ridge < along.length - 1;
      if (ridged) {
        left.strokes.push({ points: across([along[ridge]]), colour: hue, alpha: 0.7, width: 1.2, dash: [4, 4] });
      }
      left.strokes.push({ points: [[0, 0], gradients[0]], colour: hue, width: 2.6 });
      left.dots.push({ points: gradients.slice(1), colour: hue, label, radius: 3 });
      left.dots.push({ points: gradients.slice(0, 1), colour: hue, label, radius: 5.5 });
    });
    if (show.contours) {
      // The root of a divergence grows nearly evenly along a ray, so that few points make smooth rings.
      const roots = divergence.map((ray) => ray.map((d) => Math.sqrt(Math.max(d, 0))));
      const most = roots.reduce((least, ray) => Math.min(least, ray[ray.length - 1]), Infinity);
      for (const share of [0.25, 0.5, 0.75, 0.999]) {
        const ring = roots.map((ray, i) => {
          const angle = (2 * Math.PI * i) / roots.length, [r] = crossings(radius, ray, most * share);
          return /** @type {Point} */ ([r * Math.cos(angle), r * Math.sin(angle)]);
        });
        right.strokes.push({ points: [...ring, ring[0]], colour: theme.muted, alpha: 0.8, width: 1 });
      }
    }
    right.dots.push({ points: gradients, colour, label: "gradients", radius: 2.2 });
    const look = {
      fisher: { colour: theme.ink, width: 3 }, covariance: { colour, width: 2.2 },
      average: { colour, width: 2.2, dash: [7, 4] },
      empirical_fisher: { colour: rgb(style.getPropertyValue("--danger"), "#a8231b"), width: 2, dash: [2, 3] },
    };
    for (const which of WHICH.filter((key) => show[key])) {
      right.strokes.push({ points: ellipse(shown[which], DEVIATIONS), label: ELLIPSES[which], ...look[which] });
    }
  }

  /** @param {number} number @param {CanvasRenderingContext2D} context @param {import("../plot.js").Theme} theme */
  function draw(number, context, theme) {
    ask();
    fit();
    const toPixel = both[number].picture.mapper(), scene = scenes[number];
    if (!scene || !toPixel) return;
    context.lineJoin = "round";
    const strokes = (/** @type {Stroke[]} */ list) => list.forEach(({ points, colour, alpha, width, dash }) => {
      context.strokeStyle = css(colour, alpha);
      context.lineWidth = width;
      context.setLineDash(dash ?? []);
      context.beginPath();
      curve(context, points, toPixel);
      context.stroke();
    });
    strokes(scene.strokes.filter(({ label }) => !label));
    context.setLineDash([]);
    for (const { points, colour, radius } of scene.dots) {
      context.fillStyle = css(colour, number ? 0.55 : 1);
      context.beginPath();
      for (const point of points) {
        const [x, y] = toPixel(...point);
        context.moveTo(x + radius, y);
        context.arc(x, y, radius, 0, 7);
      }
      context.fill();
    }
    strokes(scene.strokes.filter(({ label }) => label));
    context.setLineDash([]);
    for (const { points: [point], label } of scene.dots.filter(({ radius }) => radius > 4)) {
      const [x, y] = toPixel(...point);
      write(context, label, x + (point[0] < 0 ? -8 : 8), y - 8, point[0] < 0, theme);
    }
    if (!number) mark(context, "disc", ...toPixel(0, 0), { colour: theme.ink, halo: theme.paper });
  }

  /** @param {CanvasRenderingContext2D} context @param {string} text @param {number} x @param {number} y
   * @param {boolean} before @param {import("../plot.js").Theme} theme */
  function write(context, text, x, y, before, theme) {
    context.font = `12px ${theme.font}`;
    context.textAlign = before ? "right" : "left";
    context.lineWidth = 4;
    context.strokeStyle = css(theme.paper, 0.85);
    context.strokeText(text, x, y);
    context.fillStyle = css(theme.ink);
    context.fillText(text, x, y);
  }

  /** Half the width of each window: the grid's, and further out for the empirical Fisher, by whole steps. */
  function reach() {
    const grid = shown?.radius[shown.radius.length - 1] ?? 1;
    if (!shown || !show.empirical_fisher) return [grid, grid];
    const most = Math.sqrt(Math.max(eigen(shown.empirical_fisher).values[1], 0)) * DEVIATIONS * 1.05;
    return [grid, grid * 1.25 ** Math.min(Math.max(Math.ceil(Math.log(most / grid) / Math.log(1.25)), 0), 5)];
  }

  function fit() {
    if (both.some(({ picture }) => picture.zoomed) || !single.picture.due(framed)) return;
    if (JSON.stringify(reach()) === frame) return;
    framed = performance.now();
    commit(false);
  }

  /** Hands Plotly the axes and, when all is at rest, everything for hover and export. @param {boolean} [whole] */
  function commit(whole = true) {
    if (!shown) return;
    const reaches = reach();
    frame = JSON.stringify(reaches);
    const xy = (/** @type {(number | null)[][]} */ points) => ({ x: points.map((p) => p[0]), y: points.map((p) => p[1]) });
    both.forEach(({ picture }, i) => {
      const range = [-reaches[i], reaches[i]], { strokes, dots } = scenes[i];
      const traces = [
        ...strokes.map(({ points, colour, alpha, width, dash, label }) => ({
          type: "scatter", mode: "lines", name: label, ...xy(points), hoverinfo: "skip", showlegend: Boolean(label),
          line: { color: css(colour, alpha), width, dash: dash?.map((d) => `${d}px`).join() ?? "solid" },
        })),
        ...dots.map(({ points, colour, label, radius }) => ({
          type: "scatter", mode: "markers", name: label, ...xy(points), showlegend: radius < 4,
          marker: { color: css(colour), size: 2 * radius },
          hovertemplate: `${label}<br>g = (%{x:.4g}, %{y:.4g})<extra></extra>`,
        })),
      ];
      picture.commit(whole ? traces : [{ type: "scatter", x: [], y: [] }], {
        xaxis: { range, title: { text: `δ, g: ${weights[0]}` }, nticks: 7 },
        yaxis: { range, title: { text: `δ, g: ${weights[1]}` }, nticks: 7, scaleanchor: "x", constrain: "range" },
        margin: { l: 52, r: 8, t: 8, b: 44 },
      });
    });
  }

  function tell() {
    if (!shown) return;
    const { error, expected, samples: S, timescale, step } = shown;
    const percent = (/** @type {number} */ share) => `${written(100 * share, 3)} %`;
    single.words.textContent = [
      `${session.lanes[shown.lane]?.label ?? "The lane"}, step ${step}: some inputs, with targets drawn from the model’s own`,
      "predictions. Each target pulls the weights along its gradient g (a dot); those of one input lie on one line, across",
      `the level sets of log r(t|x, w + δ), here ${written(apart)} apart and for the large dot’s target${
        ridged ? ", which is likeliest on the dashed line" : ""}.`,
    ].join(" ");
    together.words.textContent = [
      `The gradients${S > shown.gradients.length ? ` (the first ${shown.gradients.length} are drawn)` : ""} spread as F`,
      "(ellipses: two standard deviations), far where the mean level sets are narrow. With S =",
      `${S} their covariance is ${percent(error.covariance)} off F; ${percent(expected.covariance)} is usual, and falls as`,
      `1/√S. The moving average has a timescale of 1/(1 − η) = ${written(timescale)} samples: ${percent(error.average)} off,`,
      `${percent(expected.average)} usual${S > 3 * timescale ? ", and more samples do not help it" : ""}. The empirical`,
      `Fisher takes the data’s own targets: ${percent(error.empirical_fisher)} off, whatever S. It is not F.`,
    ].join(" ");
  }

  function* singleRows() {
    for (const { example, input, gradients } of shown?.inputs ?? []) {
      for (const [k, g] of gradients.entries()) yield [example, input.map((x) => written(x)).join(", "), k + 1, ...g];
    }
  }

  function* togetherRows() {
    if (!shown) return;
    for (const which of WHICH) {
      const [[a, b], [, d]] = shown[which];
      yield [ELLIPSES[which], a, b, d, shown.error[which] ?? 0, shown.expected[which] ?? null];
    }
  }

  say("Gradients appear with the run's first step.");
  ask();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (event.kind === "theme") {
        both.forEach(({ picture }) => picture.dress());
        compose();
        return commit();
      }
      if (["axis", "clock", "run", "spec"].includes(event.kind)) return;
      ask();
      moved();
    },
  };
}
