"""A knob's slider moved in the browser, until the landscape's new trajectories are painted."""

from collections.abc import Iterator

import numpy as np

from tests.benchmarks.measure import Row, milliseconds
from tests.benchmarks.page import opened, rest, visit
from tests.serving import running_server

QUERY = "?problem=logistic-cost&start=3,-1&optimizer=damped-newton&optimizer=gradient-descent"
SLIDER = "input[type=range][aria-label=damping]"
MOVES = 120

# One move: milliseconds until the first changed frame, and until the last before half a second of rest.
MOVE = """
async (slider) => {
  const ticks = Number(slider.max), tick = Math.round(ticks * (0.35 + 0.4 * Math.random()));
  slider.value = String(tick === Number(slider.value) ? tick + 1 : tick);
  const began = performance.now();
  redrawn.length = 0;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  while (!redrawn.length || performance.now() - redrawn[redrawn.length - 1] < 500) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return [redrawn[0] - began, redrawn[redrawn.length - 1] - began];
}
"""

# A drag: a move every frame for three seconds, back and forth; milliseconds between changed frames.
DRAG = """
async (slider) => {
  const ticks = Number(slider.max), began = performance.now();
  redrawn.length = 0;
  for (let now = began; now - began < 3000;) {
    slider.value = String(Math.round(ticks * (0.55 + 0.2 * Math.sin((now - began) / 300))));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    now = await new Promise(requestAnimationFrame);
  }
  return redrawn.slice(1).map((at, i) => at - redrawn[i]);
}
"""


def rows() -> Iterator[Row]:
    with running_server() as address, opened() as page:
        visit(page, f"{address}/{QUERY}")
        rest(page)
        slider = page.locator(SLIDER).first
        for _ in range(5):
            slider.evaluate(MOVE)
        moves = np.array([slider.evaluate(MOVE) for _ in range(MOVES)]) / 1000
        whole = f"with its probes {milliseconds(moves[:, 1])}"
        what = f"slider input to painted redraw, warm, {MOVES} moves"
        yield Row(what, "p95 < 100 ms, aim 33 ms", milliseconds(moves[:, 0]), whole)
        rest(page)
        between = np.array(slider.evaluate(DRAG)) / 1000
        what = "the same slider dragged for three seconds, a move every frame: time between redraws"
        yield Row(what, "", milliseconds(between), f"{1 / between.mean():.0f} redraws a second")
