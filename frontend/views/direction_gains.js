// Newton's step taken along one eigenvector of the Hessian at a time: what it gains in training, and what it gains or
// costs on held-out data. Where noise is fitted the two part.

import { named } from "../catalog.js";
import { h, written } from "../dom.js";
import { drawGains, gainTraces, PANELS, rangesOf } from "../gain_bars.js";
import { css } from "../geometry.js";
import { iterateProbe, laneOf, stepOf } from "../iterate.js";
import { figure, rgb } from "../plot.js";
import { knobField } from "../sliders.js";
import { dampingAt } from "../terrain.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../gain_bars.js").Gains} Gains */
/** @typedef {{data: Gains, lane: number, step: number}} Shown */

export const name = "direction-gains";
export const title = "Gains by direction";
export const order = 31;

const LARGEST = 1000; // weights, as the probe takes the whole spectrum

/** @param {Session} session @returns {true | string} */
export function wants(session) {
  if (session.dimension > LARGEST) return `It takes the whole spectrum: of at most ${LARGEST} weights.`;
  const option = session.problem.options.properties.held_out;
  if (!option) return "It compares training with held-out data, and this problem has none.";
  return (session.spec.problem.held_out ?? option.default) > 0
    || "It compares training with held-out data: hold out a share of the data.";
}

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const knob = named(session.catalog.probes, name)?.knobs.properties.damping;
  const schema = { type: "number", ...knob, title: "damping of the steps shown" };
  /** What the reader chose; null: the lane's own. @type {number | null} */
  let damping = session.spec.probes?.find((p) => p.name === name)?.damping ?? null;
  /** @type {Shown | null} */
  let shown = null;
  let frame = "", framed = 0;

  const picture = figure({
    element, signal, label: "What Newton’s step gains along each eigenvector", file: "direction-gains", draw,
    tell: () => tell(), settle: () => commit(), seen: () => ask(),
    table: () => ({ head: ["direction", "ν", "step", "training", "held out", "model"], rows }),
  });
  picture.root.classList.add("tall");
  const field = knobField({ path: `${name}.damping`, key: "damping", schema, change: (value) => {
    damping = value;
    ask();
  } });
  field.set(damping ?? 0);
  const keys = h("p", { class: "line-keys view-readout", "aria-hidden": "true" },
    ...[["train", "change in training"], ["held-out", "change held out"]].map(([key, text]) =>
      h("span", {}, h("span", { class: `bar-key gains-${key}` }), text)));
  const readout = h("p", { class: "view-readout" });
  const wrong = h("p", { class: "view-error", role: "status" });
  element.prepend(h("div", { class: "view-controls view-knobs" }, field.element));
  picture.root.after(keys, readout, wrong);
  signal.addEventListener("abort", () => element.replaceChildren());

  /** @param {Gains} data @param {number} lane @param {number} step */
  function take(data, lane, step) {
    const first = !shown;
    shown = { data, lane, step };
    wrong.textContent = "";
    picture.say(null);
    if (damping === null) field.set(data.damping);
    if (first) commit();
    picture.moved();
  }

  const question = iterateProbe({ session, name, take, fail(message) {
    wrong.textContent = message;
    if (!shown) picture.say(null);
  } });

  function ask() {
    if (!picture.visible) return;
    // A fixed damping the server knows; one that adapts it is told.
    const adapts = laneOf(session)?.columns.damping;
    const eta = damping ?? (adapts ? dampingAt(session, session.selected, stepOf(session)) : null);
    const fits = (/** @type {Gains} */ data) => damping === null || data.damping === damping;
    question({ ...(eta !== null && { damping: eta }) }, fits);
  }

  /** @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(context, area) {
    ask();
    fit();
    if (shown) drawGains(context, area, picture, shown.data, { colour: rgb(session.colour(shown.lane)) });
  }

  function fit() {
    if (!shown || picture.zoomed || !picture.due(framed) || JSON.stringify(rangesOf(shown.data)) === frame) return;
    framed = performance.now();
    commit(false);
  }

  /** Hands Plotly the axes and, when all is at rest, everything for hover and export. @param {boolean} [whole] */
  function commit(whole = true) {
    if (!shown) return;
    const ranges = rangesOf(shown.data), { ink, paper } = picture.theme;
    frame = JSON.stringify(ranges);
    const colours = { ink: css(ink), paper: css(paper), own: session.colour(shown.lane) };
    const empty = ["y", "y2"].map((yaxis) => ({ type: "scatter", x: [], y: [], yaxis }));
    const few = shown.data.eigenvalues.length <= 20 ? { dtick: 1 } : { tickformat: "d" };
    picture.commit(whole ? gainTraces(shown.data, colours) : empty, {
      xaxis: { range: ranges.x, anchor: "y2", title: { text: "direction, by falling curvature" }, ...few },
      yaxis: { range: ranges.changes, domain: PANELS.changes, title: { text: "change of the loss" }, nticks: 6 },
      yaxis2: { range: ranges.sizes, domain: PANELS.sizes, type: "log", title: { text: "curvature |ν|" }, nticks: 5 },
      barmode: "group",
    });
  }

  function tell() {
    if (!shown) return;
    const { data, lane: number, step } = shown, own = session.lanes[number];
    keys.style.setProperty("--own", session.colour(number));
    const says = [`${own?.label ?? "The lane"}, step ${step}: training loss ${written(data.loss)}, held-out loss ${
      written(data.held_out_loss)}.`];
    const least = lowest(own?.columns.test_loss ?? [], step);
    if (least) {
      says.push(least.step === step ? "That is the lane’s lowest held-out loss so far."
        : `The lane’s lowest so far was ${written(least.loss)}, at step ${least.step}.`);
    }
    says.push(words(data));
    const { beyond } = rangesOf(data), negative = data.eigenvalues.filter((nu) => nu < 0).length;
    if (beyond) says.push(`${beyond} ${beyond === 1 ? "bar leaves" : "bars leave"} the picture.`);
    if (negative) says.push(`Hollow: negative curvature, in ${negative} directions.`);
    readout.textContent = says.join(" ");
  }

  function* rows() {
    if (!shown) return;
    const { eigenvalues, steps, train, held_out, predicted } = shown.data;
    for (const [j, nu] of eigenvalues.entries()) yield [j + 1, nu, steps[j], train[j], held_out[j], predicted[j]];
  }

  picture.say("The gains appear with the run’s first step.");
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

