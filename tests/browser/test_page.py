"""The page around the figures: what its address says, what its controls do, what it says when something is wrong."""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.figures import query

expect.set_options(timeout=30_000)  # what is awaited here comes at once on an idle machine

LESSONS = [
    *("newton-one-step", "overshooting", "saddle", "breast-cancer", "network-spectrum", "digits", "autoencoder-race"),
    *("pullback-sampling", "kronecker-factors"),
    "preconditioning",
    "proximal-updates",
    *("compute-trade-offs", "cg-against-gradient-descent"),
    "two-readings",
    "noisy-directions",
    *("invariance", "network-inputs"),
]
SWEEP = (
    "/?problem=logistic-cost&start=3,1&optimizer=damped-newton:damping=0.01,0.1,1&steps=40"
    "&views=curves&axis=passes&at=4&lane=1"
)
BAD = (
    "/?problem=rosenbrok&optimizer=damped-newton:damping=-1;colour=red&optimizer=natural-gradient"
    "&start=1&steps=2.5e9&views=curves,magic"
)
NONSENSE = [
    "?%",
    "?problem=",
    "?problem=%ED%A0%80&optimizer=:=;,",
    "?problem=__proto__&start=NaN",
    "?optimizer=newton:constructor=1",
    "?problem=saddle&steps=1e400&lane=-3&at=x",
]
ONE = "/?problem=saddle&start=1.2,0.3&optimizer=damped-newton&steps=20&views=curves"


def control(page: Page, path: str) -> Locator:
    return page.locator(f'.control[data-path="{path}"]')


def lanes(page: Page) -> Locator:
    return page.locator("table.lanes tbody tr")


def opened(page: Page, address: str) -> None:
    """The page with a finished run."""
    page.goto(address)
    expect(lanes(page).first).to_be_visible()
    expect(lanes(page).filter(has_text="running")).to_have_count(0)


def imported(page: Page, module: str, script: str, argument: Any = None) -> Any:
    """The value of a JavaScript expression over a module's exports, in the page."""
    function = f"async (given) => {{ const m = await import('/static/{module}'); return {script}; }}"
    return page.evaluate(function, argument)


# --- The address ---------------------------------------------------------------------------------------------------


def test_first_visit_runs_something_and_leaves_the_address_alone(page: Page, server: str):
    opened(page, server)
    assert page.title() == "Second Order"
    assert urlparse(page.url).query == ""
    assert lanes(page).count() >= 2
    expect(page.locator(".card")).to_have_count(len(LESSONS))


