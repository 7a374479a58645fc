"""The figures, on the real page against the real server: what is drawn is what the API says.

Drawn data are read where every reader can read them: in each figure's data table.
"""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.figures import eventually, opened, paths, query, table

ROSENBROCK = "/?problem=rosenbrock&optimizer=newton&optimizer=damped-newton:damping=0.1&steps=30&at=3"
SADDLE = "/?problem=saddle&start=1.2,0.3&optimizer=newton&steps=6"

expect.set_options(timeout=20_000)  # a machine may be busy; no test here is about speed


def begins(figure: Locator, start: list[float]) -> None:
    drawn = paths(figure)
    assert drawn
    assert all(points[0] == pytest.approx(start, abs=2e-3) for points in drawn.values())


def start_of(handle: Locator) -> list[float]:
    told = handle.get_attribute("aria-valuetext") or ""
    start = [float(part.partition("=")[2].replace("−", "-")) for part in told.split(",")]
    assert start != [-1.2, 1]
    return start


def asked(page: Page, server: str, spec: dict[str, Any]) -> dict[str, list[list[float]]]:
    """The same from the API: a run of this spec."""
    run = page.request.post(f"{server}/api/runs", data=spec).json()
    page.request.get(f"{server}{run['events']}").body()  # a finished run's whole stream
    rows = page.request.get(f"{server}/api/runs/{run['id']}/data.json").json()
    labels = [lane["label"] for lane in run["lanes"]]
    return {label: [[r["w0"], r["w1"]] for r in rows if r["lane"] == lane] for lane, label in enumerate(labels)}


def start_in_address(page: Page) -> list[float]:
    told = query(page).get("start")
    assert told
    return [float(number) for number in told[0].split(",")]


def rosenbrock(start: list[float]) -> dict[str, Any]:
    optimizers = [{"name": "newton"}, {"name": "damped-newton", "damping": 0.1}]
    return {"problem": {"name": "rosenbrock"}, "start": start, "optimizers": optimizers, "steps": 30}


def drawn_from(page: Page, server: str, figure: Locator, before: list[float]) -> list[float]:
    """Waits until the drawn paths are the API's for the start that the address says, one other than before."""

    def check() -> list[float]:
        start = start_in_address(page)
        assert start != before
        drawn = paths(figure)
        assert drawn == asked(page, server, rosenbrock(start))
        return start

    return eventually(check)


def test_dragging_the_start_draws_what_the_api_says(page: Page, server: str, screenshots: Any) -> None:
    figure = opened(page, server + ROSENBROCK, "landscape")
    handle = figure.get_by_role("slider", name="Start point")
    expect(handle).to_have_attribute("aria-valuetext", "w0 = −1.2, w1 = 1")
    eventually(lambda: begins(figure, [-1.2, 1]))
    box = handle.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 130, y + 40, steps=25)
    # While it is held the paths follow already.
    eventually(lambda: begins(figure, start_of(handle)))
    page.mouse.up()
    start = drawn_from(page, server, figure, [-1.2, 1])
    assert start[0] > -1.2
    assert start[1] < 1
    page.screenshot(path=screenshots / "landscape-dragged.png")


def test_arrow_keys_move_the_start(page: Page, server: str) -> None:
    figure = opened(page, server + ROSENBROCK, "landscape")
    handle = figure.get_by_role("slider", name="Start point")
    expect(handle).to_have_attribute("aria-valuetext", "w0 = −1.2, w1 = 1")
    eventually(lambda: begins(figure, [-1.2, 1]))
    handle.press("ArrowRight")
    near = drawn_from(page, server, figure, [-1.2, 1])
    assert near[1] == 1
    handle.press("Shift+ArrowRight")
    far = drawn_from(page, server, figure, near)
    assert far[0] - near[0] == pytest.approx(10 * (near[0] + 1.2), rel=0.05)


def test_keys_in_quick_succession_are_one_move(page: Page, server: str) -> None:
    figure = opened(page, server + ROSENBROCK, "landscape")
    handle = figure.get_by_role("slider", name="Start point")
    expect(handle).to_have_attribute("aria-valuetext", "w0 = −1.2, w1 = 1")
    handle.evaluate(PRESS, [["ArrowRight", False], ["ArrowRight", True], ["ArrowRight", False]])
    # Shares of the axis from -2 to 2.
    expect(handle).to_have_attribute("aria-valuetext", "w0 = −0.72, w1 = 1")
    eventually(lambda: ended_at(page, [-0.72, 1]))
    assert drawn_from(page, server, figure, [-1.16, 1]) == [-0.72, 1]
    page.go_back()
    expect(handle).to_have_attribute("aria-valuetext", "w0 = −1.2, w1 = 1")


