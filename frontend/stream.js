// From a spec to events: a POST whose answer is the stream, resumed after a network drop; or a recording of one.

/** @typedef {import("./types").Spec} Spec */
/** @typedef {import("./types").Source} Source */
/** @typedef {import("./types").StreamEvent} StreamEvent */
/** @typedef {import("./types").ApiError} ApiError */

const FIRST_PAUSE = 500; // milliseconds before the first new attempt; doubled from one to the next
const LONGEST_PAUSE = 10_000;
const KINDS = new Set(["run", "chunk", "probe", "clock", "end"]);

/** An answer that says what is wrong with a request. */
export class Refusal extends Error {
  /** @param {ApiError} error @param {number} status */
  constructor(error, status) {
    super(error.message);
    this.error = error;
    this.status = status;
  }
}

/** @param {Response} response */
async function refusal(response) {
  let told;
  try {
    told = await response.json();
  } catch {
    told = null;
  }
  const message = typeof told?.message === "string" ? told.message : `The server answered ${response.status}.`;
  return new Refusal({ message, at: told?.at ?? null, allowed: told?.allowed ?? null }, response.status);
}

/** JSON from the server. @param {string} path @param {{body?: object, signal?: AbortSignal}} [options] */
export async function ask(path, { body, signal } = {}) {
  const response = await fetch(
    path,
    body
      ? { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal }
      : { signal },
  );
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** Splits an event stream that arrives in arbitrary pieces into frames (WHATWG HTML, "Server-sent events"). */
export class Frames {
  #rest = "";
  #begun = false;
  #afterReturn = false;
  #event = "";
  /** @type {string[]} */
  #data = [];
  /** @type {string | null} */
  #id = null;

  /** @param {string} text
   * @returns {{event: string, data: string, id: string | null}[]} id is null where a frame has none */
  push(text) {
    if (!text) return [];
    if (!this.#begun) text = text.replace(/^\uFEFF/, "");
    this.#begun = true;
    // A carriage return ends a line by itself; the newline of a CRLF may come in the next piece.
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterReturn = text ? text.endsWith("\r") : false;
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = /** @type {string} */ (lines.pop());
    const frames = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length)
          frames.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
        this.#event = "";
        this.#data = [];
        this.#id = null;
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue; // a comment, such as a keep-alive
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "data") this.#data.push(value);
      else if (field === "event") this.#event = value;
      else if (field === "id" && !value.includes("\0")) this.#id = value;
    }
    return frames;
  }
}

/** @param {ReadableStream<Uint8Array>} body */
async function* framesOf(body) {
  const reader = body.getReader(),
    decoder = new TextDecoder(),
    frames = new Frames();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* frames.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {number} milliseconds @param {AbortSignal} signal */
const pause = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });

/** Seconds that a server asks to wait. @param {Response} response */
function patience(response) {
  const told = response.headers.get("retry-after") ?? "";
  const seconds = /^\d+$/.test(told) ? Number(told) : (Date.parse(told) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0.2), 120) : 2;
}

/** The events of a run, after word of its id. It ends with the event `end`, or throws: a Refusal, or what aborted it.
 * @param {Spec} spec @param {AbortSignal} signal */
async function* run(spec, signal) {
  let last = -1; // the id of the last event that was passed on
  let failures = 0;
  let troubled = false;
  /** @type {string | null} */
  let resume = null;
  for (;;) {
    let told = "The connection was lost. Trying again…";
    let wait = Math.min(FIRST_PAUSE * 2 ** failures++, LONGEST_PAUSE);
    try {
      const accept = "text/event-stream";
      /** @type {Response} */
      const response = resume
        ? await fetch(resume, { headers: { accept, ...(last >= 0 && { "last-event-id": String(last) }) }, signal })
        : await fetch("/api/runs", {
            method: "POST",
            headers: { accept, "content-type": "application/json" },
            body: JSON.stringify(spec),
            signal,
          });
      if (response.ok && response.body) {
        const where = response.headers.get("location");
        if (where) {
          resume = `${where}/events`;
          yield /** @type {const} */ ({ kind: "accepted", id: where.slice(where.lastIndexOf("/") + 1) });
        }
        for await (const { event, data, id } of framesOf(response.body)) {
          if (!KINDS.has(event)) continue;
          if (id !== null) {
            if (Number(id) <= last) continue; // a replay gives the same events again
            last = Number(id);
          }
          if (troubled) yield /** @type {const} */ ({ kind: "status", message: null });
          troubled = false;
          failures = 0;
          const happened = /** @type {StreamEvent} */ ({ kind: event, data: JSON.parse(data) });
          yield happened;
          if (happened.kind === "end") return;
        }
      } else if (response.status === 429 || response.status === 503) {
        const seconds = patience(response);
        told = `${(await refusal(response)).message} Trying again in ${Math.ceil(seconds)} s.`;
        wait = seconds * 1000;
      } else if (resume && (response.status === 404 || response.status === 410)) {
        resume = null; // forgotten there: the same spec gives the same events
        wait = 0;
      } else if (response.status < 500) {
        throw await refusal(response);
      } else {
        told = `The server answered ${response.status}. Trying again…`;
      }
    } catch (error) {
      if (signal.aborted || error instanceof Refusal || error instanceof SyntaxError) throw error;
    }
    troubled = true;
    yield /** @type {const} */ ({ kind: "status", message: told });
    await pause(wait, signal);
  }
}

/** The answer to a question; of one that comes in stages, `part` is told what is known so far.
 * @param {object} body @param {AbortSignal} signal @param {(told: any) => void} [part] */
async function probe(body, signal, part) {
  if (!part) return ask("/api/probes", { body, signal });
  const headers = { accept: "text/event-stream", "content-type": "application/json" };
  const response = await fetch("/api/probes", { method: "POST", headers, body: JSON.stringify(body), signal });
  if (!response.ok || !response.body) throw await refusal(response);
  for await (const { event, data } of framesOf(response.body)) {
    const told = JSON.parse(data);
    if (event === "end") throw new Error(told.reason); // it came before the whole answer
    if (event !== "probe") continue;
    if (!told.partial) return told;
    part(told);
  }
  throw new Error("The connection was lost.");
}

/** Finds out whether a spec is a run; a Refusal says why not. @param {Spec} spec */
async function check(spec) {
  await ask("/api/runs", { body: spec });
}

/** @param {string} id */
async function cancel(id) {
  const response = await fetch(`/api/runs/${encodeURIComponent(id)}`, { method: "DELETE" });
  if (!response.ok) throw await refusal(response);
}

/** @type {Source} */
export const server = { interactive: true, run, check, probe, cancel };

/** A finished event stream: it answers with what it holds and asks no server.
 * @param {StreamEvent[]} events @returns {Source} */
export const fromRecording = (events) => ({
  interactive: false,
  async *run() {
    yield* events;
  },
  async check() {},
  async probe() {
    throw new Error("This is a recording: what it does not hold cannot be asked.");
  },
  async cancel() {},
});
