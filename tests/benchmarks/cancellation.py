"""From the moment a run is cancelled, or left, until the worker has answered somebody else.

That is when it is free: a small run is posted at once, by itself answered in some milliseconds, and its end waited for.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np

from tests.benchmarks.measure import Row, milliseconds
from tests.serving import server

STREAM = {"accept": "text/event-stream"}
TIMES = 10
number = itertools.count()
RUNS = {
    "gradient descent, small autoencoder": ("small", "gradient-descent", 20_000),
    "kfac, small autoencoder": ("small", "kfac", 20_000),
    "kfac, deep autoencoder": ("deep", "kfac", 5000),
    "hessian-free, small autoencoder": ("small", "hessian-free", 500),
}


def rows() -> Iterator[Row]:
    with server(SECONDORDER_WARM="0") as site, httpx.Client(base_url=site.address, timeout=300) as client:
        site.wait_until_ready()
        small(client)
        idle = [small(client) for _ in range(TIMES)]
        yield Row("a small run by itself, POST to its end", "", milliseconds(idle))
        for what, (size, optimizer, steps) in RUNS.items():
            problem = {"name": "digits-autoencoder", "size": size}
            spec = {"problem": problem, "optimizers": [{"name": optimizer}], "steps": steps}
            told, free, left = [], [], []
            for k in range(TIMES + 1):
                one, two = stepping(client, spec, cancelled), stepping(client, spec, closed)
                if k:  # the first compiles
                    told.append(one[0])
                    free.append(one[1])
                    left.append(two[1])
            note = f"the viewer is told after {milliseconds(told)}; left by its viewer: {milliseconds(left)}"
            yield Row(f"{what}, cancelled while it steps: until another run is answered", "< 250 ms",
                      milliseconds(free), note)  # fmt: skip
        told, free = np.array([compiling(client) for _ in range(5)]).T
        note = f"the viewer is told after {milliseconds(told)}; the worker is replaced after half a second"
        yield Row("kfac of twelve layers, cancelled while it compiles: until another run is answered", "",
                  milliseconds(free), note)  # fmt: skip


def small(client: httpx.Client) -> float:
    """Seconds that a run takes which was never asked for before, of a program that was."""
    optimizers = [{"name": "gradient-descent", "rate": 1e-4 * (1 + 1e-6 * next(number))}]
    began = time.perf_counter()
    client.post(
        "/api/runs", json={"problem": {"name": "rosenbrock"}, "optimizers": optimizers, "steps": 5}, headers=STREAM
    )
    return time.perf_counter() - began


@contextmanager
def under_way(client: httpx.Client, spec: dict[str, Any], events: int) -> Iterator[tuple[str, Iterator[str]]]:
    """A run that has told so many events: where it is, and the lines of its stream."""
    with client.stream("POST", "/api/runs", json=spec, headers=STREAM) as response:
        lines = response.iter_lines()
        for _ in zip(range(events), (line for line in lines if line.startswith("event: ")), strict=False):
            pass
        yield response.headers["location"], lines


End = Callable[[httpx.Client, str, Iterator[str]], None]


def cancelled(client: httpx.Client, where: str, lines: Iterator[str]) -> None:
    client.delete(where)
    for line in lines:
        if line == "event: end":
            return


def closed(client: httpx.Client, where: str, lines: Iterator[str]) -> None:
    """The stream is closed by whoever opened it."""


def stepping(client: httpx.Client, spec: dict[str, Any], end: End) -> tuple[float, float]:
    """Seconds until the viewer has seen the end, and until somebody else is answered."""
    seed = next(number)
    with under_way(client, spec | {"tolerance": 1e-9 * seed}, 12) as (where, lines):
        began = time.perf_counter()
        end(client, where, lines)
        seen = time.perf_counter() - began
    small(client)
    return seen, time.perf_counter() - began


def compiling(client: httpx.Client) -> tuple[float, float]:
    """The same for a run whose program nobody has ever compiled."""
    widths = [64, *np.random.default_rng().integers(8, 16, 11).tolist(), 64]
    spec = {"problem": {"name": "digits-autoencoder", "widths": widths}, "optimizers": [{"name": "kfac"}]}
    with under_way(client, spec, 1) as (where, lines):
        time.sleep(0.3)
        began = time.perf_counter()
        cancelled(client, where, lines)
        seen = time.perf_counter() - began
    small(client)
    return seen, time.perf_counter() - began
