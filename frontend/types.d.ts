// The shapes that the page's modules hand to one another. The server's side of them is backend/secondorder/spec.py.

export type Column = (number | null)[];

export interface Schema {
  type: string;
  default?: any;
  minimum?: number;
  maximum?: number;
  /** 1 where only whole numbers make sense. */
  multipleOf?: number;
  enum?: any[];
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  maxLength?: number;
  uniqueItems?: boolean;
  title?: string;
  description?: string;
  symbol?: string;
  scale?: "linear" | "log";
}

export interface Entry {
  name: string;
  title: string;
  equation: string;
  mathml: string;
  about: string;
  knobs: { properties: Record<string, Schema> };
  options: { properties: Record<string, Schema> };
}

export interface ProblemEntry extends Entry {
  kind: "toy" | "data" | "network";
  dimension: number;
  window: [[number, number], [number, number]] | null;
  start: number[] | null;
  steps: number;
  rate: number;
  weights: string[];
  /** Which weights fall in which block of a layerwise curvature; null where there are no layers. */
  blocks: Block[] | null;
  /** Knobs whose default on this problem is not the optimizer's own, by optimizer. A rate without default is `rate`. */
  defaults: Record<string, Record<string, number>>;
}

/** A layer's weights W̄ (out × in + 1), `count` of them from the flat vector's number `first` on, row by row. */
export interface Block {
  name: string;
  weights: string[];
  shape: [number, number];
  first: number;
  count: number;
}

export interface OptimizerEntry extends Entry {
  fits: Record<string, true | string>;
  /** Named sets of values for knobs and options. */
  presets: Record<string, Record<string, any>>;
}

export interface ProbeEntry extends Entry {
  fits: Record<string, true | string>;
}

export interface LessonEntry {
  name: string;
  title: string;
  summary: string;
  order: number;
}

/** What an optimizer works in: w = R w̃ + b with the matrix R and the shift b, or a network's inputs in other units. */
export interface Coordinates {
  matrix?: number[][];
  shift?: number[];
  inputs?: { scale?: number; shift?: number };
}

export interface Catalog {
  version: string;
  /** The schema of `coordinates`, one form for each kind. */
  coordinates: { oneOf: { properties: Record<string, any> }[] };
  problems: ProblemEntry[];
  optimizers: OptimizerEntry[];
  probes: ProbeEntry[];
  lessons: LessonEntry[];
}

/** A lesson as GET /api/lessons/{name} tells it; `controls` are places in the spec such as "optimizers[0].damping". */
export interface Lesson {
  name: string;
  title: string;
  summary: string;
  spec: Spec;
  views: string[];
  controls: string[];
  /** The step that it opens with; null: the run is played to its end. */
  at: number | null;
  html: string;
}

export interface NamedPart {
  name: string;
  [knobOrOption: string]: any;
}

export interface Spec {
  problem: NamedPart;
  optimizers: NamedPart[];
  start?: number[];
  seed?: number;
  steps?: number;
  tolerance?: number;
  probes?: NamedPart[];
}

export type Axis = "steps" | "examples" | "passes" | "seconds";

/** Everything that the page's URL says. */
export interface State {
  spec: Spec;
  /** Names of the views shown; null: every one that can be. */
  views: string[] | null;
  axis: Axis;
  /** The scrubbed step; null: the end. */
  at: number | null;
  lane: number;
  /** What an embed leaves out: "player", "legend", "link". */
  hide: string[];
}

export interface LaneName {
  optimizer: string;
  label: string;
  knobs: Record<string, number>;
  /** What its optimizer works in, where that is not the problem's own weights. */
  coordinates?: Coordinates;
}

/** A lane with every row that has arrived: columns[c][k] is column c at step k. */
export interface Lane extends LaneName {
  index: number;
  columns: Record<string, Column>;
  w: number[][] | null;
  length: number;
  clock: { step: number; seconds: number }[];
  end: LaneEnd | null;
  probes: ProbeEvent[];
}

export interface LaneEnd {
  lane: number;
  status: "converged" | "diverged" | "stopped" | "budget" | "cancelled" | "failed";
  step: number;
  reason: string;
}

export interface RunEvent {
  id: string;
  spec: Spec;
  lanes: LaneName[];
  dimension: number;
  /** N, the training examples. */
  examples: number;
  columns: string[];
  /** Why some probes cannot be asked of this problem. */
  unfit: Record<string, string>;
}

export interface ChunkEvent {
  lane: number;
  first: number;
  columns: Record<string, Column> & { w?: number[][] };
}

export interface ProbeEvent {
  lane: number;
  step: number;
  name: string;
  data: any;
  /** Whether this is what is known so far, and more is to come. */
  partial?: boolean;
}

export interface EndEvent {
  lanes: LaneEnd[];
}

export interface ClockEvent {
  lane: number;
  step: number;
  seconds: number;
}

/** What a stream yields, and what the session passes on to views (with kinds of its own added). */
export type StreamEvent =
  | { kind: "run"; data: RunEvent }
  | { kind: "chunk"; data: ChunkEvent }
  | { kind: "probe"; data: ProbeEvent }
  | { kind: "clock"; data: ClockEvent }
  | { kind: "end"; data: EndEvent };

