"""The catalog: it finds every file by itself, and what it tells is complete, true to the classes, and JSON."""

import html
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import jax
import numpy as np
import orjson
import pytest

from secondorder import catalog, core, optimizers, probes, problems
from secondorder.spec import SpecError, build, parse

PACKAGES = {"problems": problems, "optimizers": optimizers, "probes": probes}
ALL = {
    "problems": catalog.all_problems(),
    "optimizers": catalog.all_optimizers(),
    "probes": catalog.all_probes(),
}
EVERY = [(kind, name) for kind, found in ALL.items() for name in found]
TOLD = {kind: {part["name"]: part for part in catalog.describe()[kind]} for kind in ALL}

FOUND = '''
"""A file dropped into the folder."""

import jax.numpy as jnp
import numpy as np

from secondorder.core import Problem, knob, register


@register
class Cone(Problem):
    """J(w) = h (exp(x² + y²) - 1)."""

    name = "cone"
    title = "Cone"
    equation = r"h (e^{x^2 + y^2} - 1)"
    height: float = knob(2.0, "h", 0.5, 4.0, "height")

    def start(self, seed):
        return np.array([0.3, 0.4])

    def loss(self, w, batch):
        return self.height * jnp.expm1(w @ w)
'''


@pytest.mark.parametrize("kind", PACKAGES)
def test_every_file_is_found_and_is_named_as_its_class(kind):
    (folder,) = PACKAGES[kind].__path__
    files = {path.stem for path in Path(folder).glob("*.py")} - {"__init__"}
    assert {name.replace("-", "_") for name in ALL[kind]} == files
    for name, cls in ALL[kind].items():
        assert cls.__module__ == f"secondorder.{kind}.{name.replace('-', '_')}"


def test_the_names_of_the_contract():
    """What issue and design call them; more may come."""
    assert set(ALL["optimizers"]) >= {
        *("gradient-descent", "momentum", "adam", "lbfgs", "newton", "damped-newton", "saddle-free-newton"),
        *("gauss-newton", "natural-gradient"),
    }
    assert set(ALL["problems"]) >= {
        *("quadratic", "logistic-cost", "rosenbrock", "saddle", "himmelblau", "beale", "logistic-regression"),
        *("regression-network", "digits-classifier", "expression"),
    }
    assert set(ALL["probes"]) >= {"landscape", "quadratic-model", "damping-path", "spectrum"}


def test_a_new_file_is_found_by_itself(tmp_path, monkeypatch):
    """One file makes a problem that runs, with its slider: nothing else has to hear of it."""
    import secondorder as so

    (tmp_path / "cone.py").write_text(FOUND)
    monkeypatch.setattr(problems, "__path__", [*problems.__path__, str(tmp_path)])
    caches = catalog.all_problems, catalog.describe
    try:
        for cache in caches:
            cache.cache_clear()
        assert set(catalog.all_problems()) == {*ALL["problems"], "cone"}
        (told,) = (part for part in catalog.describe()["problems"] if part["name"] == "cone")
        assert told["knobs"]["properties"]["height"]["symbol"] == "h"
        assert told["about"] == "J(w) = h (exp(x² + y²) - 1)."
        assert all("cone" in optimizer["fits"] for optimizer in catalog.describe()["optimizers"])
        lane = so.run(problem={"name": "cone", "height": 3}, optimizers=[{"name": "newton"}]).lanes[0]
        assert (lane.status, lane.loss[0]) == ("converged", pytest.approx(3 * np.expm1(0.25), rel=1e-14))
    finally:
        sys.modules.pop("secondorder.problems.cone", None)
        if hasattr(problems, "cone"):
            delattr(problems, "cone")
        for cache in caches:
            cache.cache_clear()


def test_it_is_json():
    told = orjson.loads(orjson.dumps(catalog.describe()))
    assert told.keys() == {*ALL, "coordinates"}
    for kind, found in ALL.items():
        assert [part["name"] for part in told[kind]] == list(found)