def test_address_says_the_whole_state(page: Page, server: str):
    opened(page, server + SWEEP)
    expect(lanes(page)).to_have_count(3)
    expect(lanes(page).nth(1).get_by_role("button")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Step", exact=True)).to_have_value("4")
    expect(page.locator("[data-view]")).to_have_count(1)
    assert page.url == server + SWEEP  # nothing was rewritten
    page.get_by_role("button", name="One step on").click()
    page.wait_for_url(re.compile(r"at=5"))
    rest = SWEEP.replace("at=4", "at=5")
    assert page.url == server + rest


def test_every_spec_survives_the_address(page: Page, server: str):
    page.goto(server)
    toy = {
        "problem": {"name": "quadratic", "condition": 1e8, "rotation": -0.25},
        "start": [1e-7, -2.5],
        "optimizers": [{"name": "newton"}, {"name": "adam", "rate": [0.1], "momentum": [0.5, 0.9]}],
        "seed": 3,
        "steps": 7,
        "tolerance": 0,
    }
    data = {
        "problem": {"name": "logistic-regression", "features": ["mean radius", "worst area"], "held_out": 0.25},
        "optimizers": [{"name": "damped-newton", "damping": 1e-12, "adapt": "levenberg-marquardt"}],
        "probes": [{"name": "spectrum", "matrix": "fisher", "every": 2}],
    }
    network = {
        "problem": {"name": "digits-classifier", "widths": [64, 10], "batch": 0},
        "optimizers": [{"name": "lbfgs", "memory": 3}],
    }
    specs = [toy, data, network]
    script = """(async () => {
        const catalog = await (await fetch('/api/catalog')).json();
        const { stateOf } = await import('/static/catalog.js');
        return given.map(spec => m.decode(m.encode(stateOf(spec)), catalog));
    })()"""
    for spec, read in zip(specs, imported(page, "spec.js", script, specs), strict=True):
        assert read["changes"] == []
        assert read["state"]["spec"] == spec


def test_bad_address_falls_back_and_says_so(page: Page, server: str):
    opened(page, server + BAD)
    notice = page.locator(".notice")
    for told in ["rosenbrok", "“-1” was changed to 0", "colour", "Natural", "Start", "2.5e9", "magic"]:
        expect(notice).to_contain_text(told)
    expect(page.get_by_label("Problem", exact=True)).to_have_value("rosenbrock")
    expect(lanes(page)).to_have_count(1)
    notice.get_by_role("button", name="Dismiss").click()
    expect(notice).to_be_empty()


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_in_the_address_still_shows_a_run(page: Page, server: str, nonsense: str):
    opened(page, f"{server}/{nonsense}")
    assert lanes(page).count() >= 1


def test_back_button_undoes_a_choice_and_a_whole_drag(page: Page, server: str):
    opened(page, server + ONE)
    slider = control(page, "optimizers[0].damping").get_by_role("slider")
    box = slider.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in (0.4, 0.5, 0.6, 0.7):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
        page.wait_for_timeout(40)
    page.mouse.up()
    page.wait_for_url(re.compile("damping="))
    page.get_by_label("Problem", exact=True).select_option("himmelblau")
    page.wait_for_url(re.compile("himmelblau"))
    page.go_back()
    page.wait_for_url(re.compile("saddle.*damping="))
    expect(page.get_by_label("Problem", exact=True)).to_have_value("saddle")
    page.go_back()
    page.wait_for_url(server + ONE)
    expect(control(page, "optimizers[0].damping").get_by_role("textbox")).to_have_value("0.1")


# --- Controls ------------------------------------------------------------------------------------------------------


def test_slider_by_keyboard(page: Page, server: str):
    opened(page, server + ONE)
    damping = control(page, "optimizers[0].damping")
    slider, number = damping.get_by_role("slider"), damping.get_by_role("textbox")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(number).to_have_value("0.11")
    page.keyboard.press("PageUp")
    expect(number).to_have_value("1.1")
    page.keyboard.press("End")
    expect(number).to_have_value("1000000")
    page.keyboard.press("Home")
    expect(number).to_have_value("0")
    expect(slider).to_have_attribute("aria-valuetext", "η = 0")
    expect(lanes(page).first).to_contain_text("η = 0")
    assert query(page)["optimizer"] == ["damped-newton:damping=0"]


def test_dragging_shows_the_newest_value_and_no_error(page: Page, server: str):
    opened(page, server + ONE)
    damping = control(page, "optimizers[0].damping")
    damping.get_by_role("slider").evaluate(
        """async (slider) => {
            for (let k = 0; k <= 120; k++) {
                slider.value = k;
                slider.dispatchEvent(new Event("input", {bubbles: true}));
                await new Promise(requestAnimationFrame);
            }
            slider.dispatchEvent(new Event("change", {bubbles: true}));
        }"""
    )
    value = damping.get_by_role("textbox").input_value()
    expect(lanes(page).first).to_contain_text(f"η = {value}")
    page.wait_for_url(re.compile(re.escape(f"damping={value}")))


def test_problem_knob_by_pointer(page: Page, server: str):
    """The slider under the pointer stays while what it changes is drawn anew."""
    opened(page, f"{server}/?problem=quadratic&optimizer=gradient-descent&views=curves")
    condition = control(page, "problem.condition")
    box = condition.get_by_role("slider").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.12, box["y"] + box["height"] / 2)
    page.mouse.down()
    values = []
    for share in (0.3, 0.5, 0.7, 1.0):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
        page.wait_for_timeout(60)
        values.append(float(condition.get_by_role("textbox").input_value()))
    page.mouse.up()
    assert values == sorted(set(values))
    assert values[-1] == 1e10
    page.wait_for_url(re.compile(r"condition=10000000000"))


