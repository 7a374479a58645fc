"""How often a client may post, how long a body may take, and that an error never takes the server down."""

import asyncio

import pytest
from fastapi import FastAPI, Request

from secondorder.server import guard
from secondorder.server.metrics import Metrics
from secondorder.server.settings import Settings
from tests.server.local import Local


@pytest.fixture
def site() -> Local:
    """Two routes behind a guard that lets three posts a minute through."""
    app = FastAPI()
    app.add_middleware(guard.Guard, settings=Settings(rate="3/minute", body=100), metrics=Metrics())
    guard.install(app)

    @app.post("/length")
    async def length(request: Request) -> int:
        return len(await request.body())

    @app.get("/bug")
    async def bug() -> None:
        raise KeyError("\ud800")

    return Local(app)


def test_one_post_too_many(site):
    assert [site.post("/length", content=b"x").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = site.post("/length", content=b"x")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.json()["allowed"] == "at most 3 per 1 minute"


def test_who_only_reads_is_not_counted(site):
    assert {site.get("/length").status_code for _ in range(10)} == {405}
    assert site.post("/length", content=b"x").status_code == 200


@pytest.mark.parametrize(("size", "status"), [(0, 200), (100, 200), (101, 413)])
def test_limit_of_a_body(site, size, status):
    assert site.post("/length", content=b"x" * size).status_code == status


def test_body_arrives_whole_though_it_came_in_pieces(site):
    assert site.post("/length", content=[b"x" * 30] * 3).json() == 90


def test_bug_is_told_in_the_same_shape(site):
    answer = site.get("/bug")
    assert answer.status_code == 500
    assert answer.json() == {"message": "internal error (KeyError)", "at": None, "allowed": None}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_body_that_does_not_come(monkeypatch):
    monkeypatch.setattr(guard, "SLOW", 0.05)
    sent = []

    async def send(message):
        sent.append(message)

    async def nothing(*_):
        pytest.fail("the request went through")

    async def never():
        await asyncio.sleep(60)
        return {}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"5")], "client": None}
    asyncio.run(guard.Guard(nothing, Settings(), Metrics())(scope, never, send))
    assert sent[0]["status"] == 408


def test_half_a_surrogate_is_replaced():
    assert guard.printable({"\ud800": ["a\udfff", 1, None]}) == {"?": ["a?", 1, None]}
