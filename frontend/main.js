// Wires the page: the explorer at /, a worked example at /lessons/….

import { address, stateOfSession } from "./address.js";
import { catalogue, lessonCards } from "./catalogue.js";
import { stateOf } from "./catalog.js";
import { insist, liftButton, messages, themeButton, watchTheme } from "./chrome.js";
import { controls } from "./controls.js";
import { byId, h, markup } from "./dom.js";
import { laneTable } from "./lanes.js";
import { axisChoice, player } from "./player.js";
import { progress } from "./progress.js";
import { Session } from "./session.js";
import { share } from "./share.js";
import { decode, encode } from "./spec.js";
import { loadViews, stage } from "./stage.js";
import { server } from "./stream.js";

/** @typedef {import("./types").Catalog} Catalog */
/** @typedef {import("./types").Lesson} Lesson */
/** @typedef {import("./types").State} State */

byId("theme").replaceWith(themeButton());
const say = messages(byId("messages"));
const signal = new AbortController().signal; // the page's own lifetime
const slug = location.pathname.match(/\/lessons\/([^/]+)\/?$/)?.[1];

main().catch((error) =>
  say.error({ message: error instanceof Error ? error.message : String(error), at: null, allowed: null }),
);

async function main() {
  const [modules, catalog, lesson] = await Promise.all([
    loadViews(),
    /** @type {Promise<Catalog>} */ (insist("/api/catalog", say.status)),
    slug ? /** @type {Promise<Lesson>} */ (insist(`/api/lessons/${slug}`, say.status)).catch(() => undefined) : null,
  ]);
  if (lesson === undefined) return tellLost(catalog);
  const linked = new URLSearchParams(location.search).has("problem");
  const base = lesson ? { ...stateOf(lesson.spec), views: lesson.views, at: lesson.at } : undefined;
  const names = modules.map((module) => module.name);
  const { state: first, changes } = decode(location.search, catalog, base, names);
  let chosen = first.views;

  const session = new Session(catalog, server, first);
  const state = () => stateOfSession(session, chosen);
  if (lesson) tellLesson(catalog, lesson, state);
  else tellStart(catalog, linked);

  const notify = (/** @type {string[]} */ left) => say.notice("Not everything fits this problem:", left);
  const panel = controls({ element: byId("controls"), session, signal, only: lesson?.controls ?? null, notify });
  const figures = stage({
    element: byId("figures"),
    chooser: lesson ? null : byId("chooser"),
    session,
    modules,
    signal,
    chosen,
    changed: (names) => {
      chosen = names;
      where.changed();
    },
    heading: "h3",
    between: byId("lanes"),
  });
  const play = player({ element: byId("player"), session, signal });
  progress({ element: byId("progress"), session, signal });
  byId("axis").replaceWith(axisChoice(session, signal));
  byId("player").append(liftButton(byId("panel"), signal));
  laneTable({ element: byId("lanes"), session, signal });
  share({ element: byId("share"), session, signal, state });
  watchTheme(session, signal);
  const where = address({
    session,
    state,
    base: base ?? decode("", catalog).state,
    names,
    signal,
    restored(read, told) {
      chosen = read.views;
      figures.choose(chosen);
      say.notice("The address said something that cannot be shown:", told);
    },
  });

  say.notice("The address said something that cannot be shown:", changes);
  let fresh = Boolean(lesson) && !linked && first.at === null; // a lesson is played once, if it opens with no step
  session.listen(
    (event) => {
      if (event.kind === "status") say.status(event.message);
      else if (event.kind === "error") say.error(panel.complain(event.error) ? null : event.error);
      else if (event.kind === "spec") fresh = false;
      else if (event.kind === "end" && fresh) {
        fresh = false;
        play.show();
      }
    },
    { signal },
  );
  session.start();
  document.documentElement.dataset.ready = "true";
}

/** The start page: the examples first, or below where a link leads to a run of its own.
 * @param {Catalog} catalog @param {boolean} linked */
function tellStart(catalog, linked) {
  byId("cards").replaceWith(lessonCards(catalog));
  if (linked) byId("bench").after(byId("intro"));
  catalogue(catalog, byId("catalogue"));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

/** @param {Catalog} catalog */
function tellLost(catalog) {
  byId("lesson").replaceChildren(
    h("h1", {}, "There is no such example"),
    h("p", { class: "lead" }, "There are these:"),
    lessonCards(catalog),
  );
  byId("bench").remove();
}

/** @param {Catalog} catalog @param {Lesson} lesson @param {() => State} state */
function tellLesson(catalog, lesson, state) {
  document.title = `${lesson.title} · Second Order`;
  const open = h("a", { class: "button", href: `/?${encode(state())}` }, "Open in the explorer");
  const follow = () => {
    open.href = `/?${encode(state())}`;
  };
  open.addEventListener("pointerdown", follow);
  open.addEventListener("click", follow);
  const order = [...catalog.lessons].sort((a, b) => a.order - b.order);
  const next = order[order.findIndex((one) => one.name === lesson.name) + 1];
  byId("lesson").replaceChildren(
    h("h1", {}, lesson.title),
    h("p", { class: "lead" }, lesson.summary),
    h("div", { class: "prose" }, markup(lesson.html)),
  );
  byId("onward").replaceChildren(
    open,
    ...(next ? [h("a", { class: "next", href: `/lessons/${next.name}` }, `Next: ${next.title}`)] : []),
  );
}
