"""What it costs a run of K-FAC to be watched: every step its own event, the usual chunks, or all steps at once."""

from collections.abc import Iterator

import numpy as np

from secondorder import program
from tests.benchmarks.kfac import body
from tests.benchmarks.measure import Row, execute, seconds

TURNS, STEPS = 11, 200


def rows() -> Iterator[Row]:
    usual = program.CHUNK_SECONDS, program.LONGEST_CHUNK
    chunks = {"each step": (usual[0], 1), "as it is": usual, "all at once": (1e6, usual[1])}
    taken: dict[str, list[float]] = {name: [] for name in chunks}
    try:
        for turn in range(TURNS + 1):
            for name, length in chunks.items():
                program.CHUNK_SECONDS, program.LONGEST_CHUNK = length
                (spent,) = seconds(lambda: execute(body("small", STEPS)), 1)
                if turn:  # the first compiles
                    taken[name].append(spent)
    finally:
        program.CHUNK_SECONDS, program.LONGEST_CHUNK = usual
    each, as_is, once = (np.array(taken[name]) for name in chunks)
    rates = ", ".join(f"{STEPS / np.median(spent):.0f}" for spent in (each, as_is, once))
    notes = f"each, chunks, at once: {rates} steps/s, spec to JSON"
    yield Row("streaming each step, against not streaming (kfac, small)", "≥ 92 %, aim 98 %",
              f"{100 * np.median(once / each):.0f} %", notes)  # fmt: skip
    yield Row("streaming in chunks as runs do", "", f"{100 * np.median(once / as_is):.0f} %")
