"""The spec: what a body can have wrong and how that is said, the canonical form and the id, lanes and the price."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secondorder import catalog, core, spec
from secondorder.spec import RunSpec, SpecError, parse, parse_probe

NOT_JSON = "RFC 8259 JSON in UTF-8, finite numbers"
FIELDS = ["optimizers", "probes", "problem", "seed", "start", "steps", "tolerance"]
NETWORK = {"name": "digits-classifier"}


def body(**fields: Any) -> dict[str, Any]:
    return {"problem": {"name": "rosenbrock"}, "optimizers": [{"name": "newton"}], **fields}


def problem(name: str, **fields: Any) -> dict[str, Any]:
    return body(problem={"name": name, **fields}, optimizers=[{"name": "adam"}])


def optimizer(name: str, **fields: Any) -> dict[str, Any]:
    return body(optimizers=[{"name": name, **fields}])


def damped(damping: Any) -> dict[str, Any]:
    return optimizer("damped-newton", damping=damping)


def asking(name: str, **fields: Any) -> dict[str, Any]:
    return body(probes=[{"name": name, **fields}])


def there(told: Any, problem: dict[str, Any] | None = None, name: str = "gradient-descent") -> dict[str, Any]:
    """An optimizer in other coordinates."""
    return {"problem": problem or {"name": "rosenbrock"}, "optimizers": [{"name": name, "coordinates": told}]}


def refused(asked: bytes | dict[str, Any]) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse(asked)
    return caught.value


# What is wrong: (body, message, at, allowed), all answered 422. NUMBER and so on are the validator's words.
NUMBER, INTEGER, LIST, OBJECT = (f"must be a valid {kind}" for kind in ("number", "integer", "list", "dictionary"))
R = [[1, 0.5], [0, 1]]
EITHER, FORMS = "either a matrix R and a shift b, or inputs", [["matrix", "shift"], ["inputs"]]
REFUSED: dict[str, tuple[Any, str, str, Any]] = {
    "unknown field": (body(colour=1), "unknown field 'colour'", "colour", FIELDS),
    "misspelt field": (body(step=1), "unknown field 'step'; did you mean 'steps'?", "step", FIELDS),
    "unknown field of a problem": (
        problem("quadratic", conditon=3),
        "unknown field 'conditon'; did you mean 'condition'?",
        "problem.conditon",
        ["condition", "name", "rotation", "size"],
    ),
    "knob of another optimizer": (
        optimizer("newton", damping=1),
        "unknown field 'damping'",
        "optimizers[0].damping",
        ["coordinates", "name"],
    ),
    "unknown field of a probe": (
        asking("spectrum", matrx=1),
        "unknown field 'matrx'; did you mean 'matrix'?",
        "probes[0].matrx",
        ["damping", "every", "iterations", "matrix", "method", "name", "probes"],
    ),
    "unknown problem": (
        problem("rosenbrok"),
        "unknown problem 'rosenbrok'; did you mean 'rosenbrock'?",
        "problem.name",
        sorted(catalog.all_problems()),
    ),
    "unknown optimizer": (
        optimizer("newtn"),
        "unknown optimizer 'newtn'; did you mean 'newton'?",
        "optimizers[0].name",
        sorted(catalog.all_optimizers()),
    ),
    "an optimizer's name like no other": (
        optimizer("zzz"),
        "unknown optimizer 'zzz'",
        "optimizers[0].name",
        sorted(catalog.all_optimizers()),
    ),
    "unknown probe": (
        asking("spectra"),
        "unknown probe 'spectra'; did you mean 'spectrum'?",
        "probes[0].name",
        sorted(catalog.all_probes()),
    ),
    "no name": (body(problem={}), "problem needs a name", "problem.name", sorted(catalog.all_problems())),
    "a number for a name": (
        body(optimizers=[{"name": 3}]),
        "optimizer needs a name",
        "optimizers[0].name",
        sorted(catalog.all_optimizers()),
    ),
    "no problem": ({"optimizers": [{"name": "newton"}]}, "field required", "problem", None),
    "optimizers missing": ({"problem": {"name": "beale"}}, "field required", "optimizers", None),
    "a name for a problem": (body(problem="rosenbrock"), OBJECT, "problem", None),
    "a name for an optimizer": (body(optimizers=["newton"]), OBJECT, "optimizers[0]", None),
    "one optimizer outside a list": (body(optimizers={"name": "newton"}), LIST, "optimizers", None),
    "a string for a knob": (damped("0.1"), NUMBER, "optimizers[0].damping", None),
    "a boolean for a knob": (damped(True), NUMBER, "optimizers[0].damping", None),
    "null for a knob": (damped(None), NUMBER, "optimizers[0].damping", None),
    "null for a rate": (optimizer("gradient-descent", rate=None), NUMBER, "optimizers[0].rate", None),
    "null in a list of knobs": (damped([0.1, None]), NUMBER, "optimizers[0].damping[1]", None),
    "a boolean in a list of knobs": (damped([0.1, True]), NUMBER, "optimizers[0].damping[1]", None),
    "a list in a list of knobs": (damped([[0.1]]), NUMBER, "optimizers[0].damping[0]", None),
    "an object for a knob": (damped({"a": 1}), NUMBER, "optimizers[0].damping", None),
    "negative damping": (damped(-1), "must be greater than or equal to 0", "optimizers[0].damping", {"ge": 0.0}),
    "negative damping in a list": (
        damped([1, -1]),
        "must be greater than or equal to 0",
        "optimizers[0].damping[1]",
        {"ge": 0.0},
    ),
    "half an iteration": (
        optimizer("hessian-free", iterations=2.5),
        "must be a multiple of 1",
        "optimizers[0].iterations",
        {"multiple_of": 1.0},
    ),
    "steps as a string": (body(steps="5"), INTEGER, "steps", None),
    "steps as a boolean": (body(steps=True), INTEGER, "steps", None),
    "0 steps": (body(steps=0), "must be greater than or equal to 1", "steps", {"ge": 1}),
    "2.5 steps": (body(steps=2.5), INTEGER, "steps", None),
    "10^9 steps": (body(steps=10**9), "must be less than or equal to 100000", "steps", {"le": 100_000}),
    "10^30 steps": (orjson.dumps(body(steps=7)).replace(b"7", b"1" + b"0" * 30), INTEGER, "steps", None),
    "negative seed": (body(seed=-1), "must be greater than or equal to 0", "seed", {"ge": 0}),
    "boolean seed": (body(seed=True), INTEGER, "seed", None),
    "null seed": (body(seed=None), INTEGER, "seed", None),
    "negative tolerance": (body(tolerance=-1), "must be greater than or equal to 0", "tolerance", {"ge": 0.0}),
    "boolean tolerance": (body(tolerance=True), NUMBER, "tolerance", None),
    "start too short": (body(start=[1.0]), "rosenbrock has 2 weights, not 1", "start", 2),
    "start too long": (body(start=[1, 2, 3]), "rosenbrock has 2 weights, not 3", "start", 2),
    "start is no list": (body(start=1.0), LIST, "start", None),
    "a boolean in the start": (body(start=[0, True]), NUMBER, "start[1]", None),
    "null in the start": (body(start=[None, 0]), NUMBER, "start[0]", None),
    "a list for a problem's knob": (
        problem("quadratic", condition=[1, 2]),
        "only an optimizer's knob can be a list of values",
        "problem.condition",
        "one number",
    ),
    "null for a problem's knob": (problem("quadratic", condition=None), NUMBER, "problem.condition", None),
    "a problem's knob out of bounds": (
        problem("quadratic", condition=0.5),
        "must be greater than or equal to 1",
        "problem.condition",
        {"ge": 1.0},
    ),
    "a list for an option": (problem("quadratic", size=[2, 3]), INTEGER, "problem.size", None),
    "a fraction for a size": (problem("quadratic", size=2.5), INTEGER, "problem.size", None),
    "too large a size": (
        problem("quadratic", size=101),
        "must be less than or equal to 100",
        "problem.size",
        {"le": 100},
    ),
    "an unknown choice": (
        optimizer("damped-newton", adapt="trust-region"),
        "not one of the choices",
        "optimizers[0].adapt",
        ["fixed", "levenberg-marquardt"],
    ),
    "a list of choices": (
        optimizer("damped-newton", adapt=["fixed"]),
        "not one of the choices",
        "optimizers[0].adapt",
        ["fixed", "levenberg-marquardt"],
    ),
    "an unknown feature": (
        problem("logistic-regression", features=["mean radius", "mean radios"]),
        "not one of the choices",
        "problem.features[1]",
        core.options(catalog.all_problems()["logistic-regression"])["features"]["items"]["enum"],
    ),
    "a feature twice": (
        problem("logistic-regression", features=["mean radius", "mean radius"]),
        "the same entry twice",
        "problem.features",
        "each at most once",
    ),
    "all the data held out": (
        problem("logistic-regression", held_out=1.0),
        "must be less than or equal to 0.9",
        "problem.held_out",
        {"le": 0.9},
    ),
    "widths that do not meet the data": (
        problem("digits-classifier", widths=[63, 10]),
        "widths must begin with 64 (pixels) and end with 10 (classes)",
        "problem",
        None,
    ),
    "every 0 steps": (
        asking("spectrum", every=0),
        "must be greater than or equal to 1",
        "probes[0].every",
        {"ge": 1},
    ),
    "every of a probe that is asked once": (
        asking("landscape", every=2),
        "unknown field 'every'",
        "probes[0].every",
        ["name", "resolution", "window"],
    ),
    "a matrix that is none": (
        asking("spectrum", matrix="hess"),
        "not one of the choices",
        "probes[0].matrix",
        ["hessian", "gauss-newton", "fisher", "empirical-fisher", "diagonal"],
    ),
    "a diagonal that a problem has not": (
        body(problem={"name": "saddle"}, probes=[{"name": "spectrum", "matrix": "diagonal"}]),
        "saddle has no diagonal matrix: it needs outputs with a convex loss",
        "probes[0].matrix",
        ["hessian"],
    ),
    "a matrix that a problem has not": (
        asking("spectrum", matrix="fisher"),
        "rosenbrock has no fisher matrix: it needs a model that predicts targets",
        "probes[0].matrix",
        ["hessian"],
    ),
    "no outputs, no Gauss-Newton matrix": (
        body(problem={"name": "saddle"}, probes=[{"name": "spectrum", "matrix": "gauss-newton"}]),
        "saddle has no gauss-newton matrix: it needs outputs with a convex loss",
        "probes[0].matrix",
        ["hessian"],
    ),
    "a list for a probe's knob": (
        asking("spectrum", damping=[1]),
        "only an optimizer's knob can be a list of values",
        "probes[0].damping",
        "one number",
    ),
    "a window upside down": (
        asking("landscape", window=[[1, 0], [0, 1]]),
        "a window is [[low, high], [low, high]] with low below high",
        "probes[0]",
        None,
    ),
    "a plane of many weights before the run is finished": (
        body(problem={"name": "logistic-regression"}, probes=[{"name": "quadratic-model"}]),
        "quadratic-model of more than two weights is drawn in the finished run's slice: ask it then",
        "probes[0]",
        None,
    ),
    "outputs needed": (
        body(problem={"name": "saddle"}, optimizers=[{"name": "gauss-newton"}]),
        (
            "gauss-newton does not fit saddle: "
            "needs outputs with a convex loss, such as a sum of squares or a likelihood"
        ),
        "optimizers[0]",
        None,
    ),
    "a predictive distribution needed": (
        body(optimizers=[{"name": "newton"}, {"name": "natural-gradient"}]),
        (
            "natural-gradient does not fit rosenbrock: "
            "needs a model that predicts a distribution of targets, whose Fisher matrix can be taken"
        ),
        "optimizers[1]",
        None,
    ),
    "a cost that stays the same needed": (
        body(problem=NETWORK, optimizers=[{"name": "lbfgs"}]),
        (
            "lbfgs does not fit digits-classifier: "
            "its line search needs the cost to stay the same from step to step: set batch to 0 (all examples)"
        ),
        "optimizers[0]",
        None,
    ),
    "fewer weights needed": (
        body(problem=NETWORK, optimizers=[{"name": "saddle-free-newton"}]),
        (
            "saddle-free-newton does not fit digits-classifier: "
            "forms a dense matrix, at most 1000 weights; this problem has 2410"
        ),
        "optimizers[0]",
        None,
    ),
    "fewer weights needed for an exact spectrum": (
        body(problem=NETWORK, optimizers=[{"name": "adam"}], probes=[{"name": "spectrum", "method": "exact"}]),
        "exact spectra go up to 1000 weights; this problem has 2410: estimate it by lanczos",
        "probes[0]",
        None,
    ),
    "coordinates that are no object": (there([1, 2]), OBJECT, "optimizers[0].coordinates", None),
    "coordinates that are null": (there(None), OBJECT, "optimizers[0].coordinates", None),
    "coordinates without a word": (there({}), EITHER, "optimizers[0].coordinates", FORMS),
    "coordinates of both kinds": (there({"matrix": R, "inputs": {}}), EITHER, "optimizers[0].coordinates", FORMS),
    "a shift without a matrix": (there({"shift": [0, 1]}), EITHER, "optimizers[0].coordinates", FORMS),
    "a weights' shift of inputs": (
        there({"inputs": {}, "shift": [0, 1]}, NETWORK),
        EITHER,
        "optimizers[0].coordinates",
        FORMS,
    ),
    "a misspelt field of coordinates": (
        there({"matrx": R}),
        "unknown field 'matrx'; did you mean 'matrix'?",
        "optimizers[0].coordinates.matrx",
        ["inputs", "matrix", "shift"],
    ),
    "misspelt coordinates": (
        optimizer("newton", coordinate={"matrix": R}),
        "unknown field 'coordinate'; did you mean 'coordinates'?",
        "optimizers[0].coordinate",
        ["coordinates", "name"],
    ),
    "a number for R": (there({"matrix": 2}), LIST, "optimizers[0].coordinates.matrix", None),
    "null for R": (there({"matrix": None}), LIST, "optimizers[0].coordinates.matrix", None),
    "a string in R": (there({"matrix": [[1, "0"], [0, 1]]}), NUMBER, "optimizers[0].coordinates.matrix[0][1]", None),
    "too large a number in R": (
        there({"matrix": [[1, 0], [0, 1e7]]}),
        "must be less than or equal to 1000000",
        "optimizers[0].coordinates.matrix[1][1]",
        {"le": 1e6},
    ),
    "too many rows": (
        there({"matrix": [[1]] * 4}),
        "list should have at most 3 items after validation, not 4",
        "optimizers[0].coordinates.matrix",
        {"max_length": 3},
    ),
    "R that is not square": (
        there({"matrix": [[1, 0, 0], [0, 1, 0]]}),
        "R must have a row and a column for each of 2 weights",
        "optimizers[0].coordinates.matrix",
        [2, 2],
    ),
    "R that is ragged": (
        there({"matrix": [[1, 0], [0]]}),
        "R must have a row and a column for each of 2 weights",
        "optimizers[0].coordinates.matrix",
        [2, 2],
    ),
    "R of another size": (
        there({"matrix": R}, {"name": "quadratic", "size": 3}),
        "R must have a row and a column for each of 3 weights",
        "optimizers[0].coordinates.matrix",
        [3, 3],
    ),
    "b of another size": (
        there({"matrix": R, "shift": [0]}),
        "b must have a number for each of 2 weights",
        "optimizers[0].coordinates.shift",
        2,
    ),
    "too large a b": (
        there({"matrix": R, "shift": [0, -1e7]}),
        "must be greater than or equal to -1000000",
        "optimizers[0].coordinates.shift[1]",
        {"ge": -1e6},
    ),
    "a sweep over R": (there({"matrix": [R, R]}), NUMBER, "optimizers[0].coordinates.matrix[0][0]", None),
    "a singular R": (
        there({"matrix": [[1, 2], [0, 0]]}),
        "R is singular",
        "optimizers[0].coordinates.matrix",
        "a condition number of at most 1e+06",
    ),
    "an R that is singular but for rounding": (
        there({"matrix": [[1, 1], [1, 1]]}),
        "R is singular",
        "optimizers[0].coordinates.matrix",
        "a condition number of at most 1e+06",
    ),
    "an R of zeros": (
        there({"matrix": [[0, 0], [0, 0]]}),
        "R is singular",
        "optimizers[0].coordinates.matrix",
        "a condition number of at most 1e+06",
    ),
    "an R that is close to singular": (
        there({"matrix": [[1, 0], [0, 1e-7]]}),
        "R is close to singular: condition number 1e+07",
        "optimizers[0].coordinates.matrix",
        "a condition number of at most 1e+06",
    ),
    "an R that is close to singular in float32": (
        there({"matrix": [[1, 0], [0, 5e-4]]},
              {"name": "logistic-regression", "features": ["mean radius"], "l2": 0, "dtype": "float32"}),
        "R is close to singular: condition number 2e+03",
        "optimizers[0].coordinates.matrix",
        "a condition number of at most 1000",
    ),
    "an R that is too small": (
        there({"matrix": [[1e-300, 0], [0, 1e-300]]}),
        "R is too small: no more than 1e-300 times any vector",
        "optimizers[0].coordinates.matrix",
        "a largest singular value of at least 1e-06",
    ),
    "R for many weights": (
        there({"matrix": R}, NETWORK),
        "a matrix R is for at most 3 weights; this problem has 2410",
        "optimizers[0].coordinates.matrix",
        ["inputs"],
    ),
    "R for many weights without layers": (
        there({"matrix": R}, {"name": "quadratic", "size": 4}),
        "a matrix R is for at most 3 weights; this problem has 4",
        "optimizers[0].coordinates.matrix",
        None,
    ),
    "an l2 penalty in other coordinates": (
        there({"matrix": R}, {"name": "logistic-regression", "features": ["mean radius"]}),
        "logistic-regression has an l2 penalty, which in other coordinates is another one: set it to 0",
        "optimizers[0].coordinates",
        {"problem.l2": 0.0},
    ),
    "an l2 penalty on other inputs": (
        there({"inputs": {}}, {"name": "digits-autoencoder"}),
        "digits-autoencoder has an l2 penalty, which in other coordinates is another one: set it to 0",
        "optimizers[0].coordinates",
        {"problem.l2": 0.0},
    ),
    "inputs of no layers": (
        there({"inputs": {"scale": 2}}),
        "rosenbrock has no layers, whose inputs could be in other units",
        "optimizers[0].coordinates.inputs",
        ["matrix"],
    ),
    "inputs that are no object": (there({"inputs": 2}, NETWORK), OBJECT, "optimizers[0].coordinates.inputs", None),
    "a misspelt field of inputs": (
        there({"inputs": {"scales": 2}}, NETWORK),
        "unknown field 'scales'; did you mean 'scale'?",
        "optimizers[0].coordinates.inputs.scales",
        ["scale", "shift"],
    ),
    "inputs scaled by 0": (
        there({"inputs": {"scale": 0}}, NETWORK),
        "must be greater than or equal to 0.001",
        "optimizers[0].coordinates.inputs.scale",
        {"ge": 1e-3},
    ),
    "inputs shifted too far": (
        there({"inputs": {"shift": 11}}, NETWORK),
        "must be less than or equal to 10",
        "optimizers[0].coordinates.inputs.shift",
        {"le": 10.0},
    ),
    "null for an inputs' scale": (
        there({"inputs": {"scale": None}}, NETWORK),
        NUMBER,
        "optimizers[0].coordinates.inputs.scale",
        None,
    ),
    "a sweep over the inputs' scale": (
        there({"inputs": {"scale": [1, 2]}}, NETWORK),
        "only an optimizer's knob can be a list of values",
        "optimizers[0].coordinates.inputs.scale",
        "one number",
    ),
    "layers in coordinates that have none": (
        there({"matrix": R}, {"name": "logistic-regression", "features": ["mean radius"], "l2": 0}, "kfac"),
        ("kfac does not fit these coordinates: "
         "needs a network made of layers, whose inputs and pre-activations can be looked at"),
        "optimizers[0].coordinates",
        ["inputs"],
    ),
    "too many lanes": (
        body(optimizers=[{"name": "damped-newton", "damping": [0.1] * 200}, {"name": "newton"}] * 2),
        "402 lanes",
        "optimizers",
        "at most 256 lanes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    asked, message, at, allowed = REFUSED[case]
    error = refused(asked if isinstance(asked, bytes) else orjson.dumps(asked))
    assert (error.message, error.at, error.allowed, error.status) == (message, at, allowed, 422)
    assert str(error) == message


@pytest.mark.parametrize("field", ["steps", "tolerance"])
@pytest.mark.parametrize("through", [orjson.dumps, dict])
def test_null_is_no_number(field, through):
    """Left out is the default; null (and NaN, which is null once it is JSON) is a mistake to be told of."""
    error = refused(through(body(**{field: None})))
    assert (error.at, error.status) == (field, 422)


@pytest.mark.parametrize("field", ["steps", "tolerance"])
def test_nan_from_python_is_no_number(field):
    assert refused(body(**{field: float("nan")})).at == field


@pytest.mark.parametrize(
    ("asked", "at", "allowed"),
    [
        (body(optimizers=[]), "optimizers", {"min_length": 1}),
        (damped([]), "optimizers[0].damping", {"min_length": 1}),
        (body(start=[]), "start", {"min_length": 1}),
        (damped([0.1] * 257), "optimizers[0].damping", {"max_length": 256}),
        (damped([0.1] * 10**6), "optimizers[0].damping", {"max_length": 256}),
        (body(optimizers=[{"name": "newton"}] * 257), "optimizers", {"max_length": 256}),
        (body(probes=[{"name": "spectrum"}] * 17), "probes", {"max_length": 16}),
        (asking("landscape", window=[[0, 1]]), "probes[0].window", {"min_length": 2}),
        (asking("landscape", window=[[0, 1, 2], [0, 1]]), "probes[0].window[0]", {"max_length": 2}),
    ],
)
def test_lists_too_short_or_too_long_are_told_the_length_allowed(asked, at, allowed):
    error = refused(orjson.dumps(asked))
    assert (error.at, error.status) == (at, 422)
    (bound,) = allowed.values()
    assert f"at {'least' if 'min_length' in allowed else 'most'} {bound} item" in error.message
    assert error.allowed == allowed, "what was given is not what is allowed"


@pytest.mark.parametrize("asked", [b"[]", b"null", b'"newton"', b"3", b"true"])
def test_a_body_that_is_no_object(asked):
    error = refused(asked)
    assert (error.at, error.status) == (None, 422)
    assert error.message.startswith("must be a")
    assert "_Body" not in f"{error.message} {error.allowed}", "a class's name tells a reader nothing"


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"{",
        b"{} x",
        b"newton",
        b"\xff\xfe",
        b'{"problem": {"name": "\xff"}}',
        b'{"\\ud800": 1}',
        b'{"problem": {"name": "beale", "\\udfff": 1}}',
        b'{"problem": {"name": "\\ud800"}}',
        b'{"tolerance": NaN}',
        b'{"tolerance": Infinity}',
        b'{"tolerance": -Infinity}',
        b'{"tolerance": 1e400}',
        b'{"start": [-1e400, 0]}',
        b'{"optimizers": [{"name": "adam", "rate": [0.1, NaN]}]}',
        b"[" * 20_000 + b"]" * 20_000,
        b'{"problem":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"problem": {"name": "beale"}, "optimizers": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ],
    ids=lambda asked: repr(asked[:40]),
)
def test_what_is_no_json_is_answered_400(asked):
    error = refused(asked)
    assert (error.at, error.allowed, error.status) == (None, NOT_JSON, 400)
    assert error.message.startswith("not JSON: ")
    error.message.encode()


@pytest.mark.parametrize(
    "asked",
    [{"start": {1, 2}}, {"steps": 10**30}, {1: 2}, {"\ud800": 1}, {"start": object()}],
    ids=["a set", "too long a number", "a number as a name", "half a character", "an object"],
)
def test_what_python_hands_over_and_json_cannot_say(asked):
    error = refused(body(**asked) if all(isinstance(key, str) for key in asked) else asked)
    assert error.status == 400
    error.message.encode()


def test_deep_nesting_from_python():
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    assert refused(body(start=deep)).status == 400


@pytest.mark.parametrize(
    ("asked", "at"),
    [
        (body(start=[1e300, 0.0]), "start[0]"),
        (body(start=[0.0, -1e300]), "start[1]"),
        (problem("logistic-regression", dtype="float32") | {"start": [1e39] * 31}, "start[0]"),
        (asking("landscape", window=[[-1e308, 1e308], [0, 1]]), "probes[0].window[0][0]"),
    ],
    ids=["start", "negative", "beyond float32", "window"],
)
def test_every_number_is_bounded(asked, at):
    """Also those that no knob's schema bounds: beyond, squares overflow before the first step."""
    error = refused(orjson.dumps(asked))
    assert (error.at, error.status) == (at, 422)


