// G at the scrubbed iterate beside what approximates it: damped matrices or their inverses as heatmaps, the step each
// takes in the exact quadratic model, and a layer's two factors with the eigenvalues that they make.

import { eigenvalues } from "../block_eigenvalues.js";
import { h, written } from "../dom.js";
import { heatmap, largest, legend } from "../heatmap.js";
import { iterateProbe, stepOf } from "../iterate.js";
import { dataTable, rgb, themeOf } from "../plot.js";
import { knobField } from "../sliders.js";
import { dampingAt } from "../terrain.js";
import { choice, toggles } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../heatmap.js").Entry} Entry */
/** @typedef {{norm: number | null, cosine: number | null, model: number | null, scale: number | null,
 *   rescaled: number | null}} Step */
/** @typedef {{name: string, title: string, refused: string | null, error: number | null, inverse_error: number | null,
 *   undamped_error: number | null, step: Step, matrix: number[][] | null, inverse: number[][] | null}} Representation */
/** @typedef {{layer: number, first: number, shape: [number, number], error: number, A: number[][], S: number[][],
 *   exact: number[], products: number[], corrected: number[]}} Layer */
/** @typedef {{layer: number, choices: number[], damping: number, reduction: number,
 *   cells: {first: number[], count: number[], layer: number[]}, representations: Representation[],
 *   layers: Layer[]}} Answer */
/** @typedef {Answer & {lane: number, step: number}} Shown */

export const name = "kronecker-blocks";
export const title = "Blocks of the curvature";
export const order = 32;
export const wide = true;

/** @param {Session} session @returns {true | string} */
export const wants = (session) => session.lacking(name) ?? true;

