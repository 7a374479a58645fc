// The page's colours before its first paint: what the reader chose, else what the system prefers. A classic script in
// the head, so that nothing flashes; the button that changes it is in chrome.js.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const asked = new URLSearchParams(location.search).get("theme");
  const embedded = document.documentElement.classList.contains("embedded");
  let kept = null;
  try {
    kept = embedded ? null : localStorage.getItem("second-order:theme");
  } catch {
    // Storage may be forbidden: then the system's preference stands.
  }
  const root = document.documentElement;
  root.dataset.choice = [asked, kept].find((choice) => choice === "light" || choice === "dark") ?? "auto";
  if (parent !== window) root.dataset.framed = "";
  root.dataset.page = location.pathname.includes("/lessons/") ? "lesson" : "start";
  const apply = () => {
    const { choice } = root.dataset;
    root.dataset.theme = choice === "light" || choice === "dark" ? choice : dark.matches ? "dark" : "light";
  };
  apply();
  dark.addEventListener("change", apply);
  new MutationObserver(apply).observe(root, { attributeFilter: ["data-choice"] });
})();
