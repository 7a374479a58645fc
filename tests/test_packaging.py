"""The promises of the repository's own files: the README's commands are the ones that run, versions agree."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
START = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/secondorder"
TEST = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest"


def read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def test_readme_has_the_two_commands_and_ci_runs_the_second():
    readme = read("README.md")
    assert START in readme
    assert TEST in readme
    assert TEST in read(".ci/run").splitlines()


def test_the_citation_names_the_version():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    citation = yaml.safe_load(read("CITATION.cff"))
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