/** @type {[string, string][]} headings, and what they mean */
const HEAD = [
  ["representation", ""], ["error", "of the damped matrix, relative, in the Frobenius norm"],
  ["of the inverse", "error of the inverse, likewise"], ["undamped", "error without damping"],
  ["‖δ‖", "length of the step"], ["cosine", "of the angle to the exact step"], ["M(δ)", "change of the quadratic model"],
  ["best α", "the multiple of the step with the lowest M"], ["M(αδ)", "change of the quadratic model at that multiple"],
];
const percent = (/** @type {number | null} */ share) => (share === null ? "–" : `${written(100 * share, 3)} %`);

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const entry = session.catalog.probes.find((p) => p.name === name);
  const own = session.spec.probes?.find((p) => p.name === name);
  /** @type {"matrix" | "inverse"} */
  let kind = "matrix";
  let layer = own?.layer ?? 0, damping = own?.damping ?? null, factors = 0;
  const uses = { own: damping === null };
  /** @type {Shown | null} */
  let shown = null;
  /** @type {Entry | null} */
  let pointed = null;
  let visible = true, theme = themeOf(element);
  /** @type {ReturnType<typeof heatmap>[]} */
  let maps = [];

  const which = choice("Show ", (value) => {
    kind = value === "inverse" ? "inverse" : "matrix";
    paint();
    tell();
  });
  const part = choice("Weights of ", (value) => {
    layer = Number(value);
    ask();
  });
  const schema = { ...entry?.knobs.properties.damping, title: "damping", default: 0.01, type: "number" };
  const damp = knobField({ path: `${name}.damping`, key: "damping", schema, change: (value) => {
    damping = value;
    whose.querySelectorAll("input")[0].checked = uses.own = false;
    ask();
  } });
  const whose = toggles("Which damping", uses, { own: "the lane’s own damping" }, () => {
    damping = uses.own ? null : here();
    ask();
  });
  const grid = h("ul", { class: "heat-grid" }), note = h("p", { class: "plot-note", hidden: true });
  const scale = legend((v) => written(v, 2)), pointing = h("p", { class: "view-readout heat-entry", role: "status" });
  const readout = h("p", { class: "view-readout" }), wrong = h("p", { class: "view-error", role: "status" });
  const body = h("tbody"), head = h("tr", {}, HEAD.map(([text, title], i) =>
    h("th", { scope: "col", class: i ? "num" : null, title: title || null }, text)));
  const steps = h("div", { class: "table-scroll" }, h("table", { class: "lanes heat-steps" },
    h("caption", {}, "Relative errors, and the damped step δ that each takes: where it points beside the exact one, and what",
      " the exact quadratic model M(δ) = ∇Jᵀδ + ½ δᵀ(G + L + ηI)δ makes of it and of its best multiple"),
    h("thead", {}, head), body));
  const label = "Blocks of the curvature at the scrubbed iterate";
  const sizes = dataTable(`${label}, the size of each block`, () => ({
    head: ["representation", "rows: layer", "columns: layer", "root mean square", "largest"], rows: blockRows,
  }));
  const figure = h("figure", { class: "plot heat-figure", role: "figure", "aria-label": label },
    h("div", { class: "heat-stage" }, grid, note), scale.element, pointing, h("div", { class: "plot-foot" }, sizes.details));
  const ofLayer = choice("Factors of ", (value) => {
    factors = Number(value);
    paint();
    tell();
  });
  const pair = ["A", "S"].map((label) => heatmap({ label: `Factor ${label}`, chosen: () => {} }));
  const captions = pair.map(() => h("p", { class: "heat-caption" }));
  const places = pair.map(({ element }, i) => h("div", { class: "heat-item" }, captions[i], element));
  const spectrumPlace = h("div", { class: "heat-spectrum" });
  const rest = h("div", { hidden: true }, steps, h("div", { class: "view-controls" }, ofLayer.element),
    h("div", { class: "heat-factors" }, places, spectrumPlace));
  element.append(
    h("div", { class: "view-controls" }, which.element, part.element, whose),
    h("div", { class: "view-controls view-knobs" }, damp.element), figure, readout, wrong, rest,
  );
  const spectrum = eigenvalues({ element: spectrumPlace, signal });

  const here = () => dampingAt(session, session.selected, stepOf(session)) ?? 0.01;
  const layerShown = () => shown?.layers.find((one) => one.layer === factors) ?? shown?.layers[0];
  const say = (/** @type {string | null} */ text) => {
    note.hidden = !text;
    note.textContent = text ?? "";
  };

  /** @param {Answer} data @param {number} lane @param {number} step */
  function take(data, lane, step) {
    shown = { ...data, lane, step };
    wrong.textContent = "";
    say(null);
    for (const part of [rest, scale.element, sizes.details]) part.hidden = false;
    build();
    paint();
    tell();
  }

  const question = iterateProbe({ session, name, take, fail(message) {
    wrong.textContent = message;
    say(null);
  } });

  function ask() {
    if (!visible) return;
    question({ layer, ...(damping !== null && { damping }) }, (/** @type {Answer} */ data) =>
      (!layer || data.layer === layer) && (damping ?? data.damping) === data.damping);
  }

  /** One heatmap a representation; built anew only when there are others. */
  function build() {
    const names = shown?.representations.map((one) => one.name).join() ?? "";
    if (grid.dataset.names === names) return;
    grid.dataset.names = names;
    maps = (shown?.representations ?? []).map((one) => heatmap({ label: one.title, chosen: (next) => {
      pointed = next;
      for (const map of maps) map.point(pointed, theme);
      point();
    } }));
    pointed = null;
    grid.replaceChildren(...maps.map((map, i) => h("li", { class: "heat-item" },
      h("h4", {}, shown?.representations[i].title ?? ""), h("p", { class: "heat-caption" }), map.element)));
  }

  function hues() {
    const style = getComputedStyle(element), read = (/** @type {string} */ hue) => rgb(style.getPropertyValue(hue));
    return { positive: read("--lane-0"), negative: read("--lane-1"), zero: theme.paper, ink: theme.ink };
  }

  function paint() {
    const one = layerShown();
    if (!shown || !one) return;
    const colours = hues(), { representations, cells } = shown, most = largest(representations.map((r) => r[kind]));
    const boundaries = cells.layer.flatMap((l, i) => (l !== cells.layer[i - 1] ? [{ at: i, label: String(l) }] : []));
    maps.forEach((map, i) => map.paint(representations[i][kind], boundaries, most, colours, theme));
    scale.paint(most, colours);
    pair.forEach((map, i) => map.paint(i ? one.S : one.A, [], largest([i ? one.S : one.A]), colours, theme));
    spectrum.show(one);
    point();
  }

  /** The weights of a cell in words. @param {number} i */
  function weights(i) {
    const { cells, layers } = /** @type {Shown} */ (shown), one = layers.find((l) => l.layer === cells.layer[i]);
    if (!one) return "";
    const inputs = one.shape[1], from = cells.first[i] - one.first, to = from + cells.count[i] - 1;
    const said = (/** @type {number} */ k) =>
      `unit ${Math.floor(k / inputs) + 1} ${k % inputs === inputs - 1 ? "bias" : `input ${(k % inputs) + 1}`}`;
    return `layer ${one.layer}, ${said(from)}${to > from ? ` … ${said(to)}` : ""}`;
  }

  /** Says which entry is pointed at, and what it is in each representation. */
  function point() {
    if (!shown || !pointed || pointed.row >= shown.cells.first.length) {
      pointing.textContent = "Point at an entry, or choose a heatmap and use the arrow keys.";
      return;
    }
    const { row, column } = pointed;
    const values = shown.representations.map((r) => `${r.title} ${written(r[kind]?.[row][column], 3)}`);
    pointing.textContent = `${weights(row)} × ${weights(column)}: ${values.join("; ")}.`;
  }

  function tell() {
    which.offer([["matrix", "damped matrices"], ["inverse", "their inverses"]], kind);
    if (damping === null) damp.set(Number((shown?.damping ?? here()).toPrecision(3)));
    const one = layerShown();
    if (!shown || !one) return;
    part.offer(shown.choices.map((l) => [String(l), l ? `layer ${l}` : "all layers"]), String(shown.layer));
    ofLayer.offer(shown.layers.map((l) => [String(l.layer), `layer ${l.layer}`]), String(one.layer));
    const { representations, cells, reduction } = shown;
    representations.forEach((r, i) => {
      const error = kind === "matrix" ? r.error : r.inverse_error, caption = grid.children[i]?.children[1];
      const missing = r[kind] ? "" : r.refused ?? "there is none";
      if (caption) caption.textContent = missing || (i ? `${percent(error)} off the exact one` : `${total()} × ${total()}`);
    });
    const about = reduction > 1 ? `, drawn in ${cells.first.length} rows that are means over up to ${reduction}` : "";
    const best = representations.slice(1).filter((r) => r.step.rescaled !== null)
      .reduce((a, b) => (a && Number(a.step.rescaled) <= Number(b.step.rescaled) ? a : b), representations[1]);
    readout.textContent = [
      `${session.lanes[shown.lane]?.label ?? "The lane"}, step ${shown.step}, damping η = ${written(shown.damping, 3)}:`,
      `${total()} weights ${shown.layer ? `of layer ${shown.layer}` : `in ${shown.layers.length} layers`}${about}.`,
      kind === "matrix" || shown.layer ? "" : "Neighbouring layers depend on each other in the block-tridiagonal inverse alone; the rest is 0.",
      best?.step.rescaled === null || !best ? "" :
        `Of the approximations the step of “${best.title}”, times ${written(best.step.scale, 3)}, lowers the quadratic`,
      best?.step.rescaled === null || !best ? "" :
        `model most: by ${written(-Number(best.step.rescaled))}, where the exact step gets ${written(-Number(representations[0].step.model))}.`,
    ].join(" ").replace(/ +/g, " ");
    captions[0].textContent = `A = E[ā āᵀ], ${one.shape[1]} × ${one.shape[1]}, inputs of layer ${one.layer} with their 1`;
    captions[1].textContent = `S = E[Ds Dsᵀ], ${one.shape[0]} × ${one.shape[0]}; A ⊗ S is ${percent(one.error)} off the block`;
    body.replaceChildren(...representations.map((r) => {
      const first = h("th", { scope: "row" }, r.title), { step } = r;
      if (r.refused) return h("tr", {}, first, h("td", { colspan: HEAD.length - 1 }, `refused: ${r.refused}`));
      const numbers = [r.error, r.inverse_error, r.undamped_error, step.norm, step.cosine, step.model, step.scale, step.rescaled];
      return h("tr", {}, first, numbers.map((v) => h("td", { class: "num" }, written(v))));
    }));
    sizes.refresh();
  }
  const total = () => shown?.cells.count.reduce((a, b) => a + b, 0) ?? 0;

  function* blockRows() {
    if (!shown) return;
    const { cells: { layer: of }, representations, layers } = shown;
    for (const r of representations) {
      for (const a of layers) {
        for (const b of layers) {
          const block = r[kind]?.filter((_, i) => of[i] === a.layer).map((row) => row.filter((_, j) => of[j] === b.layer));
          if (!block) continue;
          const values = block.flat(), square = values.reduce((sum, v) => sum + v * v, 0) / values.length;
          yield [r.title, a.layer, b.layer, written(Math.sqrt(square)), written(largest([block]))];
        }
      }
    }
  }

  const resizes = new ResizeObserver(paint);
  resizes.observe(grid);
  const sights = new IntersectionObserver((entries) => {
    visible = entries[entries.length - 1].isIntersecting;
    if (visible) ask();
  }, { rootMargin: "200px" });
  sights.observe(element);
  signal.addEventListener("abort", () => {
    resizes.disconnect();
    sights.disconnect();
    element.replaceChildren();
  });

  for (const part of [scale.element, sizes.details]) part.hidden = true;
  say("The matrices appear with the run's first step.");
  tell();
  ask();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (event.kind === "theme") {
        theme = themeOf(element);
        spectrum.dress();
        return paint();
      }
      if (["axis", "clock", "run", "spec"].includes(event.kind)) return;
      ask();
      if (damping === null && !shown) damp.set(here());
    },
  };
}
