r"""The spec: what a run is, in JSON. Everything that a body can have wrong is found here, and said with its place.

No device is touched: names, bounds, dimensions and the price follow from the classes in the catalog alone.
"""

import hashlib
import itertools
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from importlib.metadata import version
from typing import Annotated, Any, Literal, TypeVar, cast

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, create_model
from pydantic_core import ErrorDetails

from secondorder import catalog, coordinates, core

VERSION = version("secondorder")
LIMITS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length")  # what pydantic tells of a bound
MAX_STEPS = 100_000
MAX_LANES = 256
MAX_PRICE = 600.0  # seconds on the reference machine: two cores, about 10 GFLOP/s
MAX_ANSWER_PRICE = 120.0  # the same of one answer that somebody waits for
MAX_MEMORY = 4 * 2**30  # bytes
FLOPS = 1e10
STEP_OVERHEAD = 3e-6  # seconds that a step of even the smallest program takes
CHUNK_SECONDS = 0.03


class SpecError(ValueError):
    """A body that denotes no run: what was wrong, ``at`` which place, and what is ``allowed`` there."""

    def __init__(self, message: str, at: str | None = None, allowed: Any = None, status: int = 422):
        super().__init__(message)
        self.message, self.at, self.allowed, self.status = message, at, allowed, status


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Coordinate = Annotated[float, Field(ge=-1e30, le=1e30)]  # what float32 holds


class _Body(_Strict):
    problem: dict[str, Any]
    optimizers: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_LANES)
    start: list[Coordinate] | None = Field(None, min_length=1, max_length=1_000_000)
    seed: int = Field(0, ge=0, le=2**32 - 1)
    # Left out they are the problem's, but null is no number: a default is not validated, what is given is.
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] = cast(int, None)
    tolerance: Annotated[float, Field(ge=0, le=1e6)] = cast(float, None)
    probes: list[dict[str, Any]] = Field(default_factory=list, max_length=16)


class _ProbeBody(_Strict):
    probe: dict[str, Any]
    problem: dict[str, Any] | None = None
    at: list[Coordinate] | None = Field(None, min_length=1, max_length=1_000_000)
    seed: int = Field(0, ge=0, le=2**32 - 1)
    run: str | None = Field(None, max_length=64)
    lane: int = Field(0, ge=0, lt=MAX_LANES)
    step: int = Field(0, ge=0, le=MAX_STEPS)


Entry = Annotated[float, Field(ge=-coordinates.LARGEST, le=coordinates.LARGEST)]
Row = Annotated[list[Entry], Field(min_length=1, max_length=coordinates.MOST_WEIGHTS)]


class _Coordinates(_Strict):
    matrix: Annotated[list[Row], Field(min_length=1, max_length=coordinates.MOST_WEIGHTS)] = cast(list, None)
    shift: Row = cast(list, None)
    inputs: dict[str, Any] = cast(dict, None)


def _one_or_many(value: Any) -> str:
    return "many" if isinstance(value, list) else "one"


def _knob_type(schema: dict, sweeps: bool) -> tuple[Any, Any]:
    bounds = Field(ge=schema["minimum"], le=schema["maximum"], multiple_of=schema.get("multipleOf"))
    number: Any = Annotated[float, bounds]
    if not sweeps:
        return (number | None if schema["default"] is None else number), None
    one: Any = Annotated[number, Tag("one")]
    many = Annotated[list[number], Field(min_length=1, max_length=MAX_LANES), Tag("many")]
    return Annotated[one | many, Discriminator(_one_or_many)], None


def _option_type(schema: dict) -> tuple[Any, Any]:
    bounds = {"minimum": "ge", "maximum": "le", "minItems": "min_length", "maxItems": "max_length"}
    bounds |= {"maxLength": "max_length"}
    if "enum" in schema:
        kind: Any = Literal[tuple(schema["enum"])]
    elif schema["type"] == "array":
        kind = list[_option_type(schema["items"])[0]]
        kind = kind | None if schema.get("default", ()) is None else kind
    else:
        kind = {"integer": int, "number": float, "boolean": bool, "string": str}[schema["type"]]
    limits = {ours: schema[theirs] for theirs, ours in bounds.items() if theirs in schema}
    return Annotated[kind, Field(**limits)], schema.get("default")


