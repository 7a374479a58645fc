"""The run drawn twice: numbers on the page are the API's, and a crosshair in one picture moves the other's."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.figures import eventually, table

VIEW = "preconditioned-space"
LANES: list[dict[str, Any]] = [
    {"name": "preconditioned-gradient", "damping": 10, "rate": 0.3, "refresh": 3},
    {"name": "gradient-descent"},
]
SPEC: dict[str, Any] = {"problem": {"name": "himmelblau"}, "optimizers": LANES, "steps": 12}
ADDRESS = (
    "/?problem=himmelblau&optimizer=preconditioned-gradient:damping=10;rate=0.3;refresh=3"
    f"&optimizer=gradient-descent&steps=12&views={VIEW}&at=4"
)

expect.set_options(timeout=20_000)


def told(page: Page, server: str, lane: int, step: int, **probe: Any) -> dict[str, Any]:
    """What the API answers."""
    run = page.request.post(f"{server}/api/runs", data=SPEC).json()
    body = {"run": run["id"], "lane": lane, "step": step, "probe": {"name": VIEW, **probe}}
    return page.request.post(f"{server}/api/probes", data=body).json()["data"]


def paths(page: Page, server: str, lane: int) -> np.ndarray:
    run = page.request.post(f"{server}/api/runs", data=SPEC).json()
    page.request.get(f"{server}{run['events']}").body()  # a finished run's whole stream
    rows = page.request.get(f"{server}/api/runs/{run['id']}/data.json").json()
    return np.array([[row["w0"], row["w1"]] for row in rows if row["lane"] == lane])


def opened(page: Page, server: str, address: str = ADDRESS) -> Locator:
    """The view in sight, both data tables open."""
    page.goto(server + address)
    figure = page.locator(f"[data-view={VIEW}]")
    figure.scroll_into_view_if_needed()
    expect(figure.locator("summary")).to_have_count(2)
    for summary in figure.locator("summary", has_text="Data table").all():
        summary.click()
    return figure


def panel(figure: Locator, number: int) -> Locator:
    return figure.locator(".pullback-panel").nth(number)


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def pair(text: str, before: str) -> list[float]:
    """The two numbers in "before(a, b)"."""
    found = re.search(re.escape(before) + r"\(([^,]+), ([^)]+)\)", text)
    assert found, text
    return [number(part) for part in found.groups()]


def condition(figure: Locator, which: int) -> float:
    words = panel(figure, which).locator(".view-readout").inner_text()
    found = re.search(r"condition number of (?:H|H̃ = RᵀHR) is ([\d.e−]+?)[;.](?:\s|$)", words)
    assert found, words
    return number(found[1])


def agrees(figure: Locator, frame: dict[str, Any], here: dict[str, Any], lanes: list[np.ndarray]) -> None:
    """The pictures have the coordinates `frame`, the model `here`, and all points of the lanes."""
    R, inverse, H = np.array(frame["R"]), np.array(frame["inverse"]), np.array(here["hessian"])
    assert condition(figure, 0) == pytest.approx(here["condition"], rel=1e-3)
    assert condition(figure, 1) == pytest.approx(np.linalg.cond(R.T @ H @ R), rel=1e-3)
    words = panel(figure, 1).locator(".view-readout").inner_text()
    assert f"η = {frame['damping']:g}" in words
    shown = re.search(r"R = \((.+?), (.+?); (.+?), (.+?)\)\.", words)
    assert shown, words
    np.testing.assert_allclose([number(part) for part in shown.groups()], R.ravel(), rtol=1e-3)
    for which, image in ((0, lambda w: w), (1, lambda w: (w - np.array(frame["b"])) @ inverse.T)):
        drawn = np.array([[float(cell) for cell in row[2:4]] for row in table(panel(figure, which))])
        np.testing.assert_allclose(drawn, np.concatenate([image(w) for w in lanes]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "page", [{}, {"viewport": PHONE, "color_scheme": "dark"}], indirect=True, ids=["wide", "phone"]
)
def test_the_lanes_own_coordinates_step_and_choices_are_answered(
    page: Page, server: str, screenshots: Path, request: pytest.FixtureRequest
) -> None:
    figure = opened(page, server)
    lanes = [paths(page, server, lane) for lane in (0, 1)]
    # C was measured last at step 3, and the model is that of step 4.
    own = {"matrix": "gauss-newton"}
    eventually(lambda: agrees(figure, told(page, server, 0, 3, **own), told(page, server, 0, 4, **own), lanes), 60)
    expect(panel(figure, 1)).to_contain_text("of step 3")
    page.screenshot(path=screenshots / f"{VIEW}-{request.node.callspec.id}.png")

    page.get_by_role("slider", name="Step", exact=True).fill("9")
    eventually(lambda: agrees(figure, told(page, server, 0, 9, **own), told(page, server, 0, 9, **own), lanes))
    figure.get_by_label("Factor R").select_option("square-root")
    root = own | {"factor": "square-root"}
    eventually(lambda: agrees(figure, told(page, server, 0, 9, **root), told(page, server, 0, 9, **own), lanes))

    # Another lane has no coordinates of its own: those of H, and after that of what is chosen.
    page.locator("table.lanes tbody tr").nth(1).get_by_role("button").click()
    hessian = {"matrix": "hessian", "factor": "square-root", "damping": 0}
    chosen = told(page, server, 1, 9, **hessian)
    eventually(lambda: agrees(figure, chosen, chosen, lanes))
    assert condition(figure, 1) == pytest.approx(1)
    figure.get_by_label("Matrix C").select_option("diagonal")
    damping = figure.locator(f'.control[data-path="{VIEW}.damping"]').get_by_role("textbox")
    damping.fill("25")
    damping.press("Enter")
    damped = told(page, server, 1, 9, matrix="diagonal", factor="square-root", damping=25)
    eventually(lambda: agrees(figure, damped, damped, lanes))


def crosshairs(figure: Locator) -> tuple[np.ndarray, np.ndarray]:
    """Where the crosshair is in w and in w̃, as the words say, and as the handles do."""
    words = figure.locator("p", has_text="Crosshair").inner_text()
    w, image = (np.array(pair(words, before)) for before in ("w = ", "w̃ = "))
    for label, where in (("In w", w), ("In w̃ = R⁻¹(w − b)", image)):
        handle = figure.get_by_role("slider", name=f"Crosshair, {label}", exact=True)
        text = handle.get_attribute("aria-valuetext") or ""
        assert [number(part.partition("=")[2]) for part in text.split(",")] == pytest.approx(where.tolist())
    return w, image


def linked(figure: Locator, frame: dict[str, Any], before: np.ndarray | None = None) -> np.ndarray:
    w, image = crosshairs(figure)
    assert before is None or not np.allclose(w, before)
    size = float(np.linalg.norm(frame["inverse"])) * max(float(np.linalg.norm(w)), 1.0)
    np.testing.assert_allclose(image, np.array(frame["inverse"]) @ (w - np.array(frame["b"])), atol=2e-3 * size)
    return w


def test_a_pointer_in_either_picture_moves_the_other(page: Page, server: str) -> None:
    figure = opened(page, server)
    frame = told(page, server, 0, 3, matrix="gauss-newton")
    iterate = paths(page, server, 0)[4]
    rest = eventually(lambda: linked(figure, frame), 60)
    np.testing.assert_allclose(rest, iterate, rtol=1e-3)
    for which, (right, up) in ((0, (0.7, 0.3)), (1, (0.4, 0.6))):
        canvas = panel(figure, which).locator("canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box
        page.mouse.move(box["x"] + right * box["width"], box["y"] + (1 - up) * box["height"])
        rest = eventually(lambda rest=rest: linked(figure, frame, rest))
    page.mouse.move(5, 5)
    eventually(lambda: np.testing.assert_allclose(linked(figure, frame), iterate, rtol=1e-3))


def test_arrow_keys_move_it_in_either_picture(page: Page, server: str) -> None:
    figure = opened(page, server)
    frame = told(page, server, 0, 3, matrix="gauss-newton")
    iterate = paths(page, server, 0)[4]
    eventually(lambda: linked(figure, frame), 60)
    for label, axis in (("In w", 0), ("In w̃ = R⁻¹(w − b)", 1)):
        handle = figure.get_by_role("slider", name=f"Crosshair, {label}", exact=True)
        before = crosshairs(figure)
        handle.press("ArrowRight")
        one = crosshairs(figure)
        linked(figure, frame, before[0])
        moved = one[axis] - before[axis]
        assert moved[0] > 0
        assert moved[1] == pytest.approx(0, abs=1e-3 * np.abs(before[axis]).max())
        handle.press("Shift+ArrowUp")
        two = crosshairs(figure)[axis]
        assert two[0] == pytest.approx(one[axis][0], rel=1e-3)
        assert two[1] > one[axis][1] + 5 * moved[0]
        handle.press("Home")
        np.testing.assert_allclose(linked(figure, frame), iterate, rtol=1e-3)


def test_where_there_are_no_such_coordinates_the_page_says_so(page: Page, server: str) -> None:
    """At the start of this run the saddle's H is indefinite."""
    figure = opened(page, server, f"/?problem=saddle&optimizer=gradient-descent&steps=5&views={VIEW}&at=0")
    expect(panel(figure, 1)).to_contain_text("the damped matrix C + ηI is not positive definite")
    figure.get_by_label("Matrix C").select_option("identity")
    expect(panel(figure, 1)).to_contain_text("The condition number of H̃ = RᵀHR is")
    expect(panel(figure, 1).locator(".plot-note")).to_be_hidden()


def test_it_is_for_two_weights(page: Page, server: str) -> None:
    page.goto(f"{server}/?problem=regression-network&optimizer=gradient-descent&steps=2")
    expect(page.locator("[data-view=curves]")).to_be_visible()
    expect(page.locator(f"[data-view={VIEW}]")).to_have_count(0)
