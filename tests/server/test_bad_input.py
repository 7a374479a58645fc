"""Every body, address and header that denotes nothing is refused in one shape, and harms nothing."""

import http.client
import socket
from typing import Any

import httpx
import orjson
import pytest

from tests.server.events import short

NEWTON = {"name": "newton"}
DAMPED = {"name": "damped-newton"}
GAUSS_NEWTON = {"name": "gauss-newton"}
TOY = {"name": "rosenbrock"}


def spec(**fields: Any) -> dict[str, Any]:
    return {"problem": TOY, "optimizers": [NEWTON], **fields}


def check(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error's fields, in the one shape that errors have."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert set(told) == {"message", "at", "allowed"}
    assert told["message"]
    answer.text.encode()  # what was refused is not told in bytes that are no text
    return told


@pytest.fixture(autouse=True)
def _harms_nothing(client):
    yield
    assert client.post("/api/runs", json=spec(steps=3)).status_code in (200, 201)


REFUSED = {
    "unknown field": (spec(colour="red"), "colour"),
    "unknown field of a problem": (spec(problem={**TOY, "colour": 1}), "problem.colour"),
    "unknown problem": (spec(problem={"name": "nothing"}), "problem.name"),
    "unknown optimizer": (spec(optimizers=[{"name": "nothing"}]), "optimizers[0].name"),
    "unknown probe": (spec(probes=[{"name": "nothing"}]), "probes[0].name"),
    "no problem": ({"optimizers": [NEWTON]}, "problem"),
    "no optimizers": (spec(optimizers=[]), "optimizers"),
    "optimizers missing": ({"problem": TOY}, "optimizers"),
    "wrong type": (spec(steps="many"), "steps"),
    "number as a string": (spec(steps="5"), "steps"),
    "boolean for a number": (spec(steps=True), "steps"),
    "boolean for a knob": (spec(optimizers=[{**DAMPED, "damping": True}]), "optimizers[0].damping"),
    "null for a knob": (spec(optimizers=[{**DAMPED, "damping": None}]), "optimizers[0].damping"),
    "null in a list of knobs": (spec(optimizers=[{**DAMPED, "damping": [0.1, None]}]), "optimizers[0].damping[1]"),
    "start too short": (spec(start=[1.0]), "start"),
    "start too long": (spec(start=[1.0, 2.0, 3.0]), "start"),
    "start is no list": (spec(start=1.0), "start"),
    "negative damping": (spec(optimizers=[{**DAMPED, "damping": -1}]), "optimizers[0].damping"),
    "0 steps": (spec(steps=0), "steps"),
    "2.5 steps": (spec(steps=2.5), "steps"),
    "10^9 steps": (spec(steps=10**9), "steps"),
    "empty list": (spec(optimizers=[{**DAMPED, "damping": []}]), "optimizers[0].damping"),
    "too many dampings": (spec(optimizers=[{**DAMPED, "damping": [0.5] * 100_000}]), "optimizers[0].damping"),
    "too many lanes": (spec(optimizers=[{**DAMPED, "damping": [0.1] * 200}] * 2), "optimizers"),
    "optimizer that does not fit": (spec(problem={"name": "saddle"}, optimizers=[GAUSS_NEWTON]), "optimizers[0]"),
    "too dear": (
        {
            **spec(problem={"name": "digits-classifier"}, optimizers=[{"name": "adam", "rate": [0.1] * 99}]),
            "steps": 10**5,
        },
        "steps",
    ),
    "a list": ([1, 2], None),
    "a string": ("newton", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(client, case):
    body, at = REFUSED[case]
    assert check(client.post("/api/runs", json=body), 422)["at"] == at


def test_lacking_need_is_told(client):
    told = check(client.post("/api/runs", json=REFUSED["optimizer that does not fit"][0]), 422)
    assert "gauss-newton does not fit saddle: " in told["message"]


def test_limit_of_the_price_is_told(client):
    told = check(client.post("/api/runs", json=REFUSED["too dear"][0]), 422)
    assert "at most" in told["allowed"]


def test_million_dampings(client):
    body = (
        b'{"problem":{"name":"rosenbrock"},"optimizers":[{"name":"damped-newton","damping":[' + b"1," * 10**6 + b"1]}]}"
    )
    check(client.post("/api/runs", content=body), 413)


NOT_JSON = {
    "nothing": b"",
    "no JSON": b"newton",
    "NaN": b'{"steps": NaN}',
    "Infinity": b'{"steps": Infinity}',
    "minus Infinity": b'{"steps": -Infinity}',
    "1e400": b'{"problem":{"name":"rosenbrock"},"optimizers":[{"name":"damped-newton","damping":1e400}]}',
    "no UTF-8": b'{"problem": "\xff\xfe"}',
    "half a surrogate in a key": b'{"\\ud800": 1}',
    "half a surrogate in a name": b'{"problem":{"name":"\\udc00"},"optimizers":[]}',
    "20,000 deep": b"[" * 20_000 + b"]" * 20_000,
    "20,000 objects deep": b'{"problem":' * 20_000 + b"1" + b"}" * 20_000,
    "cut off": b'{"problem":{"name":"rosenb',
    "two documents": b"{} {}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "null byte": b'{"a\x00": 1}',
}


@pytest.mark.parametrize("route", ["/api/runs", "/api/probes"])
@pytest.mark.parametrize("case", NOT_JSON)
def test_not_json(client, case, route):
    answer = client.post(route, content=NOT_JSON[case])
    check(answer, answer.status_code if answer.status_code in (400, 422) else 400)


WRONG_QUESTIONS = {
    "nothing asked": ({"problem": TOY, "at": [0, 0]}, "probe"),
    "nowhere": ({"probe": {"name": "spectrum"}}, None),
    "at two places": ({"problem": TOY, "at": [0, 0], "run": "x", "probe": {"name": "spectrum"}}, None),
    "no weights": ({"problem": TOY, "probe": {"name": "spectrum"}}, "at"),
    "weights of another dimension": ({"problem": TOY, "at": [0], "probe": {"name": "spectrum"}}, "at"),
    "unknown probe": ({"problem": TOY, "at": [0, 0], "probe": {"name": "x"}}, "probe.name"),
}


@pytest.mark.parametrize("case", WRONG_QUESTIONS)
def test_wrong_question(client, case):
    body, at = WRONG_QUESTIONS[case]
    assert check(client.post("/api/probes", json=body), 422)["at"] == at


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/nothing", "/api/runs/x/nothing", "/static/../pyproject.toml", "/%ff%00"]
)
def test_nothing_there(client, path):
    check(client.get(path), 404)


@pytest.mark.parametrize(
    "path",
    ["/static/%2e%2e/pyproject.toml", "/static//etc/passwd", "/static/views", "/static/%00", "/static/" + "x" * 5000],
)
def test_nothing_outside_the_page(client, path):
    check(client.get(f"/static/{path}"), 404)


def test_unknown_lesson(client):
    told = check(client.get("/api/lessons/nothing"), 404)
    assert (told["message"], told["at"]) == ("unknown lesson", "nothing")


def test_page_of_an_unknown_lesson(client):
    check(client.get("/lessons/nothing"), 404)


def test_wrong_method(client):
    told = check(client.put("/api/runs", json={}), 405)
    assert told["allowed"] == ["POST"]


TEN_MEGABYTES = 10 * 2**20


class TestBodyOfTenMegabytes:
    def test_with_its_length(self, client):
        told = check(client.post("/api/runs", content=b"x" * TEN_MEGABYTES), 413)
        assert "bytes" in told["allowed"]

    def test_in_pieces_without_a_length(self, client):
        check(client.post("/api/runs", content=(b"x" * 2**16 for _ in range(160))), 413)

    def test_at_an_address_that_reads_none(self, client):
        check(client.post("/nothing", content=b"x" * TEN_MEGABYTES), 413)

    def test_that_is_announced_first_is_never_sent(self, site):
        host, port = site.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as peer:
            head = (
                f"POST /api/runs HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {TEN_MEGABYTES}\r\n\r\n"
            )
            peer.sendall(head.encode())
            answer = http.client.HTTPResponse(peer)
            answer.begin()
            assert answer.status == 413
            assert orjson.loads(answer.read())["message"]

    def test_of_a_sender_who_reads_only_afterwards(self, site):
        host, port = site.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as peer:
            peer.sendall(f"POST /api/runs HTTP/1.1\r\nHost: x\r\nContent-Length: {TEN_MEGABYTES}\r\n\r\n".encode())
            peer.sendall(b"x" * TEN_MEGABYTES)
            answer = http.client.HTTPResponse(peer)
            answer.begin()
            assert answer.status == 413


def test_body_cut_off(site, client):
    host, port = site.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as peer:
        peer.sendall(b"POST /api/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert client.post("/api/runs", json=short()).status_code == 201
    assert "Traceback" not in site.log
