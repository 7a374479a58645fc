"""Lessons: Markdown files with a front matter, told as HTML whose formulas are MathML.

---
title: Newton in one step
summary: A quadratic has one Newton step.
order: 1
spec: {problem: {name: quadratic}, optimizers: [{name: newton}]}
views: [landscape, curves]
controls: [problem.condition]
at: 0
---
The step $-H^{-1} \\nabla J$ …

``at`` is the step that it opens with; left out, the run is played to its end.
"""

import logging
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from math_core import LatexError, LatexToMathML
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

log = logging.getLogger("uvicorn.error")
SLUG = re.compile(r"[a-z0-9][a-z0-9-]*")


class LessonError(Exception):
    """A lesson's file that cannot be told: which, and why."""


class _Loader(yaml.SafeLoader):
    """YAML whose 1e-3 is a number, as in JSON (YAML 1.1 wants a dot in it)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+"), list("-+0123456789")
)


@dataclass(frozen=True)
class Lesson:
    name: str
    title: str
    summary: str
    order: float
    spec: dict[str, Any]
    views: list[Any]
    controls: list[Any]
    at: int | None
    html: str

    @property
    def entry(self) -> dict[str, Any]:
        """What the catalog tells."""
        return {"name": self.name, "title": self.title, "summary": self.summary, "order": self.order}

    @property
    def page(self) -> dict[str, Any]:
        """What its page needs."""
        return asdict(self)


@cache
def _markdown() -> MarkdownIt:
    converter = LatexToMathML()

    def mathml(tex: str, options: dict[str, Any]) -> str:
        return converter.convert_with_local_state(tex.strip(), displaystyle=options["display_mode"])

    markdown = MarkdownIt("commonmark", {"html": False, "typographer": True}).enable(
        ["table", "smartquotes", "replacements"]
    )
    return markdown.use(front_matter_plugin).use(dollarmath_plugin, renderer=mathml, allow_labels=False)


def read(path: Path) -> Lesson:
    """The lesson in a file, or `LessonError`."""
    try:
        markdown = _markdown()
        text = path.read_text("utf-8")
        tokens = markdown.parse(text)
        if not tokens or tokens[0].type != "front_matter":
            raise LessonError(f"{path.name}: begins with no front matter")
        front = yaml.load(tokens[0].content, _Loader)
        missing = [name for name in ("title", "summary", "spec") if name not in front]
        if missing:
            raise LessonError(f"{path.name}: its front matter has no {', '.join(missing)}")
        unknown = sorted(set(front) - {"title", "summary", "order", "spec", "views", "controls", "at"})
        if unknown:
            raise LessonError(f"{path.name}: its front matter has an unknown {', '.join(unknown)}")
        html = markdown.renderer.render(tokens, markdown.options, {})
    except (yaml.YAMLError, LatexError, UnicodeDecodeError, TypeError) as error:
        raise LessonError(f"{path.name}: {error}") from None
    return Lesson(
        name=path.stem,
        title=front["title"],
        summary=front["summary"],
        order=front.get("order", 0),
        spec=front["spec"],
        views=front.get("views", []),
        controls=front.get("controls", []),
        at=_step(path, front.get("at")),
        html=html,
    )


def _step(path: Path, at: Any) -> int | None:
    if at is not None and (type(at) is not int or at < 0):
        raise LessonError(f"{path.name}: its front matter's at is no step: {at!r}")
    return at


class Lessons:
    """The lessons of a folder, read again when their files change."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._read: dict[Path, tuple[int, Lesson | LessonError]] = {}

    def _lesson(self, path: Path) -> Lesson | LessonError:
        changed = path.stat().st_mtime_ns
        known = self._read.get(path)
        if known is None or known[0] != changed:
            try:
                found: Lesson | LessonError = read(path)
            except LessonError as error:
                log.error("a lesson is left out: %s", error)
                found = error
            self._read[path] = known = (changed, found)
        return known[1]

    def all(self) -> list[Lesson]:
        """Every lesson that can be told, in order."""
        found = [self._lesson(path) for path in self.folder.glob("*.md") if SLUG.fullmatch(path.stem)]
        return sorted((each for each in found if isinstance(each, Lesson)), key=lambda each: (each.order, each.name))

    def get(self, name: str) -> Lesson | None:
        """A lesson by name; None where there is none, `LessonError` where its file is wrong."""
        path = self.folder / f"{name}.md"
        if not SLUG.fullmatch(name) or not path.is_file():
            return None
        found = self._lesson(path)
        if isinstance(found, LessonError):
            raise found
        return found
