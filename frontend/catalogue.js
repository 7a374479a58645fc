// The catalogue and the worked examples, as a reader browses them.

import { h, markup } from "./dom.js";

/** @typedef {import("./types").Catalog} Catalog */
/** @typedef {import("./types").Entry} Entry */

/** Prose from a docstring: ``code`` between double backquotes. @param {string} text */
export const prose = (text) =>
  text
    .split(/\n\s*\n/)
    .map((paragraph) =>
      h("p", {}, ...paragraph.split(/``([^`]+)``/).map((piece, i) => (i % 2 ? h("code", {}, piece) : piece))),
    );

/** An equation, made smaller where it would not fit its column. @param {Entry} entry */
export function equation(entry) {
  const box = h("div", { class: "equation" }, markup(entry.mathml));
  let fitted = 0;
  const fit = () => {
    if (box.clientWidth === fitted) return;
    fitted = box.clientWidth;
    box.style.fontSize = "";
    const share = fitted / box.scrollWidth;
    if (share < 1) box.style.fontSize = `${Math.max(share * 0.98, 0.55)}em`;
  };
  new ResizeObserver(() => requestAnimationFrame(fit)).observe(box);
  return box;
}

/** @param {Catalog} catalog */
export const lessonCards = (catalog) =>
  h(
    "ul",
    { class: "cards" },
    [...catalog.lessons]
      .sort((a, b) => a.order - b.order)
      .map((lesson) =>
        h(
          "li",
          {},
          h(
            "a",
            { class: "card", href: `/lessons/${encodeURIComponent(lesson.name)}` },
            h("strong", {}, lesson.title),
            h("span", {}, lesson.summary),
          ),
        ),
      ),
  );

/** @param {Entry} entry @param {string} link */
const article = (entry, link) =>
  h(
    "li",
    {},
    h("h4", {}, link ? h("a", { href: link }, entry.title) : entry.title),
    equation(entry),
    prose(entry.about.split(/\n\s*\n/)[0]),
  );

/** @param {Catalog} catalog @param {HTMLElement} element */
export function catalogue(catalog, element) {
  const fit = (/** @type {import("./types").OptimizerEntry} */ o) =>
    catalog.problems.find((p) => o.fits[p.name] === true)?.name ?? "";
  const part = (/** @type {string} */ title, /** @type {HTMLElement[]} */ items) =>
    h(
      "details",
      { class: "part" },
      h("summary", {}, h("h3", {}, `${title} (${items.length})`)),
      h("ul", { class: "entries" }, items),
    );
  element.append(
    part(
      "Problems",
      catalog.problems.map((p) => article(p, `/?problem=${p.name}`)),
    ),
    part(
      "Optimizers",
      catalog.optimizers.map((o) => article(o, `/?problem=${fit(o)}&optimizer=${o.name}`)),
    ),
    part(
      "Probes",
      catalog.probes.map((p) => article(p, "")),
    ),
  );
}
