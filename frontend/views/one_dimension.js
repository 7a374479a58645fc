// One weight: Newton's step as solving ∇J = 0 beside Newton's step as minimizing the quadratic, over one x axis.

import { h, written } from "../dom.js";
import { css } from "../geometry.js";
import { iterateProbe, laneOf, stepOf } from "../iterate.js";
import { drawReadings, GAP, legend, rangesOf, readingTraces } from "../newton_readings.js";
import { figure, rgb } from "../plot.js";
import { startHandle } from "../start_handle.js";
import { dampingAt } from "../terrain.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../newton_readings.js").Answer} Answer */
/** @typedef {{data: Answer, lane: number, step: number}} Shown */

export const name = "one-dimension";
export const title = "One dimension";
export const order = 5;

/** @param {Session} session @returns {true | string} */
export const wants = (session) => session.dimension === 1 || "It is drawn for one weight.";

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  /** @type {Shown | null} */
  let shown = null;
  let frame = "", framed = 0, problem = JSON.stringify(session.spec.problem);

  const picture = figure({
    element, signal, label: "The cost and its gradient in one weight, with Newton’s step", file: "one-dimension", draw,
    tell: () => tell(), settle: () => commit(), seen: () => ask(), viewed: () => ask(),
    table: () => ({ head: ["what", "x", "J", "∇J"], rows }),
  });
  picture.root.classList.add("readings");
  const readout = h("p", { class: "view-readout" });
  const wrong = h("p", { class: "view-error", role: "status" });
  const keys = legend();
  picture.root.after(keys, readout, wrong);
  signal.addEventListener("abort", () => element.replaceChildren());

  // On the axis of either picture: what it is moved to is x alone.
  const handles = ["cost", "gradient"].map((which) => startHandle({
    picture, session, signal, label: `Start, on the ${which}’s axis`, names: () => ["x"], moved: picture.moved,
    place: ([x]) => (session.dimension === 1 ? [x, picture.range(which === "cost" ? "yaxis" : "yaxis2")?.[0] ?? 0] : null),
    weights: ([x]) => [x],
  }));

  const held = () => handles.some((handle) => handle.held);

  /** @param {Shown["data"]} data @param {number} lane @param {number} step */
  function take(data, lane, step) {
    const first = !shown;
    shown = { data, lane, step };
    wrong.textContent = "";
    picture.say(null);
    if (first) commit();
    picture.moved();
  }

  const question = iterateProbe({ session, name, take, fail(message) {
    wrong.textContent = message;
    if (!shown) picture.say(null);
  } });

  function ask() {
    if (session.dimension !== 1 || !picture.visible) return;
    const window = picture.zoomed && picture.range("xaxis");
    // A fixed damping the server knows; one that adapts it is told.
    const eta = laneOf(session)?.columns.damping && {
      damping: dampingAt(session, session.selected, stepOf(session)),
    };
    question({ ...(window && { window }), ...eta }, () => !window);
  }

  /** What is drawn: the answer, where the lane was before, and where it goes. */
  function content() {
    if (!shown) return null;
    const { data: answer, step } = shown, { w, columns } = session.lanes[shown.lane] ?? { w: null, columns: {} };
    const past = (w ?? []).slice(0, step + 1).map(([x]) => x), after = w?.[step + 1];
    return { answer, past, taken: after ? { x: after[0], loss: columns.loss?.[step + 1] ?? null } : null };
  }

  /** @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(context, area) {
    ask();
    fit();
    const drawn = content(), upper = picture.mapper(), lower = picture.mapper("xaxis", "yaxis2");
    if (!drawn || !shown || !upper || !lower) return;
    drawReadings(context, area, picture, drawn, { colour: rgb(session.colour(shown.lane)) });
    handles.forEach((handle, i) => handle.place(i ? lower : upper, area.width, area.height));
  }

  /** The axes do not move under a start that is dragged. */
  function fit() {
    const drawn = content();
    if (!drawn || held() || picture.zoomed || !picture.due(framed)) return;
    if (JSON.stringify(rangesOf(drawn)) === frame) return;
    framed = performance.now();
    commit(false);
  }

  /** Hands Plotly the axes and, when all is at rest, everything for hover and export. @param {boolean} [whole] */
  function commit(whole = true) {
    const drawn = content();
    if (!drawn || !shown || held()) return;
    const ranges = rangesOf(drawn);
    frame = JSON.stringify(ranges);
    const colours = { ink: css(picture.theme.ink), own: session.colour(shown.lane) };
    const empty = ["y", "y2"].map((yaxis) => ({ type: "scatter", x: [], y: [], yaxis }));
    picture.commit(whole ? readingTraces(drawn, colours) : empty, {
      xaxis: { range: ranges.x, anchor: "y2", title: { text: "x" }, nticks: 9 },
      yaxis: { range: ranges.cost, domain: GAP.cost, title: { text: "cost J" }, nticks: 5 },
      yaxis2: { range: ranges.gradient, domain: GAP.gradient, title: { text: "gradient ∇J" }, nticks: 5 },
    });
  }

  function tell() {
    const drawn = content();
    if (!drawn || !shown) return;
    keys.style.setProperty("--own", session.colour(shown.lane));
    keys.children[2].toggleAttribute("hidden", !(drawn.answer.damping > 0));
    readout.textContent = `${session.lanes[shown.lane]?.label ?? "The lane"}, step ${shown.step}: ${words(drawn)}`;
  }

  function* rows() {
    const drawn = content();
    if (!drawn || !shown) return;
    const { answer: { iterate, next, model, x, loss, gradient }, taken } = drawn;
    yield ["x", iterate.w, iterate.loss, iterate.gradient];
    yield ["x⁺ and the model there", next, model, next === null ? null : 0];
    if (taken) yield [`step ${shown.step + 1}`, taken.x, taken.loss, null];
    for (const [i, at] of x.entries()) yield ["curve", at, loss[i], gradient[i]];
  }

  picture.say("The pictures appear with the run’s first step.");
  ask();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (event.kind === "theme") {
        picture.dress();
        return commit();
      }
      if (event.kind === "spec" && problem !== (problem = JSON.stringify(session.spec.problem))) picture.reset();
      if (["axis", "clock", "run", "spec"].includes(event.kind)) return;
      ask();
      picture.moved();
    },
  };
}

