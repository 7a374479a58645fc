// What surrounds the figures: notices, the theme, waiting for the server.

import { h, icon } from "./dom.js";
import { ask, Refusal } from "./stream.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./types").ApiError} ApiError */
/** @typedef {import("./types").Catalog} Catalog */

const CHOICES = ["auto", "light", "dark"];
const SIGNS = {
  auto: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 2v12",
  light:
    "M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6L13 13M13 3l-1.4 1.4M4.4 11.6L3 13",
  dark: "M13 9.5A5.5 5.5 0 016.5 3a5.5 5.5 0 106.5 6.5z",
};

/** The button that goes through automatic, light and dark. */
export function themeButton() {
  const root = document.documentElement;
  const button = h("button", { type: "button", class: "icon-button theme" });
  const show = () => {
    const choice = /** @type {keyof typeof SIGNS} */ (root.dataset.choice ?? "auto");
    button.setAttribute("aria-label", `Theme: ${choice}`);
    button.title = `Theme: ${choice}`;
    button.replaceChildren(icon(SIGNS[choice]));
  };
  button.addEventListener("click", () => {
    const next = CHOICES[(CHOICES.indexOf(root.dataset.choice ?? "auto") + 1) % CHOICES.length];
    root.dataset.choice = next;
    try {
      localStorage.setItem("second-order:theme", next);
    } catch {
      // Then it holds for this page only.
    }
    show();
  });
  show();
  return button;
}

/** On a narrow screen the controls lie below the figures: this button lifts them over the lower part of the screen,
 * so that what they change stays in sight. @param {HTMLElement} panel @param {AbortSignal} signal */
export function liftButton(panel, signal) {
  const button = h(
    "button",
    { type: "button", class: "button lift", "aria-expanded": "false", "aria-controls": panel.id },
    "Controls",
  );
  /** @param {boolean} open */
  const lift = (open) => {
    panel.classList.toggle("lifted", open);
    button.setAttribute("aria-expanded", String(open));
    (open ? panel : button).focus({ preventScroll: true });
    if (open) document.getElementById("figures")?.scrollIntoView({ block: "start" });
  };
  button.addEventListener("click", () => lift(!panel.classList.contains("lifted")));
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Escape" && panel.classList.contains("lifted")) lift(false);
    },
    { signal },
  );
  return button;
}

/** Tells a session when light turns to dark or back. @param {Session} session @param {AbortSignal} signal */
export function watchTheme(session, signal) {
  const watch = new MutationObserver(() => session.emit({ kind: "theme" }));
  watch.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  signal.addEventListener("abort", () => watch.disconnect());
}

/** The messages above the figures. @param {HTMLElement} element */
export function messages(element) {
  const status = h("p", { class: "status", role: "status" });
  const error = h("p", { class: "complaint", role: "alert" });
  const notice = h("div", { class: "notice", role: "status" });
  element.append(status, error, notice);
  return {
    /** What is going on with the connection. @param {string | null} message */
    status: (message) => {
      status.textContent = message ?? "";
    },
    /** @param {ApiError | null} told */
    error: (told) => {
      error.textContent = told ? [told.at && `${told.at}: `, told.message].filter(Boolean).join("") : "";
    },
    /** What was changed, and why, until the reader has seen it. @param {string} heading @param {string[]} changes */
    notice(heading, changes) {
      if (!changes.length) return notice.replaceChildren();
      notice.replaceChildren(
        h(
          "div",
          { class: "notice-text" },
          h("strong", {}, heading),
          h(
            "ul",
            {},
            changes.map((c) => h("li", {}, c)),
          ),
        ),
        h("button", { type: "button", class: "quiet", onclick: () => notice.replaceChildren() }, "Dismiss"),
      );
    },
  };
}

/** What the page cannot do without; it waits for a server that is not there yet.
 * @template T @param {string} path @param {(message: string | null) => void} tell @returns {Promise<T>} */
export async function insist(path, tell) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 10_000)) {
    try {
      const answer = await ask(path);
      tell(null);
      return answer;
    } catch (error) {
      if (error instanceof Refusal && error.status < 500 && error.status !== 429) throw error;
      tell("The server does not answer. Trying again…");
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}