@cache
def _model(cls: Any, sweeps: bool = False, extra: tuple = (), named: bool = True) -> type[BaseModel]:
    fields: dict[str, Any] = {"name": (str, ...)} if named else {}
    fields |= {name: _knob_type(schema, sweeps) for name, schema in core.knobs(cls).items()}
    fields |= {name: _option_type(schema) for name, schema in core.options(cls).items()}
    return create_model(cls.__name__, __base__=_Strict, **fields, **dict(extra))


def _place(base: str, parts: tuple) -> str | None:
    told = base
    for part in parts:
        if part in ("one", "many"):
            continue
        told += f"[{part}]" if isinstance(part, int) else f".{part}" if told else str(part)
    return told or None


def _printable(text: Any) -> Any:
    return str(text).encode("utf-8", "replace").decode() if isinstance(text, str) else text


def _refuse(error: ErrorDetails, base: str, model: type[BaseModel]) -> SpecError:
    at = _printable(_place(base, error["loc"]))
    context = error.get("ctx", {})
    field = _printable(str(error["loc"][-1])) if error["loc"] else ""
    known = sorted(model.model_fields)
    if error["type"] == "extra_forbidden":
        near = get_close_matches(field, known, 1)
        return SpecError(f"unknown field {field!r}" + (f"; did you mean {near[0]!r}?" if near else ""), at, known)
    if error["type"] == "literal_error":
        expected = re.findall(r"'([^']*)'", context.get("expected", ""))
        return SpecError("not one of the choices", at, expected)
    if error["type"] == "model_type":
        return SpecError("must be a JSON object", at, known)
    allowed = {key: value for key, value in context.items() if key in LIMITS}
    message = error["msg"][:1].lower() + error["msg"][1:].replace("Input", "input")
    return SpecError(message.replace("input should be", "must be"), at, allowed or None)


Model = TypeVar("Model", bound=BaseModel)


def _validate(model: type[Model], body: Any, base: str = "") -> Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise _refuse(error.errors(include_url=False, include_input=False)[0], base, model) from None


