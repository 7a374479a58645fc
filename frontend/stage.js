// The figures: which are shown, and each one's life from mounting to leaving.

import { h, unique } from "./dom.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./types").ViewModule} ViewModule */
/** @typedef {import("./types").SessionEvent} SessionEvent */
/** @typedef {{section: HTMLElement, controller: AbortController, view: import("./types").View}} Mounted */

/** The modules in views/, which the page names, in their own order; one that cannot be loaded is left out.
 * @returns {Promise<ViewModule[]>} */
export async function loadViews() {
  const told = /** @type {HTMLMetaElement | null} */ (document.querySelector("meta[name=views]"))?.content ?? "";
  const loads = await Promise.allSettled(told.split(" ").map((name) => import(`./views/${name}.js`)));
  const modules = loads.flatMap((load) => {
    if (load.status === "fulfilled") return [load.value];
    console.error(load.reason);
    return [];
  });
  return modules.sort((a, b) => a.order - b.order);
}

/** @param {{element: HTMLElement, chooser: HTMLElement | null, session: Session, modules: ViewModule[],
 *   signal: AbortSignal, chosen: string[] | null, changed: (chosen: string[] | null) => void, heading?: "h2" | "h3",
 *   between?: HTMLElement}} options
 *   chosen: names of the views to show; null: all that can be. between: what stands after the first two */
export function stage({ element, chooser, session, modules, signal, chosen, changed, heading = "h2", between }) {
  /** @type {Map<string, Mounted>} */
  const mounted = new Map();

  /** @param {ViewModule} module */
  function mount(module) {
    const id = unique("view"),
      controller = new AbortController(),
      body = h("div", { class: "view-body" });
    const section = h(
      "section",
      { class: `view view-${module.name}${module.wide ? " wide" : ""}`, "aria-labelledby": id, "data-view": module.name },
      h(heading, { id }, module.title),
      body,
    );
    const order = chosen ?? modules.map((m) => m.name);
    const after = order
      .slice(order.indexOf(module.name) + 1)
      .map((name) => mounted.get(name)?.section)
      .find(Boolean);
    element.insertBefore(section, after ?? null);
    try {
      const view = module.mount({ element: body, session, signal: AbortSignal.any([signal, controller.signal]) });
      mounted.set(module.name, { section, controller, view });
    } catch (error) {
      mounted.set(module.name, { section, controller, view: { on() {} } });
      failed(module.name, error);
    }
  }

  /** @param {string} name */
  function unmount(name) {
    const one = mounted.get(name);
    mounted.delete(name);
    one?.controller.abort();
    one?.section.remove();
  }

  /** A figure that fails says so in its place; the others go on. @param {string} name @param {unknown} error */
  function failed(name, error) {
    console.error(error);
    const one = mounted.get(name);
    if (!one) return;
    one.controller.abort();
    one.view = { on() {} };
    one.section.lastElementChild?.replaceChildren(h("p", { class: "complaint" }, `This figure failed: ${error}`));
  }

  let drawn = "";
  function settle() {
    const can = modules.map((module) => ({ module, verdict: module.wants(session) }));
    for (const { module, verdict } of can) {
      const show = verdict === true && (chosen === null || chosen.includes(module.name));
      if (show && !mounted.has(module.name)) mount(module);
      else if (!show && mounted.has(module.name)) unmount(module.name);
    }
    // Below the first row: a wide figure, or two.
    const sections = [...element.children].filter((child) => child !== between);
    const before = sections[sections[0]?.classList.contains("wide") ? 0 : Math.min(1, sections.length - 1)];
    if (between && before && between.previousElementSibling !== before) before.after(between);
    const now = JSON.stringify([can.map(({ module, verdict }) => [module.name, verdict]), chosen]);
    if (now === drawn || !chooser) return;
    drawn = now;
    const focused = chooser.contains(document.activeElement) ? document.activeElement?.getAttribute("name") : null;
    chooser.replaceChildren(
      ...can.map(({ module, verdict }) => {
        const why = unique("why"),
          able = verdict === true;
        const box = h("input", {
          type: "checkbox",
          name: module.name,
          disabled: !able,
          "aria-describedby": able ? null : why,
        });
        box.checked = able && mounted.has(module.name);
        box.addEventListener("change", () => {
          const shown = modules
            .map((m) => m.name)
            .filter((name) => (name === module.name ? box.checked : mounted.has(name)));
          chosen = shown;
          changed(chosen);
          settle();
        });
        return h(
          "label",
          { class: "chip", title: able ? null : verdict },
          box,
          module.title,
          !able && h("span", { class: "visually-hidden", id: why }, verdict),
        );
      }),
    );
    if (focused) /** @type {HTMLElement | null} */ (chooser.querySelector(`[name="${CSS.escape(focused)}"]`))?.focus();
  }

  session.listen(
    (event) => {
      for (const [name, { view }] of mounted) {
        try {
          view.on(event);
        } catch (error) {
          failed(name, error);
        }
      }
      if (["spec", "run", "end"].includes(event.kind)) settle();
    },
    { signal },
  );
  settle();
  return {
    /** @param {string[] | null} names */
    choose(names) {
      chosen = names;
      settle();
    },
  };
}
