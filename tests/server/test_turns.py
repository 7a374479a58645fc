"""Whose turn it is in the worker: tried on the worker's own loop, with runs that only count."""

import io
import queue
from collections.abc import Iterator

import orjson
import pytest

from secondorder.probing import Answer
from secondorder.run import Event
from secondorder.server import worker as module
from secondorder.server.wire import HEADER, Kind, Message

SPEC = {"problem": {"name": "rosenbrock"}, "optimizers": [{"name": "newton"}]}


class Idle(Exception):
    """Raised in place of waiting for a command."""


class Commands(queue.SimpleQueue):
    def get(self, block: bool = True, timeout: float | None = None):
        if block and self.empty():
            raise Idle
        return super().get(block, timeout)


def chunk(first: int) -> Event:
    return Event("chunk", {"lane": 0, "first": first, "columns": {"loss": [1.0, float("nan")]}})


def counting(_spec: object) -> Iterator[Event]:
    yield Event("run", {})
    for k in range(3):
        yield chunk(2 * k)
        yield Event("clock", {})
    yield Event("end", {"lanes": []})


@pytest.fixture
def worker(monkeypatch) -> module.Worker:
    """A worker whose runs have a turn of one event each."""
    monkeypatch.setattr(module, "events", counting)
    monkeypatch.setattr(module, "SLICE", 0.0)
    found = module.Worker(io.BytesIO(), growth=2**40)
    found.inbox = Commands()
    return found


def said(worker: module.Worker, *commands: dict) -> list[Message]:
    """What a worker says to some commands, until it has nothing to do."""
    for command in commands:
        worker.inbox.put(command)
    assert isinstance(worker.out, io.BytesIO)
    begin = worker.out.tell()
    with pytest.raises(Idle):
        worker.work()
    worker.out.seek(begin)
    found = []
    while head := worker.out.read(HEADER.size):
        size, kind, job, number, lane, step = HEADER.unpack(head)
        found.append(Message(Kind(kind), job, worker.out.read(size), number, lane, step))
    return found


def start(job: int, watched: bool = True) -> dict:
    return {"do": "run", "job": job, "spec": SPEC, "watched": watched}


def turns(messages: list[Message]) -> list[int]:
    return [message.job for message in messages if message.kind in (Kind.FRAME, Kind.END)]


def test_frames_are_numbered_and_clocks_are_not(worker):
    frames = [message for message in said(worker, start(1)) if message.kind in (Kind.FRAME, Kind.END)]
    assert [frame.id for frame in frames] == [0, 1, -1, 2, -1, 3, -1, 4]
    assert frames[1].payload == b'id: 1\nevent: chunk\ndata: {"lane":0,"first":0,"columns":{"loss":[1.0,null]}}\n\n'
    assert frames[2].payload == b"event: clock\ndata: {}\n\n"
    assert frames[-1].kind is Kind.END


def test_last_row_of_a_chunk_is_told(worker):
    assert [(each.lane, each.step) for each in said(worker, start(1)) if each.step >= 0] == [(0, 1), (0, 3), (0, 5)]


def test_runs_take_turns(worker):
    assert turns(said(worker, start(1), start(2)))[:6] == [2, 1, 2, 1, 2, 1]


def test_watched_runs_go_first(worker):
    assert turns(said(worker, start(1), start(2, watched=False))) == [1] * 8 + [2] * 8


def test_run_that_is_watched_again_goes_on(worker):
    commands = start(1), start(2, watched=False), {"do": "watched", "job": 2, "watched": True}
    assert turns(said(worker, *commands))[:4] == [2, 1, 2, 1]


def ask(job: int) -> dict:
    body = {"problem": {"name": "rosenbrock"}, "at": [0, 0], "probe": {"name": "spectrum"}}
    return {"do": "probe", "job": job, "body": body}


@pytest.fixture
def stages(monkeypatch) -> int:
    """The answers to the next question come in so many stages."""
    monkeypatch.setattr(module, "answers", lambda _: (Answer({"stage": k}, k == 3) for k in range(1, 4)))
    return 3


def test_questions_go_before_runs(worker, monkeypatch):
    monkeypatch.setattr(module, "answers", lambda _: iter([Answer({"found": float("nan")}, True)]))
    messages = [each for each in said(worker, start(1), ask(2)) if each.kind is not Kind.TURN]
    told = b'{"name":"spectrum","lane":null,"step":null,"data":{"found":null}}'
    assert messages[0] == Message(Kind.ANSWER, 2, told)


def test_stages_of_an_answer_take_turns_with_runs(worker, stages):
    messages = [each for each in said(worker, start(1), ask(2)) if each.kind not in (Kind.TURN, Kind.DONE)]
    assert [each.job for each in messages][:6] == [2, 1, 2, 1, 2, 1]
    assert [each.kind for each in messages if each.job == 2] == [Kind.PART] * (stages - 1) + [Kind.ANSWER]
    found = [orjson.loads(each.payload) for each in messages if each.job == 2]
    assert [(each["data"]["stage"], each.get("partial")) for each in found] == [(1, True), (2, True), (3, None)]


def test_a_new_question_does_not_wait_for_the_stages_of_another(worker, stages):
    messages = [each for each in said(worker, ask(1), ask(2)) if each.kind in (Kind.PART, Kind.ANSWER)]
    assert [each.job for each in messages] == [1, 2] * stages


def test_stages_go_before_runs_that_nobody_watches(worker, stages):
    messages = said(worker, start(1, watched=False), ask(2))
    jobs = [each.job for each in messages if each.kind in (Kind.PART, Kind.ANSWER, Kind.FRAME)]
    assert jobs[:stages] == [2] * stages


def test_a_question_is_dropped_between_its_stages(worker, monkeypatch):
    """Its first stage is heard of, then comes the word that nobody waits any more."""
    closed = []

    def answers(_request: object) -> Iterator[Answer]:
        try:
            yield Answer({}, False)
            worker.inbox.put({"do": "cancel", "job": 1})
            yield Answer({}, False)
            yield Answer({}, True)
        finally:
            closed.append(True)

    monkeypatch.setattr(module, "answers", answers)
    messages = [each.kind for each in said(worker, ask(1)) if each.kind is not Kind.TURN]
    assert messages == [Kind.PART, Kind.PART, Kind.DONE]
    assert closed


def test_cancelled_run_says_no_more(worker):
    messages = said(worker, start(1), start(2), {"do": "cancel", "job": 1})
    assert Message(Kind.DONE, 1) in messages
    assert set(turns(messages)) == {2}


def test_lessons_are_warmed_when_there_is_nothing_else(worker, monkeypatch):
    monkeypatch.setattr(module, "answers", lambda request: iter([Answer({}, True)]))
    jobs = [message.job for message in said(worker, {"do": "warm", "job": 1, "spec": SPEC}, start(2))]
    assert jobs.index(1) > max(k for k, job in enumerate(jobs) if job == 2)


def test_bug_in_one_run_is_told_and_the_others_go_on(worker, monkeypatch, capsys):
    def broken(spec) -> Iterator[Event]:
        yield Event("run", {})
        if spec.seed:
            raise ZeroDivisionError
        yield Event("end", {"lanes": []})

    monkeypatch.setattr(module, "events", broken)
    messages = said(worker, {**start(1), "spec": {**SPEC, "seed": 1}}, start(2))
    (error,) = [message for message in messages if message.kind is Kind.ERROR]
    assert (error.job, b"ZeroDivisionError" in error.payload) == (1, True)
    assert turns(messages).count(2) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err
