// Small multiples: one panel a lane, side by side over the same landscape, all under one scrub. The level sets are
// traced once into a canvas that every panel copies; only the overlays move.

import { h, written } from "../dom.js";
import { blend, css, isolines, trail } from "../geometry.js";
import { dataTable, rgb, surface, themeOf } from "../plot.js";
import { terrain } from "../terrain.js";
import { drawPath } from "../paths.js";
import { verdict } from "../widgets.js";

/** @typedef {import("../types").Session} Session */
/** @typedef {import("../types").SessionEvent} SessionEvent */
/** @typedef {{item: HTMLElement, button: HTMLElement, swatch: HTMLElement, label: HTMLElement, status: HTMLElement,
 *   base: HTMLCanvasElement, over: HTMLCanvasElement, picture: HTMLElement}} Panel */

export const name = "multiples";
export const title = "Side by side";
export const order = 40;
export const wide = true;
const PAGE = 9;
const WORDS = 200; // milliseconds between two changes of the words while things move
const QUIET = 250;

/** @param {Session} session @returns {true | string} */
export const wants = (session) => session.dimension >= 2 || "A landscape needs at least two weights.";

/** @type {import("../types").Mount} */
export function mount({ element, session, signal }) {
  const reduced = matchMedia("(prefers-reduced-motion: reduce)");
  const grid = h("ul", { class: "multiples" });
  const note = h("p", { class: "view-readout" });
  const earlier = h("button", { type: "button" }, "Earlier lanes");
  const later = h("button", { type: "button" }, "Later lanes");
  const pages = h("div", { class: "view-controls", hidden: true }, earlier, later);
  const label = "One landscape a lane";
  const data = dataTable(label, () => ({
    head: ["lane", "status", "steps", "step shown", ...ground.names(), "J"], rows,
  }));
  element.append(h("figure", { class: "plot multiples-figure", role: "figure", "aria-label": label },
    grid, pages, note, data.details));

  let theme = themeOf(element), page = 0, frame = 0, told = 0, visible = true, stale = true, based = "";
  /** @type {Panel[]} */
  let panels = [];
  /** @type {import("../geometry.js").Trail[]} */
  let trails = [];
  const raster = document.createElement("canvas"); // the shared level sets
  const ground = terrain({
    session, changed: () => { based = ""; stale = true; paint(); tell(); },
    failed: (message) => { if (!ground.grid) note.textContent = message; },
  });

  const first = () => page * PAGE;
  const count = () => Math.min(PAGE, session.lanes.length - first());

  /** One panel a lane of this page; built anew only when their number changes. */
  function build() {
    page = Math.min(page, Math.max(0, Math.ceil(session.lanes.length / PAGE) - 1));
    if (panels.length !== count()) {
      panels = Array.from({ length: Math.max(count(), 0) }, (_, i) => {
        const base = document.createElement("canvas"), over = document.createElement("canvas");
        const swatch = h("span", { class: "swatch", "aria-hidden": "true" }), label = h("span"), status = h("small");
        const select = () => (session.selected = first() + i);
        const button = h("button", { type: "button", onclick: select }, swatch, label);
        const picture = h("div", { class: "multiple-picture", role: "img", onclick: select }, base, over);
        const item = h("li", { class: "multiple" }, h("div", { class: "multiple-head" }, button, status), picture);
        return { item, button, swatch, label, status, base, over, picture };
      });
      grid.style.setProperty("--columns", String(panels.length === 4 ? 2 : Math.min(3, panels.length)));
      grid.replaceChildren(...panels.map((p) => p.item));
      based = "";
    }
    pages.hidden = session.lanes.length <= PAGE;
    earlier.toggleAttribute("disabled", page === 0);
    later.toggleAttribute("disabled", first() + PAGE >= session.lanes.length);
    stale = true;
  }

  const turn = (/** @type {number} */ by) => {
    page += by;
    build();
    based = "";
    tell();
    paint();
  };
  earlier.addEventListener("click", () => turn(-1), { signal });
  later.addEventListener("click", () => turn(1), { signal });

  /** The scrubbed step, or the lane's last. @param {number} lane */
  const shownStep = (lane) => Math.min(Math.round(session.step), Math.max((session.lanes[lane]?.length ?? 1) - 1, 0));

  function tell() {
    told = performance.now();
    panels.forEach((panel, i) => {
      const lane = session.lanes[first() + i];
      if (!lane) return;
      const step = shownStep(first() + i), status = lane.end ? verdict(lane.end) : lane.length ? "running" : "waiting";
      const loss = `J = ${written(lane.columns.loss?.[step], 3)}`;
      panel.label.textContent = lane.label;
      panel.swatch.style.background = session.colour(first() + i);
      panel.status.textContent = `${status} · ${loss}`;
      panel.button.setAttribute("aria-pressed", String(first() + i === session.selected));
      panel.item.classList.toggle("selected", first() + i === session.selected);
      panel.picture.setAttribute("aria-label", `${lane.label} on the landscape: ${status}; step ${step}, ${loss}`);
    });
    const all = session.lanes.length;
    const more = all > PAGE ? `Lanes ${first() + 1} to ${first() + count()} of ${all}. ` : "";
    const slice = ground.grid?.slice ? "A slice: the plane of the paths’ first two principal directions." : "";
    note.textContent = more + slice;
    data.refresh();
  }

  function* rows() {
    for (const [i, lane] of session.lanes.entries()) {
      const step = shownStep(i), at = ground.path(i)[step];
      const place = [at?.[0] ?? null, at?.[1] ?? null, lane.columns.loss?.[step] ?? null];
      yield [lane.label, lane.end?.status ?? "running", lane.length - 1, step, ...place];
    }
  }

  /** Traces the level sets once, at a panel's size, and copies them into every panel.
   * @param {number} width @param {number} height */
  function trace(width, height) {
    const { grid: land, relief: shade } = ground;
    const key = [width, height, panels.length, theme.dark, theme.paper, devicePixelRatio, page].join();
    if (!land || !shade || based === key) return;
    based = key;
    const context = surface(raster, width, height), low = blend(theme.paper, theme.muted, theme.dark ? 0.62 : 0.55);
    const high = blend(theme.paper, theme.muted, 0.04), small = document.createElement("canvas");
    [small.width, small.height] = [land.x.length, land.y.length];
    const pixels = small.getContext("2d")?.createImageData(small.width, small.height);
    if (!pixels) return;
    shade.z.forEach((row, j) => row.forEach((z, i) => {
      const t = Math.min(Math.max((z - shade.base) / (shade.top - shade.base), 0), 1);
      pixels.data.set([...blend(low, high, t), 255], 4 * ((small.height - 1 - j) * small.width + i));
    }));
    small.getContext("2d")?.putImageData(pixels, 0, 0);
    context.drawImage(small, 0, 0, width, height);
    const toPixel = mapper(width, height);
    context.strokeStyle = css(theme.ink, theme.dark ? 0.3 : 0.25);
    context.lineWidth = 0.8;
    context.beginPath();
    for (const level of shade.levels) {
      for (const [ax, ay, bx, by] of isolines(land.x, land.y, shade.z, level)) {
        context.moveTo(...toPixel(ax, ay));
        context.lineTo(...toPixel(bx, by));
      }
    }
    context.stroke();
    for (const { base } of panels) surface(base, width, height).drawImage(raster, 0, 0, width, height);
  }

  /** @param {number} width @param {number} height @returns {(x: number, y: number) => [number, number]} */
  function mapper(width, height) {
    const [[x0, x1], [y0, y1]] = ground.window ?? [[0, 1], [0, 1]];
    return (x, y) => [((x - x0) / (x1 - x0)) * width, ((y1 - y) / (y1 - y0)) * height];
  }

  function render() {
    frame = 0;
    if (signal.aborted || !panels.length || !ground.window) return;
    const { clientWidth: width, clientHeight: height } = panels[0].picture;
    if (!width || !height) return;
    trace(width, height);
    if (stale) {
      const toPixel = mapper(width, height);
      trails = panels.map((_, i) => trail(ground.path(first() + i), toPixel, width, height));
      stale = false;
    }
    const step = reduced.matches ? Math.round(session.step) : session.step;
    panels.forEach(({ over }, i) => {
      const context = surface(over, width, height);
      const colour = rgb(session.colour(first() + i));
      if (trails[i]) drawPath(context, trails[i], step, { colour, halo: theme.paper, size: 0.85 });
    });
    if (performance.now() - told > WORDS) tell();
  }

  function paint() {
    if (!frame && visible) frame = requestAnimationFrame(render);
  }

  const resizes = new ResizeObserver(() => {
    stale = true;
    paint();
  });
  resizes.observe(grid);
  const sights = new IntersectionObserver((entries) => {
    visible = entries[entries.length - 1].isIntersecting;
    if (visible) paint();
  }, { rootMargin: "200px" });
  sights.observe(grid);
  signal.addEventListener("abort", () => {
    resizes.disconnect();
    sights.disconnect();
    cancelAnimationFrame(frame);
    element.replaceChildren();
  });

  let settling = 0;
  build();
  tell();
  ground.refresh();
  paint();
  return {
    /** @param {SessionEvent} event */
    on(event) {
      ground.on(event);
      if (event.kind === "theme") {
        theme = themeOf(element);
        based = "";
      }
      if (event.kind === "run" || event.kind === "end") build();
      if (event.kind === "chunk") stale = true;
      if (["axis", "clock", "spec", "probe"].includes(event.kind)) return;
      if (event.kind === "select" && session.lanes.length > PAGE && Math.floor(session.selected / PAGE) !== page) {
        page = Math.floor(session.selected / PAGE);
        build();
      }
      clearTimeout(settling);
      settling = window.setTimeout(() => {
        if (signal.aborted) return;
        ground.refresh();
        tell();
      }, QUIET);
      paint();
    },
  };
}
