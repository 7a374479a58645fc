"""A run's whole trajectory out of its log, one row a lane and step."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import orjson

from secondorder.server.store import Log

CHUNK = b"\nevent: chunk\ndata: "


def _chunks(log: Log) -> list[dict[str, Any]]:
    found = []
    for position in log.positions:
        _, is_chunk, content = log.frames[position].partition(CHUNK)
        if is_chunk:
            found.append(orjson.loads(content))
    return found


def _table(log: Log) -> tuple[list[str], Iterator[list[Any]]]:
    """The header (columns that any lane has, in the order in which they appear, the weights last), and the rows."""
    chunks = _chunks(log)
    names = list(dict.fromkeys(name for chunk in chunks for name in chunk["columns"] if name != "w"))
    width = max((len(w) for chunk in chunks for w in chunk["columns"].get("w", ())[:1]), default=0)

    def rows() -> Iterator[list[Any]]:
        for chunk in sorted(chunks, key=lambda each: (each["lane"], each["first"])):
            columns = chunk["columns"]
            for k in range(len(columns["loss"])):
                row = [columns[name][k] if name in columns else None for name in names]
                weights = columns["w"][k] if "w" in columns else [None] * width
                yield [chunk["lane"], chunk["first"] + k, *row, *weights]

    return ["lane", "step", *names, *(f"w{i}" for i in range(width))], rows()


def as_csv(log: Log) -> bytes:
    """The trajectory as CSV; what is not defined is empty."""
    header, rows = _table(log)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json(log: Log) -> bytes:
    """The trajectory as a list of objects with the same names; what is not defined is null."""
    header, rows = _table(log)
    return orjson.dumps([dict(zip(header, row, strict=True)) for row in rows])
