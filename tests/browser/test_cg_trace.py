"""The view of conjugate gradients: the numbers on the page are the API's, and its controls ask anew."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.figures import eventually, opened, table

ADDRESS = "/?problem=quadratic:size=6;condition=100&optimizer=hessian-free:iterations=3&steps=5&at=1&views=cg-trace"
SPEC = {
    "problem": {"name": "quadratic", "size": 6, "condition": 100},
    "optimizers": [{"name": "hessian-free", "iterations": 3}],
    "steps": 5,
}
NAMES = {
    "conjugate-gradient": "conjugate gradients",
    "preconditioned": "preconditioned",
    "gradient-descent": "gradient descent",
}

expect.set_options(timeout=20_000)


def asked(page: Page, server: str, step: int, **probe: Any) -> dict[str, Any]:
    run = page.request.post(f"{server}/api/runs", data=SPEC).json()
    question = {"run": run["id"], "lane": 0, "step": step, "probe": {"name": "cg-trace", **probe}}
    return page.request.post(f"{server}/api/probes", data=question).json()["data"]


def number(text: str) -> float | None:
    return float(text) if text else None


def test_every_number_is_the_apis(page: Page, server: str) -> None:
    figure = opened(page, server + ADDRESS, "cg-trace")

    def check(step: int, **probe: Any) -> None:
        data = asked(page, server, step, **probe)
        expected = []
        for curve in data["curves"]:
            bound = (data["bounds"] or {}).get(curve["name"])
            for k, row in enumerate(zip(*(curve[c] for c in ("quadratic", "residual", "error", "loss")), strict=True)):
                limit = bound[k] * data["curves"][0]["error"][0] if bound else None
                expected.append([NAMES[curve["name"]], k, *row, limit])
        told = [[name, int(k), *map(number, numbers)] for name, k, *numbers in table(figure)]
        assert told == expected

    eventually(lambda: check(1))
    expect(figure).to_contain_text("the condition number κ = ")
    page.get_by_role("slider", name="Step", exact=True).fill("3")
    eventually(lambda: check(3))
    figure.get_by_label("Matrix").select_option("hessian")
    eventually(lambda: check(3, matrix="hessian"))
    figure.get_by_label("iterations, as a number").fill("4")
    page.keyboard.press("Enter")
    eventually(lambda: check(3, matrix="hessian", iterations=4))
    figure.get_by_label("damping, as a number").fill("10")
    page.keyboard.press("Enter")
    eventually(lambda: check(3, matrix="hessian", iterations=4, damping=10))
    expect(figure.get_by_label("the lane’s own damping")).not_to_be_checked()
    figure.get_by_label("the lane’s own damping").check()
    eventually(lambda: check(3, matrix="hessian", iterations=4))


def test_the_bounds_are_said_as_numbers_of_iterations(page: Page, server: str) -> None:
    """Beside how many it took, where that many were made."""
    figure = opened(page, server + ADDRESS, "cg-trace")
    expect(figure).to_contain_text("the bounds allow")  # at the lane's own damping
    figure.get_by_label("damping, as a number").fill("0")
    page.keyboard.press("Enter")
    data = asked(page, server, 1, damping=0)
    κ = data["condition"]

    def first(shares: Any) -> int:
        return next(k for k, share in enumerate(shares) if share <= 1e-6)

    cg = first(2 * ((κ**0.5 - 1) / (κ**0.5 + 1)) ** k for k in range(10_000))
    descent = first(((κ - 1) / (κ + 1)) ** k for k in range(10_000))
    error = {curve["name"]: [e / curve["error"][0] for e in curve["error"]] for curve in data["curves"]}
    took = first(error["conjugate-gradient"])
    assert took < cg
    assert min(error["gradient-descent"]) > 1e-6
    expect(figure).to_contain_text(
        f"the bounds allow conjugate gradients {cg} iterations at most (it took {took}),"
        f" gradient descent {descent} iterations at most (it took more than 50)."
    )


def test_negative_curvature_is_said(page: Page, server: str) -> None:
    address = "/?problem=himmelblau&start=0.5,3&optimizer=gradient-descent&steps=3&at=0&views=cg-trace"
    figure = opened(page, server + address, "cg-trace")
    figure.get_by_label("Matrix").select_option("hessian")
    expect(figure).to_contain_text("Hessian H damped by η = 0 is indefinite: it has no condition number")
    expect(figure).to_contain_text("conjugate gradients met negative curvature after 1 iteration,")


def test_curves_and_bounds_can_be_chosen(page: Page, server: str, screenshots: Any) -> None:
    """What is drawn is handed to Plotly when all is at rest."""
    figure = opened(page, server + ADDRESS, "cg-trace")

    def drawn() -> list[str]:
        return figure.locator(".plot-plotly").evaluate("plot => (plot.data ?? []).map((trace) => trace.name)")

    def check(*expected: str) -> None:
        assert drawn() == list(expected)

    cg, precise, descent = "conjugate gradients", "preconditioned", "gradient descent, exact step size"
    bounds = "bound on conjugate gradients", "bound on gradient descent"
    eventually(lambda: check(bounds[0], cg, precise, bounds[1], descent))
    page.screenshot(path=screenshots / "cg-trace.png")
    figure.get_by_label("Show").select_option("loss")
    eventually(lambda: check(cg, precise, descent))
    figure.get_by_label("Show").select_option("error")
    figure.get_by_role("checkbox", name="bounds").uncheck()
    figure.get_by_role("checkbox", name="gradient descent").uncheck()
    eventually(lambda: check(cg, precise))
