"""Hessian-free on the small autoencoder, full batch, float32: steps, seconds and CG iterations to a loss of 15.07."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from secondorder.program import Program
from secondorder.spec import parse
from tests.benchmarks.measure import Row

LOSS = 15.07
MOST = {250: 60, 50: 250}  # CG iterations a step: steps in which the loss is to be reached
SEEDS = range(4)


class Race(NamedTuple):
    """One seed's way to the loss; infinitely many steps where it was not reached."""

    steps: float
    seconds: float  # of compute, compilation apart
    iterations: float  # of conjugate gradients, a step's mean


def race(iterations: int, seed: int) -> Race:
    spec = parse(
        {
            "problem": {"name": "digits-autoencoder"},
            "optimizers": [{"name": "hessian-free", "iterations": iterations}],
            "steps": MOST[iterations],
            "seed": seed,
        }
    )
    program = Program(spec, spec.groups[0])
    loss, counts = np.empty(0), np.empty(0)
    while not program.done and not np.any(loss <= LOSS):
        for chunk in program.advance():
            loss = np.append(loss, chunk.columns["loss"])
            counts = np.append(counts, chunk.columns["cg_iterations"])
    reached = np.flatnonzero(loss <= LOSS)
    return Race(reached[0] if reached.size else np.inf, program.seconds, float(np.nanmean(counts)))


def rows() -> Iterator[Row]:
    for iterations, most in MOST.items():
        races = [race(iterations, seed) for seed in SEEDS]
        steps, seconds, counts = np.median(races, axis=0)
        measured = f"{steps:.0f} steps, {seconds:.1f} s, {counts:.0f} CG iterations mean"
        each = ", ".join(f"{r.steps:.0f} in {r.seconds:.1f} s" for r in races)
        yield Row(
            f"hessian-free, small autoencoder to loss {LOSS}, at most {iterations} CG iterations a step",
            f"≤ {most} steps",
            measured,
            f"median of seeds 0 to 3: {each}",
        )