def test_going_back_ends_a_move(page: Page, server: str) -> None:
    figure = opened(page, server + ROSENBROCK, "landscape")
    handle = figure.get_by_role("slider", name="Start point")
    expect(handle).to_have_attribute("aria-valuetext", "w0 = −1.2, w1 = 1")
    handle.evaluate(PRESS, [["ArrowRight", False]])
    handle.evaluate("() => history.back()")
    expect(handle).to_have_attribute("aria-valuetext", "w0 = −1.2, w1 = 1")
    page.wait_for_timeout(600)  # longer than the time after a key in which the next one belongs to the same move
    expect(handle).to_have_attribute("aria-valuetext", "w0 = −1.2, w1 = 1")
    assert "start" not in query(page)


PRESS = """(handle, keys) => {
  for (const [key, shiftKey] of keys) handle.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey }));
}"""


def ended_at(page: Page, start: list[float]) -> None:
    assert start_in_address(page) == start


def test_scrubbing_moves_the_quadratic_model(page: Page, server: str) -> None:
    figure = opened(page, server + ROSENBROCK, "landscape")
    run = page.request.post(f"{server}/api/runs", data=rosenbrock([-1.2, 1])).json()

    def told(step: int) -> None:
        probe = {"run": run["id"], "lane": 0, "step": step, "probe": {"name": "quadratic-model"}}
        model = page.request.post(f"{server}/api/probes", data=probe).json()["data"]
        rows = [row for row in table(figure) if row[0].startswith("Newton: the model")]
        assert [row[1] for row in rows] == [str(step)]
        assert [float(number) for number in rows[0][2:4]] == pytest.approx(model["minimizer"], rel=1e-9)

    eventually(lambda: told(3))
    page.get_by_role("slider", name="Step", exact=True).fill("1")
    eventually(lambda: told(1))


def test_an_unbounded_model_is_said(page: Page, server: str) -> None:
    figure = opened(page, server + SADDLE + "&at=0", "landscape")
    expect(figure).to_contain_text("unbounded below")
    expect(figure).to_contain_text("Lowest eigenvalue −0.73")  # 3y² − 1 at y = 0.3


def test_a_diverging_lane_leaves_the_picture(page: Page, server: str) -> None:
    figure = opened(page, server + "/?problem=logistic-cost&start=3,2.5&optimizer=newton&steps=20", "landscape")
    expect(figure).to_contain_text("Newton leaves the picture at step")
    expect(figure.get_by_role("slider", name="Start point")).to_be_visible()


def test_spectrum_is_the_apis(page: Page, server: str) -> None:
    address = "/?problem=regression-network&optimizer=gauss-newton&steps=4&at=2&views=spectrum"
    figure = opened(page, server + address, "spectrum")
    spec = {"problem": {"name": "regression-network"}, "optimizers": [{"name": "gauss-newton"}], "steps": 4}
    run = page.request.post(f"{server}/api/runs", data=spec).json()

    def check(matrix: str) -> None:
        probe = {"run": run["id"], "lane": 0, "step": 2, "probe": {"name": "spectrum", "matrix": matrix}}
        data = page.request.post(f"{server}/api/probes", data=probe).json()["data"]
        rows = table(figure)
        assert len(rows) == 321
        assert [float(row[1]) for row in rows] == data["eigenvalues"][::-1]
        assert [float(row[2]) for row in rows] == data["gradient"][::-1]

    eventually(lambda: check("hessian"))
    figure.get_by_label("Matrix").select_option("gauss-newton")
    eventually(lambda: check("gauss-newton"))


CODE = {"name": "digits-autoencoder", "widths": [64, 10, 64]}  # 1354 weights: more than are told exactly


