// The lanes as a table: name, colour, how each ended and where it stands; choosing one makes it the one that the linked
// figures describe.

import { h, written } from "./dom.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./types").Lane} Lane */

const WORDS = {
  converged: "converged",
  diverged: "diverged",
  stopped: "stopped",
  budget: "all steps used",
  cancelled: "cancelled",
  failed: "failed",
};

/** @param {{element: HTMLElement, session: Session, signal: AbortSignal}} options */
export function laneTable({ element, session, signal }) {
  const body = h("tbody");
  const live = h("p", { class: "visually-hidden", role: "status" });
  const tested = h("th", { scope: "col", class: "num" }, "Held-out loss");
  const table = h(
    "table",
    { class: "lanes" },
    h("caption", { class: "visually-hidden" }, "Lanes of the run"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Lane"),
        h("th", { scope: "col" }, "Ended"),
        h("th", { scope: "col", class: "num" }, "Steps"),
        h("th", { scope: "col", class: "num" }, "Loss"),
        tested,
        h("th", { scope: "col", class: "num" }, "Passes"),
      ),
    ),
    body,
  );
  element.append(h("div", { class: "table-scroll" }, table), live);

  /** @param {Lane} lane @param {string} column */
  const last = (lane, column) => written(lane.columns[column]?.[lane.length - 1]);

  function build() {
    body.replaceChildren(
      ...session.lanes.map((lane, i) => {
        const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
        swatch.style.background = session.colour(i);
        const button = h(
          "button",
          {
            type: "button",
            class: "lane",
            "aria-pressed": String(i === session.selected),
            onclick: () => {
              session.selected = i;
            },
          },
          swatch,
          lane.label,
        );
        return h(
          "tr",
          { "data-lane": i },
          h("th", { scope: "row" }, button),
          h("td", { class: "ended" }),
          h("td", { class: "num" }),
          h("td", { class: "num" }),
          h("td", { class: "num" }),
          h("td", { class: "num" }),
        );
      }),
    );
  }

  function update() {
    const tests = session.lanes.some((lane) => "test_loss" in lane.columns);
    tested.hidden = !tests;
    session.lanes.forEach((lane, i) => {
      const row = body.children[i];
      if (!row) return;
      const [, ended, steps, loss, test, passes] = row.children;
      const told = lane.end ? `${WORDS[lane.end.status] ?? lane.end.status}` : "running …";
      if (/** @type {HTMLElement} */ (ended).dataset.told !== told + lane.end?.reason) {
        /** @type {HTMLElement} */ (ended).dataset.told = told + lane.end?.reason;
        ended.replaceChildren(
          h("span", { class: `ending ${lane.end?.status ?? "running"}` }, told),
          lane.end && lane.end.status !== "budget" ? h("small", {}, lane.end.reason) : "",
        );
      }
      steps.textContent = String(lane.end?.step ?? Math.max(lane.length - 1, 0));
      loss.textContent = last(lane, "loss");
      test.textContent = last(lane, "test_loss");
      /** @type {HTMLElement} */ (test).hidden = !tests;
      passes.textContent = last(lane, "passes");
    });
  }

  function select() {
    for (const [i, row] of [...body.children].entries()) {
      row.querySelector("button")?.setAttribute("aria-pressed", String(i === session.selected));
    }
  }

  /** One sentence for those who hear the page, when a run has ended and nothing has moved for a moment. */
  let quiet = 0;
  function announce() {
    clearTimeout(quiet);
    quiet = window.setTimeout(() => {
      const ends = session.lanes.map(
        (lane) => lane.end && `${lane.label} ${WORDS[lane.end.status]} at step ${lane.end.step}`,
      );
      live.textContent = session.finished ? `${ends.filter(Boolean).slice(0, 6).join("; ")}.` : "";
    }, 900);
  }

  let due = 0;
  session.listen(
    (event) => {
      if (event.kind === "run" || event.kind === "theme") build();
      if (event.kind === "select") select();
      if (event.kind === "end") announce();
      if (["run", "chunk", "end", "theme"].includes(event.kind) && !due) {
        due = requestAnimationFrame(() => {
          due = 0;
          update();
        });
      }
    },
    { signal },
  );
  build();
  update();
}