def test_every_knob_is_bounded_from_both_sides():
    for name, cls in catalog.all_optimizers().items():
        fitting = next(name for name, problem in catalog.all_problems().items() if cls.fit(problem()) is None)
        for knob, schema in core.knobs(cls).items():
            for bound, beyond in (("minimum", -np.inf), ("maximum", np.inf)):
                asked = {"problem": {"name": fitting}, "optimizers": [{"name": name, knob: schema[bound]}]}
                assert parse(asked).lanes[0]["knobs"][knob] == schema[bound]
                asked["optimizers"][0][knob] = float(np.nextafter(schema[bound], beyond))
                assert refused(asked).at == f"optimizers[0].{knob}"


# --- the price -------------------------------------------------------------------------------------------------------


def dear(**fields: Any) -> dict[str, Any]:
    asked = {"problem": NETWORK, "optimizers": [{"name": "adam", "rate": [0.01] * 99}], "steps": 100_000}
    return asked | fields


def test_too_dear_a_spec_is_refused_with_the_limit():
    error = refused(orjson.dumps(dear()))
    assert error.message.startswith("too dear: 100000 steps at ")
    assert (error.at, error.status) == ("steps", 422)
    assert error.allowed.startswith("at most 600 s, so ")


@pytest.mark.parametrize("probes", [[], [{"name": "landscape"}]], ids=["plain", "with a landscape"])
def test_the_number_of_steps_that_the_refusal_allows_is_allowed(probes):
    error = refused(orjson.dumps(dear(probes=probes)))
    affordable = int(error.allowed.removeprefix("at most 600 s, so ").split()[0])
    assert parse(dear(probes=probes, steps=affordable)).price <= 600
    assert "too dear" in refused(dear(probes=probes, steps=affordable + 2)).message


