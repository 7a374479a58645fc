// The page's one state: the spec, the run that it denotes with every row that has come, and where the reader looks.
// Controls, player, views and the URL talk through it and never to one another.

import { Answers } from "./answers.js";
import { named, plain, unfit } from "./catalog.js";
import { answered, append, forgetColours, laneColour, newLane } from "./lane.js";
import { Refusal } from "./stream.js";

/** @typedef {import("./types").ApiError} ApiError */
/** @typedef {import("./types").Axis} Axis */
/** @typedef {import("./types").Catalog} Catalog */
/** @typedef {import("./types").Following} Following */
/** @typedef {import("./types").Lane} Lane */
/** @typedef {import("./types").NamedPart} NamedPart */
/** @typedef {import("./types").RunEvent} RunEvent */
/** @typedef {import("./types").Session} Contract */
/** @typedef {import("./types").SessionEvent} SessionEvent */
/** @typedef {import("./types").Source} Source */
/** @typedef {import("./types").Spec} Spec */
/** @typedef {import("./types").State} State */
/** @typedef {{controller: AbortController, began: number, id: string | null, shown: boolean, done: boolean}} Flight */

/** While a control is dragged, a run may show this many milliseconds of itself before the next replaces it … */
const SHOW = 120;
/** … and one that has shown nothing is given up after as many. */
const GIVE_UP = 1500;
const PATIENCE = 700; // milliseconds without a first step after which the reader is told why nothing moves

/** @implements {Contract} */
export class Session extends EventTarget {
  /** @type {RunEvent | null} */
  run = null;
  /** @type {Lane[]} */
  lanes = [];
  finished = false;
  /** What is wrong with the spec, if anything. @type {ApiError | null} */
  error = null;
  #source;
  /** @type {Spec} */
  #spec;
  #step = 0;
  #following = true; // whether the scrub stays at the end as rows come
  #playing = false;
  /** @type {Axis} */
  #axis;
  #selected;
  /** @type {Flight | null} */
  #flight = null;
  #pending = false;
  #troubled = false; // whether a status is shown
  #timer = 0;
  #waiting = 0;
  /** Announced, but without a row yet: what is drawn stays until there is one. @type {RunEvent | null} */
  #announced = null;
  #probes = new AbortController();
  #answers;
  /** @type {Spec | null} */
  #attempted = null;

  /** @param {Catalog} catalog @param {Source} source @param {State} state */
  constructor(catalog, source, state) {
    super();
    this.catalog = catalog;
    this.#source = source;
    this.#answers = new Answers(source);
    this.#spec = state.spec;
    this.#axis = state.axis;
    this.#selected = state.lane;
    this.#at(state.at);
  }

