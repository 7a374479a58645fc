"""What the documentation says is what the code does: examples in docstrings run, and the README names what exists."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import secondorder
from secondorder import catalog

README = (Path(__file__).parents[1] / "README.md").read_text()
MODULES = [
    module.name
    for module in pkgutil.walk_packages(secondorder.__path__, "secondorder.")
    if module.name != "secondorder.__main__"
]


@pytest.mark.parametrize("name", ["secondorder", *MODULES])
def test_examples_in_docstrings_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name):
    assert importlib.import_module(name).__doc__, name


@pytest.mark.parametrize("name", [*catalog.all_problems(), *catalog.all_optimizers(), *catalog.all_probes()])
def test_the_readme_names_what_the_catalog_holds(name):
    assert f"`{name}`" in README


def test_paths_that_the_readme_names_exist():
    root = Path(__file__).parents[1]
    named = set(re.findall(r"`((?:backend|frontend|tests)/[\w./-]+)`", README))
    assert named
    assert [path for path in sorted(named) if not (root / path).exists()] == []
