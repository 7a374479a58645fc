// How far a run is while it takes a while, be it that it has to be compiled first, and a button that ends it.

import { h } from "./dom.js";

/** @typedef {import("./session.js").Session} Session */

const PATIENCE = 400; // milliseconds that a run may take without being worth a bar

/** @param {{element: HTMLElement, session: Session, signal: AbortSignal}} options */
export function progress({ element, session, signal }) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress of the run" });
  const told = h("span", { class: "progress-told" });
  const cancel = h("button", { type: "button", class: "quiet", onclick: () => session.cancel() }, "Cancel");
  const row = h("div", { class: "progress", hidden: true }, bar, told, cancel);
  element.append(row);
  let timer = 0,
    due = 0;

  /** Steps taken and to take, over all lanes; a lane that has ended needs no more of them. */
  function update() {
    due = 0;
    const steps = session.run?.spec.steps ?? session.spec.steps ?? 0;
    const taken = session.lanes.map((lane) => (lane.end ? steps : Math.max(lane.length - 1, 0)));
    bar.max = Math.max(steps * session.lanes.length, 1);
    bar.value = taken.reduce((a, b) => a + b, 0);
    const behind = Math.min(...taken, steps);
    told.textContent =
      session.lanes.length > 1
        ? `step ${behind} of ${steps} in the slowest of ${session.lanes.length} lanes`
        : `step ${behind} of ${steps}`;
  }

  function hide() {
    clearTimeout(timer);
    timer = 0;
    // Whoever pressed the button should not be thrown back to the top of the page.
    if (row.contains(document.activeElement)) document.getElementById("bench")?.focus({ preventScroll: true });
    row.hidden = true;
  }

  session.listen(
    (event) => {
      if (event.kind === "end" || (event.kind === "error" && event.error)) hide();
      else if (event.kind === "status") {
        if (!session.preparing) return;
        bar.removeAttribute("value"); // nobody knows how long that takes
        told.textContent = "";
        row.hidden = false;
      } else if (event.kind === "run") {
        clearTimeout(timer);
        if (!row.hidden) update();
        timer = window.setTimeout(() => {
          if (session.finished) return;
          update();
          row.hidden = false;
        }, PATIENCE);
      } else if (event.kind === "chunk" && !row.hidden && !due) due = requestAnimationFrame(update);
    },
    { signal },
  );
}
