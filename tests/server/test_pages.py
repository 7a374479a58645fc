"""Pages, files and lessons: what they allow, how they are cached, what is found where."""

import gzip
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from secondorder.server.api import create_app
from secondorder.server.files import Content
from secondorder.server.settings import Settings
from tests.server.local import Local

INDEX = '<!doctype html><title>x</title><meta name="plotly" content="/plotly.min.js">'
LESSON = """---
title: One step
summary: A quadratic has one Newton step.
order: 2
spec: {problem: {name: quadratic}, optimizers: [{name: newton}]}
views: [landscape]
---
The step $-H^{-1} \\nabla J$ of

$$\\mathcal{J}(w) = \\tfrac{1}{2} w^T H w$$
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page's files, small ones."""
    page = tmp_path / "frontend"
    (page / "lessons").mkdir(parents=True)
    (page / "index.html").write_text(INDEX)
    (page / "embed.html").write_text(INDEX)
    (page / "main.js").write_text("export const answer = 42;\n" * 200)
    (page / "lessons" / "one-step.md").write_text(LESSON)
    (tmp_path / "secret").write_text("secret")
    return page


@pytest.fixture
def site(folder: Path, tmp_path: Path) -> Local:
    """The application without its worker."""
    return Local(create_app(Settings(frontend=folder, cache=tmp_path / "cache")))


