// The only file that knows Plotly. Plotly draws axes and contours once; what moves is drawn on an overlay canvas over
// the same axes, and handed to Plotly when it stops: hidden there, but hovered, zoomed and exported.

import { h, icon } from "./dom.js";
import { css } from "./geometry.js";

/** @typedef {import("./geometry.js").RGB} RGB */
/** @typedef {{ink: RGB, paper: RGB, muted: RGB, line: RGB, accent: RGB, font: string, dark: boolean}} Theme */
/** @typedef {{width: number, height: number, theme: Theme}} Area */
/** @typedef {{head: string[], rows: () => Iterable<(string | number | null)[]>}} Table */

/**
 * @typedef {object} FigureOptions
 * @property {HTMLElement} element          where the figure goes
 * @property {string} label                 its accessible name
 * @property {AbortSignal} signal           takes the figure away
 * @property {(context: CanvasRenderingContext2D, area: Area) => void} draw  paints the overlay from the plot's corner
 * @property {() => void} [settle]          called when nothing has moved for a while: commit
 * @property {() => void} [tell]            says in words what is drawn; called a few times a second while things move
 * @property {() => void} [viewed]          called when the reader zoomed or panned, or returned
 * @property {() => void} [seen]            called when the figure comes into sight
 * @property {() => Table} [table]          the drawn data, for "Data table"
 * @property {"zoom" | "pan" | false} [drag] what dragging the plot does
 * @property {string} [file]                name of an exported picture
 */

const CONFIG = { displayModeBar: false, scrollZoom: false, doubleClick: false, showTips: false };
const QUIET = 220; // milliseconds without motion after which the overlay's content is committed
const ROWS = 1000; // of a data table
const TABLE_PAUSE = 250;
const WORDS = 120; // milliseconds between two changes of the words beside a moving picture

/** @type {Promise<any> | null} */
let library = null;

/** Plotly itself, loaded once, when the first figure asks. A page may name its own copy in <meta name="plotly">. */
function plotly() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.querySelector('meta[name="plotly"]')?.getAttribute("content") ?? "/plotly.min.js";
    script.onload = () => resolve(/** @type {any} */ (window).Plotly);
    script.onerror = () => {
      library = null;
      reject(new Error("The drawing library could not be loaded."));
    };
    document.head.append(script);
  });
  return library;
}

const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
/** @type {Map<string, RGB>} */
const parsed = new Map();
/** Any CSS colour as red, green, blue. @param {string} colour @param {string} [fallback] @returns {RGB} */
export function rgb(colour, fallback = "#000") {
  const known = parsed.get(colour || fallback);
  if (known) return known;
  if (!probe) return [0, 0, 0];
  probe.fillStyle = fallback;
  probe.fillStyle = colour.trim() || fallback;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  parsed.set(colour || fallback, [r, g, b]);
  return [r, g, b];
}

/** The page's colours where this element stands. @param {Element} element @returns {Theme} */
export function themeOf(element) {
  const style = getComputedStyle(element);
  /** @param {string} name @param {string} fallback */
  const read = (name, fallback) => rgb(style.getPropertyValue(name), fallback);
  const paper = read("--paper", "#ffffff");
  const dark = paper[0] + paper[1] + paper[2] < 384;
  return {
    paper, dark, font: style.fontFamily,
    ink: read("--ink", dark ? "#e8e8e6" : "#1c1f24"), muted: read("--muted", dark ? "#9aa3ad" : "#5b6570"),
    line: read("--line", dark ? "#39424c" : "#d5dae0"), accent: read("--accent", dark ? "#7ab7ff" : "#1f5fbf"),
  };
}

const GLYPHS = {
  plus: "M8 3v10M3 8h10", minus: "M3 8h10", home: "M2.5 8 8 3l5.5 5M4.5 7v6h7V7",
  save: "M8 2.5v8M4.5 7 8 10.5 11.5 7M3 13.5h10",
};

/** A small button with a drawn sign.
 * @param {keyof typeof GLYPHS} glyph @param {string} label @param {() => void} act */
