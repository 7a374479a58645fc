"""Reading event streams as a browser does, and the specs that the tests run."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import orjson

STREAM = {"accept": "text/event-stream"}
_seeds = itertools.count(1)


class Frame(NamedTuple):
    """One frame as it came: its id (None: a clock), its kind, its bytes."""

    id: int | None
    kind: str
    raw: bytes

    @property
    def data(self) -> Any:
        return orjson.loads(self.raw.partition(b"\ndata: ")[2])


def short(**fields: Any) -> dict[str, Any]:
    """A run of a few milliseconds, each call another one."""
    return {
        "problem": {"name": "rosenbrock"},
        "optimizers": [{"name": "gradient-descent", "rate": [1e-4, 1e-3]}],
        "steps": 20,
        "seed": next(_seeds),
        **fields,
    }


def long(**fields: Any) -> dict[str, Any]:
    """A run of several seconds and more than a thousand events, each call another one."""
    return {
        "problem": {"name": "digits-classifier", "batch": 64},
        "optimizers": [{"name": "adam"}],
        "steps": 8000,
        "seed": next(_seeds),
        "tolerance": 0.0,
        **fields,
    }


def frames(chunks: Iterator[bytes]) -> Iterator[Frame]:
    """The frames in a stream's bytes; comments and `retry` are left out."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        for raw in whole:
            fields = dict(line.split(b": ", 1) for line in raw.split(b"\n") if not line.startswith(b":"))
            if b"event" in fields:
                number = int(fields[b"id"]) if b"id" in fields else None
                yield Frame(number, fields[b"event"].decode(), raw + b"\n\n")


def read(response: httpx.Response) -> list[Frame]:
    """All frames of a stream, to its end."""
    assert response.status_code in (200, 201), response.read()
    return list(frames(response.iter_raw()))


def run(client: httpx.Client, spec: dict[str, Any], **headers: str) -> list[Frame]:
    """Posts a spec and reads its stream to the end."""
    with client.stream("POST", "/api/runs", json=spec, headers=STREAM | headers) as response:
        return read(response)


@contextmanager
def under_way(client: httpx.Client, spec: dict[str, Any], events: int = 3) -> Iterator[tuple[str, Iterator[Frame]]]:
    """A run that has told so many events: its id, and the rest of its stream."""
    with client.stream("POST", "/api/runs", json=spec, headers=STREAM) as response:
        assert response.status_code in (200, 201), response.read()
        coming = frames(response.iter_raw())
        first = next(coming)
        for _ in range(events - 1):
            next(coming)
        yield first.data["id"], coming


def ids(found: list[Frame]) -> list[int]:
    """The ids of all frames that have one."""
    return [frame.id for frame in found if frame.id is not None]


def numbered(found: list[Frame]) -> bytes:
    """The bytes of all frames with an id: what a replay must give again."""
    return b"".join(frame.raw for frame in found if frame.id is not None)