def policy(answer: httpx.Response) -> dict[str, str]:
    directives = [each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; ")]
    return {each[0]: each[1] for each in directives}


class TestPages:
    @pytest.mark.parametrize("path", ["/", "/embed", "/lessons/one-step"])
    def test_nothing_from_elsewhere(self, site, path):
        told = policy(site.get(path))
        assert (told["default-src"], told["script-src"], told["connect-src"]) == ("'none'", "'self'", "'self'")

    @pytest.mark.parametrize(("path", "who"), [("/", "'self'"), ("/lessons/one-step", "'self'"), ("/embed", "*")])
    def test_in_whose_frame(self, site, path, who):
        assert policy(site.get(path))["frame-ancestors"] == who

    def test_other_answers_allow_nothing(self, site):
        answer = site.get("/api/catalog")
        assert policy(answer) == {"default-src": "'none'", "frame-ancestors": "'none'"}
        assert answer.headers["x-content-type-options"] == "nosniff"

    def test_names_plotly_by_its_version(self, site):
        assert f'content="/plotly.min.js?v={version("plotly")}"' in site.get("/").text

    def test_unknown_lesson_is_a_page_for_a_browser(self, site):
        answer = site.get("/lessons/nothing", headers={"accept": "text/html"})
        assert (answer.status_code, "<title>" in answer.text) == (404, True)

    def test_head(self, site):
        answer = site.head("/")
        assert (answer.status_code, answer.content) == (200, b"")


class TestFiles:
    def test_module(self, site):
        answer = site.get("/static/main.js")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-encoding"] == "gzip"

    def test_plain_for_who_cannot_unpack(self, site, folder):
        answer = site.get("/static/main.js", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in answer.headers
        assert answer.content == (folder / "main.js").read_bytes()

    def test_is_sent_again_only_when_changed(self, site, folder):
        tag = {"if-none-match": site.get("/static/main.js").headers["etag"]}
        assert site.get("/static/main.js", headers=tag).status_code == 304
        (folder / "main.js").write_text("export const answer = 43;\n")
        assert site.get("/static/main.js", headers=tag).status_code == 200

    def test_link_out_of_the_folder(self, site, folder):
        (folder / "way-out").symlink_to(folder.parent / "secret")
        assert site.get("/static/way-out").status_code == 404

    def test_plotly(self, site):
        answer = site.get(f"/plotly.min.js?v={version('plotly')}")
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.text.lstrip().startswith("/**")

    def test_plotly_is_compressed_once(self, site, tmp_path):
        site.get("/plotly.min.js")
        (kept,) = (tmp_path / "cache").glob("plotly-*.gz")
        kept.write_bytes(gzip.compress(b"kept"))
        again = Local(create_app(Settings(frontend=tmp_path, cache=tmp_path / "cache")))
        assert again.get("/plotly.min.js").text == "kept"

    def test_plotly_of_another_version_is_not_kept(self, site):
        assert site.get("/plotly.min.js?v=0").headers["cache-control"] == "no-cache"

    def test_mathematical_font(self, site):
        answer = site.get("/fonts/STIXTwoMath-Regular.ttf")
        assert (answer.headers["content-type"], answer.content[:4]) == ("font/ttf", b"\0\1\0\0")


@pytest.mark.parametrize(
    ("body", "media", "is_compressed"),
    [(b"x" * 5000, "text/csv", True), (b"x" * 5000, "image/png", False), (b"x" * 50, "text/csv", False)],
)
def test_compressed_where_it_pays(body, media, is_compressed):
    assert (Content.of(body, media).compressed is not None) is is_compressed


class TestLessons:
    def test_what_a_page_needs(self, site):
        told = site.get("/api/lessons/one-step").json()
        assert set(told) == {"name", "title", "summary", "order", "spec", "views", "controls", "at", "html"}
        assert told["spec"]["optimizers"] == [{"name": "newton"}]

    def test_the_step_that_it_opens_with(self, site, folder):
        assert site.get("/api/lessons/one-step").json()["at"] is None
        (folder / "lessons" / "one-step.md").write_text(LESSON.replace("order: 2", "order: 2\nat: 3"))
        assert site.get("/api/lessons/one-step").json()["at"] == 3

    def test_formulas(self, site):
        html = site.get("/api/lessons/one-step").json()["html"]
        assert html.count("<math") == 2
        assert html.count('display="block"') == 1
        assert "$" not in html

    def test_in_the_catalog(self, site):
        entry = {"name": "one-step", "title": "One step", "summary": "A quadratic has one Newton step.", "order": 2}
        assert site.get("/api/catalog").json()["lessons"] == [entry]

    def test_new_lesson_is_seen(self, site, folder):
        site.get("/api/catalog")
        (folder / "lessons" / "another.md").write_text(LESSON.replace("order: 2", "order: 1"))
        assert [entry["name"] for entry in site.get("/api/catalog").json()["lessons"]] == ["another", "one-step"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("no front matter", "front matter"),
            ("---\ntitle: x\n---\n", "summary, spec"),
            ("---\ntitle: [x\n---\n", "wrong.md"),
            (LESSON.replace("order: 2", "ordre: 2"), "unknown ordre"),
            (LESSON.replace("order: 2", "at: -1"), "at is no step: -1"),
            (LESSON.replace("order: 2", "at: end"), "at is no step: 'end'"),
            (LESSON.replace("$-H^{-1}", "$\\frac{"), "wrong.md"),
        ],
    )
    def test_wrong_one_says_why_and_the_others_stand(self, site, folder, text, said):
        (folder / "lessons" / "wrong.md").write_text(text)
        answer = site.get("/api/lessons/wrong")
        assert (answer.status_code, said in answer.json()["message"]) == (500, True)
        assert [entry["name"] for entry in site.get("/api/catalog").json()["lessons"]] == ["one-step"]

    def test_numbers_are_those_of_json(self, site, folder):
        text = LESSON.replace("{name: newton}", "{name: damped-newton, damping: [1e-3, 2E+1, 0.5]}")
        (folder / "lessons" / "one-step.md").write_text(text)
        told = site.get("/api/lessons/one-step").json()
        assert told["spec"]["optimizers"][0]["damping"] == [1e-3, 20.0, 0.5]

    def test_markup_in_prose_stays_text(self, site, folder):
        (folder / "lessons" / "one-step.md").write_text(LESSON + "\n<script>alert(1)</script>\n")
        assert "<script>" not in site.get("/api/lessons/one-step").json()["html"]

    @pytest.mark.parametrize("name", ["../../secret", "..%2f..%2fsecret", "One-Step", "one-step.md", "-"])
    def test_name_is_no_path(self, site, name):
        assert site.get(f"/api/lessons/{name}").status_code == 404
