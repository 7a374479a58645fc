// The menu of optimizers to add; one that does not fit says why.

import { unfit } from "./catalog.js";
import { h } from "./dom.js";

/** @param {import("./session.js").Session} session @param {AbortSignal} signal */
export function addMenu(session, signal) {
  const { catalog } = session;
  const offers = () =>
    catalog.optimizers.map((entry) => {
      const lacking = unfit(entry, session.problem, session.spec.problem);
      const first = entry.about.split(/(?<=[.:])\s/)[0].replaceAll("``", "");
      return h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            disabled: Boolean(lacking),
            "data-name": entry.name,
            onclick: () => {
              menu.open = false;
              session.update({ optimizers: [...session.spec.optimizers, { name: entry.name }] });
            },
          },
          h("strong", {}, entry.title),
          h("small", {}, lacking ? `Does not fit: ${lacking}` : first),
        ),
      );
    });
  const list = h("ul", { class: "menu-list" });
  const menu = h("details", { class: "menu" }, h("summary", { class: "button" }, "Add an optimizer"), list);
  menu.addEventListener("toggle", () => menu.open && list.replaceChildren(...offers()));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary")?.focus();
  });
  document.addEventListener(
    "pointerdown",
    (event) => {
      if (event.target instanceof Node && !menu.contains(event.target)) menu.open = false;
    },
    { signal },
  );
  return menu;
}
