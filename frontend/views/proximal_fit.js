// One proximal update of a regression network for a batch of points that can be moved: the function before, and after
// under loss + WSD, loss + FSD, and both; exact, or with both terms quadratic.

import { h, written } from "../dom.js";
import { css } from "../geometry.js";
import { iterateProbe } from "../iterate.js";
import { curve } from "../paths.js";
import { figure, rgb } from "../plot.js";
import { pointHandle } from "../point_handle.js";
import { knobField } from "../sliders.js";
import { choice, toggles } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {[number, number]} Point */
/** @typedef {{curve: number[], loss: number, distance: number, forgotten: number | null, step_norm: number,
 *   held_out: number}} Told */
/** @typedef {{name: string, exact: Told, quadratic: Told}} Update */
/** @typedef {{fsd: number, wsd: number, least_wsd: number, batch: Point[], data: Point[], x: number[], before: Told,
 *   updates: Update[]}} Answer */
/** @typedef {Answer & {lane: number, step: number}} Shown */
/** @typedef {{name: string, kind: string, told: Told, colour: string}} Line */

export const name = "proximal-fit";
export const title = "Proximal updates";
export const order = 37;
export const wide = true;

/** @param {Session} session @returns {true | string} */
export const wants = (session) => session.lacking(name) ?? true;