def test_a_spectrum_of_many_weights_is_the_apis_estimate(page: Page, server: str, screenshots: Any) -> None:
    address = "/?problem=digits-autoencoder:widths=64,10,64&optimizer=kfac&steps=3&at=2&views=spectrum"
    figure = opened(page, server + address, "spectrum")
    spec = {"problem": CODE, "optimizers": [{"name": "kfac"}], "steps": 3}
    run = page.request.post(f"{server}/api/runs", data=spec).json()

    def check(matrix: str) -> None:
        probe = {"run": run["id"], "lane": 0, "step": 2, "probe": {"name": "spectrum", "matrix": matrix}}
        data = page.request.post(f"{server}/api/probes", data=probe).json()["data"]
        rows = table(figure)
        gradient, density = ([row for row in rows if row[0] == kind] for kind in ("gradient", "density"))
        assert [float(row[1]) for row in gradient] == data["eigenvalues"][::-1]
        assert [float(row[3]) for row in gradient] == data["gradient"][::-1]
        assert [float(row[1]) for row in density] == data["density"]["eigenvalues"][::-1]
        assert [float(row[2]) for row in density] == data["density"]["density"][::-1]

    eventually(lambda: check("hessian"))
    expect(figure).to_contain_text(
        "estimated from 10 random probes by Lanczos’s method with 64 iterations; 1354 eigenv"
    )
    expect(figure.get_by_label("Method")).to_be_hidden()
    figure.get_by_label("Matrix").select_option("gauss-newton")
    eventually(lambda: check("gauss-newton"))
    page.screenshot(path=screenshots / "spectrum-density.png")


def test_a_small_spectrum_can_be_estimated_to_compare(page: Page, server: str) -> None:
    figure = opened(
        page, f"{server}/?problem=regression-network&optimizer=gauss-newton&steps=2&views=spectrum", "spectrum"
    )
    eventually(lambda: rows_of(figure, 321))
    figure.get_by_label("Method").select_option("lanczos")
    expect(figure).to_contain_text("estimated from 10 random probes")
    figure.get_by_label("Method").select_option("auto")
    eventually(lambda: rows_of(figure, 321))


def rows_of(figure: Locator, count: int) -> None:
    assert len(table(figure)) == count


def test_an_answer_in_stages_is_followed(page: Page, server: str) -> None:
    page.goto(f"{server}/embed?problem=saddle&views=curves")
    body = {
        "problem": {"name": "saddle"},
        "at": [0.3, 0.2],
        "probe": {"name": "spectrum", "method": "lanczos", "probes": 3},
    }
    told = page.evaluate(
        """async (body) => {
          const { server } = await import("/static/stream.js");
          const parts = [], { signal } = new AbortController();
          const whole = await server.probe(body, signal, (told) => parts.push(told));
          return { parts, whole, plain: await server.probe(body, signal) };
        }""",
        body,
    )
    assert [part["data"]["done"] for part in told["parts"]] == [1, 1, 2]
    assert all(part["partial"] for part in told["parts"])
    assert told["whole"] == told["plain"]


def test_a_question_is_given_up_for_a_newer_one_once_it_has_shown_something(page: Page, server: str) -> None:
    page.goto(f"{server}/embed?problem=saddle&views=curves")
    told = page.evaluate(
        """async () => {
          const { asker } = await import("/static/terrain.js");
          const shown = [], given = [];
          const pause = () => new Promise((resolve) => setTimeout(resolve, 5));
          const staged = (name) => async ({ signal, part }) => {
            for (let k = 0; k < 4; k++) {
              await pause();
              signal.throwIfAborted();
              part(`${name}${k}`);
            }
            return `${name} whole`;
          };
          const ask = asker((answer) => shown.push(answer), (message) => given.push(message));
          ask(staged("a"));
          ask(staged("b"));
          while (!shown.includes("b1")) await pause();
          await ask(staged("c"));
          while (!shown.includes("c whole")) await pause();
          return { shown, given };
        }"""
    )
    assert told["given"] == []
    # The first had to show something; the second had shown enough when the third came.
    assert told["shown"][:3] == ["a0", "b0", "b1"]
    assert told["shown"][-5:] == ["c0", "c1", "c2", "c3", "c whole"]
    assert "b3" not in told["shown"]


def test_what_was_known_so_far_gives_way_to_the_answer(page: Page, server: str) -> None:
    page.goto(f"{server}/embed?problem=saddle&views=curves")
    probe = {"name": "spectrum", "step": 0, "lane": 0, "data": 1}
    told = [{**probe, "partial": True}, {**probe, "partial": True, "data": 2}, {**probe, "data": 3}]
    told += [{**probe, "data": 4, "partial": True}, {**probe, "step": 1, "data": 5}]
    kept = page.evaluate(
        """async (told) => {
          const { answered, newLane } = await import("/static/lane.js");
          const lane = newLane({}, 0);
          for (const answer of told) answered(lane, answer);
          return lane.probes.map((answer) => answer.data);
        }""",
        told,
    )
    assert kept == [3, 4, 5]


