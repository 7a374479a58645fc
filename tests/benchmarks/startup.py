"""From the command to a page that answers: a cold process, a warm compilation cache, a browser that already runs."""

import time
from collections.abc import Iterator

from tests.benchmarks.measure import Row, milliseconds
from tests.benchmarks.page import opened, until
from tests.serving import running_server


def rows() -> Iterator[Row]:
    ready, drawn = [], []
    with opened() as page:
        for _ in range(6):
            began = time.perf_counter()
            with running_server() as address:
                page.goto(address, wait_until="commit")
                page.wait_for_selector("html[data-ready]", state="attached")
                ready.append(time.perf_counter() - began)
                until(page, "redrawn.length > 0")
                drawn.append(time.perf_counter() - began)
                page.goto("about:blank")
    # The first start compiles what the cache lacks.
    notes = f"first run drawn after {milliseconds(drawn[1:])}; with a cache that may be cold {drawn[0]:.1f} s"
    yield Row("`secondorder` to an interactive page, cold process", "< 4 s", milliseconds(ready[1:]), notes)