def _decode(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        told = str(error).encode("utf-8", "replace").decode()
        raise SpecError(f"not JSON: {told}", allowed="RFC 8259 JSON in UTF-8, finite numbers", status=400) from None


def _encode(body: dict[str, Any]) -> bytes:
    """A dictionary from Python as the same body from outside; its numpy numbers and arrays are numbers and lists."""
    try:
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise SpecError(f"not JSON: {error}", status=400) from None


def _named(part: dict, classes: dict[str, Any], base: str, kind: str) -> Any:
    name = part.get("name")
    if not isinstance(name, str):
        raise SpecError(f"{kind} needs a name", f"{base}.name", sorted(classes))
    if name not in classes:
        near = get_close_matches(name, classes, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SpecError(f"unknown {kind} {_printable(name)!r}{hint}", f"{base}.name", sorted(classes))
    return classes[name]


def _refuse_list_for_number(part: dict, cls: Any, base: str) -> None:
    for name in core.knobs(cls):
        if isinstance(part.get(name), list):
            raise SpecError("only an optimizer's knob can be a list of values", f"{base}.{name}", "one number")


def build(cls: Any, canonical: dict[str, Any]) -> Any:
    """An object of a registered class from its canonical part of a spec."""
    fields = {name: tuple(value) if name in core.options(cls) and isinstance(value, list) else value
              for name, value in canonical.items() if name != "name"}  # fmt: skip
    return cls(**fields)


def probe_class(part: dict[str, Any]) -> type[core.Probe]:
    """The class that a probe's part of a spec names."""
    return catalog.all_probes()[part["name"]]


def _own(part: dict[str, Any]) -> dict[str, Any]:
    """A probe's own fields: ``every`` is the run's."""
    return {name: value for name, value in part.items() if name != "every"}


def _with_defaults(canonical: dict[str, Any], cls: Any) -> dict[str, Any]:
    """Knobs that were left out have the class's own defaults: true of a problem and a probe, not of an optimizer."""
    own = {name: schema["default"] for name, schema in core.knobs(cls).items() if canonical[name] is None}
    return canonical | own


def _problem(part: dict, base: str = "problem") -> tuple[dict[str, Any], core.Problem]:
    cls = _named(part, catalog.all_problems(), base, "problem")
    _refuse_list_for_number(part, cls, base)
    canonical = _with_defaults(_validate(_model(cls), part, base).model_dump(), cls)
    for name, schema in core.options(cls).items():
        if schema.get("uniqueItems") and len(set(canonical[name])) < len(canonical[name]):
            raise SpecError("the same entry twice", f"{base}.{name}", "each at most once")
    try:
        return canonical, build(cls, canonical)
    except core.OptionError as error:
        raise SpecError(str(error), f"{base}.{error.at}", error.allowed) from None
    except ValueError as error:  # a combination that the class refuses
        raise SpecError(str(error), base) from None


def _refuse_missing_matrix(canonical: dict, problem: core.Problem, base: str) -> None:
    matrix = canonical.get("matrix")
    if matrix in ("gauss-newton", "diagonal") and problem.likelihood is None:
        need = "outputs with a convex loss"
    elif matrix in ("fisher", "empirical-fisher") and not problem.predicts:
        need = "a model that predicts targets"
    else:
        return
    raise SpecError(f"{problem.name} has no {matrix} matrix: it needs {need}", f"{base}.matrix", ["hessian"])


def _optimizer(part: dict, problem: core.Problem, base: str) -> dict[str, Any]:
    cls = _named(part, catalog.all_optimizers(), base, "optimizer")
    lacking = cls.fit(problem)
    if lacking:
        raise SpecError(f"{cls.name} does not fit {problem.name}: {lacking}", base, None)
    if cls.presets and "preset" in part:
        if part["preset"] not in cls.presets:
            raise SpecError("not one of the choices", f"{base}.preset", sorted(cls.presets))
        part = cls.presets[part["preset"]] | {name: value for name, value in part.items() if name != "preset"}
    extra = (("coordinates", (dict[str, Any], None)),)
    canonical = _validate(_model(cls, sweeps=True, extra=extra), part, base).model_dump()
    asked = canonical.pop("coordinates")
    _refuse_missing_matrix(canonical, problem, base)
    for name in core.knobs(cls):
        if canonical[name] is None:
            canonical[name] = catalog.default(cls, name, problem)
    try:
        build(cls, {name: canonical[name] for name in core.options(cls)})
    except core.OptionError as error:  # options that do not go together
        raise SpecError(str(error), f"{base}.{error.at}", error.allowed) from None
    if asked is not None:
        canonical["coordinates"] = _coordinates(asked, cls, problem, f"{base}.coordinates")
    return canonical


def _coordinates(asked: dict, cls: type[core.Optimizer], problem: core.Problem, base: str) -> dict[str, Any]:
    read = _validate(_Coordinates, asked, base)
    if (read.matrix is None) == (read.inputs is None) or (read.inputs is not None and read.shift is not None):
        raise SpecError("either a matrix R and a shift b, or inputs", base, [["matrix", "shift"], ["inputs"]])
    # Its Hessian would be RᵀLR, and so no diagonal any more.
    if np.any(np.asarray(getattr(problem, "l2", 0.0))):
        raise SpecError(f"{problem.name} has an l2 penalty, which in other coordinates is another one: set it to 0",
                        base, {"problem.l2": 0.0})  # fmt: skip
    if read.inputs is not None:
        if problem.network is None:
            raise SpecError(f"{problem.name} has no layers, whose inputs could be in other units", f"{base}.inputs",
                            ["matrix"] if problem.dimension <= coordinates.MOST_WEIGHTS else None)  # fmt: skip
        _refuse_list_for_number(read.inputs, coordinates.Inputs, f"{base}.inputs")
        model = _model(coordinates.Inputs, named=False)
        found = _validate(model, read.inputs, f"{base}.inputs").model_dump()
        own = {name: knob["default"] for name, knob in core.knobs(coordinates.Inputs).items()}
        told = {"inputs": own | {name: value for name, value in found.items() if value is not None}}
    else:
        told = _affine(read, problem, base)
    lacking = cls.fit(coordinates.read(told).problem(problem))
    if lacking:
        raise SpecError(f"{cls.name} does not fit these coordinates: {lacking}", base,
                        ["inputs"] if problem.network else None)  # fmt: skip
    return told


def _affine(read: _Coordinates, problem: core.Problem, base: str) -> dict[str, Any]:
    """R and b, R square and far from singular."""
    n, most = problem.dimension, coordinates.MOST_WEIGHTS
    if n > most:
        raise SpecError(f"a matrix R is for at most {most} weights; this problem has {n}", f"{base}.matrix",
                        ["inputs"] if problem.network else None)  # fmt: skip
    if [len(row) for row in read.matrix] != [n] * n:
        raise SpecError(f"R must have a row and a column for each of {n} weights", f"{base}.matrix", [n, n])
    if read.shift is not None and len(read.shift) != n:
        raise SpecError(f"b must have a number for each of {n} weights", f"{base}.shift", n)
    ν = np.linalg.svd(np.array(read.matrix), compute_uv=False)
    condition = ν[0] / ν[-1] if ν[-1] > np.finfo(float).eps * ν[0] else np.inf
    allowed = coordinates.LARGEST_CONDITION[problem.dtype]
    if condition > allowed:
        told = "R is singular" if np.isinf(condition) else f"R is close to singular: condition number {condition:.3g}"
        raise SpecError(told, f"{base}.matrix", f"a condition number of at most {allowed:g}")
    if ν[0] < coordinates.SMALLEST:
        raise SpecError(f"R is too small: no more than {ν[0]:.3g} times any vector", f"{base}.matrix",
                        f"a largest singular value of at least {coordinates.SMALLEST:g}")  # fmt: skip
    return {"matrix": read.matrix, "shift": read.shift or [0.0] * n}


def _probe(part: dict, problem: core.Problem, base: str, in_run: bool) -> dict[str, Any]:
    cls = _named(part, catalog.all_probes(), base, "probe")
    lacking = cls.fit(problem)
    if lacking:
        raise SpecError(f"{cls.name} does not fit {problem.name}: {lacking}", base, None)
    _refuse_list_for_number(part, cls, base)
    repeats = in_run and not cls.of_the_whole_run
    every = (("every", (Annotated[int, Field(ge=1, le=MAX_STEPS)], 1)),) if repeats else ()
    canonical = _with_defaults(_validate(_model(cls, extra=every), part, base).model_dump(), cls)
    _refuse_missing_matrix(canonical, problem, base)
    if in_run and cls.in_a_plane and not cls.of_the_whole_run and problem.dimension > 2:
        raise SpecError(f"{cls.name} of more than two weights is drawn in the finished run's slice: ask it then", base)
    try:
        build(cls, _own(canonical)).for_problem(problem)
    except ValueError as error:
        raise SpecError(str(error), base) from None
    return canonical


def _answer_price(part: dict[str, Any], problem: core.Problem) -> float:
    """Floating-point operations of a probe's answer."""
    return build(probe_class(part), _own(part)).price(problem)


def _start(start: list[float] | None, problem: core.Problem, at: str) -> list[float] | None:
    if start is not None and len(start) != problem.dimension:
        raise SpecError(f"{problem.name} has {problem.dimension} weights, not {len(start)}", at, problem.dimension)
    return start


@dataclass(frozen=True)
class Group:
    """One entry of ``optimizers``: lanes that differ in knobs alone and so run as one program."""

    cls: type[core.Optimizer]
    canonical: dict[str, Any]
    first: int

    @cached_property
    def lanes(self) -> list[dict[str, float]]:
        """The knobs of each lane; of several lists the last varies fastest."""
        names = list(core.knobs(self.cls))
        values = [v if isinstance(v, list) else [v] for v in (self.canonical[name] for name in names)]
        return [dict(zip(names, point, strict=True)) for point in itertools.product(*values)]

    @property
    def options(self) -> dict[str, Any]:
        return {name: self.canonical[name] for name in core.options(self.cls)}

    @property
    def coordinates(self) -> dict[str, Any] | None:
        """What its optimizer works in, where that is not the problem's own weights."""
        return self.canonical.get("coordinates")

    def optimizer(self, knobs: dict[str, Any], lanes: int | None = None) -> core.Optimizer:
        """The optimizer of one lane; or of some together, where each of ``knobs`` has a value for each of them."""
        own = build(self.cls, knobs | self.options)
        if self.coordinates is None:
            return own
        read = coordinates.read(self.coordinates)
        return coordinates.Reparameterized(own, read if lanes is None else read.of_lanes(lanes))

    def label(self, knobs: dict[str, float], problem: core.Problem) -> str:
        schemas = core.knobs(self.cls)
        told = [
            f"{schemas[name]['symbol']} = {value:.4g}"
            for name, value in knobs.items()
            if isinstance(self.canonical[name], list) or value != catalog.default(self.cls, name, problem)
        ]
        told += [coordinates.label(self.coordinates)] if self.coordinates else []
        return " ".join([self.cls.title, *(["· " + ", ".join(told)] if told else [])])


@dataclass(frozen=True)
class RunSpec:
    """A valid spec with every default filled in."""

    canonical_problem: dict[str, Any]
    problem: core.Problem
    optimizers: list[dict[str, Any]]
    start: list[float] | None
    seed: int
    steps: int
    tolerance: float
    probes: list[dict[str, Any]]

    def canonical(self) -> dict[str, Any]:
        """The canonical form: every default filled in, keys sorted."""
        spec = {
            "problem": self.canonical_problem,
            "optimizers": self.optimizers,
            "start": self.start,
            "seed": self.seed,
            "steps": self.steps,
            "tolerance": self.tolerance,
            "probes": self.probes,
        }
        return orjson.loads(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS))

    @cached_property
    def id(self) -> str:
        """Hash of the canonical form and the program's version."""
        content = orjson.dumps([VERSION, self.canonical()])
        return hashlib.sha256(content).hexdigest()[:20]

    @cached_property
    def groups(self) -> list[Group]:
        groups, first = [], 0
        for part in self.optimizers:
            group = Group(catalog.all_optimizers()[part["name"]], part, first)
            groups.append(group)
            first += len(group.lanes)
        return groups

    @cached_property
    def lanes(self) -> list[dict[str, Any]]:
        """Name, label and knobs of each lane, and its coordinates where they are others, in the order written."""
        return [
            {"optimizer": group.cls.name, "label": group.label(knobs, self.problem), "knobs": knobs}
            | ({"coordinates": group.coordinates} if group.coordinates else {})
            for group in self.groups
            for knobs in group.lanes
        ]

    def step_price(self, group: Group) -> float:
        """Seconds on the reference machine of one step of all lanes of a group, its telemetry and probes included."""
        problem, n = self.problem, self.problem.dimension
        # All lanes of a group take their turns together: the longest of them says how long one is.
        prices = [group.optimizer(knobs).price(n) for knobs in group.lanes]
        passes, flops = np.max(prices, axis=0).tolist()
        share = (problem.batch_size or problem.examples) / problem.examples
        telemetry = 1.0 if problem.batch_size else 0.3
        probing = sum(self._probe_price(part) / part["every"] for part in self.probes if "every" in part)
        work = (passes * share + telemetry) * problem.work + flops + probing
        return STEP_OVERHEAD + len(group.lanes) * work / FLOPS

    def _probe_price(self, part: dict[str, Any]) -> float:
        return _answer_price(part, self.problem)

    @cached_property
    def prices(self) -> tuple[float, float]:
        """Seconds on the reference machine of one step of all lanes, and of what is asked once at the end."""
        once = sum(self._probe_price(part) for part in self.probes if "every" not in part)
        return sum(self.step_price(group) for group in self.groups), once / FLOPS

    @property
    def price(self) -> float:
        """Seconds on the reference machine of the whole run, were it to use all its steps."""
        step, once = self.prices
        return self.steps * step + once

    def memory_of(self, group: Group) -> float:
        """Bytes that a group's lanes hold at once, to their order."""
        size = np.dtype(self.problem.dtype).itemsize
        return len(group.lanes) * size * group.optimizer(group.lanes[0]).room(self.problem)

    @cached_property
    def memory(self) -> float:
        """Bytes that the largest group's lanes hold at once, to their order."""
        return max(map(self.memory_of, self.groups))


def parse(body: bytes | dict[str, Any]) -> RunSpec:
    """The spec that a body denotes, or a `SpecError`."""
    read = _validate(_Body, _decode(body) if isinstance(body, bytes) else _decode(_encode(body)))
    canonical_problem, problem = _problem(read.problem)
    start = _start(read.start, problem, "start")
    if start is None and problem.kind != "network" and problem.dimension <= 3:
        start = problem.start(0).tolist()
    spec = RunSpec(
        canonical_problem=canonical_problem,
        problem=problem,
        optimizers=[_optimizer(part, problem, f"optimizers[{i}]") for i, part in enumerate(read.optimizers)],
        start=start,
        seed=read.seed,
        steps=read.steps or problem.steps,
        tolerance=read.tolerance if read.tolerance is not None else (1e-9 if problem.dtype == "float64" else 1e-5),
        probes=[_probe(part, problem, f"probes[{i}]", in_run=True) for i, part in enumerate(read.probes)],
    )
    count = np.sum([np.prod([len(v) for v in p.values() if isinstance(v, list)]) for p in spec.optimizers])
    if count > MAX_LANES:
        raise SpecError(f"{int(count)} lanes", "optimizers", f"at most {MAX_LANES} lanes")
    if spec.memory > MAX_MEMORY:
        raise SpecError(
            f"too large: its lanes would hold {spec.memory / 2**30:.3g} GiB at once",
            "optimizers",
            f"at most {MAX_MEMORY / 2**30:.0f} GiB: fewer lanes, a smaller batch, or a method without a dense matrix",
        )
    if spec.price > MAX_PRICE:
        step, once = spec.prices
        raise SpecError(
            f"too dear: {spec.steps} steps at {step:.3g} s each come to {spec.price:.3g} s",
            "steps",
            f"at most {MAX_PRICE:.0f} s, so {max(0, int((MAX_PRICE - once) / step))} steps of this kind",
        )
    return spec


@dataclass(frozen=True)
class ProbeRequest:
    """One probe at one point: at given weights of a problem, or at a step of a run's lane."""

    probe: dict[str, Any]
    problem: core.Problem
    at: list[float] | None
    seed: int
    spec: RunSpec | None
    lane: int
    step: int

    @property
    def name(self) -> str:
        return self.probe["name"]

    @property
    def needs_finished_run(self) -> bool:
        """Whether the answer is drawn in the slice, or tells the paths, of the whole run."""
        cls = probe_class(self.probe)
        return self.spec is not None and cls.in_a_plane and (cls.of_the_whole_run or self.problem.dimension > 2)


def _question(part: dict, problem: core.Problem) -> dict[str, Any]:
    """A probe asked by itself."""
    canonical = _probe(part, problem, "probe", in_run=False)
    price = _answer_price(canonical, problem) / FLOPS
    if price > MAX_ANSWER_PRICE:
        raise SpecError(f"too dear: the answer would take {price:.3g} s", "probe", f"at most {MAX_ANSWER_PRICE:.0f} s")
    return canonical


def parse_probe(body: bytes | dict[str, Any], find=lambda run: None) -> ProbeRequest:
    """The question that a body asks; ``find`` gives the `RunSpec` of a run's id, or None."""
    read = _validate(_ProbeBody, _decode(body) if isinstance(body, bytes) else _decode(_encode(body)))
    if (read.run is None) == (read.problem is None):
        raise SpecError("ask at a run's step, or at given weights", None, [["run", "lane", "step"], ["problem", "at"]])
    if read.problem is not None:
        _, problem = _problem(read.problem)
        if read.at is None:
            raise SpecError("needs the weights to ask at", "at", f"{problem.dimension} numbers")
        at = _start(read.at, problem, "at")
        if problem.dimension > 2 and _named(read.probe, catalog.all_probes(), "probe", "probe").in_a_plane:
            raise SpecError("of more than two weights a plane is the slice of a run: ask at a run's step", "run")
        return ProbeRequest(_question(read.probe, problem), problem, at, read.seed, None, 0, 0)
    spec = find(read.run)
    if spec is None:
        raise SpecError("unknown run", "run", status=404)
    if read.lane >= len(spec.lanes):
        raise SpecError("the run has no such lane", "lane", {"ge": 0, "lt": len(spec.lanes)})
    if read.step > spec.steps:
        raise SpecError("the run has no such step", "step", {"ge": 0, "le": spec.steps})
    return ProbeRequest(_question(read.probe, spec.problem), spec.problem, None, spec.seed, spec, read.lane, read.step)
