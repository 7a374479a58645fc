"""Eight dampings of K-FAC as one program against eight runs."""

from collections.abc import Iterator

import numpy as np

from tests.benchmarks.kfac import body
from tests.benchmarks.measure import Row, execute, seconds

TURNS, STEPS = 7, 100


def rows() -> Iterator[Row]:
    dampings = [float(f"{damping:.3g}") for damping in np.geomspace(0.1, 30, 8)]
    whole = body("small", STEPS, {"name": "kfac", "damping": dampings})
    alone = [body("small", STEPS, {"name": "kfac", "damping": damping}) for damping in dampings]
    execute(whole | {"steps": 30})
    execute(alone[0] | {"steps": 30})
    parts = []
    for _ in range(TURNS):
        # In turns, half of those alone before and half after: what the machine does meanwhile falls on both.
        before = sum(seconds(lambda spec=spec: execute(spec), 1)[0] for spec in alone[:4])
        together = seconds(lambda: execute(whole), 1)[0]
        parts.append((together, before + sum(seconds(lambda spec=spec: execute(spec), 1)[0] for spec in alone[4:])))
    together, apart = np.median(parts, axis=0)
    ratio = np.median([part[0] / part[1] for part in parts])
    yield Row("a sweep of 8 dampings of kfac against eight runs", "≤ 0.7x", f"{ratio:.2f}x",
              f"{together:.2f} s against {apart:.2f} s, {STEPS} steps each, {TURNS} turns")  # fmt: skip
