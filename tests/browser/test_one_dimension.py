"""One weight, two pictures: the start is dragged on either's axis, and the page has the API's numbers."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.figures import eventually, opened, query, table

VIEW = "one-dimension"
LANES: list[dict[str, Any]] = [{"name": "damped-newton", "damping": 0.1}, {"name": "gradient-descent"}]
OPTIMIZERS = "optimizer=damped-newton&optimizer=gradient-descent"
ADDRESS = f"/?problem=logistic-cost:size=1&start=2.5&{OPTIMIZERS}&steps=9&views={VIEW}&at=2"
UPPER, LOWER = "Start, on the cost’s axis", "Start, on the gradient’s axis"

expect.set_options(timeout=20_000)


def told(page: Page, server: str, start: float, lane: int, step: int) -> tuple[dict[str, Any], list[float]]:
    """What the API answers, and where the lane is at each step."""
    problem = {"name": "logistic-cost", "size": 1}
    run = page.request.post(
        f"{server}/api/runs", data={"problem": problem, "start": [start], "optimizers": LANES, "steps": 9}
    ).json()
    page.request.get(f"{server}{run['events']}").body()
    rows = page.request.get(f"{server}/api/runs/{run['id']}/data.json").json()
    body = {"run": run["id"], "lane": lane, "step": step, "probe": {"name": VIEW}}
    data = page.request.post(f"{server}/api/probes", data=body).json()["data"]
    return data, [row["w0"] for row in rows if row["lane"] == lane]


def written(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def agrees(figure: Locator, data: dict[str, Any], path: list[float], step: int) -> None:
    """The words, the table and so both pictures have the numbers of the answer."""
    rows = table(figure)
    assert len(rows) == 3 + len(data["x"])
    (_, x, loss, g), (_, following, model, zero), (_, taken, *_), *curve = rows
    iterate = data["iterate"]
    assert [float(cell) for cell in (x, loss, g)] == [iterate[name] for name in ("w", "loss", "gradient")]
    assert [float(cell) for cell in (following, model, zero)] == [data["next"], data["model"], 0]
    assert float(taken) == path[step + 1]
    drawn = [[float(cell) for cell in row[1:]] for row in curve]
    assert drawn == [list(row) for row in zip(data["x"], data["loss"], data["gradient"], strict=True)]
    words = figure.locator(".view-readout").last.inner_text()
    for text in (
        f"step {step}: x = {written(iterate['w'])}, g = {written(iterate['gradient'])}",
        f"H = {written(iterate['hessian'])}",
        f"= {written(data['next'])}",
    ):
        assert text in words


def shows(figure: Locator, answer: tuple[dict[str, Any], list[float]], step: int) -> None:
    eventually(lambda: agrees(figure, *answer, step), 60)


def place(handle: Locator) -> float:
    return float((handle.get_attribute("aria-valuetext") or "").removeprefix("x = ").replace("−", "-"))


@pytest.mark.parametrize(
    "page", [{}, {"viewport": PHONE, "color_scheme": "dark"}], indirect=True, ids=["wide", "phone"]
)
def test_the_start_is_dragged_in_either_picture(
    page: Page, server: str, screenshots: Path, request: pytest.FixtureRequest
) -> None:
    figure = opened(page, server + ADDRESS, VIEW)
    shows(figure, told(page, server, 2.5, 0, 2), 2)
    start = 2.5
    for name, by in ((UPPER, 20), (LOWER, -40)):
        handle = figure.get_by_role("slider", name=name)
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + by, y - 9, steps=6)
        page.mouse.up()
        before, start = start, place(handle)
        assert (start - before) * by > 0
        shows(figure, told(page, server, start, 0, 2), 2)
        assert query(page)["start"] == [f"{start:g}"]
    # In the other picture it is the same one.
    assert place(figure.get_by_role("slider", name=UPPER)) == start
    page.screenshot(path=screenshots / f"{VIEW}-{request.node.callspec.id}.png", full_page=True)


def test_by_keys_alone_the_start_moves_and_the_run_is_scrubbed(page: Page, server: str) -> None:
    figure = opened(page, server + ADDRESS, VIEW)
    handle = figure.get_by_role("slider", name=LOWER)
    expect(handle).to_be_visible()
    start = place(handle)
    for key, more in (("ArrowRight", True), ("Shift+ArrowUp", True), ("ArrowDown", False)):
        before = start
        handle.press(key)

        def moved(before: float = before, more: bool = more) -> float:
            now = place(handle)
            assert now != before
            assert (now > before) is more
            return now

        start = eventually(moved)
    shows(figure, told(page, server, start, 0, 2), 2)
    step = page.get_by_role("slider", name="Step", exact=True)
    step.press("ArrowRight")
    shows(figure, told(page, server, start, 0, 3), 3)

    # Gradient descent goes elsewhere than Newton's step, and the page says so.
    page.locator("table.lanes tbody tr").nth(1).get_by_role("button").click()
    data, path = told(page, server, start, 1, 3)
    shows(figure, (data, path), 3)
    assert abs(path[4] - data["next"]) > 0.1
    expect(figure).to_contain_text(f"The lane itself goes to x = {written(path[4])}")
    handle.press("Home")
    eventually(lambda: expect_equal(query(page)["start"], ["2"]))


def expect_equal(found: Any, expected: Any) -> None:
    assert found == expected


def test_a_run_that_diverges_stays_readable(page: Page, server: str) -> None:
    figure = opened(
        page, f"{server}/?problem=logistic-cost:size=1&start=2.2&optimizer=newton&steps=9&views={VIEW}&at=4", VIEW
    )
    expect(figure).to_contain_text("outside the picture on the left")
    xs = eventually(lambda: [float(row[1]) for row in table(figure)[3:]])
    assert -5 < min(xs) < max(xs) < 13
    page.get_by_role("slider", name="Step", exact=True).fill("5")
    expect(figure).to_contain_text("where H = 0 the tangent of ∇J never meets 0")
    expect(figure).to_contain_text("The lane takes no step from here.")


def test_where_the_curvature_is_negative_the_parabola_is_highest_until_it_is_damped(page: Page, server: str) -> None:
    cost = "expression:cost=x^4 - 2*x^2 %2B x/3"
    address = f"{server}/?problem={cost}&start=0.2&optimizer=damped-newton:damping=0,5&steps=5&views={VIEW}&at=0"
    figure = opened(page, address, VIEW)
    words = figure.locator(".view-readout").last
    expect(words).to_contain_text("the parabola is highest: H < 0, and the step goes up. A damping above 3.52")
    page.locator("table.lanes tbody tr").nth(1).get_by_role("button").click()
    expect(words).to_contain_text("there the parabola is least")
    expect(words).to_contain_text("H = −3.52, η = 5")


def test_a_problem_of_one_weight_opens_with_it(page: Page, server: str) -> None:
    page.goto(f"{server}/?problem=logistic-cost:size=1&optimizer=newton&steps=3")
    expect(page.locator("[data-view]").first).to_have_attribute("data-view", VIEW)
    page.goto(f"{server}/?problem=rosenbrock&optimizer=newton&steps=3")
    expect(page.locator("[data-view=landscape]")).to_be_visible()
    expect(page.locator(f"[data-view={VIEW}]")).to_have_count(0)
    why = page.get_by_role("checkbox", name="One dimension")
    expect(why).to_be_disabled()
    assert re.search("one weight", page.locator("label", has=why).get_attribute("title") or "")
