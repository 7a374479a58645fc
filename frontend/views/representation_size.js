// How many numbers the curvature of a network takes, for the problem's own widths or any others, and which weights fall
// in which block.

import { plain } from "../catalog.js";
import { h, unique, written } from "../dom.js";
import { dataTable } from "../plot.js";
import { asker } from "../terrain.js";
import { toggles } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {import("../types").Block} Block */
/** @typedef {{widths: number[], biases: boolean, weights: number, sizes: Record<string, number>, blocks: Block[]}} Answer */

export const name = "representation-size";
export const title = "Size of a representation";
export const order = 33;

/** @param {Session} session @returns {true | string} */
export const wants = (session) => session.lacking(name) ?? true;

/** @type {Record<string, string>} */
const REPRESENTATIONS = {
  full: "Full matrix G", "block-diagonal": "Block-diagonal", "block-tridiagonal": "Block-tridiagonal inverse",
  kronecker: "Kronecker factors A, S", diagonal: "Diagonal",
};
const LECTURE = "1000, 1000, 1000, 1000";
/** @type {[number, string][]} */
const POWERS = [[1e15, "quadrillion"], [1e12, "trillion"], [1e9, "billion"], [1e6, "million"]];
/** @type {[number, string][]} */
const BYTES = [[1e15, "PB"], [1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]];

/** @param {number} value @param {[number, string][]} units @param {string} [plainly] */
function inUnits(value, units, plainly = "") {
  const [size, unit] = units.find(([size]) => value >= size) ?? [1, plainly];
  return `${written(value / size, 3)} ${unit}`.trim();
}

