// Answers to probes: each question is asked once, and its answer kept for a while.

import { Refusal } from "./stream.js";

const REMEMBERED = 200;

/** @typedef {{answer: Promise<any>, parts: Set<(data: any) => void>, sofar: any}} Kept */

export class Answers {
  /** @type {Map<string, Kept>} */
  #kept = new Map();
  /** What the server said does not fit: it is not asked at every step again. @type {Map<string, Error>} */
  #refused = new Map();
  #source;

  /** @param {import("./types").Source} source */
  constructor(source) {
    this.#source = source;
  }

  /** @param {object} body of the request
   * @param {string} subject the problem and the probe: what a refusal is about
   * @param {import("./types").Following} [following] */
  ask(body, subject, { signal = new AbortController().signal, part } = {}) {
    const refused = this.#refused.get(subject);
    if (refused) return Promise.reject(refused);
    const key = JSON.stringify(body);
    let kept = this.#kept.get(key);
    this.#kept.delete(key);
    if (!kept) {
      /** @type {Kept} */
      const fresh = { answer: Promise.resolve(), parts: new Set(), sofar: null };
      const heard = (/** @type {import("./types").ProbeEvent} */ told) => {
        fresh.sofar = told.data;
        for (const tell of fresh.parts) tell(told.data);
      };
      fresh.answer = this.#source.probe(body, signal, part && heard).then((told) => {
        fresh.sofar = null;
        fresh.parts.clear();
        return told.data;
      });
      fresh.answer.catch((error) => {
        if (this.#kept.get(key) === fresh) this.#kept.delete(key);
        if (error instanceof Refusal && error.error.at === "probe") this.#refused.set(subject, error);
      });
      kept = fresh;
    } else if (part && kept.sofar) part(kept.sofar);
    if (part) kept.parts.add(part);
    this.#kept.set(key, kept); // at the end again: the oldest in use is the first to go
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= REMEMBERED) break;
      this.#kept.delete(oldest);
    }
    return kept.answer;
  }
}
