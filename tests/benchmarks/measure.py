"""What the benchmarks share: timing, and how a figure is written."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import orjson

from secondorder.run import events
from secondorder.spec import parse


class Row(NamedTuple):
    """One line of the table."""

    what: str
    target: str
    measured: str
    notes: str = ""


def seconds(call: Callable[[], object], times: int) -> list[float]:
    """How long each of ``times`` calls took."""
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        call()
        taken.append(time.perf_counter() - before)
    return taken


def milliseconds(taken: Sequence[float] | np.ndarray) -> str:
    """Median and 95th percentile of times in seconds, as the table shows them."""
    return "{:.2f} ms ({:.2f})".format(*(1000 * np.percentile(taken, [50, 95])))


def execute(body: dict) -> int:
    """A spec from its bytes to the bytes of its events, as the worker does it; returns how many bytes."""
    return sum(
        len(orjson.dumps(event.data, option=orjson.OPT_SERIALIZE_NUMPY)) for event in events(parse(orjson.dumps(body)))
    )