/** A number in words, as lectures say it. @param {number} value */
export const inWords = (value) => (value < 1e6 ? value.toLocaleString("en") : inUnits(value, POWERS));

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const own = session.spec.probes?.find((p) => p.name === name);
  /** @type {number[] | null} null: the problem's own */
  let widths = own?.widths ?? null;
  const uses = { biases: own?.biases ?? true };
  /** @type {Answer | null} */
  let shown = null;
  let asked = "";

  const id = unique("widths"), why = unique("why");
  const input = h("input", {
    type: "text", id, inputmode: "numeric", autocomplete: "off", spellcheck: "false", "aria-describedby": why,
  });
  const wrong = h("p", { class: "view-error", id: why, role: "status" });
  const ownWidths = h("button", { type: "button", class: "quiet" }, "This network");
  const lecture = h("button", { type: "button", class: "quiet" }, "The lecture’s");
  const biases = toggles("Biases", uses, { biases: "biases" }, () => ask());
  const bars = h("ul", { class: "size-bars" }), readout = h("p", { class: "view-readout" });
  const caption = h("caption"), body = h("tbody");
  const head = ["block", "weights", "shape", "first", "last", "count"];
  const blocks = h("div", { class: "table-scroll" }, h("table", { class: "lanes size-blocks" }, caption,
    h("thead", {}, h("tr", {}, head.map((text, i) => h("th", { scope: "col", class: i > 2 ? "num" : null }, text)))), body));
  const label = "Numbers that each representation takes";
  const data = dataTable(label, () => ({ head: ["representation", "numbers", "of the full matrix"], rows }));
  element.append(
    h("div", { class: "view-controls" }, h("label", { class: "view-choice size-widths", for: id }, "Layer widths ", input),
      ownWidths, lecture, biases), wrong,
    h("figure", { class: "plot", role: "figure", "aria-label": label }, bars, h("div", { class: "plot-foot" }, data.details)),
    readout, blocks,
  );
  signal.addEventListener("abort", () => element.replaceChildren());

  const question = asker((/** @type {Answer} */ answer) => {
    shown = answer;
    wrong.textContent = "";
    input.removeAttribute("aria-invalid");
    tell();
  }, (message) => {
    wrong.textContent = message;
    input.setAttribute("aria-invalid", "true");
  });

  /** Widths can be asked about at any weights; the problem's own take a run, whose widths may not be the catalog's. */
  function ask() {
    const lane = session.lanes[session.selected];
    if (!lane?.length) return;
    const probe = { name, biases: uses.biases, ...(widths && { widths }) };
    const key = JSON.stringify([session.run?.id, probe]);
    if (key === asked) return;
    asked = key;
    const known = lane.probes.filter((p) => p.name === name).at(-1);
    if (!session.interactive && known) question(async () => known.data);
    else question(() => session.probe(probe, { lane: session.selected, step: 0 }));
  }

  input.addEventListener("change", () => {
    const told = input.value.split(/[\s,;×x–-]+/).filter(Boolean).map(Number);
    const fit = told.length >= 2 && told.every((width) => Number.isInteger(width) && width > 0);
    if (!fit) {
      wrong.textContent = "Write at least two whole numbers with commas between them, such as 64, 32, 10.";
      input.setAttribute("aria-invalid", "true");
      return;
    }
    widths = told;
    ask();
  });
  ownWidths.addEventListener("click", () => choose(null, true));
  lecture.addEventListener("click", () => choose(LECTURE.split(", ").map(Number), false));

  /** @param {number[] | null} next @param {boolean} withBiases */
  function choose(next, withBiases) {
    widths = next;
    uses.biases = withBiases;
    biases.querySelectorAll("input")[0].checked = withBiases;
    ask();
  }

  function tell() {
    if (!shown) return;
    const { sizes, weights, blocks: all } = shown, top = Math.log10(Math.max(...Object.values(sizes), 10));
    input.value = shown.widths.join(", ");
    bars.replaceChildren(...Object.entries(REPRESENTATIONS).map(([key, text]) => {
      const bar = h("span", { class: "size-bar", "aria-hidden": "true" }, h("span"));
      bar.style.setProperty("--share", `${(100 * Math.log10(Math.max(sizes[key], 1))) / top}%`);
      return h("li", {}, h("span", { class: "size-name" }, text), bar,
        h("span", { class: "size-number" }, sizes[key].toLocaleString("en")));
    }));
    const float = 4, memory = (/** @type {string} */ key) => inUnits(float * sizes[key], BYTES, "bytes");
    readout.textContent =
      `${inWords(weights)} weights in ${all.length} ${all.length === 1 ? "layer" : "layers"}: the full matrix has ` +
      `${inWords(sizes.full)} entries, its blocks ${inWords(sizes["block-diagonal"])}, their Kronecker factors ` +
      `${inWords(sizes.kronecker)}. As 32-bit numbers that is ${memory("full")}, ${memory("block-diagonal")} and ` +
      `${memory("kronecker")}. Bars are logarithmic: a tenth of the full length is a factor of ` +
      `${written(10 ** (top / 10), 2)}.`;
    caption.textContent = widths ? "Which weights would fall in which block" : "Which weights fall in which block";
    body.replaceChildren(...all.map((block) => h("tr", {},
      h("th", { scope: "row" }, block.name), h("td", {}, block.weights.join(", ")), h("td", {}, block.shape.join(" × ")),
      [block.first, block.first + block.count - 1, block.count].map((v) => h("td", { class: "num" }, v.toLocaleString("en"))))));
    data.refresh();
  }

  function* rows() {
    if (!shown) return;
    for (const [key, text] of Object.entries(REPRESENTATIONS)) {
      yield [text, shown.sizes[key], written(shown.sizes[key] / shown.sizes.full, 3)];
    }
  }

  /** Before the first answer, what the catalog knows of the problem. */
  function begin() {
    const blocks = plain(session.problem, session.spec.problem) ? session.problem.blocks : null;
    if (blocks) input.value = [blocks[0].shape[1] - 1, ...blocks.map((block) => block.shape[0])].join(", ");
  }

  begin();
  ask();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      if (["chunk", "end", "run", "select"].includes(event.kind)) ask();
    },
  };
}
