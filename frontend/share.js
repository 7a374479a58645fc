// What a reader takes away: the link, the line for an own page, the Python, the data.

import { h } from "./dom.js";
import { encode } from "./spec.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./types").Spec} Spec */
/** @typedef {import("./types").State} State */

/** @param {any} value @returns {string} */
function python(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value)
      .map(([k, v]) => `${JSON.stringify(k)}: ${python(v)}`)
      .join(", ")}}`;
  }
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** The lines of Python that run a spec. @param {Spec} spec */
export function pythonOf(spec) {
  const fields = Object.entries(spec).filter(([, value]) => value !== undefined);
  const body = fields.map(([key, value]) =>
    key === "optimizers"
      ? `    "optimizers": [\n${value.map((/** @type {any} */ p) => `        ${python(p)},\n`).join("")}    ],\n`
      : `    ${JSON.stringify(key)}: ${python(value)},\n`,
  );
  return `import secondorder as so\n\nrun = so.run({\n${body.join("")}})\nprint(run.lanes[0].loss[-1])\n`;
}

/** The one line that puts a state's figures into another page; the frame takes its content's height.
 * @param {State} state @param {string} origin */
export function embedOf(state, origin) {
  const source = `${origin}/embed?${encode(state)}`.replaceAll("&", "&amp;").replaceAll('"', "%22");
  const listen =
    "addEventListener('message',e=>{if(e.data?.type==='second-order:height')" +
    "for(const f of document.querySelectorAll('iframe'))if(f.contentWindow===e.source)f.height=e.data.height})";
  return (
    `<iframe src="${source}" title="Second Order" width="100%" height="640" style="border:0" loading="lazy"></iframe>` +
    `<script>${listen}</script>`
  );
}

/** @param {string} text */
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without permission or a secure origin: the way that always works.
    const area = h("textarea", { class: "visually-hidden", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) throw new Error("The browser does not let this page write to the clipboard.");
  }
}

/** @param {{element: HTMLElement, session: Session, signal: AbortSignal, state: () => State}} options */
export function share({ element, session, signal, state }) {
  const told = h("span", { class: "told", role: "status" });
  let quiet = 0;
  const copier = (/** @type {string} */ label, /** @type {() => string} */ text) =>
    h(
      "button",
      {
        type: "button",
        class: "quiet",
        onclick: async () => {
          try {
            await toClipboard(text());
            told.textContent = "Copied.";
          } catch (error) {
            told.textContent = error instanceof Error ? error.message : String(error);
          }
          clearTimeout(quiet);
          quiet = window.setTimeout(() => {
            told.textContent = "";
          }, 3000);
        },
      },
      label,
    );
  const link = (/** @type {string} */ label) => h("a", { download: true }, label);
  const csv = link("CSV"),
    json = link("JSON"),
    weights = link("Weights");
  element.append(
    copier("Copy link", () => `${location.origin}/?${encode(state())}`),
    copier("Copy embed code", () => embedOf(state(), location.origin)),
    copier("Copy Python", () => pythonOf(session.spec)),
    h("span", { class: "downloads" }, "Data: ", csv, " ", json, " ", weights),
    told,
  );

  function update() {
    const { run, finished, lanes, selected, step } = session;
    for (const anchor of [csv, json, weights]) anchor.hidden = !run || !finished || !session.interactive;
    if (!run) return;
    const base = `/api/runs/${encodeURIComponent(run.id)}`;
    const row = Math.min(Math.round(step), Math.max((lanes[selected]?.length ?? 1) - 1, 0));
    csv.href = `${base}/data.csv`;
    json.href = `${base}/data.json`;
    weights.href = `${base}/parameters?lane=${selected}&step=${row}`;
    weights.textContent = `Weights at step ${row} (npz)`;
  }
  session.listen(
    (event) => {
      if (["run", "end", "select"].includes(event.kind) || (event.kind === "scrub" && !session.playing)) update();
    },
    { signal },
  );
  update();
}
