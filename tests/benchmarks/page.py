"""The page as the benchmarks of the browser see it: opened in Chromium, watched from outside."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

from tests.browser import chromium

# Tells when what is drawn on a view's canvas has changed and been painted: `redrawn` holds the times. A frame's
# content is folded into a number as its paths are traced; a message posted while a frame is made is delivered after it.
WATCH = """
(() => {
  window.redrawn = [];
  const drawn = new WeakMap(), before = new WeakMap();
  const painted = new MessageChannel();
  const waiting = new Set();
  painted.port1.onmessage = () => {
    for (const canvas of waiting) {
      if (drawn.get(canvas) !== (before.get(canvas) ?? 0)) window.redrawn.push(performance.now());
      before.set(canvas, drawn.get(canvas));
    }
    waiting.clear();
  };
  const trace = (prototype, name, watch) => {
    const own = prototype[name];
    prototype[name] = function (...numbers) {
      if (this.canvas.closest("[data-view=VIEW]")) watch(this.canvas, numbers);
      return own.apply(this, numbers);
    };
  };
  const context = CanvasRenderingContext2D.prototype;
  trace(context, "clearRect", (canvas) => {
    drawn.set(canvas, 0);
    if (!waiting.size) painted.port2.postMessage(null);
    waiting.add(canvas);
  });
  for (const name of ["moveTo", "lineTo"]) {
    trace(context, name, (canvas, [x, y]) => drawn.set(canvas, (31 * drawn.get(canvas) + 7 * x + 3 * y) % 1e9));
  }
})();
"""


@contextmanager
def opened(view: str = "landscape", **options) -> Iterator[Page]:
    """A page in a Chromium of its own, still empty, that watches a view; options are those of a context."""
    with chromium.running() as browser:
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 1600}, **options})
        page.set_default_timeout(120_000)
        page.add_init_script(WATCH.replace("VIEW", view))
        yield page


def visit(page: Page, address: str) -> None:
    """Opens an address and waits until the page answers to its controls and the run is drawn."""
    page.goto(address, wait_until="commit")
    page.wait_for_selector("html[data-ready]", state="attached")
    until(page, "redrawn.length > 0")


def rest(page: Page) -> None:
    """Waits until nothing has been redrawn for half a second."""
    until(page, "redrawn.length && performance.now() - redrawn[redrawn.length - 1] > 500")


def until(page: Page, condition: str) -> None:
    """Waits in the page (Playwright's wait_for_function would evaluate a string, which the page's policy forbids)."""
    page.evaluate(f"async () => {{ while (!({condition})) await new Promise((resolve) => setTimeout(resolve, 5)); }}")
