"""The whole path on real data: breast cancer fitted in the page by Newton, gradient descent and a damped method."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import PHONE
from tests.browser.figures import eventually, opened, table

SPEC: dict[str, Any] = {
    "problem": {"name": "logistic-regression"},
    "optimizers": [{"name": "newton"}, {"name": "gradient-descent"}, {"name": "damped-newton", "damping": 0.1}],
    "steps": 20,
}
METHODS = ["newton", "gradient-descent", "damped-newton:damping=0.1"]
ADDRESS = "/?problem=logistic-regression&steps=20" + "".join(f"&optimizer={method}" for method in METHODS)
LABELS = ["Newton", "Gradient descent", "Damped Newton"]


def finished(page: Page, server: str, damping: float) -> str:
    """The id of the API's own run with this damping, when it has ended."""
    spec = SPEC | {"optimizers": [*SPEC["optimizers"][:2], {"name": "damped-newton", "damping": damping}]}
    run = page.request.post(f"{server}/api/runs", data=spec).json()
    page.request.get(f"{server}{run['events']}").body()
    return run["id"]


def losses(page: Page, server: str, damping: float) -> list[list[float]]:
    """J of each lane, row by row, as the API has it."""
    rows = page.request.get(f"{server}/api/runs/{finished(page, server, damping)}/data.json").json()
    return [[row["loss"] for row in rows if row["lane"] == lane] for lane in range(len(LABELS))]


def points(page: Page, server: str, damping: float) -> list[list[list[float]]]:
    """Each lane's path in the run's slice, as the API has it."""
    body = {"run": finished(page, server, damping), "lane": 0, "step": 0, "probe": {"name": "landscape"}}
    return page.request.post(f"{server}/api/probes", data=body).json()["data"]["paths"]


def drawn_losses(page: Page) -> list[list[float]]:
    rows = table(page.locator("[data-view=curves]"))
    return [[float(row[3]) for row in rows if row[0].startswith(label)] for label in LABELS]


def drawn_points(page: Page) -> list[list[list[float]]]:
    rows = [row for row in table(page.locator("[data-view=landscape]")) if ":" not in row[0]]
    return [[[float(x) for x in row[2:4]] for row in rows if row[0].startswith(label)] for label in LABELS]


@pytest.mark.parametrize(
    "page", [{}, {"viewport": PHONE, "color_scheme": "dark"}], indirect=True, ids=["wide", "phone"]
)
def test_moving_the_damping_draws_what_the_api_says(
    page: Page, server: str, screenshots: Path, request: pytest.FixtureRequest
) -> None:
    opened(page, server + ADDRESS, "curves")
    page.locator("[data-view=landscape] summary", has_text="Data table").click()

    def agree(damping: float) -> None:
        for drawn, told in zip(drawn_losses(page), losses(page, server, damping), strict=True):
            assert drawn == pytest.approx(told, rel=1e-3)
        for path, expected in zip(drawn_points(page), points(page, server, damping), strict=True):
            assert len(path) == len(expected)
            for point, other in zip(path, expected, strict=True):
                assert point == pytest.approx(other, rel=1e-3, abs=1e-3)

    eventually(lambda: agree(0.1), 60)
    before = drawn_losses(page), drawn_points(page)
    name = request.node.callspec.id
    page.screenshot(path=screenshots / f"breast-cancer-{name}.png", full_page=True)

    control = page.locator('.control[data-path="optimizers[2].damping"]')
    control.get_by_role("slider").focus()
    page.keyboard.press("PageDown")
    damping = float(control.get_by_role("textbox").input_value())
    assert damping < 0.1
    eventually(lambda: agree(damping))
    after = drawn_losses(page), drawn_points(page)
    assert after[0][0] == before[0][0]  # Newton has no damping
    assert after[0][2] != before[0][2]
    assert after[1][2] != before[1][2]
    page.screenshot(path=screenshots / f"breast-cancer-{name}-less-damped.png", full_page=True)