/** The lowest of the losses up to a step, and where. @param {import("../types").Column} losses @param {number} last */
function lowest(losses, last) {
  /** @type {{loss: number, step: number} | null} */
  let found = null;
  for (const [step, loss] of losses.slice(0, last + 1).entries()) {
    if (loss !== null && (!found || loss < found.loss)) found = { loss, step };
  }
  return found;
}

/** A change with its sign. @param {number | null} change */
const signed = (change) => (change !== null && change > 0 ? "+" : "") + written(change, 3);

/** The whole step in numbers, and along how many directions training and held-out data disagree. @param {Gains} gains */
function words({ damping, train, held_out, whole }) {
  const pairs = train.flatMap((change, j) => {
    const other = held_out[j];
    return change === null || other === null ? [] : [[change, other]];
  });
  const parted = pairs.filter(([inside, outside]) => inside < 0 && outside > 0);
  const sum = (/** @type {0 | 1} */ which) => parted.reduce((total, pair) => total + pair[which], 0);
  const none = train.length - pairs.length;
  return [
    `${damping > 0 ? `The damped Newton step (η = ${written(damping)})` : "Newton’s step"} from here changes them by ${
      signed(whole.train)} and ${signed(whole.held_out)}.`,
    parted.length ? `Along ${parted.length} of ${train.length} directions it gains in training (together ${signed(sum(0))})`
      + ` what costs held out (one by one ${signed(sum(1))}).` : "Along no direction does it gain in training and cost held out.",
    none ? `${none} ${none === 1 ? "direction is" : "directions are"} flat to rounding: no step is taken there.` : "",
  ].filter(Boolean).join(" ");
}
