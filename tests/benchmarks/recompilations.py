"""A slider moved 120 times: how often JAX traces or compiles anything anew."""

from collections.abc import Iterator

import jax
import numpy as np

from tests.benchmarks.measure import Row, execute

WORK = {"trace": "/jax/core/compile/jaxpr_trace_duration", "compilation": "/jax/core/compile/backend_compile_duration"}


def rows() -> Iterator[Row]:
    counts = dict.fromkeys(WORK.values(), 0)

    def count(event: str, duration_secs: float, **_: object) -> None:
        if event in counts:
            counts[event] += 1

    execute(moved(0.1))
    jax.monitoring.register_event_duration_secs_listener(count)
    for damping in [1, *np.geomspace(1e-3, 10, 119).tolist()]:
        execute(moved(damping))
    traces, compilations = counts.values()
    yield Row("120 moves of the damping slider", "0 recompilations", str(compilations), f"{traces} traces")


def moved(damping: float) -> dict:
    return {
        "problem": {"name": "logistic-cost"},
        "optimizers": [{"name": "damped-newton", "damping": damping}, {"name": "gradient-descent"}],
        "probes": [{"name": "spectrum"}],
    }