/** The updates' colours and the classes of their keys. @type {Record<string, {hue: string, key: string}>} */
const LOOKS = {
  "loss + WSD": { hue: "--lane-1", key: "proximal-wsd" },
  "loss + FSD": { hue: "--lane-2", key: "proximal-fsd" },
  "loss + WSD + FSD": { hue: "--lane-0", key: "proximal-both" },
};
const UPDATES = Object.keys(LOOKS);
const BEFORE = "previous iterate";
/** What stands beside each curve. @type {["loss" | "forgotten" | "step_norm" | "held_out", string][]} */
const NUMBERS = [
  ["loss", "loss on the batch"], ["forgotten", "change away from it"], ["step_norm", "weight change ‖δ‖"],
  ["held_out", "held-out loss"],
];

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const knobs = session.catalog.probes.find((p) => p.name === name)?.knobs.properties ?? {};
  const own = session.spec.probes?.find((p) => p.name === name);
  /** @type {Record<string, number>} */
  const settings = Object.fromEntries(Object.entries(knobs).map(([key, knob]) => [key, own?.[key] ?? knob.default]));
  /** @type {Record<string, boolean>} */
  const show = { ...Object.fromEntries(UPDATES.map((update) => [update, true])), quadratic: false, data: true };
  /** @type {Shown | null} */
  let shown = null;
  let frame = "", framed = 0;

  const picture = figure({
    element, signal, label: "The network before and after one proximal update", file: "proximal-fit", draw,
    tell: () => tell(), settle: () => commit(), seen: () => ask(),
    table: () => ({ head: ["curve", "terms", "x", "f(x)"], rows: curveRows }),
  });
  const fields = ["fsd", "wsd"].map((key) => {
    const change = (/** @type {number} */ value) => {
      settings[key] = value;
      ask();
    };
    const field = knobField({ path: `${name}.${key}`, key, schema: knobs[key], change });
    field.set(settings[key]);
    return field.element;
  });
  const number = choice("Points ", (value) => {
    settings.points = Number(value);
    ask();
    picture.paint();
  });
  number.offer(["1", "2", "3"].map((n) => [n, n]), String(settings.points));
  const labels = { ...Object.fromEntries(UPDATES.map((u) => [u, u])), quadratic: "quadratic terms", data: "data" };
  const switches = toggles("Drawn together", show, labels, () => {
    commit();
    picture.moved();
  });
  const keys = [...UPDATES.map((update) => LOOKS[update].key), "proximal-quadratic"];
  keys.forEach((key, i) =>
    switches.children[i].firstElementChild?.after(h("span", { class: `line-key ${key}`, "aria-hidden": "true" })));
  const handles = [1, 2, 3].map((i) => pointHandle({
    picture, signal, label: `Point ${i} of the batch`, names: () => ["x", "t"],
    at: () => (session.interactive && shown && i <= settings.points ? [settings[`x${i}`], settings[`t${i}`]] : null),
    move: (to) => {
      const [x, t] = [bounded(`x${i}`, to[0]), bounded(`t${i}`, to[1])];
      Object.assign(settings, { [`x${i}`]: x, [`t${i}`]: t });
      ask();
      picture.moved();
      return [x, t];
    },
  }));
  const head = ["update", "terms", ...NUMBERS.map(([, label]) => label)].map((text) => h("th", { scope: "col" }, text));
  const body = h("tbody");
  const region = { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "What the updates did" };
  const numbers = h("div", region,
    h("table", { class: "view-numbers proximal-numbers" }, h("thead", {}, h("tr", {}, head)), body));
  const readout = h("p", { class: "view-readout" });
  const wrong = h("p", { class: "view-error", role: "status" });
  element.prepend(h("div", { class: "view-controls view-knobs" }, fields), h("div", { class: "view-controls" },
    number.element, switches));
  picture.root.after(numbers, readout, wrong);
  signal.addEventListener("abort", () => element.replaceChildren());

  const bounded = (/** @type {string} */ key, /** @type {number} */ value) =>
    Math.min(Math.max(value, knobs[key].minimum ?? -Infinity), knobs[key].maximum ?? Infinity);
  const batch = () => [1, 2, 3].slice(0, settings.points).map((i) => [settings[`x${i}`], settings[`t${i}`]]);

  /** @param {Answer} data @param {number} lane @param {number} step */
  function take(data, lane, step) {
    const first = !shown;
    shown = { ...data, lane, step };
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
    if (!picture.visible) return;
    question(settings, (/** @type {Answer} */ data) => data.fsd === settings.fsd && data.wsd === settings.wsd &&
      JSON.stringify(data.batch) === JSON.stringify(batch()));
  }

  const hueOf = (/** @type {string} */ hue) => rgb(getComputedStyle(element).getPropertyValue(hue));

  /** The curves that are drawn, the dashed ones below. @returns {Line[]} */
  function lines() {
    if (!shown) return [];
    const kinds = /** @type {("quadratic" | "exact")[]} */ (show.quadratic ? ["quadratic", "exact"] : ["exact"]);
    const updates = shown.updates.filter((update) => show[update.name]);
    return [
      { name: BEFORE, kind: "", told: shown.before, colour: css(picture.theme.muted) },
      ...kinds.flatMap((kind) => updates.map((update) =>
        ({ name: update.name, kind, told: update[kind], colour: css(hueOf(LOOKS[update.name].hue)) }))),
    ];
  }

  const styleOf = (/** @type {Line} */ { kind }) =>
    ({ width: kind === "exact" ? 2.6 : kind ? 1.8 : 4, dash: kind === "quadratic" ? [7, 4] : [] });

  /** @param {CanvasRenderingContext2D} context @param {import("../plot.js").Area} area */
  function draw(context, { width, height, theme }) {
    ask();
    fit();
    const toPixel = picture.mapper();
    if (!toPixel || !shown) return;
    const { x, data } = shown;
    context.save();
    context.beginPath();
    context.rect(0, 0, width, height);
    context.clip();
    context.lineJoin = "round";
    context.fillStyle = css(theme.muted, 0.7);
    for (const [u, v] of show.data ? data : []) {
      const [px, py] = toPixel(u, v);
      context.beginPath();
      context.arc(px, py, 2.2, 0, 7);
      context.fill();
    }
    for (const line of lines()) {
      const { width, dash } = styleOf(line);
      context.strokeStyle = line.colour;
      context.globalAlpha = line.kind ? 1 : 0.55;
      context.lineWidth = width;
      context.setLineDash(dash);
      context.beginPath();
      curve(context, line.told.curve.map((f, i) => /** @type {Point} */ ([x[i], f])), toPixel);
      context.stroke();
    }
    context.restore();
    if (!session.interactive) {
      context.fillStyle = css(theme.ink);
      for (const [u, v] of shown.batch) {
        const [px, py] = toPixel(u, v);
        context.beginPath();
        context.arc(px, py, 6, 0, 7);
        context.fill();
      }
    }
    for (const handle of handles) handle.place(toPixel, width, height);
  }

  /** The data and the network before decide on the axes, by halves: they do not move under a point that does. */
  function ranges() {
    if (!shown) return { x: [0, 1], y: [0, 1] };
    const { x, data, before } = shown, values = [...data.map(([, t]) => t), ...before.curve];
    const low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
    return { x: [x[0], x[x.length - 1]], y: [Math.floor(2 * low - 0.5) / 2, Math.ceil(2 * high + 0.5) / 2] };
  }

  function fit() {
    if (!shown || picture.zoomed || !picture.due(framed) || JSON.stringify(ranges()) === frame) return;
    framed = performance.now();
    commit(false);
  }

  /** Hands Plotly the axes and, when all is at rest, everything for hover and export. @param {boolean} [whole] */
  function commit(whole = true) {
    if (!shown) return;
    const { x, y } = ranges(), { data, batch: points } = shown;
    frame = JSON.stringify({ x, y });
    const dots = (/** @type {Point[]} */ at, /** @type {string} */ label, /** @type {object} */ marker) => ({
      type: "scatter", mode: "markers", name: label, x: at.map((p) => p[0]), y: at.map((p) => p[1]), marker,
      hovertemplate: `${label}<br>(%{x:.4g}, %{y:.4g})<extra></extra>`,
    });
    const traces = [
      ...(show.data ? [dots(data, "data", { color: css(picture.theme.muted), size: 4.4 })] : []),
      ...lines().map((line) => {
        const { width, dash } = styleOf(line), label = line.kind ? `${line.name}, ${line.kind}` : line.name;
        return {
          type: "scatter", mode: "lines", name: label, x: shown?.x, y: line.told.curve,
          line: { color: line.colour, width, dash: dash.length ? "dash" : "solid" },
          hovertemplate: `${label}<br>f(%{x:.3g}) = %{y:.4g}<extra></extra>`,
        };
      }),
      dots(points, "batch", { color: css(picture.theme.ink), size: 12 }),
    ];
    picture.commit(whole ? traces : [{ type: "scatter", x: [], y: [] }], {
      xaxis: { range: x, title: { text: "input x" }, nticks: 7 },
      yaxis: { range: y, title: { text: "output f(x), target t" }, nticks: 7 },
    });
  }

  /** @param {string} label @param {string} kind @param {Told} told */
  const row = (label, kind, told) => h("tr", {}, h("th", { scope: "row" },
    h("span", { class: `line-key ${LOOKS[label]?.key ?? "proximal-before"}`, "aria-hidden": "true" }), label),
  h("td", {}, kind), NUMBERS.map(([key]) => h("td", {}, written(told[key]))));

  function tell() {
    if (!shown) return;
    const { before, updates, step, fsd, wsd, least_wsd } = shown;
    body.replaceChildren(row(BEFORE, "", before), ...updates.flatMap(({ name, exact, quadratic }) =>
      [row(name, "exact", exact), row(name, "quadratic", quadratic)]));
    const [plain, kept, both] = updates.map(({ exact }) => exact);
    const forgot = (/** @type {Told} */ { forgotten }) => written(forgotten, 3);
    readout.textContent = [
      `${session.lanes[shown.lane]?.label ?? "The lane"}, step ${step}, and one update for ${shown.batch.length === 1
        ? "one point" : `${shown.batch.length} points`} from there, λ_FSD = ${written(fsd)}, λ_WSD = ${written(wsd)}.`,
      before.forgotten === null ? ""
        : `Away from the batch the function changes by ${forgot(plain)} (root mean square) under loss + WSD,`
          + ` ${forgot(kept)} under loss + FSD and ${forgot(both)} under both;`,
      `the weights by ${written(plain.step_norm, 3)}, ${written(kept.step_norm, 3)} and ${written(both.step_norm, 3)}.`,
      `(Without WSD there is no single minimum: λ_WSD is ${written(least_wsd)} there.)`,
    ].join(" ");
  }

  function* curveRows() {
    if (!shown) return;
    for (const { name, kind, told } of lines()) {
      for (const [i, f] of told.curve.entries()) yield [name, kind, shown.x[i], f];
    }
  }

  picture.say("The curves appear with the run's first step.");
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
