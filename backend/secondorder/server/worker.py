"""The process that owns the device: ``python -m secondorder.server.worker CACHE GROWTH``, started and replaced by the
broker.

What is under way is a generator of messages: the events of a run, or the stages of an answer. They take turns, a
message or a few at a time, so that a short run is answered while a long one is under way; between two messages comes
the first stage of new questions (probes, parameters), and what to cancel is looked at. What somebody waits for goes
before runs that nobody watches, and the lessons are compiled when there is nothing else.

Compiled programs are never given back, and every cost that somebody types makes new ones: a worker that has grown
by GROWTH bytes ends when it has nothing to do.
"""

import contextlib
import io
import itertools
import os
import queue
import resource
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import jax
import numpy as np
import orjson

from secondorder import catalog, spec
from secondorder.run import Event, answers, configure, events, first_weights, parameters
from secondorder.server.wire import Kind, Message, read_command

SLICE = 0.02  # seconds of one turn, if it has more than one event
WARMED_EVENTS = 8  # of a lesson's run: enough for every program's first chunk
POINT_PROBES = ("landscape", "quadratic-model", "damping-path", "spectrum")


def encode(data: Any) -> bytes:
    """JSON, NaN and infinities as null, numpy arrays as they are."""
    return orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY, default=lambda array: np.asarray(array).tolist())


def frame(event: Event, number: int) -> bytes:
    """An event as it goes to every viewer; one numbered below 0 has no id and is not counted by who resumes."""
    head = f"id: {number}\n" if number >= 0 else ""
    return b"".join((f"{head}event: {event.kind}\ndata: ".encode(), encode(event.data), b"\n\n"))


def frames(job: int, read: spec.RunSpec) -> Generator[Message, None, None]:
    """The events of a run."""
    numbers = itertools.count()
    with contextlib.closing(events(read)) as happening:
        for event in happening:
            if event.kind == "clock":
                yield Message(Kind.FRAME, job, frame(event, -1))
                continue
            number = next(numbers)
            lane, last = -1, -1
            if event.kind == "chunk":
                lane, last = event.data["lane"], event.data["first"] + len(event.data["columns"]["loss"]) - 1
            kind = Kind.END if event.kind == "end" else Kind.FRAME
            yield Message(kind, job, frame(event, number), number, lane, last)


def replies(job: int, question: dict[str, Any]) -> Generator[Message, None, None]:
    """The answer to a question: a probe as JSON, after each of its stages, or a lane's parameters at a step as .npz."""
    if question["do"] == "probe":
        request = spec.parse_probe(question["body"], find=lambda _: spec.parse(question["spec"]))
        lane, step = (request.lane, request.step) if request.spec else (None, None)
        for answer in answers(request):
            payload = encode(answer.event(name=request.name, lane=lane, step=step))
            yield Message(Kind.ANSWER if answer.whole else Kind.PART, job, payload)
        return
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **parameters(spec.parse(question["spec"]), question["lane"], question["step"]))
    yield Message(Kind.ANSWER, job, file.getvalue())


@dataclass
class UnderWay:
    """A run or a question under way; its last message is an END or an ANSWER."""

    job: int
    messages: Generator[Message, None, None]
    watched: bool = True


def error(job: int, raised: Exception) -> Message:
    """What went wrong, told to who asked; anything but a refusal is a bug, and its trace goes to the log."""
    if isinstance(raised, spec.SpecError):
        told = {"message": raised.message, "at": raised.at, "allowed": raised.allowed, "status": raised.status}
    else:
        traceback.print_exception(raised)
        told = {"message": f"internal error ({type(raised).__name__})", "at": None, "allowed": None, "status": 500}
    return Message(Kind.ERROR, job, encode(told))


def warming(lesson: dict[str, Any]) -> Iterator[None]:
    """Compiles what a lesson needs, a piece at a time: its run's first chunks, and the probes that a page asks."""
    # One step more is another run (a reader's own run of the lesson must not meet this one) of the same programs.
    read = spec.parse(lesson | {"steps": spec.parse(lesson).steps + 1})
    told = events(read)
    for _, _event in zip(range(WARMED_EVENTS + 2 * len(read.lanes)), told, strict=False):
        yield
    told.close()
    start = first_weights(read).tolist()
    for name in POINT_PROBES:
        body = {"problem": read.canonical()["problem"], "at": start, "probe": {"name": name}}
        with contextlib.suppress(spec.SpecError):  # a probe that does not fit the lesson's problem
            next(answers(spec.parse_probe(body)))
        yield


