"""The network of 321 weights under damped Gauss-Newton, with the whole spectrum of G at every step."""

from collections.abc import Iterator

from tests.benchmarks.measure import Row, execute, seconds

STEPS = 200


def rows() -> Iterator[Row]:
    body = {
        "problem": {"name": "regression-network"},
        "optimizers": [{"name": "gauss-newton", "damping": 0.1}],
        "probes": [{"name": "spectrum", "matrix": "gauss-newton", "every": 1}],
        "steps": STEPS,
        "tolerance": 0,
    }
    execute(body)
    rates = sorted(STEPS / taken for taken in seconds(lambda: execute(body), 5))
    what = "321-weight network, damped Gauss-Newton, whole spectrum every step, float64"
    yield Row(what, "≥ 150 steps/s", f"{rates[2]:.0f} steps/s", f"{rates[0]:.0f} at the slowest of five runs")