function tool(glyph, label, act, text = "") {
  const attributes = { type: "button", class: "plot-tool", "aria-label": label, title: label, onclick: act };
  return h("button", attributes, icon(GLYPHS[glyph]), text);
}

/** A canvas context of `width` x `height` CSS pixels at the screen's own resolution, cleared.
 * @param {HTMLCanvasElement} canvas @param {number} width @param {number} height */
export function surface(canvas, width, height) {
  const density = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * density)), Math.max(1, Math.round(height * density))];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no 2-D canvas");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** A <details> that holds the drawn data as a table, built only while it is open.
 * @param {string} label of the figure @param {() => Table} source */
export function dataTable(label, source) {
  const attributes = { class: "plot-table-scroll", tabindex: "0", role: "region", "aria-label": `Data: ${label}` };
  const scroll = h("div", attributes);
  const details = /** @type {HTMLDetailsElement} */ (
    h("details", { class: "plot-table" }, h("summary", {}, "Data table"), scroll));
  let due = 0;
  const fill = () => {
    const { head, rows } = source();
    const body = h("tbody");
    let count = 0;
    for (const row of rows()) {
      if (count++ >= ROWS) break;
      const line = h("tr");
      for (const cell of row) line.append(h("td", {}, cell === null ? "" : String(cell)));
      body.append(line);
    }
    const title = h("tr");
    for (const name of head) title.append(h("th", { scope: "col" }, name));
    const table = h("table", {}, h("thead", {}, title), body);
    const note = count > ROWS ? [h("p", {}, `The first ${ROWS} rows; the run's CSV file has them all.`)] : [];
    scroll.replaceChildren(table, ...note);
  };
  const refresh = () => {
    if (!details.open || due) return;
    due = window.setTimeout(() => {
      due = 0;
      if (details.isConnected && details.open) fill();
    }, TABLE_PAUSE);
  };
  details.addEventListener("toggle", () => (details.open ? fill() : scroll.replaceChildren()));
  return { details, refresh };
}

/** @typedef {ReturnType<typeof figure>} Figure */

/** A figure with axes by Plotly and an overlay canvas over its plot area.
 * @param {FigureOptions} options */
