"""A batch's point dragged in the proximal lab, until the curves of its updates are painted anew."""

from collections.abc import Iterator

import numpy as np

from tests.benchmarks.measure import Row, milliseconds
from tests.benchmarks.page import opened, rest, until, visit
from tests.serving import running_server

LESSON = "/lessons/proximal-updates"
HANDLE = "[role=slider][aria-label='Point 1 of the batch']"
MOVES = 60

# When the pointer last moved, by the page's own clock.
POINTER = "addEventListener('pointermove', () => (window.moved = performance.now()), { capture: true })"
# Milliseconds from each redraw of the curves to the next.
BETWEEN = "redrawn.slice(1).map((at, i) => at - redrawn[i])"


def rows() -> Iterator[Row]:
    # A server that is still warming its lessons up answers between two of their programs.
    with running_server(SECONDORDER_WARM="0") as address, opened("proximal-fit") as page:
        visit(page, f"{address}{LESSON}")
        handle = page.locator(HANDLE)
        handle.scroll_into_view_if_needed()
        rest(page)
        page.evaluate(f"() => {{ {POINTER}; }}")
        box = handle.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        taken = []
        for k in range(MOVES + 5):
            page.evaluate("() => void (redrawn.length = 0)")
            page.mouse.move(x + 40 * np.sin(k), y - 30 * np.cos(2 * k))
            until(page, "redrawn.length && redrawn[redrawn.length - 1] > window.moved")
            taken.append(page.evaluate("() => redrawn.find((at) => at > window.moved) - window.moved"))
            rest(page)
        what = f"a point of the proximal lab moved, until its three exact updates are redrawn, warm, {MOVES} moves"
        yield Row(what, "< 100 ms", milliseconds(np.array(taken[5:]) / 1000))
        page.evaluate("() => void (redrawn.length = 0)")
        for k in range(120):
            page.mouse.move(x + 40 * np.sin(k / 10), y - 30 * np.cos(k / 7))
        between = np.array(page.evaluate(f"() => {BETWEEN}")) / 1000
        page.mouse.up()
        what = "the same point dragged without a pause: time between redraws of the curves"
        yield Row(what, "", milliseconds(between), f"{1 / between.mean():.0f} redraws a second")