def test_values_side_by_side(page: Page, server: str):
    opened(page, server + ONE)
    damping = control(page, "optimizers[0].damping")
    damping.get_by_role("button", name="Compare values").click()
    expect(lanes(page)).to_have_count(3)
    assert query(page)["optimizer"] == ["damped-newton:damping=0.01,0.1,1"]
    damping.get_by_role("button", name="Add a value").click()
    expect(lanes(page)).to_have_count(4)
    damping.get_by_role("button", name="Remove value 1").click()
    expect(lanes(page)).to_have_count(3)
    expect(lanes(page).first).to_contain_text("η = 0.1")
    damping.get_by_role("button", name="Compare values").click()
    expect(lanes(page)).to_have_count(1)


@pytest.mark.console(r"status of 422")
def test_error_stands_beside_the_control_that_caused_it(page: Page, server: str):
    opened(page, server + ONE)
    damping = control(page, "optimizers[0].damping")
    number = damping.get_by_role("textbox")
    number.fill("-1")
    number.press("Enter")
    complaint = damping.get_by_role("alert")
    expect(complaint).to_contain_text("greater than or equal to 0")
    expect(number).to_have_attribute("aria-invalid", "true")
    expect(lanes(page)).to_have_count(1)  # the last good run stands
    number.fill("nonsense")
    number.press("Enter")
    expect(complaint).to_contain_text("Write a number")
    number.fill("0.5")
    number.press("Enter")
    expect(complaint).to_be_hidden()
    expect(lanes(page).first).to_contain_text("η = 0.5")


def test_optimizers_come_and_go_and_say_why_not(page: Page, server: str):
    opened(page, server + ONE)
    menu = page.locator("details.menu")
    menu.get_by_text("Add an optimizer").click()
    unfit = menu.locator('[data-name="natural-gradient"]')
    expect(unfit).to_be_disabled()
    expect(unfit).to_contain_text("Does not fit: needs")
    menu.locator('[data-name="gradient-descent"]').click()
    expect(lanes(page)).to_have_count(2)
    page.get_by_role("button", name="Remove Damped Newton").click()
    expect(lanes(page)).to_have_count(1)
    expect(lanes(page).first).to_contain_text("Gradient descent")
    expect(page.get_by_role("button", name="Remove Gradient descent")).to_be_disabled()


def test_another_problem_drops_what_does_not_fit(page: Page, server: str):
    opened(page, f"{server}/?problem=rosenbrock&optimizer=newton&optimizer=gauss-newton&views=curves")
    page.get_by_label("Problem", exact=True).select_option("saddle")
    expect(page.locator(".notice")).to_contain_text("Gauss-Newton does not fit Saddle")
    expect(lanes(page)).to_have_count(1)


def test_two_features_by_name(page: Page, server: str):
    opened(page, f"{server}/?problem=logistic-regression&optimizer=newton&views=curves")
    page.get_by_text("Data and structure").click()
    features = control(page, "problem.features")
    features.get_by_role("button", name="Choose two").click()
    features.get_by_role("combobox").nth(1).select_option("worst area")
    page.wait_for_url(re.compile(r"features=mean\+radius,worst\+area"))
    expect(lanes(page).first).to_contain_text("converged")


def test_player_steps_plays_and_scrubs(page: Page, server: str):
    opened(page, server + ONE)
    scrub = page.get_by_label("Step", exact=True)
    last = int(scrub.input_value())
    assert last > 0
    scrub.focus()
    page.keyboard.press("Home")
    expect(scrub).to_have_attribute("aria-valuetext", f"step 0 of {last}")
    page.keyboard.press("ArrowRight")
    expect(scrub).to_have_value("1")
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


# --- Trouble -------------------------------------------------------------------------------------------------------


@pytest.mark.console(r"ERR_FAILED|status of 503")
def test_a_dead_server_is_told_and_tried_again(page: Page, server: str):
    opened(page, server + ONE)
    answers = ["dead", "busy"]

    def fail(route: Route) -> None:
        if not answers:
            route.continue_()
        elif answers.pop(0) == "dead":
            route.abort()
        else:
            told = {"message": "all places are taken", "at": None, "allowed": None}
            route.fulfill(status=503, headers={"retry-after": "1"}, body=json.dumps(told))

    page.route("**/api/runs", fail)
    number = control(page, "optimizers[0].damping").get_by_role("textbox")
    number.fill("0.5")
    number.press("Enter")
    status = page.locator(".messages .status")
    expect(status).to_contain_text("Trying again")
    expect(status).to_contain_text("all places are taken")
    expect(lanes(page).first).to_contain_text("η = 0.5")
    expect(status).to_be_empty()


