"""Reads a run's events as a reader of the stream does: from their JSON."""

from typing import Any

import numpy as np
import orjson

from secondorder.run import Event, events
from secondorder.spec import parse


def told(**fields: Any) -> list[Event]:
    """All events of a spec."""
    return list(events(parse(fields)))


def encode(event: Event) -> bytes:
    """An event as it is sent."""
    return orjson.dumps([event.kind, event.data], option=orjson.OPT_SERIALIZE_NUMPY)


def read(told: list[Event]) -> list[tuple[str, Any]]:
    """Events as they are read: kind and data, NaN as None."""
    return [tuple(orjson.loads(encode(event))) for event in told]


def lasting(told: list[Event]) -> list[bytes]:
    """What a replay must repeat to the byte: all but the clock."""
    return [encode(event) for event in told if event.kind != "clock"]


def rows(told: list[Event], lane: int = 0) -> dict[str, np.ndarray]:
    """The columns of one lane, null as NaN; its chunks must follow each other without a gap, columns of one length."""
    columns: dict[str, list] = {}
    following = 0
    for kind, data in read(told):
        if kind == "chunk" and data["lane"] == lane:
            assert data["first"] == following
            (length,) = {len(column) for column in data["columns"].values()}
            assert length > 0
            following += length
            for name, column in data["columns"].items():
                columns.setdefault(name, []).extend(column)
    return {name: np.array(column, float) for name, column in columns.items()}


def ends(told: list[Event]) -> list[dict[str, Any]]:
    """What the last event says of each lane."""
    assert told[-1].kind == "end"
    return told[-1].data["lanes"]