def test_the_price_grows_with_steps_lanes_and_probes():
    cheap = parse(body(steps=10)).price
    assert math.isclose(parse(body(steps=20)).price, 2 * cheap)
    assert parse(body(steps=10, optimizers=[{"name": "newton"}] * 2)).price > 1.5 * cheap
    assert parse(body(steps=10, probes=[{"name": "spectrum"}])).price > cheap
    every = [parse(body(steps=10, probes=[{"name": "spectrum", "every": n}])).price for n in (1, 5)]
    assert every[0] > every[1] > cheap


def test_a_sweep_is_priced_by_its_longest_lane():
    def price(K):
        return parse(body(steps=10, optimizers=[{"name": "hessian-free", "iterations": K}])).price

    assert price([1, 500]) == price([500, 1]) == price([500, 500]) > 5 * price([1, 1])


def test_lanes_that_would_not_fit_into_memory_are_refused():
    error = refused({"problem": NETWORK, "optimizers": [{"name": "damped-newton", "damping": [0.1] * 99}], "steps": 1})
    assert error.message.startswith("too large: its lanes would hold ")
    assert (error.at, error.status) == ("optimizers", 422)
    assert error.allowed == "at most 4 GiB: fewer lanes, a smaller batch, or a method without a dense matrix"


# --- the canonical form and the id ------------------------------------------------------------------------------------