def test_a_dropped_stream_goes_on_where_it_stopped(page: Page, server: str):
    """The first answer is cut in the middle of a frame; the second is asked for what is missing."""
    asked: list[str | None] = []

    def cut(route: Route) -> None:
        answer = route.fetch()
        body = answer.body()
        route.fulfill(response=answer, body=body[: body.index(b"event: chunk", body.index(b"event: chunk") + 1) + 40])

    def resume(route: Route) -> None:
        asked.append(route.request.headers.get("last-event-id"))
        route.continue_()

    page.route("**/api/runs", cut)
    page.route("**/api/runs/*/events", resume)
    opened(page, server + ONE)
    assert asked
    assert int(asked[0] or -1) >= 1
    expect(lanes(page).first.locator("td.num").first).not_to_have_text("1")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_event_streams_split_anywhere(page: Page, server: str, size: int):
    page.goto(server)
    text = ("\ufeff: hello\r\n\r\nid: 0\r\nevent: run\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n"
            "event:clock\rdata:x\r\rid: 1\nevent: chunk\ndata: η\nretry: 5\n\ndata: unfinished\n")  # fmt: skip
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    frames = imported(page, "stream.js", "(f => given.flatMap(piece => f.push(piece)))(new m.Frames())", pieces)
    assert frames == [
        {"event": "run", "data": '{"a":\n1}', "id": "0"},
        {"event": "clock", "data": "x", "id": None},
        {"event": "chunk", "data": "η", "id": "1"},
    ]


# --- Lessons -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LESSONS)
def test_lessons_show_prose_formulas_and_their_controls(page: Page, server: str, name: str):
    page.goto(f"{server}/lessons/{name}")
    formula = page.locator("#lesson math").first
    expect(formula).to_be_visible()
    assert (formula.bounding_box() or {})["height"] > 8
    expect(lanes(page).first).to_be_visible()
    lesson = page.request.get(f"{server}/api/lessons/{name}").json()
    assert page.title() == f"{lesson['title']} · Second Order"
    shown = page.locator("#controls .control").evaluate_all("all => all.map(one => one.dataset.path)")
    assert sorted(shown) == sorted(lesson["controls"])
    views = page.locator("[data-view]").evaluate_all("all => all.map(one => one.dataset.view)")
    assert views == lesson["views"]
    page.get_by_role("link", name="Open in the explorer").click()
    page.wait_for_url(re.compile(r"/\?problem="))
    assert query(page)["views"] == [",".join(lesson["views"])]
    expect(page.locator(".notice")).to_be_empty()


def test_a_lesson_opens_with_its_step_and_an_address_with_its_own(page: Page, server: str):
    scrubber = page.get_by_role("slider", name="Step")
    page.goto(f"{server}/lessons/two-readings")
    expect(scrubber).to_have_attribute("max", "6")
    expect(scrubber).to_have_value("0")
    page.get_by_role("link", name="Open in the explorer").click()
    page.wait_for_url(re.compile(r"/\?problem="))
    assert query(page)["at"] == ["0"]
    page.goto(f"{server}/lessons/two-readings?problem=logistic-cost:size=1&start=2.1&optimizer=damped-newton:damping=0")
    expect(scrubber).to_have_value("6")


@pytest.mark.console(r"status of 404")
def test_unknown_lesson(page: Page, server: str):
    page.goto(f"{server}/lessons/none-of-these")
    expect(page.get_by_role("heading", name="There is no such example")).to_be_visible()
    expect(page.locator("#lesson .card")).to_have_count(len(LESSONS))


# --- Elsewhere -----------------------------------------------------------------------------------------------------

HOST = """<!doctype html><title>a course</title><style>iframe {{ border: 0; width: 600px }}</style>
<script>heights = []; addEventListener("message", (event) => heights.push([event.origin, event.data]));</script>
<iframe src="{source}" height="100"></iframe>"""