@pytest.mark.parametrize(
    ("told", "valid"),
    [
        ({"matrix": [[1, 0.5], [0, 1]]}, True),
        ({"matrix": [[1, 0.5], [0, 1]], "shift": [0, -1e6]}, True),
        ({"inputs": {"scale": 1e3, "shift": -10}}, True),
        ({"inputs": {}}, True),
        ({}, False),
        ({"shift": [0, 0]}, False),
        ({"matrix": [[1, 0], [0, 1]], "inputs": {}}, False),
        ({"matrix": [[1e7, 0], [0, 1]]}, False),
        ({"inputs": {"scale": 0}}, False),
        ({"inputs": {"shift": 11}}, False),
        ({"inputs": {"scales": 1}}, False),
    ],
    ids=str,
)
def test_the_schema_of_coordinates_allows_what_a_spec_may_have(told, valid):
    """By its own words: the one form of which every field is known, none is missing, and each is within its bounds."""

    def holds(schema, value):
        if schema["type"] == "object":
            fields = schema["properties"]
            return (
                value.keys() <= fields.keys()
                and set(schema.get("required", ())) <= value.keys()
                and all(holds(fields[name], each) for name, each in value.items())
            )
        if schema["type"] == "array":
            inside = schema["minItems"] <= len(value) <= schema["maxItems"]
            return inside and all(holds(schema["items"], each) for each in value)
        return schema["minimum"] <= value <= schema["maximum"]

    forms = catalog.describe()["coordinates"]["oneOf"]
    assert sum(holds(form, told) for form in forms) == valid
    name = "rosenbrock" if "matrix" in told else "digits-classifier"
    asked = {"problem": {"name": name}, "optimizers": [{"name": "adam", "coordinates": told}]}
    if valid:
        parse(asked)
    else:
        with pytest.raises(SpecError):
            parse(asked)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_what_is_told_of_each(kind, name):
    told, cls = TOLD[kind][name], ALL[kind][name]
    assert (told["title"], told["equation"]) == (cls.title, cls.equation)
    assert told["title"] == told["title"].strip() != ""
    about = cls.__doc__
    assert about, f"{name} says nothing of itself"
    assert told["about"].split("\n")[0] == about.strip().split("\n")[0]
    assert about is not (core.Problem.__doc__ if kind == "problems" else cls.__base__.__doc__), "its base's words"


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_its_equation_is_mathml(kind, name):
    # HTML's names of characters (&lsqb;) are no XML's.
    told = re.sub(r"&(?!amp;|lt;|gt;)\w+;", lambda entity: html.unescape(entity[0]), TOLD[kind][name]["mathml"])
    root = ElementTree.fromstring(told)
    assert root.tag.rpartition("}")[2] == "math"
    assert root.get("display") == "block"
    assert not [node for node in root.iter() if node.tag.rpartition("}")[2] == "merror"]
    assert "\\" not in "".join(root.itertext()), "a command that was not understood"


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_knobs_are_sliders(kind, name):
    """Each has a symbol, a title, a scale, bounds, and a default within them."""
    schemas, cls = TOLD[kind][name]["knobs"]["properties"], ALL[kind][name]
    assert schemas == core.knobs(cls)
    for schema in schemas.values():
        assert set(schema) - {"multipleOf"} == {"type", "default", "minimum", "maximum", "symbol", "scale", "title"}
        assert schema["type"] == "number"
        assert schema.get("multipleOf", 1) == 1
        assert schema["symbol"]
        assert schema["title"]
        assert schema["scale"] in ("linear", "log")
        assert np.isfinite([schema["minimum"], schema["maximum"]]).all()
        assert schema["minimum"] < schema["maximum"]
        if schema["scale"] == "log":
            assert schema["minimum"] >= 0
            assert schema["maximum"] > 0
        if schema["default"] is not None:
            assert schema["minimum"] <= schema["default"] <= schema["maximum"]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_options_are_choices_with_a_default_among_them(kind, name):
    told = TOLD[kind][name]["options"]["properties"]
    assert told == core.options(ALL[kind][name])
    for schema in told.values():
        assert schema["title"]
        if "enum" in schema:
            assert schema["type"] == "string"
            assert schema["default"] in schema["enum"]
        elif schema["type"] == "array":
            assert "items" in schema
            assert schema["default"] is None or isinstance(schema["default"], list)
        elif schema["type"] == "boolean":
            assert isinstance(schema["default"], bool)
        elif schema["type"] == "string":
            assert 0 < len(schema["default"]) <= schema["maxLength"]
        else:
            assert schema["minimum"] <= schema["default"] <= schema["maximum"]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_knobs_are_the_leaves_and_options_the_structure(kind, name):
    """What the catalog calls a knob is what is traced: a slider that recompiles would be an option."""
    cls = ALL[kind][name]
    knobs, options = core.knobs(cls), core.options(cls)
    assert not set(knobs) & set(options)
    built = build(cls, {knob: float(number) for number, knob in enumerate(knobs)})
    assert jax.tree.leaves(built) == [float(number) for number in range(len(knobs))]


@pytest.mark.parametrize("name", ALL["problems"])
def test_problems_tell_dimension_start_window_and_weights(name):
    told, problem = TOLD["problems"][name], ALL["problems"][name]()
    start = problem.start(0)
    assert told["dimension"] == problem.dimension == len(start)
    assert told["kind"] in ("toy", "data", "network")
    assert 1 <= told["steps"] <= 100_000
    assert told["rate"] > 0
    if told["start"] is None:
        assert problem.kind == "network" or problem.dimension > 3
    else:
        assert told["start"] == start.tolist()
    if told["window"] is None:
        assert problem.kind != "toy", "a toy is drawn: say where it is worth looking at"
    else:
        (x0, x1), (y0, y1) = told["window"]
        assert x0 < start[0] < x1
        assert y0 < start[1] < y1
    assert len(told["weights"]) == len(set(told["weights"])) > 0
    assert told["weights"] == problem.weights
    if problem.dimension <= 3:
        assert len(told["weights"]) == problem.dimension