# The example of the public contract, and what it stands for.
EXAMPLE = {
    "problem": {"name": "logistic-cost"},
    "start": [2.5, -1.0],
    "seed": 0,
    "steps": 40,
    "optimizers": [{"name": "newton"}, {"name": "damped-newton", "damping": [0.01, 0.1, 1.0]}],
    "probes": [{"name": "spectrum", "matrix": "hessian", "every": 1}],
}
SPECTRUM = {
    "damping": None,
    "iterations": 64,
    "matrix": "hessian",
    "method": "auto",
    "name": "spectrum",
    "probes": 10,
}
CANONICAL = {
    "optimizers": [{"name": "newton"}, {"adapt": "fixed", "damping": [0.01, 0.1, 1.0], "name": "damped-newton"}],
    "probes": [dict(sorted((SPECTRUM | {"every": 1}).items()))],
    "problem": {"name": "logistic-cost", "size": 2},
    "seed": 0,
    "start": [2.5, -1.0],
    "steps": 40,
    "tolerance": 1e-9,
}


def test_the_canonical_form_of_the_contracts_example():
    read = parse(orjson.dumps(EXAMPLE))
    assert read.canonical() == CANONICAL
    assert orjson.dumps(read.canonical()) == orjson.dumps(CANONICAL), "keys are sorted"