@pytest.fixture
def hosted() -> Iterator[Callable[[str], str]]:
    """`hosted(html)` is the address of a page of an origin of its own; on this machine, as browsers want it."""
    pages: list[ThreadingHTTPServer] = []

    def serve(html: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(html.encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        pages.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=pages[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{pages[-1].server_port}/"

    yield serve
    for page in pages:
        page.shutdown()
        page.server_close()


def test_embed_in_another_origin_tells_its_height(page: Page, server: str, hosted: Callable[[str], str]):
    page.goto(hosted(HOST.format(source=f"{server}/embed{ONE[1:]}&amp;id=figure-1")))
    frame = page.frame_locator("iframe")
    expect(frame.locator("[data-view]")).to_have_count(1)
    expect(frame.locator("table.lanes")).to_contain_text("Damped Newton")
    expect(frame.locator("header")).to_have_count(0)
    page.wait_for_function("heights.length && heights.at(-1)[1].height > 300")
    origin, told = page.evaluate("heights.at(-1)")
    assert origin == server
    assert told == {"type": "second-order:height", "height": told["height"], "id": "figure-1"}
    link = frame.get_by_role("link", name="Open in Second Order")
    assert link.get_attribute("href") == ONE


def test_embed_leaves_out_what_it_is_told_to(page: Page, server: str):
    page.goto(f"{server}/embed{ONE[1:]}&hide=player,legend,link&theme=dark")
    expect(page.locator("[data-view]")).to_have_count(1)
    expect(page.locator("#player")).to_be_empty()
    expect(page.get_by_role("link")).to_have_count(0)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}], indirect=True)
def test_theme_follows_the_system_until_it_is_chosen(page: Page, server: str):
    page.goto(server + ONE)
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Theme: auto").click()
    expect(root).to_have_attribute("data-theme", "light")
    page.reload()
    expect(root).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Theme: light").click()
    expect(root).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("page", [{"viewport": {"width": 360, "height": 640}}], indirect=True)
def test_narrow_screens_scroll_one_way_and_lift_the_controls(page: Page, server: str):
    opened(page, server + SWEEP)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    button = page.get_by_role("button", name="Controls")
    button.click()
    expect(page.locator("#panel")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()


def test_taking_it_away(page: Page, server: str):
    opened(page, server + ONE)
    for label, expected in [("CSV", "lane,step"), ("JSON", "[{")]:
        href = page.get_by_role("link", name=label, exact=True).get_attribute("href")
        assert page.request.get(server + (href or "")).text().startswith(expected)
    href = page.get_by_role("link", name="Weights at step").get_attribute("href")
    assert page.request.get(server + (href or "")).body()[:2] == b"PK"
    spec = {"problem": {"name": "saddle"}, "optimizers": [{"name": "newton", "list": [1, None, True]}], "steps": 3}
    code = imported(page, "share.js", "m.pythonOf(given)", spec)
    told: dict[str, Any] = {}
    exec(code.replace("so.run(", "dict(").replace("import secondorder as so", "").split("print(")[0], told)
    assert told["run"] == spec


# --- Ending a run ----------------------------------------------------------------------------------------------------


def test_a_run_is_cancelled_while_it_steps(page: Page, server: str):
    page.goto(f"{server}/?problem=digits-autoencoder&optimizer=gradient-descent&steps=50000&views=curves")
    expect(page.get_by_label("Progress of the run")).to_have_attribute("value", re.compile(r"[1-9]"))
    page.get_by_role("button", name="Cancel").click()
    expect(lanes(page).first).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_a_run_is_cancelled_while_it_compiles(page: Page, server: str):
    """Twelve layers that nobody has compiled before: their first step is seconds away."""
    hidden = ",".join(str(8 + (os.getpid() >> k & 7)) for k in range(0, 33, 3))
    page.goto(f"{server}/?problem=digits-autoencoder:widths=64,{hidden},64&optimizer=kfac&views=curves")
    page.get_by_role("button", name="Cancel").click()
    expect(lanes(page).first).to_contain_text("cancelled")
    page.goto(server + ONE)
    expect(lanes(page).first).to_contain_text("converged")