@pytest.mark.parametrize("name", ALL["problems"])
def test_blocks_are_the_layers_and_tell_where_each_weight_falls(name):
    told, problem = TOLD["problems"][name]["blocks"], ALL["problems"][name]()
    assert told == problem.blocks
    if problem.network is None:
        assert told is None
        return
    named = [weight for block in told for weight in block["weights"]]
    places = problem.parameters(np.arange(problem.dimension))
    assert named == list(places)
    w = np.random.default_rng(0).standard_normal(problem.dimension)
    for block, W in zip(told, problem.network.split(w), strict=True):
        within = slice(block["first"], block["first"] + block["count"])
        np.testing.assert_array_equal(w[within].reshape(block["shape"]), W)
        inside = np.concatenate([np.ravel(places[weight]) for weight in block["weights"]])
        np.testing.assert_array_equal(np.sort(inside), np.arange(problem.dimension)[within])
    assert sum(block["count"] for block in told) == problem.dimension


@pytest.mark.parametrize("name", ALL["problems"])
def test_defaults_that_a_problem_replaces_exist_and_are_within_bounds(name):
    for optimizer, knobs in TOLD["problems"][name]["defaults"].items():
        schemas = core.knobs(ALL["optimizers"][optimizer])
        for knob, value in knobs.items():
            assert schemas[knob]["minimum"] <= value <= schemas[knob]["maximum"]


def test_the_default_of_a_knob_is_the_problems_then_the_optimizers():
    digits, rosenbrock = ALL["problems"]["digits-classifier"](), ALL["problems"]["rosenbrock"]()
    damped, descent = ALL["optimizers"]["damped-newton"], ALL["optimizers"]["gradient-descent"]
    assert catalog.default(damped, "damping", digits) == 1.0
    assert catalog.default(damped, "damping", rosenbrock) == 0.1
    assert catalog.default(descent, "rate", rosenbrock) == 1e-3
    assert catalog.default(ALL["optimizers"]["adam"], "rate", rosenbrock) == 0.01


@pytest.mark.parametrize("kind", ["optimizers", "probes"])
def test_fits_is_true_or_says_why_not(kind):
    for name, told in TOLD[kind].items():
        assert set(told["fits"]) == set(ALL["problems"])
        for problem, fits in told["fits"].items():
            reason = ALL[kind][name].fit(ALL["problems"][problem]())
            assert fits == (True if reason is None else reason)
            assert fits is True or len(fits) > 10


@pytest.mark.parametrize(
    ("kind", "name", "problem", "says"),
    [
        ("optimizers", "gauss-newton", "saddle", "needs outputs with a convex loss"),
        ("optimizers", "natural-gradient", "saddle", "predicts a distribution of targets"),
        ("optimizers", "natural-gradient", "quadratic", "predicts a distribution of targets"),
        ("optimizers", "natural-gradient", "rosenbrock", "predicts a distribution of targets"),
        ("optimizers", "newton", "regression-network", "damp it"),
        ("optimizers", "newton", "digits-classifier", "damp it"),
        ("optimizers", "lbfgs", "digits-classifier", "set batch to 0"),
        ("optimizers", "saddle-free-newton", "digits-classifier", "at most 1000 weights; this problem has 2410"),
        ("probes", "damping-path", "digits-classifier", "at most 1000 weights; this problem has 2410"),
    ],
)
def test_what_does_not_fit_and_why(kind, name, problem, says):
    assert says in TOLD[kind][name]["fits"][problem]


@pytest.mark.parametrize(
    ("kind", "name", "problem"),
    [
        ("optimizers", "gauss-newton", "rosenbrock"),
        ("optimizers", "gauss-newton", "regression-network"),
        ("optimizers", "natural-gradient", "logistic-cost"),
        ("optimizers", "natural-gradient", "digits-classifier"),
        ("optimizers", "newton", "saddle"),
        ("optimizers", "lbfgs", "regression-network"),
        ("probes", "spectrum", "regression-network"),
        ("probes", "spectrum", "digits-classifier"),
        ("probes", "landscape", "digits-classifier"),
        ("probes", "quadratic-model", "digits-classifier"),
    ],
)
def test_what_does_fit(kind, name, problem):
    assert TOLD[kind][name]["fits"][problem] is True


def test_first_order_methods_fit_everything():
    for name in ("gradient-descent", "momentum", "adam"):
        assert set(TOLD["optimizers"][name]["fits"].values()) == {True}
