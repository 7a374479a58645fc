// Any spec's chosen figures without the page around them, for a frame in another page.

import { stateOfSession } from "./address.js";
import { insist, messages, watchTheme } from "./chrome.js";
import { byId } from "./dom.js";
import { laneTable } from "./lanes.js";
import { axisChoice, player } from "./player.js";
import { Session } from "./session.js";
import { decode, encode } from "./spec.js";
import { loadViews, stage } from "./stage.js";
import { server } from "./stream.js";

const say = messages(byId("messages"));
const signal = new AbortController().signal;

/** The host learns how high the content is; it says who speaks by the address's `id`, where it has one. */
function tellHeight() {
  if (parent === window) return;
  const id = new URLSearchParams(location.search).get("id");
  let told = 0;
  const tell = () => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height === told || !height) return;
    told = height;
    parent.postMessage({ type: "second-order:height", height, id }, "*");
  };
  new ResizeObserver(tell).observe(document.body);
  tell();
}

async function main() {
  tellHeight();
  const [modules, catalog] = await Promise.all([
    loadViews(),
    /** @type {Promise<import("./types").Catalog>} */ (insist("/api/catalog", say.status)),
  ]);
  const { state, changes } = decode(
    location.search,
    catalog,
    undefined,
    modules.map((module) => module.name),
  );
  say.notice("The address said something that cannot be shown:", changes);
  const session = new Session(catalog, server, state);
  const shown = state.hide.reduce((left, part) => left.filter((name) => name !== part), ["player", "legend", "link"]);
  stage({ element: byId("figures"), chooser: null, session, modules, signal, chosen: state.views, changed() {} });
  if (shown.includes("player")) {
    player({ element: byId("player"), session, signal, keys: false });
    byId("player").append(axisChoice(session, signal));
  }
  if (shown.includes("legend")) laneTable({ element: byId("lanes"), session, signal });
  const link = /** @type {HTMLAnchorElement} */ (byId("open"));
  link.hidden = !shown.includes("link");
  const follow = () => {
    link.href = `/?${encode({ ...stateOfSession(session, state.views), hide: [] })}`;
  };
  for (const event of ["pointerdown", "focus"]) link.addEventListener(event, follow);
  follow();
  watchTheme(session, signal);
  session.listen(
    (event) => {
      if (event.kind === "status") say.status(event.message);
      else if (event.kind === "error") say.error(event.error);
    },
    { signal },
  );
  session.start();
  document.documentElement.dataset.ready = "true";
}

main().catch((error) =>
  say.error({ message: error instanceof Error ? error.message : String(error), at: null, allowed: null }),
);