  get spec() {
    return this.#spec;
  }
  get interactive() {
    return this.#source.interactive;
  }
  get problem() {
    return named(this.catalog.problems, this.#spec.problem.name) ?? this.catalog.problems[0];
  }
  /** How many weights the present spec has; NaN as long as only its run can tell. */
  get dimension() {
    const { problem, run } = this;
    if (run?.spec.problem.name === problem.name) return run.dimension;
    return plain(problem, this.#spec.problem) ? problem.dimension : NaN;
  }
  /** Why a probe cannot be asked of the present problem; null where it can, as far as is known. @param {string} probe */
  lacking(probe) {
    const { problem, run } = this;
    if (run?.spec.problem.name === problem.name) return run.unfit?.[probe] ?? null;
    const entry = named(this.catalog.probes, probe);
    return (entry && unfit(entry, problem, this.#spec.problem)) ?? null;
  }
  get lastStep() {
    return Math.max(0, ...this.lanes.map((lane) => lane.length - 1));
  }

  get step() {
    return this.#step;
  }
  set step(step) {
    const last = this.lastStep;
    this.#following = step >= last;
    this.#scrub(Math.min(Math.max(step, 0), last));
  }
  /** Whether the scrub stays at the end as rows come. */
  get following() {
    return this.#following;
  }

  get playing() {
    return this.#playing;
  }
  set playing(playing) {
    if (playing === this.#playing) return;
    this.#playing = playing;
    this.emit({ kind: "scrub" });
  }

  get axis() {
    return this.#axis;
  }
  set axis(axis) {
    if (axis === this.#axis) return;
    this.#axis = axis;
    this.emit({ kind: "axis" });
  }

  get selected() {
    return this.#selected;
  }
  set selected(lane) {
    if (lane === this.#selected) return;
    this.#selected = lane;
    this.emit({ kind: "select" });
  }

  /** Tells everybody who listens to "session". @param {SessionEvent} event */
  emit(event) {
    if (event.kind === "theme") forgetColours();
    this.dispatchEvent(new CustomEvent("session", { detail: event }));
  }

  /** @param {(event: SessionEvent) => void} on @param {{signal?: AbortSignal}} [options] */
  listen(on, options) {
    this.addEventListener("session", (event) => on(/** @type {CustomEvent<SessionEvent>} */ (event).detail), options);
  }

  // --- Runs -----------------------------------------------------------------------------------------------------

  /** @param {Partial<Spec>} change @param {{live?: boolean}} [options] live: while something is dragged */
  update(change, { live = false } = {}) {
    const before = this.#spec.problem.name;
    this.#spec = { ...this.#spec, ...change };
    for (const key of /** @type {(keyof Spec)[]} */ (Object.keys(change))) {
      if (change[key] === undefined) delete this.#spec[key];
    }
    if (this.#spec.problem.name !== before) this.#following = true;
    this.playing = false;
    this.emit({ kind: "spec", live });
    if (this.interactive) this.start({ live });
  }

  /** Takes a change over if the server finds nothing wrong with it; else all stays as it is, and what is wrong is told.
   * @param {Partial<Spec>} change @param {{live?: boolean}} [options] @returns {Promise<void>} */
  async attempt(change, options) {
    const spec = (this.#attempted = { ...this.#spec, ...change });
    try {
      await this.#source.check(spec);
    } catch (error) {
      if (spec !== this.#attempted) return; // overtaken by another
      if (spec.start && error instanceof Refusal && error.error.at === "start") {
        return this.attempt({ ...change, start: undefined }, options); // of another number of weights: its own start
      }
      return this.#fail(error);
    }
    if (spec !== this.#attempted) return;
    this.#forgive();
    this.update(change, options);
  }

  /** Takes a whole state over, as when the reader goes back. @param {State} state */
  load(state) {
    this.#attempted = null;
    this.#spec = state.spec;
    this.#selected = state.lane;
    this.#at(state.at);
    this.playing = false;
    this.axis = state.axis;
    this.emit({ kind: "spec", live: false });
    this.start();
  }

  /** @param {number | null} at */
  #at(at) {
    this.#following = at === null;
    if (at !== null) this.#step = at;
  }

  /** Begins the run of the present spec; one under way is given up. @param {{live?: boolean}} [options] */
  start({ live = false } = {}) {
    const flight = this.#flight;
    if (live && flight && !flight.done) {
      // Giving up every run that a pointer overtakes would show none: let the one under way show itself first.
      this.#pending = true;
      this.#whenDue(flight);
      return;
    }
    flight?.controller.abort();
    clearTimeout(this.#timer);
    this.#pending = false;
    this.#announced = null;
    const next = (this.#flight = {
      controller: new AbortController(),
      began: performance.now(),
      id: null,
      shown: false,
      done: false,
    });
    this.#follow(next);
    clearTimeout(this.#waiting);
    this.#waiting = window.setTimeout(() => {
      if (next === this.#flight && !next.shown && !next.done && !this.#troubled)
        this.#tell("Computing the first steps…");
    }, PATIENCE);
  }

  /** Whether a run has been asked for that has no step yet. */
  get preparing() {
    return Boolean(this.#flight?.id && !this.#flight.shown && !this.#flight.done);
  }

  /** Ends the present run for everybody who watches it; its end is told by its stream, as any other. */
  cancel() {
    const flight = this.#flight;
    if (flight?.id && !flight.done) this.#source.cancel(flight.id).catch((error) => this.#fail(error));
  }

  /** Starts the pending run when the one under way has had its time. @param {Flight} flight */
  #whenDue(flight) {
    if (!this.#pending || flight !== this.#flight) return;
    clearTimeout(this.#timer);
    const left = flight.began + (flight.shown ? SHOW : GIVE_UP) - performance.now();
    if (flight.done || left <= 0) this.start();
    else this.#timer = window.setTimeout(() => this.#whenDue(flight), left);
  }

  /** @param {Flight} flight */
  async #follow(flight) {
    try {
      for await (const event of this.#source.run(this.#spec, flight.controller.signal)) {
        if (flight !== this.#flight) return;
        this.#take(event, flight);
      }
    } catch (error) {
      if (flight !== this.#flight || flight.controller.signal.aborted) return;
      this.#fail(error);
    } finally {
      flight.done = true;
      this.#whenDue(flight);
    }
  }

  /** @param {string | null} message */
  #tell(message) {
    this.#troubled = message !== null;
    this.emit({ kind: "status", message });
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#troubled) this.#tell(null);
    this.error =
      error instanceof Refusal
        ? error.error
        : { message: error instanceof Error ? error.message : String(error), at: null, allowed: null };
    this.emit({ kind: "error", error: this.error });
  }

  #forgive() {
    if (!this.error) return;
    this.error = null;
    this.emit({ kind: "error", error: null });
  }

  /** @param {import("./types").SourceEvent} event @param {Flight} flight */
  #take(event, flight) {
    if (event.kind === "status") return this.#tell(event.message);
    if (event.kind === "accepted") {
      flight.id = event.id;
      return;
    }
    if (event.kind === "run") {
      this.#announced = event.data;
      return;
    }
    if (this.#announced) this.#adopt(this.#announced);
    if (!flight.shown) {
      flight.shown = true;
      this.#whenDue(flight);
    }
    const lane = event.kind === "end" ? null : this.lanes[event.data.lane];
    if (event.kind === "chunk" && lane) append(lane, event.data);
    else if (event.kind === "probe" && lane) answered(lane, event.data);
    else if (event.kind === "clock") lane?.clock.push(event.data);
    else if (event.kind === "end") {
      for (const end of event.data.lanes) if (this.lanes[end.lane]) this.lanes[end.lane].end = end;
      this.finished = true;
    }
    this.emit(event);
    this.#keepUp();
  }

  /** The new run takes the place of the one that is drawn. @param {RunEvent} run */
  #adopt(run) {
    this.#announced = null;
    this.#probes.abort();
    this.#probes = new AbortController();
    this.run = run;
    this.finished = false;
    this.lanes = run.lanes.map(newLane);
    this.#forgive();
    if (this.#troubled) this.#tell(null); // an older run's trouble is over, too
    if (this.#selected >= this.lanes.length) this.selected = 0;
    this.emit({ kind: "run", data: run });
  }

  /** Keeps the scrub at the end, or within what there is. Before a run's end the last one's length stands: the scrub
   * does not jump to the start and back at every move of a slider. */
  #keepUp() {
    const last = this.lastStep;
    if (this.finished ? this.#following || this.#step > last : this.#following && !this.#playing && last > this.#step) {
      this.#scrub(last);
    }
  }

  /** @param {number} step */
  #scrub(step) {
    if (step === this.#step) return;
    this.#step = step;
    this.emit({ kind: "scrub" });
  }

  // --- Probes ---------------------------------------------------------------------------------------------------

  /** @param {NamedPart} probe @param {{lane: number, step: number}} [at] @param {Following} [following] */
  async probe(probe, at = { lane: this.#selected, step: Math.round(this.#step) }, { signal, part } = {}) {
    if (!this.run) throw new Error("There is no run to ask yet.");
    const given = signal ? AbortSignal.any([signal, this.#probes.signal]) : this.#probes.signal;
    return this.#ask(probe, { run: this.run.id, ...at, probe }, { signal: given, part });
  }

  /** @param {NamedPart} probe @param {number[]} w */
  async probeAt(probe, w) {
    const { problem, seed } = this.#spec;
    return this.#ask(probe, { problem, at: w, probe, ...(seed !== undefined && { seed }) });
  }

  /** @param {NamedPart} probe @param {object} body @param {Following} [following] */
  #ask(probe, body, following) {
    const lacking = this.lacking(probe.name);
    if (lacking) {
      const title = named(this.catalog.probes, probe.name)?.title;
      throw new Error(`${title} does not fit ${this.problem.title}: ${lacking}.`);
    }
    return this.#answers.ask(body, JSON.stringify([this.#spec.problem, { ...probe, damping: null }]), following);
  }

  // --- Looks ----------------------------------------------------------------------------------------------------

  /** @param {number} lane */
  colour(lane) {
    return laneColour(lane, this.lanes.length);
  }
}
