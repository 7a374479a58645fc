// The spectrum at the scrubbed iterate, with the damping η among the eigenvalues: exact by rank, or as a density that
// sharpens as the probes of its estimate come.

import { named } from "../catalog.js";
import { h } from "../dom.js";
import { css } from "../geometry.js";
import { laneOf, stepOf } from "../iterate.js";
import { figure, rgb } from "../plot.js";
import { densityOf } from "../spectrum_density.js";
import { ranks } from "../spectrum_ranks.js";
import { asker, dampingAt, recorded } from "../terrain.js";
import { choice } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../plot.js").Theme} Theme */
/** @typedef {{data: any, lane: number, step: number}} Spectrum */

export const name = "spectrum";
export const title = "Spectrum";
export const order = 30;

/** @param {Session} session @returns {true | string} */
export const wants = (session) => session.lacking("spectrum") ?? true;

/** @type {Record<string, string>} */
const MATRICES = {
  hessian: "Hessian H", "gauss-newton": "Gauss-Newton G", fisher: "Fisher F", "empirical-fisher": "Empirical Fisher",
  diagonal: "Diagonal diag G",
};

/** How it is drawn. @param {any} data */
const kind = (data) => (data.density ? "density" : "ranks");

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  /** @type {Spectrum | null} */
  let shown = null;
  /** @type {import("../types").SpectrumLook | null} */
  let look = null;
  /** @type {any} */
  let source = null; // what the run itself told, when that is what is shown
  let asked = "", frame = "", framed = 0;
  const options = named(session.catalog.probes, "spectrum")?.options.properties;
  /** @type {string[]} */
  const matrices = options?.matrix?.enum ?? Object.keys(MATRICES);
  const own = session.spec.probes?.find((p) => p.name === "spectrum");
  let matrix = own?.matrix ?? options?.matrix?.default ?? matrices[0], method = own?.method ?? "auto";
  let estimates = false; // whether that is what "auto" means here

  const picture = figure({
    element, signal, label: "Spectrum of the curvature at the scrubbed iterate", file: "spectrum", draw,
    tell: () => tell(), settle: () => commit(), seen: () => ask(),
    table: () => ({ head: look?.head ?? [], rows: () => look?.rows(damping()) ?? [] }),
  });
  picture.root.classList.add("tall");
  const which = choice("Matrix ", (value) => {
    matrix = value;
    ask();
  });
  const how = choice("Method ", (value) => {
    method = value;
    ask();
  });
  const readout = h("p", { class: "view-readout" });
  const wrong = h("p", { class: "view-error", role: "status" });
  element.prepend(h("div", { class: "view-controls" }, which.element, how.element));
  signal.addEventListener("abort", () => element.replaceChildren());
  picture.root.after(readout, wrong);

  function damping() {
    const value = dampingAt(session, session.selected, stepOf(session));
    return value !== null && value > 0 ? value : null;
  }

  const question = asker((/** @type {Spectrum} */ answer) => {
    const before = shown && kind(shown.data), under = look?.lower ?? null;
    shown = answer;
    const { data } = answer;
    if (method === "auto") estimates = Boolean(data.density);
    look = data.density ? densityOf(data, session.dimension, under) : ranks(data);
    wrong.textContent = "";
    picture.say(null);
    if (before !== kind(data)) {
      if (before) picture.reset();
      commit();
    } else if (!under && look.lower) commit([]);
    picture.moved();
  }, (message) => {
    wrong.textContent = message;
    if (!shown) picture.say(null);
  });

  /** Prefers what the run itself recorded at this step; then the server; in a recording the last spectrum before. */
  function ask() {
    const at = { lane: session.selected, step: stepOf(session) }, lane = laneOf(session);
    if (!lane?.length || !picture.visible) return;
    const fits = (/** @type {any} */ data) =>
      data.matrix === matrix && (method === "auto" || data.method === method || !session.interactive);
    const told = recorded(session, "spectrum", at.lane, at.step, fits);
    const key = [session.run?.id, at.lane, at.step, matrix, method].join();
    if (key === asked && (!told || told === source)) return; // (as its probes come it is told anew)
    asked = key;
    source = told;
    const before = session.interactive ? null
      : lane.probes.filter((p) => p.name === "spectrum" && p.step <= at.step && fits(p.data)).at(-1);
    if (told) question(async () => ({ data: told, ...at }));
    else if (before) question(async () => ({ data: before.data, lane: at.lane, step: before.step }));
    else {
      const probe = { name: "spectrum", matrix, ...(method !== "auto" && { method }) };
      question(async ({ signal, part }) => {
        const following = { signal, part: (/** @type {any} */ data) => part({ data, ...at }) };
        return { data: await session.probe(probe, at, following), ...at };
      });
    }
  }

  function tell() {
    which.offer(matrices.map((m) => [m, MATRICES[m] ?? m]), matrix);
    how.element.hidden = estimates || !session.interactive;
    how.offer([["auto", "exact"], ["lanczos", "Lanczos"]], method === "lanczos" ? "lanczos" : "auto");
    if (!shown || !look) return;
    const whose = `${MATRICES[shown.data.matrix] ?? shown.data.matrix} of ${
      session.lanes[shown.lane]?.label ?? "the lane"} at step ${shown.step}`;
    readout.textContent = `${whose}: ${look.words(damping())}.`;
  }

  /** @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(context, area) {
    ask();
    fit();
    if (!shown || !look) return;
    const { theme } = area;
    const label = (/** @type {string} */ text, /** @type {number} */ x, /** @type {number} */ y) => {
      context.font = `12px ${theme.font}`;
      context.lineWidth = 4;
      context.lineJoin = "round";
      context.strokeStyle = css(theme.paper);
      context.strokeText(text, x, y);
      context.fillStyle = css(theme.ink);
      context.fillText(text, x, y);
    };
    look.draw({ context, area, picture, colour: rgb(session.colour(shown.lane)), eta: damping(), label });
  }

  function fit() {
    if (!look || picture.zoomed || !picture.due(framed) || look.frame(damping()) === frame) return;
    framed = performance.now();
    commit([]);
  }

  /** @param {object[] | null} traces  none: everything, for hover and export */
  function commit(traces = null) {
    if (!shown || !look) return;
    const eta = damping(), { theme } = picture, { below, xaxis, yaxis, yaxis2 } = look.layout(eta);
    frame = look.frame(eta);
    const all = look.traces({ theme, colour: rgb(session.colour(shown.lane)), eta });
    const empty = ["y", "y2", "y3"].map((yaxis) => ({ type: "scatter", x: [], y: [], yaxis }));
    picture.commit(traces ? empty : [...all, ...(eta ? [] : [empty[2]])], {
      xaxis: { anchor: "y2", ...xaxis },
      yaxis: { domain: [0.4, 1], ...yaxis },
      yaxis2: { domain: [0, 0.31], ...yaxis2 },
      yaxis3: {
        overlaying: "y", side: "right", anchor: "x", range: below ? [-1.05, 2.05] : [-0.02, 1.05],
        title: { text: eta ? "filter ν/(ν + η)" : "" }, color: css(theme.accent), showgrid: false,
        showline: Boolean(eta), showticklabels: Boolean(eta), ticks: eta ? "outside" : "",
        tickfont: { color: css(theme.accent), size: 12 },
        tickmode: "array", tickvals: below ? [-1, 0, 1, 2] : [0, 0.5, 1],
      },
      margin: { l: 56, r: eta ? 56 : 12, t: 10, b: 44 }, bargap: 0.3,
    });
  }

  tell();
  picture.say("The spectrum appears with the run's first step.");
  ask();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (event.kind === "theme") {
        picture.dress();
        return commit();
      }
      if (["axis", "clock", "run", "spec"].includes(event.kind)) return;
      ask();
      picture.moved();
    },
  };
}
