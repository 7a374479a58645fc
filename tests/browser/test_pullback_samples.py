"""The view of pullback samples: what is drawn is what the API says, for the knobs, the step and the lane shown."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.figures import eventually, table

SPEC: dict[str, Any] = {
    "problem": {"name": "linear-regression"},
    "optimizers": [{"name": "pullback-diagonal"}, {"name": "gradient-descent"}],
    "steps": 12,
}
ADDRESS = (
    "/?problem=linear-regression&optimizer=pullback-diagonal&optimizer=gradient-descent&steps=12"
    "&views=pullback-samples&at=4"
)
MATRICES = ["fisher", "covariance", "average", "empirical_fisher"]

expect.set_options(timeout=20_000)


def told(page: Page, server: str, lane: int, step: int, **knobs: float) -> dict[str, Any]:
    """What the API answers."""
    run = page.request.post(f"{server}/api/runs", data=SPEC).json()
    body = {"run": run["id"], "lane": lane, "step": step, "probe": {"name": "pullback-samples", **knobs}}
    return page.request.post(f"{server}/api/probes", data=body).json()["data"]


def opened(page: Page, server: str) -> Locator:
    """The view in sight, both data tables open."""
    page.goto(server + ADDRESS)
    figure = page.locator("[data-view=pullback-samples]")
    figure.scroll_into_view_if_needed()
    expect(figure.locator("summary")).to_have_count(2)
    for summary in figure.locator("summary", has_text="Data table").all():
        summary.click()
    return figure


def panel(figure: Locator, label: str) -> Locator:
    return figure.locator(".pullback-panel", has=figure.page.get_by_role("heading", name=label))


def agrees(figure: Locator, data: dict[str, Any]) -> None:
    """Both tables have the answer's numbers, and the words its errors."""
    rows = table(panel(figure, "All inputs together"))
    expected = [[data[name][0][0], data[name][0][1], data[name][1][1], data["error"].get(name, 0)] for name in MATRICES]
    assert [[float(cell) for cell in row[1:5]] for row in rows] == expected
    gradients = [gradient for one in data["inputs"] for gradient in one["gradients"]]
    rows = table(panel(figure, "Inputs one by one"))
    assert [[float(cell) for cell in row[3:]] for row in rows] == gradients
    words = panel(figure, "All inputs together").locator(".view-readout").inner_text()
    assert f"With S = {data['samples']} " in words
    off = float(f"{100 * data['error']['covariance']:.3g}")
    assert f"{off:g} % off F" in words


@pytest.mark.parametrize(
    "page", [{}, {"viewport": PHONE, "color_scheme": "dark"}], indirect=True, ids=["wide", "phone"]
)
def test_samples_decay_step_and_lane_are_answered(
    page: Page, server: str, screenshots: Path, request: pytest.FixtureRequest
) -> None:
    figure = opened(page, server)
    eventually(lambda: agrees(figure, told(page, server, 0, 4)), 60)
    page.screenshot(path=screenshots / f"pullback-samples-{request.node.callspec.id}.png")
    assert panel(figure, "Inputs one by one").locator(".plot-overlay").is_visible()

    samples = figure.locator('.control[data-path="pullback-samples.samples"]')
    samples.get_by_role("slider").press("PageUp")
    chosen = float(samples.get_by_role("textbox").input_value())
    assert chosen > 100
    decay = figure.locator('.control[data-path="pullback-samples.decay"]').get_by_role("textbox")
    decay.fill("0.5")
    decay.press("Enter")
    eventually(lambda: agrees(figure, told(page, server, 0, 4, samples=chosen, decay=0.5)))
    expect(figure).to_contain_text("1/(1 − η) = 2 samples")

    page.get_by_role("slider", name="Step", exact=True).fill("9")
    eventually(lambda: agrees(figure, told(page, server, 0, 9, samples=chosen, decay=0.5)))
    page.locator("table.lanes tbody tr").nth(1).get_by_role("button").click()
    eventually(lambda: agrees(figure, told(page, server, 1, 9, samples=chosen, decay=0.5)))
    expect(figure).to_contain_text("Gradient descent, step 9")


COUNT = """canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, i) => i % 4 === 3 && value > 0).length;
}"""


def pixels(figure: Locator) -> int:
    """How many pixels the overlay of the right panel has drawn."""
    return panel(figure, "All inputs together").locator("canvas").evaluate(COUNT)


def test_each_ellipse_can_be_taken_away(page: Page, server: str) -> None:
    figure = opened(page, server)
    expect(figure).to_contain_text("It is not F")
    for name in ("empirical Fisher", "moving average", "covariance of the samples", "Fisher F", "level sets"):
        box = figure.get_by_role("checkbox", name=name, exact=True)
        expect(box).to_be_checked()
        before = pixels(figure)
        assert before > 0
        box.press("Space")

        def other(before: int = before) -> None:
            assert pixels(figure) != before

        eventually(other)


def test_it_is_for_two_weights_of_a_model_that_predicts(page: Page, server: str) -> None:
    page.goto(f"{server}/?problem=rosenbrock&optimizer=newton")
    expect(page.locator("[data-view=landscape]")).to_be_visible()
    expect(page.locator("[data-view=pullback-samples]")).to_have_count(0)
