"""Frames a second while lanes play over a landscape."""

from collections.abc import Iterator

import numpy as np

from tests.benchmarks.measure import Row, milliseconds
from tests.benchmarks.page import opened, until
from tests.serving import running_server

RATES = ",".join(f"{rate:.2g}" for rate in np.geomspace(2e-4, 1e-3, 8))
DAMPINGS = ",".join(f"{damping:.2g}" for damping in np.geomspace(0.01, 100, 9))
PAGES = {
    "8 lanes over a landscape": f"?problem=rosenbrock&optimizer=gradient-descent:rate={RATES}&views=landscape",
    "a 3x3 grid of lanes": f"?problem=rosenbrock&optimizer=damped-newton:damping={DAMPINGS}&views=multiples",
    "8 lanes in every view": f"?problem=rosenbrock&optimizer=gradient-descent:rate={RATES}",
}

# Milliseconds between the frames of four seconds of playing, and what the player shows at both ends.
PLAY = """
async () => {
  const step = () => document.querySelector("output.step").textContent;
  const times = [], first = step(), began = performance.now();
  while (performance.now() - began < 4000) times.push(await new Promise(requestAnimationFrame));
  return { between: times.slice(1).map((at, i) => at - times[i]), first, last: step() };
}
"""


def rows() -> Iterator[Row]:
    with running_server() as address, opened() as page:
        for what, query in PAGES.items():
            page.goto(f"{address}/{query}&steps=200")
            page.wait_for_selector("html[data-ready]", state="attached")
            until(page, "document.querySelector('output.step').textContent.endsWith('/ 200')")
            page.wait_for_timeout(2000)
            page.get_by_role("button", name="Play", exact=True).click()
            page.wait_for_timeout(300)
            played = page.evaluate(PLAY)
            assert played["first"] != played["last"], "the player stands still"
            between = np.array(played["between"])
            notes = f"between frames {milliseconds(between / 1000)}, {between.max():.0f} ms at the most"
            yield Row(f"playing {what}", "≥ 50 frames/s", f"{1000 / between.mean():.0f} frames/s", notes)
