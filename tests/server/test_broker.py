"""The broker by itself: who is still there, and what a new worker is told first."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from secondorder.server.broker import Broker, Execution, Job, Question
from secondorder.server.metrics import Metrics
from secondorder.server.settings import Settings
from secondorder.server.store import Run


@pytest.mark.parametrize("rounds", range(6))  # of the event loop, between something new and the viewer's leaving
def test_a_viewer_that_leaves_as_something_comes_has_left(rounds):
    async def leaves() -> bool:
        broker, run = Broker(Settings(), None, Metrics()), Run("r", b"{}")
        with broker.watching(run) as changed:
            viewer = asyncio.ensure_future(seen(broker, run, changed))
            await asyncio.sleep(0.01)
            run.append(b"data: 1\n\n", has_id=True)
            for _ in range(rounds):
                await asyncio.sleep(0)
            viewer.cancel()
            _, still_there = await asyncio.wait({viewer}, timeout=0.5)
            viewer.cancel()
        return not still_there

    assert asyncio.run(leaves())


async def seen(broker: Broker, run: Run, changed: asyncio.Event) -> None:
    async for _ in broker.follow(run, -1, changed):
        pass


class Recorder:
    """In a worker's place: it notes what it is told, and is gone."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def send(self, **command: Any) -> None:
        self.told.append(command)

    async def messages(self) -> AsyncIterator[Any]:
        return
        yield

    async def gone(self) -> int:
        return 0


def test_a_new_worker_is_told_first_of_what_somebody_waits_for():
    async def told() -> list[int]:
        broker, worker = Broker(Settings(), None, Metrics()), Recorder()
        for number, (is_left, viewers) in enumerate([(True, 0), (False, 0), (True, 1)], start=2):
            run = Run(f"r{number}", b"{}")
            given = {"do": "run", "job": number}
            broker._jobs[number] = Execution(number, given, run=run, lanes=1, viewers=viewers, was_watched=is_left)
        broker._jobs[1] = Job(1, {"do": "warm", "job": 1})
        broker._jobs[5] = Question(5, {"do": "probe", "job": 5})
        await broker._work_with(worker)  # type: ignore[arg-type]  # a process in its place would hide the order
        return [command["job"] for command in worker.told]

    assert asyncio.run(told()) == [3, 4, 5, 2, 1]