def test_names_alone_are_enough():
    assert parse(body()).canonical() == {
        "optimizers": [{"name": "newton"}],
        "probes": [],
        "problem": {"name": "rosenbrock"},
        "seed": 0,
        "start": [-1.2, 1.0],
        "steps": 200,
        "tolerance": 1e-9,
    }


def test_coordinates_have_defaults_and_are_told_of_their_lanes_alone():
    shift, inputs = [0.0, 0.0], {"scale": 1.0, "shift": 0.0}
    asked = optimizer("damped-newton", damping=[0.1, 1], coordinates={"matrix": [[1, 0], [0, 2]]})
    read = parse(asked | {"optimizers": [{"name": "newton"}, *asked["optimizers"]]})
    assert read.optimizers[1]["coordinates"] == {"matrix": [[1.0, 0.0], [0.0, 2.0]], "shift": shift}
    assert ["coordinates" in lane for lane in read.lanes] == [False, True, True]
    assert read.lanes[2]["label"] == "Damped Newton · η = 1, R = [1 0; 0 2]"
    assert parse(there({"inputs": {}}, NETWORK)).optimizers[0]["coordinates"] == {"inputs": inputs}
    asked = there({"inputs": {"scale": 2, "shift": -1}}, NETWORK)
    assert parse(asked).lanes[0]["label"] == "Gradient descent · x̃ = 2x - 1"
    assert parse(there({"inputs": {"shift": 2}}, NETWORK)).lanes[0]["label"] == "Gradient descent · x̃ = x + 2"
    asked = there({"matrix": [[2, 0], [0, 1]], "shift": [0.5, 0]})
    assert parse(asked).lanes[0]["label"] == "Gradient descent · R = [2 0; 0 1], b = (0.5, 0)"


