// Play, pause, step and scrub: one step of the run, shown by all views at once.

import { h, icon } from "./dom.js";
import { AXES } from "./spec.js";

/** @typedef {import("./session.js").Session} Session */

const PLAY = "M4.5 2.5v11l9-5.5z",
  PAUSE = "M4 2.5h3v11H4zM9 2.5h3v11H9z";
const BACK = "M12 3v10L5.5 8zM3.5 3v10",
  ON = "M4 3v10l6.5-5zM12.5 3v10";
const SPEEDS = [0.25, 0.5, 1, 2, 4];
const LENGTH = 6; // seconds that a run plays at speed 1 …
const SLOWEST = 2.5; // … but never more steps a second than it can be followed at least
const JUMPS = 400; // milliseconds between steps where motion is reduced

/** Keys that an element itself answers to. @param {EventTarget | null} target */
const typing = (target) =>
  target instanceof Element &&
  target.closest("input, select, textarea, button, summary, a, [role=slider], [contenteditable]") !== null;

/** What the curves run against. @param {Session} session @param {AbortSignal} signal */
export function axisChoice(session, signal) {
  const select = h(
    "select",
    {},
    AXES.map((axis) => h("option", { value: axis }, axis)),
  );
  const show = () => {
    select.value = session.axis;
  };
  select.addEventListener("change", () => {
    session.axis = AXES[select.selectedIndex];
  });
  session.listen((event) => event.kind === "axis" && show(), { signal });
  show();
  return h("label", { class: "axis" }, "Curves over ", select);
}

/** @param {{element: HTMLElement, session: Session, signal: AbortSignal, keys?: boolean}} options
 *   keys: whether the space bar plays wherever the focus is */
export function player({ element, session, signal, keys = true }) {
  const reduced = matchMedia("(prefers-reduced-motion: reduce)");
  const play = h(
    "button",
    { type: "button", class: "icon-button play", "aria-label": "Play", title: "Play (space)", onclick: toggle },
    icon(PLAY),
  );
  const back = h(
    "button",
    {
      type: "button",
      class: "icon-button",
      "aria-label": "One step back",
      title: "One step back",
      onclick: () => go(-1),
    },
    icon(BACK),
  );
  const on = h(
    "button",
    { type: "button", class: "icon-button", "aria-label": "One step on", title: "One step on", onclick: () => go(1) },
    icon(ON),
  );
  const range = h("input", { type: "range", min: 0, max: 1, step: 1, "aria-label": "Step", class: "scrub" });
  const shown = h("output", { class: "step" });
  const speed = h(
    "select",
    { class: "speed", "aria-label": "Speed" },
    SPEEDS.map((s) => h("option", { value: s, selected: s === 1 }, `${s}×`)),
  );
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", "Playback");
  element.append(back, play, on, range, shown, speed);

  let frame = 0,
    before = 0,
    jumped = 0;

  /** @param {number} by */
  function go(by) {
    session.playing = false;
    session.step = by > 0 ? Math.floor(session.step + 1e-9) + 1 : Math.ceil(session.step - 1e-9) - 1;
  }

  function toggle() {
    if (!session.playing && session.step >= session.lastStep) session.step = 0;
    session.playing = !session.playing && session.lastStep > 0;
  }

  /** @param {number} now */
  function tick(now) {
    frame = 0;
    if (!session.playing || signal.aborted) return;
    const last = session.lastStep,
      pace = Math.max(last / LENGTH, SLOWEST) * Number(speed.value);
    if (reduced.matches) {
      // No gliding: whole steps, as many at once as keep the length.
      if (now - jumped >= JUMPS) {
        jumped = now;
        session.step = Math.min(last, Math.floor(session.step) + Math.max(1, Math.round((pace * JUMPS) / 1000)));
      }
    } else {
      session.step = Math.min(last, session.step + (pace * Math.min(now - before, 100)) / 1000);
    }
    before = now;
    if (session.step >= last && session.finished) session.playing = false;
    else frame = requestAnimationFrame(tick);
  }

  function update() {
    const last = Math.max(session.lastStep, session.finished ? 0 : Math.round(session.step)),
      step = Math.round(session.step);
    range.max = String(Math.max(last, 1));
    range.value = String(step);
    range.style.setProperty("--share", `${last ? (100 * session.step) / last : 0}%`);
    range.setAttribute("aria-valuetext", `step ${step} of ${last}`);
    shown.textContent = `${step} / ${last}`;
    shown.style.minWidth = `${2 * String(last).length + 3}ch`;
    back.disabled = step <= 0;
    on.disabled = step >= last;
    const label = session.playing ? "Pause" : "Play";
    if (play.getAttribute("aria-label") !== label) {
      play.setAttribute("aria-label", label);
      play.title = `${label} (space)`;
      play.replaceChildren(icon(session.playing ? PAUSE : PLAY));
    }
    if (session.playing && !frame) {
      before = performance.now();
      frame = requestAnimationFrame(tick);
    }
  }

  range.addEventListener(
    "input",
    () => {
      session.playing = false;
      session.step = Number(range.value);
    },
    { signal },
  );
  document.addEventListener(
    "keydown",
    (event) => {
      if (!keys || event.key !== " " || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
      event.preventDefault();
      toggle();
    },
    { signal },
  );
  signal.addEventListener("abort", () => cancelAnimationFrame(frame));

  let due = 0;
  session.listen(
    (event) => {
      if (event.kind === "scrub") update();
      else if (["run", "chunk", "end", "spec"].includes(event.kind) && !due) {
        due = requestAnimationFrame(() => {
          due = 0;
          update();
        });
      }
    },
    { signal },
  );
  update();
  return {
    /** Plays a finished run from its start, unless the reader prefers no motion. */
    show() {
      if (reduced.matches || !session.lastStep) return;
      session.step = 0;
      session.playing = true;
    },
  };
}
