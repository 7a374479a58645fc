// The ground that lanes walk on, shared by the views that draw it: the landscape's grid, the window it covers, and each
// lane's path in its coordinates (two weights, or the run's plane where there are more).

import { grow, inside, relief } from "./geometry.js";

/** @typedef {import("./types").Session} Session */
/** @typedef {import("./types").SessionEvent} SessionEvent */
/** @typedef {import("./geometry.js").Window} Window */
/** @typedef {{x: number[], y: number[], loss: number[][], slice: boolean, explained: number[] | null,
 *   paths?: number[][][]}} Grid */

const RESOLUTION = 121; // points along each axis: fewer show steps in a narrow valley

/** Where lanes start: where the spec says, or by default, which the catalog knows for the usual number of weights.
 * @param {Session} session @returns {number[] | null} */
export const startOf = (session) =>
  [session.spec.start, session.problem.start, session.lanes[0]?.w?.[0]].find((w) => w?.length === session.dimension)
  ?? null;

/** The damping of the step that a lane takes from an iterate: row k tells that of the step that led to it. In other
 * coordinates it is that of another matrix than here.
 * @param {Session} session @param {number} lane @param {number} step @returns {number | null} */
export function dampingAt(session, lane, step) {
  const { columns, knobs, coordinates } = session.lanes[lane] ?? { columns: {}, knobs: {} };
  if (coordinates) return null;
  return columns.damping?.[step + 1] ?? columns.damping?.[step] ?? knobs.damping ?? null;
}

/** Asks one question at a time and drops those that a newer one has overtaken while waiting. A question whose answer
 * comes in stages is given up for a newer one as soon as it has shown something.
 * @template T @param {(answer: T) => void} take @param {(message: string) => void} fail */
export function asker(take, fail) {
  /** @typedef {(following: {signal: AbortSignal, part: (answer: T) => void}) => Promise<T>} Question */
  /** @type {Question | null} */
  let next = null;
  let busy = false, shown = false;
  let asking = new AbortController();
  return async function ask(/** @type {Question} */ question) {
    next = question;
    if (shown) asking.abort();
    if (busy) return;
    busy = true;
    while (next) {
      const now = next, { signal } = (asking = new AbortController());
      next = null;
      try {
        const part = (/** @type {T} */ answer) => {
          if (signal.aborted) return;
          take(answer);
          shown = true;
          if (next) asking.abort();
        };
        const answer = await now({ signal, part });
        take(answer);
      } catch (error) {
        if (!(error instanceof DOMException && error.name === "AbortError")) {
          fail(error instanceof Error ? error.message : String(/** @type {any} */ (error)?.message ?? error));
        }
      }
      shown = false;
    }
    busy = false;
  };
}

/** A probe's answer that came with the run itself, if it did.
 * @param {Session} session @param {string} name @param {number} lane @param {number | null} step  null = any */
export const recorded = (session, name, lane, step, matches = (/** @type {any} */ _data) => true) =>
  session.lanes[lane]?.probes.find((p) => p.name === name && (step === null || p.step === step) && matches(p.data))
    ?.data ?? null;

/** @param {{session: Session, changed: () => void, failed: (message: string) => void}} options
 *   changed: a new grid has come. */
export function terrain({ session, changed, failed }) {
  /** @type {Grid | null} */
  let grid = null;
  /** @type {ReturnType<typeof relief>} */
  let shade = null;
  /** @type {Window | null} */
  let window = null;
  let asked = "";
  /** @type {(number[][] | null)[]} */
  let trails = []; // each lane's rows; those of the last run until the new one's first row arrives

  const ask = asker((/** @type {Grid} */ answer) => {
    grid = answer;
    shade = relief(answer.loss);
    const ends = (/** @type {number[]} */ a) => /** @type {[number, number]} */ ([a[0], a[a.length - 1]]);
    window ??= [ends(answer.x), ends(answer.y)];
    if (answer.slice) window = [ends(answer.x), ends(answer.y)];
    changed();
  }, (message) => {
    asked = "";
    failed(message);
  });

  const planar = () => session.dimension === 2;

  /** The window that shows the start and the lanes: kept while it does, so that the ground does not shift. */
  function fit() {
    const own = session.problem.window;
    if (!own) return window;
    const start = startOf(session);
    const need = grow(own, trails.flatMap((w) => w ?? []), start && start.length === 2 ? [start] : []);
    const area = (/** @type {Window} */ w) => (w[0][1] - w[0][0]) * (w[1][1] - w[1][0]);
    const covers = window && inside([need[0][0], need[1][0]], window) && inside([need[0][1], need[1][1]], window);
    if (!window || !covers || area(window) > 1.5 * area(need)) window = need;
    return window;
  }

  /** Asks for what is missing. `view` is a window the reader chose by zooming.
   * @param {Window | null} [view] */
  function refresh(view = null) {
    const recording = session.lanes.map((_, lane) => recorded(session, "landscape", lane, null)).find(Boolean);
    if (recording && (!session.interactive || !planar())) {
      if (asked !== session.run?.id) ask(async () => recording);
      asked = session.run?.id ?? "";
      return;
    }
    if (planar()) {
      const wanted = view ?? fit();
      const key = JSON.stringify([session.spec.problem, session.spec.seed, wanted]);
      const at = startOf(session);
      if (key === asked || !at) return;
      asked = key;
      ask(() => session.probeAt({ name: "landscape", resolution: RESOLUTION, ...(wanted && { window: wanted }) }, at));
    } else if (session.finished && session.run && asked !== session.run.id) {
      asked = session.run.id;
      ask(() => session.probe({ name: "landscape", resolution: 61 }, { lane: session.selected, step: 0 }));
    }
  }

  let problem = JSON.stringify(session.spec.problem);
  const collect = (/** @type {number} */ lane) => {
    const { w, length } = session.lanes[lane] ?? {};
    if (w && length) trails[lane] = w;
  };
  session.lanes.forEach((_, lane) => collect(lane));

  return {
    refresh,
    get grid() { return grid; },
    get relief() { return shade; },
    get window() { return window; },
    planar,
    /** What the two axes are called. */
    names: () => (planar() ? session.problem.weights : ["direction 1", "direction 2"]),
    /** A lane's points, one a step. @param {number} lane @returns {number[][]} */
    path: (lane) => (planar() ? trails[lane] : grid?.paths?.[lane]) ?? [],
    /** True where the problem is another one now. @param {SessionEvent} event */
    on(event) {
      if (event.kind === "chunk") collect(event.data.lane);
      else if (event.kind === "run") trails.length = Math.min(trails.length, session.lanes.length);
      else if (event.kind === "end" && !planar()) refresh();
      else if (event.kind === "spec") {
        const now = JSON.stringify(session.spec.problem);
        if (now === problem) return false;
        problem = now;
        window = null;
        trails = [];
        refresh();
        return true;
      }
      return false;
    },
  };
}