/** The step in numbers, and that both pictures mean the same one. @param {import("../newton_readings.js").Content} drawn */
function words({ answer, taken }) {
  const { iterate: { w, loss, gradient, hessian }, damping, curvature, next, next_loss, kind, outside } = answer;
  const eta = damping > 0 ? `, η = ${written(damping)}` : "", sum = damping > 0 ? "H + η" : "H";
  const says = [`x = ${written(w)}, g = ${written(gradient)}, H = ${written(hessian)}${eta}:`];
  if (next === null || !kind) {
    says.push(curvature === 0
      ? `where ${sum} = 0 the tangent of ∇J never meets 0, and the parabola is a straight line: there is no such step.`
      : "there is no such step among the numbers.");
  } else {
    says.push(`next x = x − g/${damping > 0 ? "(H + η)" : "H"} = ${written(next)}${outside
      ? `, outside the picture on the ${outside}` : ""}.`);
    says.push(kind === "minimum"
      ? "There the tangent of ∇J is 0, and there the parabola is least: the tangent is its derivative."
      : `There the tangent of ∇J is 0, and there the parabola is highest: ${sum} < 0, and the step goes up.${
        hessian !== null && hessian < 0 ? ` A damping above ${written(-hessian)} would turn it round.` : ""}`);
    if (next_loss !== null && loss !== null && next_loss > loss) {
      says.push(`J itself rises there, from ${written(loss)} to ${written(next_loss)}.`);
    }
  }
  if (!taken) says.push("The lane takes no step from here.");
  else if (next === null || Math.abs(taken.x - next) > 1e-9 * Math.max(Math.abs(w), Math.abs(next), 1e-9)) {
    says.push(`The lane itself goes to x = ${written(taken.x)} (○), J = ${written(taken.loss)}.`);
  }
  return says.join(" ");
}