@pytest.mark.parametrize(
    ("name", "fields", "start", "tolerance"),
    [
        ("quadratic", {}, [-1.6, 1.2], 1e-9),
        ("quadratic", {"size": 3}, [-1.6, 1.2, -1.6], 1e-9),
        ("quadratic", {"size": 4}, None, 1e-9),
        ("logistic-regression", {}, None, 1e-9),
        ("logistic-regression", {"dtype": "float32"}, None, 1e-5),
        ("regression-network", {}, None, 1e-9),
        ("regression-network", {"dtype": "float32"}, None, 1e-5),
        ("digits-classifier", {}, None, 1e-5),
        ("digits-classifier", {"dtype": "float64"}, None, 1e-9),
    ],
)
def test_defaults_of_start_and_tolerance(name, fields, start, tolerance):
    """A start is written out where it can be read (up to three weights); networks start from the seed."""
    canonical = parse(problem(name, **fields)).canonical()
    assert (canonical["start"], canonical["tolerance"]) == (start, tolerance)
    assert canonical["steps"] == catalog.all_problems()[name].steps


def test_rates_and_dampings_are_the_problems_where_it_says_so():
    asked = [{"name": name} for name in ("gradient-descent", "momentum", "adam", "damped-newton")]
    gd, momentum, adam, newton = parse({"problem": {"name": "digits-classifier"}, "optimizers": asked}).optimizers
    assert (gd["rate"], momentum["rate"]) == (0.1, 0.1)
    assert (adam["rate"], momentum["momentum"]) == (0.01, 0.9)
    assert newton["damping"] == 1.0
    assert parse(damped(0.1) | {"optimizers": [{"name": "damped-newton"}]}).optimizers[0]["damping"] == 0.1
    # A rate that is the problem's for others can be another for one of them.
    asked = [{"name": name} for name in ("gradient-descent", "taylor-gradient-descent")]
    gd, taylor = parse({"problem": {"name": "curves-autoencoder"}, "optimizers": asked}).optimizers
    assert (gd["rate"], taylor["rate"]) == (0.02, 0.004)


def backwards(part: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(part.items()))


SAME = {
    "order of keys": lambda asked: backwards(asked) | {"problem": backwards(asked["problem"])},
    "1 for 1.0": lambda asked: asked | {"start": [1, 2], "tolerance": 0},
    "numpy's numbers": lambda asked: (
        asked | {"start": np.array([1.0, 2.0]), "tolerance": np.float64(0), "steps": np.int64(30)}
    ),
    "defaults written out": lambda asked: asked | {"seed": 0, "probes": []},
    "white space": lambda asked: orjson.dumps(asked, option=orjson.OPT_INDENT_2),
    "spelling of numbers": lambda asked: orjson.dumps(asked).replace(b"1.0", b"10e-1"),
}


@pytest.mark.parametrize("change", SAME)
def test_what_says_the_same_has_the_same_id(change):
    asked = {
        "problem": {"name": "quadratic", "condition": 20.0},
        "optimizers": [{"name": "damped-newton", "damping": [1.0, 2.0]}],
        "start": [1.0, 2.0],
        "steps": 30,
        "tolerance": 0.0,
    }
    assert parse(SAME[change](asked)).id == parse(asked).id


OTHER = {
    "start": body(start=[0, 0]),
    "steps": body(steps=7),
    "seed": body(seed=1),
    "tolerance": body(tolerance=0),
    "problem": problem("beale"),
    "optimizer": optimizer("adam"),
    "order of optimizers": body(optimizers=[{"name": "newton"}, {"name": "adam"}]),
    "other order of optimizers": body(optimizers=[{"name": "adam"}, {"name": "newton"}]),
    "knob": damped(0.5),
    "list of one": damped([0.5]),
    "list": damped([0.5, 0.6]),
    "order of a list": damped([0.6, 0.5]),
    "coordinates": optimizer("newton", coordinates={"matrix": R}),
    "other coordinates": optimizer("newton", coordinates={"matrix": R, "shift": [0, 1]}),
    "probe": asking("spectrum"),
    "every": asking("spectrum", every=2),
}