export type SessionEvent =
  | StreamEvent
  | { kind: "spec"; live: boolean } // the spec changed: a new run is about to start (live: while something is dragged)
  | { kind: "scrub" } // session.step or session.playing changed
  | { kind: "axis" } // session.axis changed
  | { kind: "select" } // session.selected (lane index) changed
  | { kind: "theme" } // light <-> dark
  | { kind: "error"; error: ApiError | null } // what is wrong with the spec; null: nothing any more
  | { kind: "status"; message: string | null }; // the connection's state, where it is worth a word

/** What a source tells of a run: its events, that it was accepted, and trouble on the way. */
export type SourceEvent =
  | StreamEvent
  | { kind: "accepted"; id: string }
  | { kind: "status"; message: string | null };

/** Where runs and answers to probes come from: the server, or a recording. */
export interface Source {
  interactive: boolean;
  run(spec: Spec, signal: AbortSignal): AsyncIterable<SourceEvent>;
  /** Throws a Refusal of a spec that is no run. */
  check(spec: Spec): Promise<void>;
  probe(body: object, signal: AbortSignal, part?: (told: ProbeEvent) => void): Promise<any>;
  /** Ends a run for everybody who watches it. */
  cancel(id: string): Promise<void>;
}

/** How an answer that comes in stages is followed. */
export interface Following {
  /** Gives the question up. */
  signal?: AbortSignal;
  /** Told what is known so far, while more is to come. */
  part?: (data: any) => void;
}

export interface ApiError {
  message: string;
  at: string | null;
  allowed: any;
}

/** The page's one state; see session.js. */
export interface Session extends EventTarget {
  readonly catalog: Catalog;
  readonly spec: Spec;
  readonly problem: ProblemEntry;
  /** How many weights the present spec has; NaN as long as only its run can tell. */
  readonly dimension: number;
  /** Why a probe cannot be asked of the present problem; null where it can, as far as is known. */
  lacking(probe: string): string | null;
  readonly run: RunEvent | null;
  readonly lanes: Lane[];
  readonly finished: boolean;
  /** The longest lane's last step so far. */
  readonly lastStep: number;
  /** Scrubbed step; may be fractional while playing (views interpolate positions, round for probes). */
  step: number;
  playing: boolean;
  axis: Axis;
  /** Index of the lane whose iterate the linked probes describe. */
  selected: number;
  readonly interactive: boolean; // false in a recording: no server to ask
  /** Hears of every event of the session. */
  listen(on: (event: SessionEvent) => void, options?: { signal?: AbortSignal }): void;
  /** Replaces parts of the spec and starts the run; the newest call wins, an older run under way is aborted. */
  update(change: Partial<Spec>, options?: { live?: boolean }): void;
  /** The same where the server finds nothing wrong with it; else all stays as it is, and what is wrong is told. */
  attempt(change: Partial<Spec>, options?: { live?: boolean }): Promise<void>;
  /** Asks a probe at a lane's step of the present run (cached; aborted with the run). */
  probe(probe: NamedPart, at?: { lane: number; step: number }, following?: Following): Promise<any>;
  /** Asks a probe at given weights of the present problem. */
  probeAt(probe: NamedPart, w: number[]): Promise<any>;
  /** Colour of a lane, a CSS colour that reads on the present theme. */
  colour(lane: number): string;
}

/** What a spectrum is drawn on: the overlay with its area, the figure for its axes, a lane's colour and damping. */
export interface SpectrumScene {
  context: CanvasRenderingContext2D;
  area: import("./plot.js").Area;
  picture: import("./plot.js").Figure;
  colour: import("./geometry.js").RGB;
  eta: number | null;
  /** Writes where it can be read on any ground. */
  label(text: string, x: number, y: number): void;
}

/** How a spectrum is shown: exact by rank, or estimated as a density. */
export interface SpectrumLook {
  /** The range of the lower axis, where it is to be kept while nothing is known of the gradient. */
  lower: number[] | null;
  /** Changes where the axes have to. */
  frame(eta: number | null): string;
  draw(scene: SpectrumScene): void;
  traces(scene: { theme: import("./plot.js").Theme; colour: import("./geometry.js").RGB; eta: number | null }): object[];
  /** The axes, and whether the filter has to be drawn below 0. */
  layout(eta: number | null): { xaxis: object; yaxis: object; yaxis2: object; below: boolean };
  head: string[];
  rows(eta: number | null): Iterable<(string | number | null)[]>;
  words(eta: number | null): string;
}

export interface View {
  on(event: SessionEvent): void;
}

export interface Mount {
  (context: { element: HTMLElement; session: Session; signal: AbortSignal }): View;
}

export interface ViewModule {
  name: string;
  title: string;
  /** Its place among the views, low ones first. */
  order: number;
  /** Whether it takes a row to itself. */
  wide?: boolean;
  wants(session: Session): true | string;
  mount: Mount;
}