def held() -> int:
    """Bytes of memory that this process holds; where no /proc tells that, the most that it ever held."""
    try:
        with open("/proc/self/statm", "rb") as told:
            return int(told.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Worker:
    def __init__(self, out: BinaryIO, growth: int):
        self.out, self.growth = out, growth
        self.inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.under_way: deque[UnderWay] = deque()
        self.questions: deque[UnderWay] = deque()  # those not yet begun
        self.lessons: deque[tuple[int, Iterator[None]]] = deque()
        self.current = -1

    def hear(self, pipe: BinaryIO) -> None:
        """Reads commands until the other end is gone; then there is nobody to work for."""
        while (heard := read_command(pipe)) is not None:
            self.inbox.put(heard)
        os._exit(0)

    def say(self, message: Message) -> None:
        self.out.write(message.encode())
        self.out.flush()

    def obey(self, command: dict[str, Any]) -> None:
        job = command["job"]
        match command["do"]:
            case "run":
                try:
                    read = spec.parse(command["spec"])
                except Exception as raised:
                    self.say(error(job, raised))
                    return
                # The newest comes first: who moves a slider waits for it.
                self.under_way.appendleft(UnderWay(job, frames(job, read), command["watched"]))
            case "watched":
                for each in self.under_way:
                    if each.job == job:
                        each.watched = command["watched"]
            case "cancel":
                self.drop(job)
                self.say(Message(Kind.DONE, job))
            case "warm":
                self.lessons.append((job, warming(command["spec"])))
            case _:
                self.questions.append(UnderWay(job, replies(job, command)))

    def drop(self, job: int) -> None:
        for waiting in (self.under_way, self.questions):
            for each in [each for each in waiting if each.job == job]:
                waiting.remove(each)
                each.messages.close()

    def begin(self, job: int) -> None:
        """Tells whose turn it is: should the device take the process down, the broker knows whom to blame."""
        if job != self.current:
            self.current = job
            self.say(Message(Kind.TURN, job))

    def turn(self) -> None:
        """One turn of a new question, or else of what is next."""
        waiting = self.questions or self.under_way
        one = next((each for each in waiting if each.watched), waiting[0])
        waiting.remove(one)
        self.begin(one.job)
        began = time.perf_counter()
        try:
            for message in one.messages:
                self.say(message)
                if message.kind in (Kind.END, Kind.ANSWER):
                    return
                if time.perf_counter() - began > SLICE or not self.inbox.empty():
                    break
        except Exception as raised:
            self.say(error(one.job, raised))
        else:
            self.under_way.append(one)

    def warm(self) -> None:
        job, pieces = self.lessons[0]
        self.begin(job)
        try:
            next(pieces)
        except StopIteration:
            self.lessons.popleft()
            self.say(Message(Kind.DONE, job))
        except Exception as raised:
            self.lessons.popleft()
            self.say(error(job, raised))

    def work(self) -> None:
        """Does what it is told, until it is idle and has grown too large."""
        most = held() + self.growth
        while True:
            busy = self.under_way or self.questions or self.lessons
            if not busy:
                has_worked = self.current > 0
                self.begin(0)
                if has_worked and held() > most:
                    return  # what may have been sent meanwhile is sent again to the next one
            try:
                while True:
                    self.obey(self.inbox.get(block=not busy))
                    busy = True
            except queue.Empty:
                pass
            if self.questions or self.under_way:
                self.turn()
            elif self.lessons:
                self.warm()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a library prints must not get between the messages: standard output becomes the log.
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = Worker(io.BufferedWriter(pipe, 2**16), growth=int(sys.argv[2]))
    threading.Thread(target=worker.hear, args=(sys.stdin.buffer,), daemon=True).start()
    configure(sys.argv[1])
    jax.devices()
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more
        worker.say(Message(Kind.HELLO, 0))
        catalog.load()  # before anybody asks: the first run need not wait for that
        worker.work()
    os._exit(0)


if __name__ == "__main__":
    main()