def test_what_says_something_else_has_another_id():
    ids = {parse(asked).id for asked in [body(), *OTHER.values()]}
    assert len(ids) == 1 + len(OTHER)


def test_the_id_depends_on_the_programs_version(monkeypatch):
    before = parse(EXAMPLE).id
    monkeypatch.setattr(spec, "VERSION", "0.0.0")
    assert parse(EXAMPLE).id != before


def test_reading_touches_no_device():
    code = (
        "import orjson, sys\n"
        "from secondorder import catalog, spec\n"
        "from jax._src import xla_bridge\n"
        "catalog.describe()\n"
        "for body in orjson.loads(sys.stdin.buffer.read()):\n"
        "    read = spec.parse(body)\n"
        "    read.id, read.lanes, read.price, read.memory\n"
        "assert not xla_bridge.backends_are_initialized()\n"
        "print('none')\n"
    )
    asked = [EXAMPLE, there({"matrix": R}), there({"inputs": {}}, NETWORK), *map(problem, catalog.all_problems())]
    done = subprocess.run([sys.executable, "-c", code], input=orjson.dumps(asked), capture_output=True, check=True)
    assert done.stdout.split() == [b"none"]


# --- lanes ------------------------------------------------------------------------------------------------------------


def test_lanes_are_numbered_in_the_order_written():
    assert [(lane["optimizer"], lane["knobs"]) for lane in parse(EXAMPLE).lanes] == [
        ("newton", {}),
        ("damped-newton", {"damping": 0.01}),
        ("damped-newton", {"damping": 0.1}),
        ("damped-newton", {"damping": 1.0}),
    ]
    assert [group.first for group in parse(EXAMPLE).groups] == [0, 1]


def test_two_lists_make_the_grid_the_last_one_fastest():
    asked = {"name": "adam", "decay": [0.9, 0.99], "rate": [3, 2, 1]}
    lanes = parse(body(optimizers=[{"name": "newton"}, asked])).lanes
    # The order is that of the optimizer's knobs in the catalog (rate, momentum, decay), however the body is written.
    assert [(lane["knobs"]["rate"], lane["knobs"]["decay"]) for lane in lanes[1:]] == [
        (3, 0.9), (3, 0.99), (2, 0.9), (2, 0.99), (1, 0.9), (1, 0.99)
    ]  # fmt: skip
    assert {lane["knobs"]["momentum"] for lane in lanes[1:]} == {0.9}


@pytest.mark.parametrize(
    "optimizers",
    [
        [{"name": "damped-newton", "damping": [0.1] * 256}],
        [{"name": "adam", "rate": [0.1] * 16, "momentum": [0.5] * 16}],
        [{"name": "newton"}] * 256,
    ],
)
def test_256_lanes_and_no_more(optimizers):
    assert len(parse(body(optimizers=optimizers)).lanes) == 256
    error = refused(body(optimizers=[*optimizers[:-1], {"name": "newton"}, optimizers[-1]]))
    assert error.at == "optimizers"


def test_labels_tell_what_sets_a_lane_apart():
    def labels(*optimizers, problem="rosenbrock"):
        return [lane["label"] for lane in parse({"problem": {"name": problem}, "optimizers": list(optimizers)}).lanes]

    assert labels(*EXAMPLE["optimizers"]) == [  # type: ignore[misc]
        "Newton", "Damped Newton · η = 0.01", "Damped Newton · η = 0.1", "Damped Newton · η = 1"
    ]  # fmt: skip
    assert labels({"name": "damped-newton"}, {"name": "damped-newton", "damping": 0.1}) == ["Damped Newton"] * 2
    assert labels({"name": "damped-newton", "damping": 0.1}, problem="digits-classifier") == ["Damped Newton · η = 0.1"]
    assert labels({"name": "gradient-descent"}, {"name": "gradient-descent", "rate": 1 / 3}) == [
        "Gradient descent", "Gradient descent · α = 0.3333"
    ]  # fmt: skip
    assert labels({"name": "momentum", "momentum": 0.5, "rate": [1e-6, 100]}) == [
        "Momentum · α = 1e-06, μ = 0.5", "Momentum · α = 100, μ = 0.5"
    ]  # fmt: skip


# --- questions --------------------------------------------------------------------------------------------------------

AT = {"problem": {"name": "rosenbrock"}, "at": [0, 1], "probe": {"name": "spectrum"}}
RUN = parse(body(optimizers=[{"name": "newton"}, {"name": "damped-newton"}], steps=30))
MANY = parse(problem("logistic-regression"))
OF = {"run": RUN.id, "lane": 1, "step": 30, "probe": {"name": "spectrum"}}


def find(run: str) -> RunSpec | None:
    return {RUN.id: RUN, MANY.id: MANY}.get(run)


def test_a_question_at_weights():
    asked = parse_probe(orjson.dumps(AT))
    assert (asked.name, asked.at, asked.seed, asked.spec) == ("spectrum", [0.0, 1.0], 0, None)
    assert asked.probe == SPECTRUM
    assert not asked.needs_finished_run


def test_a_question_of_a_run():
    asked = parse_probe(orjson.dumps(OF), find)
    assert (asked.spec, asked.lane, asked.step, asked.at) == (RUN, 1, 30, None)


def test_an_answer_that_would_take_too_long_is_refused():
    autoencoder = {"name": "digits-autoencoder", "size": "deep"}
    at = [0] * 37896
    parse_probe({"problem": autoencoder, "at": at, "probe": {"name": "spectrum"}})
    asked = {"name": "spectrum", "probes": 100, "iterations": 512}
    with pytest.raises(SpecError, match="too dear: the answer would take") as caught:
        parse_probe({"problem": autoencoder, "at": at, "probe": asked})
    assert (caught.value.at, caught.value.allowed, caught.value.status) == ("probe", "at most 120 s", 422)


