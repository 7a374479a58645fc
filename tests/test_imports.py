"""Who may import whom. The direction of dependence is read from the source, so that no import can hide in a function.

A file may import what its own row of LAYERS names and nothing else of the project; files of one folder never import
each other (an optimizer, a problem, a probe is one file), except in the server, which is one thing in several files.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "backend" / "secondorder"
FRONTEND = ROOT / "frontend"


class Layer(NamedTuple):
    """What may be imported: parts (files or folders) of the package, and other people's libraries."""

    parts: set[str]
    libraries: set[str]


MATHEMATICS = {"jax", "numpy"}
LAYERS = {
    "host": Layer(set(), set()),
    "core": Layer(set(), MATHEMATICS),
    "solve": Layer(set(), MATHEMATICS),
    "lanczos": Layer(set(), MATHEMATICS),
    "cg": Layer(set(), MATHEMATICS),
    "likelihoods": Layer(set(), MATHEMATICS),
    "pullback": Layer({"core"}, MATHEMATICS),
    "coordinates": Layer({"core"}, MATHEMATICS),
    "curvature": Layer({"core", "solve", "cg", "pullback", "network"}, MATHEMATICS),
    "damping": Layer({"core", "solve"}, MATHEMATICS),
    "factored": Layer({"core", "damping"}, MATHEMATICS),
    "proximal": Layer({"core", "curvature"}, MATHEMATICS),
    "preconditioning": Layer({"core", "solve", "curvature"}, MATHEMATICS),
    "data": Layer({"core"}, {"numpy"}),
    "network": Layer(set(), MATHEMATICS),
    "expression": Layer(set(), MATHEMATICS | {"lark"}),
    "problems": Layer({"core", "solve", "likelihoods", "data", "network", "expression"}, MATHEMATICS),
    "optimizers": Layer(
        {"core", "solve", "cg", "pullback", "curvature", "damping", "factored", "preconditioning", "proximal"},
        MATHEMATICS | {"optax"},
    ),
    "probes": Layer(
        {"core", "solve", "cg", "lanczos", "pullback", "curvature", "damping", "preconditioning"}, MATHEMATICS
    ),
    # The catalog finds the files of these folders by itself; whoever stands above it knows them through it alone.
    "catalog": Layer({"core", "coordinates", "problems", "optimizers", "probes"}, {"math_core"}),
    "spec": Layer({"core", "catalog", "coordinates"}, {"numpy", "orjson", "pydantic", "pydantic_core"}),
    # From here on JAX is at work: the compiled loop, what it leaves behind, the probes, and the run that leads them.
    "program": Layer({"core", "spec"}, MATHEMATICS),
    "trajectories": Layer({"core", "spec", "program"}, MATHEMATICS),
    "probing": Layer({"core", "catalog", "spec", "program", "trajectories"}, MATHEMATICS),
    "run": Layer({"core", "catalog", "spec", "program", "trajectories", "probing"}, MATHEMATICS),
    "server": Layer(
        {"catalog", "spec"},
        {
            *("fastapi", "starlette", "uvicorn", "orjson", "limits", "prometheus_client"),
            *("markdown_it", "mdit_py_plugins", "math_core", "yaml"),
        },
    ),
    # The one process that touches the device.
    "server.worker": Layer({"catalog", "spec", "run"}, MATHEMATICS | {"orjson"}),
    "cli": Layer({"catalog", "spec", "run", "server"}, {"typer", "rich", "orjson"}),
    "__init__": Layer({"host", "core", "catalog", "spec", "run"}, set()),
    "__main__": Layer({"cli"}, set()),
}

# Installed for files in them, and never imported: what the page asks for, and data.
FILES_FROM = {"plotly", "ziamath", "scikit-learn"}

FILES = sorted(PACKAGE.rglob("*.py"))


def module(path: Path) -> str:
    """The file's name inside the package: "core", "optimizers.newton"; a folder's own file is "optimizers.__init__"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imported(path: Path) -> set[str]:
    """Full dotted names of everything that a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: imports are absolute here"
            assert node.module is not None
            # `from secondorder.curvature import dense` imports a module, `from secondorder.core import Step` a name.
            inside = PACKAGE.joinpath(*node.module.split(".")[1:])
            for alias in node.names:
                is_module = (inside / f"{alias.name}.py").exists() or (inside / alias.name).is_dir()
                names.add(f"{node.module}.{alias.name}" if is_module else node.module)
    return names


@pytest.mark.parametrize("path", FILES, ids=module)
def test_direction(path: Path):
    name = module(path)
    part = name.partition(".")[0]
    assert part in LAYERS, f"{name} is in no layer: add a row to LAYERS that says what it may import"
    layer = LAYERS.get(name, LAYERS[part])
    for full in imported(path):
        library, _, inside = full.partition(".")
        if library != "secondorder":
            assert library in sys.stdlib_module_names | layer.libraries, f"{name} may not import {library}"
            continue
        target = inside.partition(".")[0]
        assert part == "server" or target != part, f"{name} imports its sibling {inside}"
        assert target in {"", part} | layer.parts, f"{name} may not import {inside}"


def test_layers_have_no_row_too_many():
    assert {name.partition(".")[0] for name in LAYERS} <= {module(path).partition(".")[0] for path in FILES}


def packages(files: list[Path]) -> set[str]:
    """The packages, by their names in an index, that files import."""
    libraries = {full.partition(".")[0] for path in files for full in imported(path)}
    provided = packages_distributions()
    used = {provided[name][0] for name in libraries - sys.stdlib_module_names - {"secondorder", "tests"}}
    # pydantic-core comes with pydantic, at the version that it needs.
    return {re.sub(r"[-_.]+", "-", name).lower() for name in used} - {"pydantic-core"}


def test_dependencies_are_what_is_imported():
    """A package is declared if and only if it is used: one that only happens to be installed here is found out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {requirement.partition(">")[0] for requirement in project["dependencies"]}
    for_tests = {requirement.partition(">")[0] for requirement in project["optional-dependencies"]["test"]}
    assert packages(FILES) | FILES_FROM == declared
    ours = (path for path in (ROOT / "tests").rglob("*.py") if "peers" not in path.parts)  # those have their own
    assert packages(sorted(ours)) - declared == for_tests - {"pytest-timeout"}


def test_the_web_process_has_no_device():
    """The server is imported, the catalog described and a spec parsed where JAX could not start any backend."""
    program = """
import json
from secondorder import catalog, spec
from secondorder.server import api
catalog.describe()
spec.parse(json.dumps({"problem": {"name": "quadratic"}, "optimizers": [{"name": "newton"}]}).encode())
"""
    environment = {**os.environ, "JAX_PLATFORMS": "none-on-this-machine"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


SCRIPTS = sorted(FRONTEND.rglob("*.js"))
IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']""")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(FRONTEND).as_posix())
def test_page_modules(path: Path):
    """Views know no other view; Plotly is known to plot.js alone; nothing comes from another machine."""
    source = path.read_text("utf-8")
    for specifier in IMPORT.findall(source):
        assert specifier.startswith(("./", "../")), f"{specifier}: modules are imported by relative path"
        target = (path.parent / specifier).resolve()
        assert target.is_file() or target.with_suffix(".d.ts").is_file(), f"{specifier} does not exist"
        if path.parent.name == "views":
            assert target.parent != path.parent, f"a view imports the view {specifier}"
    if path != FRONTEND / "plot.js":
        assert not re.search(r"\bPlotly\s*[.(\[]", source), "only plot.js knows Plotly"
