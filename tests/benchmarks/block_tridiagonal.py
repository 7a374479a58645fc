"""K-FAC with the block-tridiagonal inverse against the block-diagonal one: iterations to the same loss, seed by seed.

Martens & Grosse report 25-40 % fewer iterations on autoencoders of eight layers. Momentum makes up for some of what the
block-diagonal inverse loses, so that both are told with it and without.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from secondorder.run import events
from secondorder.spec import parse
from tests.benchmarks.measure import Row

NAMES = ("kfac", "kfac-block-tridiagonal")
RACES: dict[str, tuple[int, tuple[int, ...], tuple[float, ...]]] = {
    "small": (250, (0, 1, 2, 3), (17.0, 16.0, 15.5, 15.3, 15.1)),
    "deep": (300, (0, 1), (20.0, 17.0, 16.0, 15.5, 15.0)),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "by default": {},
    "inverses at every step": {"refresh": 1},
    "without momentum": {"momentum": False},
}


def raced(size: str, optimizer: dict[str, Any], steps: int, seed: int) -> tuple[np.ndarray, float]:
    """The loss before each step, and the seconds of all of them."""
    problem = {"name": "digits-autoencoder", "size": size}
    body = {"problem": problem, "optimizers": [optimizer], "steps": steps, "seed": seed, "tolerance": 0}
    told = list(events(parse(body)))
    loss = np.concatenate([event.data["columns"]["loss"] for event in told if event.kind == "chunk"])
    return loss, [event.data["seconds"] for event in told if event.kind == "clock"][-1]


def iterations(loss: np.ndarray, marks: tuple[float, ...]) -> np.ndarray:
    """The first iteration at which each loss is reached; NaN where it never is."""
    reached = loss[:, None] <= np.asarray(marks)
    return np.where(reached.any(axis=0), reached.argmax(axis=0), np.nan)


def rows() -> Iterator[Row]:
    for size, (steps, seeds, marks) in RACES.items():
        for setting, changed in SETTINGS.items():
            counts: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
            taken: dict[str, list[float]] = {name: [] for name in NAMES}
            for seed in seeds:
                for name in NAMES:
                    loss, seconds = raced(size, {"name": name} | changed, steps, seed)
                    counts[name].append(iterations(loss, marks))
                    taken[name].append(seconds)
            diagonal, tridiagonal = (np.array(counts[name]) for name in NAMES)
            both = np.isfinite(diagonal) & np.isfinite(tridiagonal)
            fewer = 100 * (1 - tridiagonal[both] / diagonal[both])
            told = "; ".join(
                f"{mark:g}: {', '.join(f'{b:.0f}/{a:.0f}' for a, b in zip(*counts, strict=True))}"
                for mark, *counts in zip(marks, diagonal.T, tridiagonal.T, strict=True)
            )
            slower = np.median(np.divide(taken[NAMES[1]], taken[NAMES[0]]))
            yield Row(
                f"block-tridiagonal against block-diagonal K-FAC, {size} autoencoder, {setting}",
                "25-40 % fewer iterations",
                f"{np.median(fewer):.0f} % fewer ({fewer.min():.0f} to {fewer.max():.0f})",
                f"{slower:.1f}x the time a step; iterations to a loss, seed by seed: {told}",
            )
