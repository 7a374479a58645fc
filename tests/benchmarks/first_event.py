"""From a POST to the first event of a run of kfac on the small autoencoder, as a client on the same machine sees it.

Warm: the worker has run the program before, with another damping. Cold: a server just started, its worker ready, whose
compiled programs lie in the cache on disk. When the first step is told stands beside it.
"""

import tempfile
import time
from collections.abc import Iterator

import httpx

from tests.benchmarks.measure import Row, milliseconds
from tests.serving import server

WARM, COLD = 20, 5


def arrivals(client: httpx.Client, damping: float) -> dict[str, float]:
    """Seconds from the POST until the first event of each kind; the stream is read to its end."""
    seen: dict[str, float] = {}
    optimizers = [{"name": "kfac", "damping": damping}]
    spec = {"problem": {"name": "digits-autoencoder"}, "optimizers": optimizers, "steps": 20, "tolerance": 0}
    headers = {"accept": "text/event-stream"}
    began = time.perf_counter()
    with client.stream("POST", "/api/runs", json=spec, headers=headers) as response:
        for line in response.iter_lines():
            if line.startswith("event: "):
                seen.setdefault(line.removeprefix("event: "), time.perf_counter() - began)
    return seen


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as cache:
        first, *others = [started(cache, 1) for _ in range(COLD + 1)]
        warm = started(cache, WARM + 1)[1:]
    cold = [times[0] for times in others]
    what = "kfac on the small autoencoder, POST to the first event"
    yield Row(f"{what}, warm", "< 10 ms", *both(warm))
    yield Row(f"{what}, cold process, programs in the cache", "< 1000 ms", *both(cold))
    note = "every program is compiled"
    yield Row(f"{what}, cold process, nothing in the cache", "", f"{1000 * first[0]['run']:.0f} ms",
              f"first step after {1000 * first[0]['chunk']:.0f} ms; {note}")  # fmt: skip


def both(times: list[dict[str, float]]) -> tuple[str, str]:
    run, chunk = (milliseconds([each[kind] for each in times]) for kind in ("run", "chunk"))
    return run, f"first step after {chunk}"


def started(cache: str, runs: int) -> list[dict[str, float]]:
    """So many runs, one after the other, on a server of its own."""
    with (
        server(SECONDORDER_CACHE=cache, SECONDORDER_WARM="0") as fresh,
        httpx.Client(base_url=fresh.address, timeout=120) as client,
    ):
        fresh.wait_until_ready()
        time.sleep(1)  # as long as a reader takes at least to find the button
        return [arrivals(client, 1 + 0.01 * k) for k in range(runs)]