@pytest.mark.console("status of 422")
def test_a_matrix_that_does_not_apply_is_said(page: Page, server: str) -> None:
    page.goto(server + SADDLE + "&views=spectrum")
    figure = page.locator("[data-view=spectrum]")
    figure.get_by_label("Matrix").select_option("fisher")
    expect(figure.get_by_role("status")).not_to_be_empty()


def test_side_by_side_has_a_panel_a_lane(page: Page, server: str, screenshots: Any) -> None:
    dampings = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300]
    sweep = ",".join(map(str, dampings))
    address = f"/?problem=logistic-cost&start=3,2&optimizer=damped-newton:damping={sweep}&views=multiples"
    figure = opened(page, server + address, "multiples")
    expect(figure.locator(".multiple")).to_have_count(9)
    eventually(lambda: ten_rows(figure))
    first = figure.locator(".multiple").first
    expect(first).to_contain_text("η = 0.01")
    expect(first).to_contain_text("steps")
    page.screenshot(path=screenshots / "multiples.png")
    figure.get_by_role("button", name="Later lanes").click()
    expect(figure.locator(".multiple")).to_have_count(1)
    expect(figure.locator(".multiple")).to_contain_text("η = 300")


def ten_rows(figure: Locator) -> None:
    assert len(table(figure)) == 10


def test_the_curves_cursor_scrubs(page: Page, server: str) -> None:
    figure = opened(page, server + ROSENBROCK + "&views=curves", "curves")
    expect(figure).to_contain_text("Newton, step 3")
    overlay = figure.locator(".plot-plotly .plot-overlay")  # there when Plotly has drawn its axes
    expect(overlay).to_be_attached()
    plot = overlay.bounding_box()
    assert plot
    page.mouse.click(plot["x"] + 1, plot["y"] + plot["height"] / 2)
    expect(figure).to_contain_text("Newton, step 0: loss J = 24.2")
    figure.get_by_label("Show").select_option("gradient_norm")
    expect(figure).to_contain_text("step 0: gradient norm ‖∇J‖ = 232.9")


def test_scrolling_over_a_figure_scrolls_the_page(page: Page, server: str) -> None:
    page.goto(server + ROSENBROCK)
    plot = page.locator("[data-view=landscape] .plot-overlay")
    expect(plot).to_be_visible()
    plot.scroll_into_view_if_needed()
    plot.hover(position={"x": 300, "y": 40}, force=True)
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 150)
    page.wait_for_function("before => scrollY > before", arg=before)


def test_level_sets_of_the_model_are_exact(page: Page, server: str) -> None:
    """On every drawn point J + gᵀd + ½dᵀHd is the level: ellipses, hyperbolas and parabolas alike."""
    page.goto(f"{server}/embed?problem=saddle&views=curves")
    for hessian in ([[2, 0.5], [0.5, 1]], [[2, 1], [1, -3]], [[1, 2], [2, 4]], [[-2, 0], [0, -1]]):
        model = {"at": [0.3, -0.2], "loss": 1.5, "gradient": [0.7, -1.1], "hessian": hessian}
        sets = page.evaluate(
            """async (model) => (await import("/static/geometry.js")).levelSets(model, [[-3, 3], [-3, 3]])""", model
        )
        assert sum(s["through"] for s in sets) == 1
        points = [(s["level"], p) for s in sets for line in s["lines"] for p in line]
        assert len(points) > 200
        for level, (x, y) in points:
            d = (x - 0.3, y + 0.2)
            curved = sum(d[i] * hessian[i][j] * d[j] for i in range(2) for j in range(2)) / 2
            assert 1.5 + 0.7 * d[0] - 1.1 * d[1] + curved == pytest.approx(level, rel=1e-9, abs=1e-9)


def test_leaving_takes_everything_away(page: Page, server: str) -> None:
    page.goto(server + ROSENBROCK)
    figure = page.locator("[data-view=curves]")
    expect(figure.locator(".plot-overlay")).to_be_visible()
    page.get_by_role("checkbox", name="Curves").uncheck()
    expect(figure).to_have_count(0)
    page.get_by_role("checkbox", name="Curves").check()
    expect(figure.locator(".plot-overlay")).to_be_visible()