@pytest.mark.parametrize(
    ("run", "name", "needs"),
    [
        (RUN, "spectrum", False),
        (RUN, "quadratic-model", False),
        (RUN, "damping-path", False),
        (RUN, "landscape", True),
        (MANY, "spectrum", False),
        (MANY, "quadratic-model", True),
        (MANY, "damping-path", True),
        (MANY, "landscape", True),
    ],
)
def test_what_is_drawn_in_the_slice_or_with_all_paths_needs_the_finished_run(run, name, needs):
    assert parse_probe({"run": run.id, "probe": {"name": name}}, find).needs_finished_run is needs


@pytest.mark.parametrize(
    ("asked", "message", "at", "status"),
    [
        ({**OF, "run": "nothing"}, "unknown run", "run", 404),
        ({**OF, "lane": 2}, "the run has no such lane", "lane", 422),
        ({**OF, "lane": -1}, "must be greater than or equal to 0", "lane", 422),
        ({**OF, "step": 31}, "the run has no such step", "step", 422),
        ({**OF, "step": True}, INTEGER, "step", 422),
        ({**AT, "run": RUN.id}, "ask at a run's step, or at given weights", None, 422),
        ({"probe": {"name": "spectrum"}}, "ask at a run's step, or at given weights", None, 422),
        ({"at": [0, 1], "probe": {"name": "spectrum"}}, "ask at a run's step, or at given weights", None, 422),
        ({"problem": AT["problem"], "probe": AT["probe"]}, "needs the weights to ask at", "at", 422),
        ({**AT, "at": [0]}, "rosenbrock has 2 weights, not 1", "at", 422),
        ({**AT, "at": [0, None]}, NUMBER, "at[1]", 422),
        ({**AT, "colour": 1}, "unknown field 'colour'", "colour", 422),
        ({**AT, "probe": {"name": "nothing"}}, "unknown probe 'nothing'", "probe.name", 422),
        ({**AT, "probe": {"name": "spectrum", "every": 2}}, "unknown field 'every'", "probe.every", 422),
        ({**AT, "probe": {"name": "spectrum", "damping": True}}, NUMBER, "probe.damping", 422),
        (
            {"problem": {"name": "quadratic", "size": 3}, "at": [1, 2, 3], "probe": {"name": "landscape"}},
            "of more than two weights a plane is the slice of a run: ask at a run's step",
            "run",
            422,
        ),
    ],
)
def test_questions_that_are_refused(asked, message, at, status):
    with pytest.raises(SpecError) as caught:
        parse_probe(orjson.dumps(asked), find)
    assert (caught.value.message, caught.value.at, caught.value.status) == (message, at, status)


# --- anything at all --------------------------------------------------------------------------------------------------

KEYS = st.sampled_from([*FIELDS, "name", "damping", "rate", "size", "widths", "every", "at", "run", "probe"])
NAMES = st.sampled_from([*catalog.all_problems(), *catalog.all_optimizers(), *catalog.all_probes()])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1, -1, 0.5, 1e308, 10**9]),
    NAMES,
    st.text(max_size=8),
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(KEYS, st.text(max_size=6)), inner, max_size=4)
    ),
    max_leaves=12,
)
VALID = [
    EXAMPLE,
    problem("digits-classifier", widths=[64, 8, 10], held_out=0.25),
    problem("logistic-regression", features=["mean radius"], l2=1),
    problem("quadratic", condition=3, size=4) | {"probes": [{"name": "landscape", "window": [[0, 1], [2, 3]]}]},
    {**AT},
]
BOUNDED = settings(
    max_examples=250, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def answer(asked: bytes) -> RunSpec | None:
    """Reads a body in both ways that there are; nothing but a refusal that can be sent may come of it."""
    try:
        parse_probe(asked, find)
    except SpecError as error:
        check(error)
    try:
        return parse(asked)
    except SpecError as error:
        check(error)


def check(error: SpecError) -> None:
    assert error.status in (400, 404, 422)
    assert error.message
    assert error.at is None or error.at
    orjson.dumps({"message": error.message, "at": error.at, "allowed": error.allowed})


def check_canonical(read: RunSpec) -> None:
    again = parse(orjson.dumps(read.canonical()))
    assert again.canonical() == read.canonical()
    assert again.id == read.id
    assert 1 <= len(read.lanes) == len(again.lanes) <= 256
    assert read.price <= spec.MAX_PRICE


@given(st.binary(max_size=60))
@BOUNDED
def test_any_bytes(asked):
    answer(asked)


@given(ANYTHING)
@BOUNDED
def test_any_json(asked):
    answer(orjson.dumps(asked))


def places(value: Any, at: tuple = ()) -> list[tuple]:
    """The path of every value within a body."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, part in inner for place in places(part, (*at, key)))]


def replaced(value: Any, at: tuple, new: Any) -> Any:
    if not at:
        return new
    copy = value.copy()
    copy[at[0]] = replaced(value[at[0]], at[1:], new)
    return copy


@given(st.data())
@BOUNDED
def test_any_mutation_of_a_valid_body(data):
    asked = data.draw(st.sampled_from(VALID))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(asked)))
        asked = replaced(asked, place, data.draw(ANYTHING))
    read = answer(orjson.dumps(asked))
    if read is not None:
        check_canonical(read)


@pytest.mark.parametrize("name", catalog.all_problems())
def test_the_canonical_form_is_its_own_canonical_form(name):
    fitting = [
        {"name": cls.name} for cls in catalog.all_optimizers().values() if not cls.fit(catalog.all_problems()[name]())
    ]
    check_canonical(parse({"problem": {"name": name}, "optimizers": fitting}))
