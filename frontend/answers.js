// Answers to probes: each question is asked once, and its answer kept for a while.

import { Refusal } from "./stream.js";

const REMEMBERED = 200;

export class Answers {
  /** @type {Map<string, Promise<any>>} */
  #answers = new Map();
  /** What the server said does not fit: it is not asked at every step again. @type {Map<string, Error>} */
  #refused = new Map();
  #source;

  /** @param {import("./types").Source} source */
  constructor(source) {
    this.#source = source;
  }

  /** @param {object} body of the request
   * @param {string} subject the problem and the probe's name: what a refusal is about
   * @param {AbortSignal} [signal] */
  ask(body, subject, signal = new AbortController().signal) {
    const refused = this.#refused.get(subject);
    if (refused) return Promise.reject(refused);
    const key = JSON.stringify(body),
      known = this.#answers.get(key);
    this.#answers.delete(key);
    const answer = known ?? this.#source.probe(body, signal).then((told) => told.data);
    this.#answers.set(key, answer); // at the end again: the oldest in use is the first to go
    if (!known) {
      answer.catch((error) => {
        this.#answers.delete(key);
        if (error instanceof Refusal && error.error.at === "probe") this.#refused.set(subject, error);
      });
    }
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= REMEMBERED) break;
      this.#answers.delete(oldest);
    }
    return answer;
  }
}
