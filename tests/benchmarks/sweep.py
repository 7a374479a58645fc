"""64 damping values in one sweep against one value: one vmapped program, so not 64 times the time."""

from collections.abc import Iterator

import numpy as np
import orjson

from secondorder.run import events
from secondorder.spec import parse
from tests.benchmarks.measure import Row, execute, milliseconds, seconds

REPETITIONS = 50


def rows() -> Iterator[Row]:
    one, many = swept(0.1), swept(np.geomspace(1e-3, 10, 64).tolist())
    what = "64 dampings in one sweep against one, 200 steps"
    yield compared(f"{what}, the program alone", computing(one), computing(many))
    yield compared(f"{what}, spec to JSON (64 times the rows)", telling(one), telling(many))


def compared(what: str, single: list[float], sweep: list[float]) -> Row:
    ratio = np.median(sweep) / np.median(single)
    return Row(what, "≤ 4x, aim 3x", f"{ratio:.1f}x", f"{milliseconds(single)} -> {milliseconds(sweep)}")


def computing(body: dict) -> list[float]:
    """Seconds of compute that the run's own clock tells."""
    spec = parse(orjson.dumps(body))
    runs = (events(spec) for _ in range(REPETITIONS + 1))
    return [max(event.data["seconds"] for event in run if event.kind == "clock") for run in runs][1:]


def telling(body: dict) -> list[float]:
    execute(body)
    return seconds(lambda: execute(body), REPETITIONS)


def swept(damping: float | list[float]) -> dict:
    return {
        "problem": {"name": "logistic-cost"},
        "optimizers": [{"name": "damped-newton", "damping": damping}],
        "steps": 200,
        "tolerance": 0,
    }
