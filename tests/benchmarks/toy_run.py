"""200 steps on a toy, from the bytes of the spec to the bytes of the events, when the program is compiled."""

from collections.abc import Iterator

from tests.benchmarks.measure import Row, execute, milliseconds, seconds


def rows() -> Iterator[Row]:
    for optimizer in ("gradient-descent", "damped-newton"):
        body = {
            "problem": {"name": "rosenbrock"},
            "optimizers": [{"name": optimizer}],
            "steps": 200,
            "tolerance": 0,
        }
        size = execute(body)
        taken = seconds(lambda body=body: execute(body), 100)
        what = f"200 steps of {optimizer} on rosenbrock, spec to JSON, warm"
        yield Row(
            what, "< 5 ms, aim 1 ms", milliseconds(taken), f"{1000 * min(taken):.2f} ms at best, {size / 1000:.0f} kB"
        )
