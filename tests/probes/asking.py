"""Asks a probe through the public functions, at weights of a problem or at a step of a run."""

from typing import Any

import secondorder as so
from secondorder.run import probe
from secondorder.spec import parse_probe


def at(problem: dict[str, Any], w: Any, **asked: Any) -> dict[str, Any]:
    return probe(parse_probe({"problem": problem, "at": list(w), "probe": asked}))


def of(run: so.Run, lane: int, step: int, **asked: Any) -> dict[str, Any]:
    body = {"run": run.spec.id, "lane": lane, "step": step, "probe": asked}
    return probe(parse_probe(body, lambda _: run.spec))


# A run of five weights, whose planes are its slice; its cost is written out in numpy by `breast_cancer`.
FEATURES = ["mean radius", "mean texture", "worst area", "worst concavity"]
PROBLEM = {"name": "logistic-regression", "features": FEATURES, "l2": 0.01}


def five_weights() -> so.Run:
    return so.run(
        problem=PROBLEM, optimizers=[{"name": "damped-newton", "damping": 0.05}, {"name": "gradient-descent"}], steps=12
    )