export function figure({ element, label, signal, draw, settle, tell, viewed, seen, table, drag = false, file = "figure" }) {
  const plot = h("div", { class: "plot-plotly", role: "img", "aria-label": label });
  const canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "plot-overlay", "aria-hidden": "true" }));
  const note = h("p", { class: "plot-note", hidden: true });
  const area = h("div", { class: "plot-area" }, plot, canvas, note);
  const data = table && dataTable(label, table);
  const tools = h("div", { class: "plot-tools", role: "group", "aria-label": `${label}: zoom and save` },
    tool("plus", "Zoom in", () => zoom(0.6)), tool("minus", "Zoom out", () => zoom(1 / 0.6)),
    tool("home", "Reset the view", () => reset()), tool("save", "Save as PNG", () => save("png"), "PNG"),
    tool("save", "Save as SVG", () => save("svg"), "SVG"));
  const root = h("figure", { class: "plot", role: "figure", "aria-label": label }, area,
    h("div", { class: "plot-foot" }, ...(data ? [data.details] : []), tools));
  element.append(root);

  /** @type {any} */
  const target = plot;
  let theme = themeOf(element);
  /** @type {any} */
  let Plotly = null;
  /** @type {{traces: object[], layout: any} | null} */
  let pending = null;
  let busy = false, zoomed = false, own = 0, cost = 0, frame = 0, quiet = 0, told = 0, visible = true;
  /** @type {Record<string, [number, number]>} */
  let home = {};
  const coarse = matchMedia("(pointer: coarse)").matches;

  const axes = () => Object.keys(home);
  const dressed = (/** @type {any} */ layout) => {
    const axis = {
      color: css(theme.ink), gridcolor: css(theme.line), linecolor: css(theme.muted), zeroline: false, ticks: "outside",
      ticklen: 4, tickcolor: css(theme.muted), exponentformat: "power", automargin: true,
    };
    /** @type {any} */
    const result = {
      width: area.clientWidth, height: area.clientHeight, autosize: false, margin: { l: 56, r: 12, t: 10, b: 44 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", showlegend: false,
      dragmode: coarse ? false : drag, font: { family: theme.font, size: 13, color: css(theme.ink) },
      hoverlabel: { bgcolor: css(theme.paper), bordercolor: css(theme.muted), font: { color: css(theme.ink) } },
      ...layout,
    };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      // Powers of ten are set larger than other labels.
      const [low, high] = layout[name].range ?? [0, 0];
      const tickfont = { size: layout[name].type === "log" && high - low > 1 ? 9.5 : 12 };
      result[name] = { ...axis, tickfont, ...layout[name] };
      if (layout[name].range) {
        home[name] = layout[name].range;
        if (zoomed) result[name].range = [...target._fullLayout[name].range];
      }
    }
    return result;
  };

  async function flush() {
    if (busy) return;
    busy = true;
    try {
      Plotly ??= await plotly();
      while (pending && !signal.aborted && area.clientWidth > 0) {
        const { traces, layout } = pending;
        pending = null;
        const first = !target._fullLayout;
        own++;
        const began = performance.now();
        await Plotly.react(target, traces, dressed(layout), CONFIG);
        cost = performance.now() - began;
        own--;
        if (first) adopt();
        paint();
      }
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
    } finally {
      busy = false;
    }
    data?.refresh();
  }

  /** What Plotly only offers once a figure exists: its events, its elements. */
  function adopt() {
    target.on("plotly_relayouting", paint);
    target.on("plotly_relayout", (/** @type {any} */ change) => {
      paint();
      if (own || !Object.keys(change).some((key) => /axis\d*\.range/.test(key))) return;
      zoomed = true;
      viewed?.();
    });
    target.on("plotly_doubleclick", reset);
    for (const svg of plot.querySelectorAll("svg")) svg.setAttribute("aria-hidden", "true");
    plot.querySelector(".gl-container")?.before(canvas); // over the plot, under the labels that hovering shows
  }

  /** @param {Record<string, any>} change */
  async function relayout(change) {
    if (!target._fullLayout) return;
    own++;
    await Plotly.relayout(target, change);
    own--;
    paint();
  }

  /** Scales the ranges about a point given as a share of the plot area. @param {number} factor */
  async function zoom(factor, fx = 0.5, fy = 0.5) {
    if (!target._fullLayout) return;
    /** @type {Record<string, any>} */
    const change = {};
    for (const name of axes()) {
      const [low, high] = target._fullLayout[name].range, share = name[0] === "x" ? fx : 1 - fy;
      const centre = low + (high - low) * share;
      change[`${name}.range`] = [centre + (low - centre) * factor, centre + (high - centre) * factor];
    }
    zoomed = true;
    await relayout(change);
    viewed?.();
  }

  async function reset() {
    zoomed = false;
    await relayout(Object.fromEntries(axes().map((name) => [`${name}.range`, [...home[name]]])));
    viewed?.();
  }

  /** @param {"png" | "svg"} format */
  async function save(format) {
    settle?.();
    await flush();
    if (!Plotly) return;
    const legend = { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" };
    const layout = { ...target.layout, paper_bgcolor: css(theme.paper), showlegend: true, legend };
    const picture = { data: target.data, layout };
    const { clientWidth: width, clientHeight: height } = area;
    const url = await Plotly.toImage(picture, { format, width, height, scale: format === "png" ? 2 : 1 });
    h("a", { href: url, download: `${file}.${format}` }).click();
  }

  /** An axis as pixel = offset + slope · (value or its log). @param {string} name */
  function scale(name) {
    const full = target._fullLayout, axis = full?.[name];
    if (!axis) return null;
    const [low, high] = axis.range, per = axis._length / (high - low), log = axis.type === "log";
    return name[0] === "x"
      ? { slope: per, offset: axis._offset - full._size.l - low * per, log }
      : { slope: -per, offset: axis._offset - full._size.t + axis._length + low * per, log };
  }

  /** A function from data to pixels of the overlay, for one pair of axes. Fast: made once a frame. */
  function mapper(xaxis = "xaxis", yaxis = "yaxis") {
    const x = scale(xaxis), y = scale(yaxis);
    if (!x || !y) return null;
    const lx = x.log ? Math.log10 : Number, ly = y.log ? Math.log10 : Number;
    return (/** @type {number} */ u, /** @type {number} */ v) =>
      /** @type {[number, number]} */ ([x.offset + x.slope * lx(u), y.offset + y.slope * ly(v)]);
  }

  function paint() {
    if (!frame && visible && !signal.aborted) frame = requestAnimationFrame(render);
  }

  function render() {
    frame = 0;
    const full = target._fullLayout;
    if (!full || signal.aborted) return;
    const { l, t, w, h } = full._size;
    canvas.style.left = `${l}px`;
    canvas.style.top = `${t}px`;
    draw(surface(canvas, w, h), { width: w, height: h, theme });
    if (tell && performance.now() - told > WORDS) {
      told = performance.now();
      tell();
    }
  }

  /** Something moved: paint the next frame, and commit when it has been still for a while. */
  function moved() {
    paint();
    clearTimeout(quiet);
    quiet = window.setTimeout(() => {
      if (signal.aborted) return;
      tell?.();
      settle?.();
      data?.refresh();
    }, QUIET);
  }

  /** A sentence in place of the picture, or none. @param {string | null} text */
  function say(text) {
    note.hidden = !text;
    note.textContent = text ?? "";
  }

  const resizes = new ResizeObserver(() => {
    if (!area.clientWidth || !area.clientHeight) return;
    if (target._fullLayout) relayout({ width: area.clientWidth, height: area.clientHeight });
    if (pending) flush();
  });
  resizes.observe(area);
  const sights = new IntersectionObserver((entries) => {
    visible = entries[entries.length - 1].isIntersecting;
    if (!visible) return;
    paint();
    seen?.();
  }, { rootMargin: "200px" });
  sights.observe(area);
  area.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // scrolling the page is never trapped
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    const [fx, fy] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    zoom(Math.exp(event.deltaY * 0.002), fx, fy);
  }, { passive: false, signal });
  signal.addEventListener("abort", () => {
    resizes.disconnect();
    sights.disconnect();
    cancelAnimationFrame(frame);
    clearTimeout(quiet);
    if (Plotly && target._fullLayout) Plotly.purge(target);
    root.remove();
  });

  return {
    root, area, plot, moved, paint, say, scale, mapper, reset,
    /** Hands Plotly traces and layout; the newest call wins. @param {object[]} traces @param {any} layout */
    commit(traces, layout) {
      pending = { traces, layout };
      return flush();
    },
    get ready() { return Boolean(target._fullLayout); },
    get visible() { return visible; },
    get zoomed() { return zoomed; },
    /** Whether axes set this long ago may be set anew while things move: Plotly then takes a small share of the time.
     * @param {number} then */
    due: (then) => performance.now() - then > Math.max(150, 15 * cost),
    get theme() { return theme; },
    /** The visible range of an axis, in its own units (log10 on a log axis). @param {string} name */
    range: (name) => /** @type {[number, number] | null} */ (target._fullLayout?.[name]?.range?.slice() ?? null),
    /** Overlay pixels to data. @param {number} px @param {number} py @returns {[number, number] | null} */
    fromPixel(px, py) {
      const x = scale("xaxis"), y = scale("yaxis");
      if (!x || !y) return null;
      const u = (px - x.offset) / x.slope, v = (py - y.offset) / y.slope;
      return [x.log ? 10 ** u : u, y.log ? 10 ** v : v];
    },
    /** A pointer event's place on the overlay.
     * @param {{clientX: number, clientY: number}} event @returns {[number, number]} */
    pointer(event) {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    },
    /** The overlay's corner inside the area, for elements placed over the plot. */
    corner: () => ({ left: target._fullLayout?._size.l ?? 0, top: target._fullLayout?._size.t ?? 0 }),
    /** Reads the page's colours again. */
    dress() {
      theme = themeOf(element);
      return theme;
    },
    refreshTable: () => data?.refresh(),
  };
}
