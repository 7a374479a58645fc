r"""What exists: every problem, optimizer and probe found in its folder, and how the catalog tells of it."""

import importlib
import inspect
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

from secondorder import coordinates, core, optimizers, probes, problems


def _classes(module: ModuleType) -> list[tuple[str, Any]]:
    return inspect.getmembers(module, inspect.isclass)


def _found(package: ModuleType, base: type) -> dict[str, Any]:
    classes: dict[str, Any] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for _, cls in _classes(importlib.import_module(module.name)):
            if issubclass(cls, base) and cls.__module__ == module.name and hasattr(cls, "name"):
                classes[cls.name] = cls
    return classes


@cache
def all_problems() -> dict[str, type[core.Problem]]:
    """Problems by name."""
    return _found(problems, core.Problem)


@cache
def all_optimizers() -> dict[str, type[core.Optimizer]]:
    """Optimizers by name."""
    return _found(optimizers, core.Optimizer)


@cache
def all_probes() -> dict[str, type[core.Probe]]:
    """Probes by name."""
    return _found(probes, core.Probe)


def load() -> None:
    """Finds everything, which it else does when it is asked for first."""
    for every in (all_problems, all_optimizers, all_probes):
        every()


def default(cls: type[core.Optimizer], name: str, problem: core.Problem) -> float:
    """The default of a knob on a problem: the problem's word, then the optimizer's; a rate of None is the problem's."""
    own: float | None = core.knobs(cls)[name]["default"]
    return problem.defaults.get(cls.name, {}).get(name, problem.rate if own is None else own)


def _tell(cls: type) -> dict[str, Any]:
    from math_core import LatexToMathML  # here: only the catalog's page needs it

    return {
        "name": cls.name,
        "title": cls.title,
        "equation": cls.equation,
        "mathml": LatexToMathML().convert_with_local_state(cls.equation, displaystyle=True),
        "about": inspect.getdoc(cls),
        "knobs": {"type": "object", "properties": core.knobs(cls)},
        "options": {"type": "object", "properties": core.options(cls)},
    }


def _tell_problem(cls: type[core.Problem]) -> dict[str, Any]:
    problem = cls()
    start = problem.start(0).tolist() if problem.kind != "network" and problem.dimension <= 3 else None
    return _tell(cls) | {
        "kind": problem.kind,
        "dimension": problem.dimension,
        "window": problem.window,
        "start": start,
        "steps": problem.steps,
        "rate": problem.rate,
        "weights": problem.weights,
        "blocks": problem.blocks,
        "defaults": problem.defaults,
    }


def _fits(cls: Any) -> dict[str, bool | str]:
    return {name: cls.fit(problem()) or True for name, problem in all_problems().items()}


@cache
def describe() -> dict[str, Any]:
    """The catalog as JSON: problems, optimizers and probes with their knobs, and which fits which problem; and the
    schema of ``coordinates``, which any optimizer may be given."""
    return {
        "problems": [_tell_problem(cls) for cls in all_problems().values()],
        "optimizers": [_tell(cls) | {"presets": cls.presets, "fits": _fits(cls)} for cls in all_optimizers().values()],
        "probes": [_tell(cls) | {"fits": _fits(cls)} for cls in all_probes().values()],
        "coordinates": coordinates.schema(),
    }
