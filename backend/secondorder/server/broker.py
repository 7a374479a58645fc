"""Between those who ask and the one worker: every run is executed once, however many watch it, and outlives the worker.

A run's log only grows, and a viewer is no more than a place in it, so a thousand viewers cost no more memory than one.
Should the worker die, another takes its place and every unfinished run is executed anew: it is deterministic, so as
many frames as the log already holds are thrown away and the rest goes on where the log ended.

A run ends early when somebody cancels it, or when it has had viewers and has had none for `Settings.grace` seconds. One
that was posted without a stream and that nobody ever watched runs to its end: whoever posted it comes for its data.

Between two chunks the worker hears that a job is cancelled. While it compiles it does not, and compiling cannot be
stopped: a worker that does not let go in time is replaced as soon as anybody else waits for it. That costs half a
second and what the other runs have computed, so it has `Settings.cancelling` seconds, or as long as replaying those
would take, up to `Settings.leaving`. With what was merely left it has that long: a reader who moves on mostly wants the
same program with another number, and a new worker would compile it from the beginning, again and again.

Nor is anybody sure that compiling comes to an end. A job of which nothing has come for `Settings.silence` seconds, and
as long as its price says that one answer or step may take, is given up, and the worker with it.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from secondorder.server.metrics import Metrics
from secondorder.server.settings import Settings
from secondorder.server.store import Recent, Run, State, Store
from secondorder.server.wire import Kind, Message, WorkerProcess
from secondorder.spec import MAX_ANSWER_PRICE, MAX_PRICE, RunSpec

DEATHS = 3  # a job that the worker died of this often is given up
PACE = 5e-5  # seconds that a viewer leaves to each other one before it is sent more, as much as there is by then
AGAIN = 0.1  # seconds after which an overdue worker is looked at again
LISTENING = 0.5  # seconds between two looks at whether the worker is silent
HASTE = 0.5  # seconds: a worker that dies again before it was ready is started anew after 1, 2, 4, … times this

log = logging.getLogger("uvicorn.error")


class Busy(Exception):
    """No room for one more; ``after`` seconds it is worth another try."""

    def __init__(self, after: int = 5):
        super().__init__("the server is busy")
        self.after = after


class Failed(Exception):
    """A question that the worker could not answer: the error as JSON fields, with ``status``."""

    def __init__(self, status: int, message: str, at: str | None = None, allowed: Any = None):
        super().__init__(message)
        self.status, self.message, self.at, self.allowed = status, message, at, allowed


@dataclass
class Job:
    """Something that the worker has been asked to do, as it is sent again to the next one."""

    number: int
    command: dict[str, Any]
    deaths: int = 0
    price: float = 0.0  # seconds between two of its messages, at most, if what they cost is all they take

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self.command["do"] != "warm"


@dataclass
class Execution(Job):
    """A run under way."""

    run: Run = field(kw_only=True)
    lanes: int = field(kw_only=True)
    viewers: int = 0
    was_watched: bool = False
    told_watched: bool = True  # what the worker was last told
    replayed: int = 0  # frames of the log that the present worker has not yet produced again
    expiry: asyncio.TimerHandle | None = None
    since: float = field(default_factory=time.monotonic)
    begun: float | None = None  # when its first event came

    @property
    def is_abandoned(self) -> bool:
        return self.was_watched and not self.viewers

    @property
    def is_awaited(self) -> bool:
        return not self.is_abandoned


class Answer(NamedTuple):
    """What the worker says to a question: all of it, or what is known so far."""

    body: bytes
    whole: bool


@dataclass
class Question(Job):
    """A probe or parameters that somebody waits for."""

    heard: asyncio.Queue[Answer | Exception] = field(kw_only=True, default_factory=asyncio.Queue)
    count: int = 0  # answers heard
    replayed: int = 0  # of these, those that the present worker has not yet given again


class Broker:
    def __init__(self, settings: Settings, store: Store | None, metrics: Metrics):
        self.settings, self.store, self.metrics = settings, store, metrics
        self.recent = Recent(settings.memory)
        self.closed = asyncio.Event()  # set when the server ends
        self.worker: WorkerProcess | None = None
        self.ready = False
        self._executions: dict[str, Execution] = {}  # unfinished runs by id
        self._jobs: dict[int, Execution | Question | Job] = {}  # what the worker has to do, by job number
        self._cancelled: dict[int, asyncio.TimerHandle] = {}  # what it should have let go of
        self._numbers = itertools.count(1)
        self._current = 0  # the job that the worker is at
        self._heard = time.monotonic()  # when it last said something
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def closing(self) -> bool:
        return self.closed.is_set()

    # --- The life of the worker -----------------------------------------------------------------------------------

    def start(self, first: WorkerProcess | None = None, warming: Iterable[bytes] = ()) -> None:
        """Begins to work, with a worker already on its way or a new one; ``warming`` are specs to compile meanwhile."""
        for spec in warming:
            number = next(self._numbers)
            # One that kills the worker is not tried again.
            command = {"do": "warm", "job": number, "spec": orjson.Fragment(spec)}
            self._jobs[number] = Job(number, command, deaths=DEATHS - 1)
        self._spawn_task(self._keep_a_worker(first))
        self._spawn_task(self._listen_for_silence())

    def _spawn_task(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_a_worker(self, first: WorkerProcess | None) -> None:
        haste = 0
        while not self.closing:
            try:
                was_ready = await self._work_with(first or await self._new_worker())
            except Exception:  # no memory for a process, or a bug here: neither may leave the server without a worker
                log.exception("no worker could be kept")
                was_ready = False
            first = None
            if self.closing:
                return
            self.metrics.restarts.inc()
            self._forget_cancelled()
            self._blame(self._current)
            haste = 0 if was_ready else haste + 1
            if haste >= DEATHS:
                for execution in list(self._executions.values()):
                    self._end_early(execution, "failed", "the process that computes cannot start: see the server's log")
            if haste:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(HASTE * 2**haste, 30)):
                        await self.closed.wait()

    async def _new_worker(self) -> WorkerProcess:
        return await WorkerProcess.spawn(self.settings.cache, self.settings.growth)

    async def _work_with(self, worker: WorkerProcess) -> bool:
        """Works with a worker until it is gone, and tells whether it ever was ready."""
        self.worker, self._current = worker, 0
        try:
            if not self.closing:
                # It begins with the first that it hears of.
                for job in sorted(self._jobs.values(), key=lambda job: not job.is_awaited):
                    self._send(job)
                async for message in worker.messages():
                    self._hear(message)
        finally:
            was_ready, self.ready, self.worker = self.ready, False, None
            status = await worker.gone()
        if not self.closing:
            log.warning("the worker ended with status %s: another takes its place", status)
        return was_ready

    def _blame(self, number: int) -> None:
        job = self._jobs.get(number)
        if job is None:
            return
        job.deaths += 1
        if job.deaths >= DEATHS:
            self._give_up(job, f"the process that computes died of it {DEATHS} times")

    def _give_up(self, job: Job, why: str) -> None:
        if isinstance(job, Execution):
            self._end_early(job, "failed", why)
            return
        del self._jobs[job.number]
        if isinstance(job, Question):
            job.heard.put_nowait(Failed(500, why))

    async def _listen_for_silence(self) -> None:
        while not self.closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LISTENING):
                    await self.closed.wait()
            job = self._jobs.get(self._current)
            if self.worker is None or job is None:
                continue
            limit = self.settings.silence + job.price
            if time.monotonic() - self._heard > limit:
                log.warning("nothing came of a job for %.0f s: it is given up, and the worker is replaced", limit)
                self._give_up(job, f"nothing came of it for {limit:.0f} s: it takes too long to compile")
                self.worker.kill()

    def _send(self, job: Job) -> None:
        if self.worker is None:
            return  # it is sent to the next one when that has started
        fields = dict(job.command)
        if isinstance(job, Execution):
            job.replayed = len(job.run.log.frames)
            job.told_watched = fields["watched"] = not job.is_abandoned
        elif isinstance(job, Question):
            job.replayed = job.count
        self.worker.send(**fields)

    def _forget_cancelled(self) -> None:
        for timer in self._cancelled.values():
            timer.cancel()
        self._cancelled.clear()

    def _let_go(self, number: int, patience: float) -> None:
        """Has the worker drop a job, and replaces the worker should it not come round to that in so many seconds."""
        self._jobs.pop(number, None)
        if self.worker is None or self.closing:
            return
        self.worker.send(do="cancel", job=number)
        self._await_release(number, self.worker, patience)

    def _await_release(self, number: int, worker: WorkerProcess, patience: float) -> None:
        def overdue() -> None:
            others_wait = any(job.is_awaited for job in self._jobs.values())
            if self._current == number and others_wait:
                log.warning("the worker does not let go of a cancelled job: it is replaced")
                worker.kill()
            else:  # the worker is busy with something that is wanted, or nothing is lost while it goes on
                self._await_release(number, worker, AGAIN)

        self._cancelled[number] = asyncio.get_running_loop().call_later(patience, overdue)

    def _at_stake(self, besides: Execution) -> float:
        """Seconds that the other runs that somebody waits for have taken: they take turns, and would again."""
        others = [each for each in self._executions.values() if each is not besides and not each.is_abandoned]
        begun = [each.begun for each in others if each.begun is not None]
        return time.monotonic() - min(begun) if begun else 0.0

    def _hear(self, message: Message) -> None:
        self._heard = time.monotonic()
        if message.kind is Kind.FRAME or message.kind is Kind.END:
            execution = self._jobs.get(message.job)
            if isinstance(execution, Execution):
                self._hear_frame(execution, message)
            return
        match message.kind:
            case Kind.HELLO:
                self.ready = True
            case Kind.TURN:
                self._current = message.job
            case Kind.DONE:
                self._jobs.pop(message.job, None)
                timer = self._cancelled.pop(message.job, None)
                if timer:
                    timer.cancel()
            case Kind.PART | Kind.ANSWER | Kind.ERROR:
                job = self._jobs.get(message.job)
                if isinstance(job, Execution):
                    told = orjson.loads(message.payload)
                    self._end_early(job, "failed", told["message"])
                elif isinstance(job, Question):
                    self._hear_answer(job, message)
                else:
                    self._jobs.pop(message.job, None)

    def _hear_answer(self, question: Question, message: Message) -> None:
        if message.kind is not Kind.PART:
            del self._jobs[question.number]
        if message.kind is Kind.ERROR:
            question.heard.put_nowait(Failed(**orjson.loads(message.payload)))
        elif question.replayed:
            question.replayed -= 1
        else:
            question.count += 1
            question.heard.put_nowait(Answer(message.payload, message.kind is Kind.ANSWER))

    def _hear_frame(self, execution: Execution, message: Message) -> None:
        if execution.replayed:
            execution.replayed -= 1
            return
        run = execution.run
        if message.kind is Kind.END:
            self._jobs.pop(execution.number)
            self._spawn_task(self._finish(execution, message.payload))
            return
        run.state = "running"
        execution.begun = execution.begun or time.monotonic()
        run.append(message.payload, message.id >= 0)
        if message.lane >= 0:
            run.log.last_steps[message.lane] = message.step
        if self.bytes_under_way > self.settings.memory:
            largest = max(self._executions.values(), key=lambda each: each.run.size)
            why = f"its events take more than the {self.settings.memory} bytes there are"
            self._end_early(largest, "failed", why, self.settings.leaving)

    # --- Runs -----------------------------------------------------------------------------------------------------

    @property
    def bytes_under_way(self) -> int:
        return sum(execution.run.size for execution in self._executions.values())

    @property
    def viewers(self) -> int:
        return sum(execution.viewers for execution in self._executions.values())

    @property
    def unfinished(self) -> int:
        return len(self._executions)

    @property
    def warming(self) -> int:
        """Specs not yet compiled ahead of time."""
        return sum(job.command["do"] == "warm" for job in self._jobs.values())

    def known(self, id: str) -> Run | None:
        """A run under way or in memory."""
        execution = self._executions.get(id)
        return execution.run if execution else self.recent.get(id)

    async def find(self, id: str) -> Run | None:
        """A run, wherever it is kept."""
        run = self.known(id)
        if run is None and self.store is not None:
            try:
                run = await self.store.get(id)
            except Exception:
                log.exception("a run could not be read")
            # Meanwhile somebody may have asked for the same: one object a run.
            run = self.known(id) or run
            if run is not None and run.ended:
                self.recent.put(run)
        return run

    async def submit(self, spec: RunSpec) -> tuple[Run, bool]:
        """The run that a spec denotes, and whether it is new; a cancelled or failed one runs anew. `Busy`: no room."""
        run = await self.find(spec.id)
        if run is not None and run.state in ("queued", "running", "finished"):
            return run, False
        if self.closing or not self._make_room():
            raise Busy
        canonical = orjson.dumps(spec.canonical())
        run = Run(spec.id, canonical)
        number = next(self._numbers)
        command = {"do": "run", "job": number, "spec": orjson.Fragment(canonical)}
        execution = Execution(number, command, price=sum(spec.prices), run=run, lanes=len(spec.lanes))
        self.recent.drop(spec.id)
        self._executions[spec.id] = self._jobs[number] = execution
        self._send(execution)
        return run, True

    def _make_room(self) -> bool:
        """Whether one more run fits; the run that nobody has watched for longest gives way."""
        if len(self._executions) < self.settings.queue:
            return True
        abandoned = next((each for each in self._executions.values() if each.is_abandoned), None)
        if abandoned:
            self._end_early(abandoned, "cancelled", "nobody watched it and others waited", self.settings.leaving)
        return abandoned is not None

    @contextlib.contextmanager
    def watching(self, run: Run) -> Iterator[asyncio.Event]:
        """Counts a viewer; the event it gives is set whenever the run's log or state has changed."""
        changed = asyncio.Event()
        run.waiting.add(changed)
        execution = self._executions.get(run.id)
        if execution and execution.run is run:
            execution.viewers += 1
            self._attend(execution)
        else:
            execution = None
        try:
            yield changed
        finally:
            run.waiting.discard(changed)
            if execution:
                execution.viewers -= 1
                self._attend(execution)

    def _attend(self, execution: Execution) -> None:
        """A viewer came or left: who is watched goes first in the worker, who is not ends after the grace period."""
        if execution.expiry:
            execution.expiry.cancel()
            execution.expiry = None
        if self._jobs.get(execution.number) is not execution:
            return
        execution.was_watched = True
        if execution.is_abandoned and not self.closing:
            why, patience = "nobody watches it any more", self.settings.leaving
            expire = (self._end_early, execution, "cancelled", why, patience)
            execution.expiry = asyncio.get_running_loop().call_later(self.settings.grace, *expire)
        if self.worker and execution.told_watched == execution.is_abandoned:
            execution.told_watched = not execution.is_abandoned
            self.worker.send(do="watched", job=execution.number, watched=execution.told_watched)

    async def _finish(self, execution: Execution, end: bytes) -> None:
        """The end of a run is told when the run is where it will be kept: who has seen it can rely on it."""
        run = execution.run
        if self.store is not None:
            try:
                await self.store.put(run.id, run.spec, [*run.log.frames, end])
            except Exception:
                log.exception("a finished run could not be written")
        self._close(execution, "finished", end)

    def _end_early(self, execution: Execution, state: State, reason: str, patience: float | None = None) -> None:
        """Ends a run that the worker has not ended; each lane stands where it was last told of.

        ``patience`` are the seconds that the worker is given to let go of it; None: it is not at it any more.
        """
        if self._jobs.pop(execution.number, None) is None:
            return  # it has just ended by itself
        last = execution.run.log.last_steps
        lanes = [
            {"lane": lane, "status": state, "step": last.get(lane, 0), "reason": reason}
            for lane in range(execution.lanes)
        ]
        if not execution.run.log.positions:  # a stream begins with what its run is
            execution.run.append(_run_event(execution.run), has_id=True)
        number = len(execution.run.log.positions)
        end = f"id: {number}\nevent: end\ndata: ".encode() + orjson.dumps({"lanes": lanes}) + b"\n\n"
        self._close(execution, state, end)
        if patience is not None:
            self._let_go(execution.number, patience)

    def _close(self, execution: Execution, state: State, end: bytes) -> None:
        run = execution.run
        if execution.expiry:
            execution.expiry.cancel()
        self._executions.pop(run.id, None)
        run.state = state
        run.append(end, has_id=True)
        self.recent.put(run)
        self.metrics.runs.labels(state).inc()
        self.metrics.seconds.observe(time.monotonic() - execution.since)

    def cancel(self, id: str) -> None:
        """Cancels a run for all who watch it; one that has ended stays as it is."""
        execution = self._executions.get(id)
        if execution:
            patience = max(self.settings.cancelling, self._at_stake(besides=execution))
            self._end_early(execution, "cancelled", "cancelled", min(patience, self.settings.leaving))

    async def follow(self, run: Run, after: int, changed: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """The frames of a run behind event ``after`` (-1: all), joined as far as they are there; b"" after a silence.

        ``changed`` is what `watching` gave. Ends with the run, or when the server closes. An ``after`` that the log has
        not reached is waited for: a run that is executed anew gets there, with the same events.
        """
        frames, positions, cursor = run.log.frames, run.log.positions, 0 if after < 0 else -1
        while not self.closing:
            changed.clear()
            if cursor < 0 and after < len(positions):
                cursor = positions[after] + 1
            if 0 <= cursor < len(frames):
                some = _some(frames, cursor)
                cursor += len(some)
                yield b"".join(some)
                await asyncio.sleep(PACE * (len(run.waiting) - 1))
            elif run.ended:
                return
            else:
                try:
                    # Not by wait_for: until Python 3.12 it takes no notice of a viewer's leaving at the very moment at
                    # which there is something new, and a run would go on for a viewer that is gone.
                    async with asyncio.timeout(self.settings.heartbeat):
                        await changed.wait()
                except TimeoutError:
                    yield b""

    async def ended(self, run: Run) -> None:
        """Waits, as a viewer, for a run's end."""
        with self.watching(run) as changed:
            while not run.ended and not self.closing:
                changed.clear()
                await changed.wait()
        if not run.ended:
            raise Busy

    # --- Questions ------------------------------------------------------------------------------------------------

    async def answers(self, do: str, **fields: Any) -> AsyncGenerator[Answer, None]:
        """The worker's answers, the last one whole; asked for again should the worker die, and no more once closed."""
        if self.closing or sum(isinstance(job, Question) for job in self._jobs.values()) >= self.settings.queue:
            raise Busy(1)
        number = next(self._numbers)
        price = MAX_PRICE if "spec" in fields else MAX_ANSWER_PRICE  # a run may have to be computed again for it
        question = self._jobs[number] = Question(number, {"do": do, "job": number, **fields}, price=price)
        self._send(question)
        try:
            while True:
                heard = await question.heard.get()
                if isinstance(heard, Exception):
                    raise heard
                yield heard
                if heard.whole:
                    return
        finally:
            if number in self._jobs:  # whoever asked has gone
                self._let_go(number, self.settings.leaving)

    async def ask(self, do: str, **fields: Any) -> bytes:
        """The worker's whole answer."""
        body = b""
        async with contextlib.aclosing(self.answers(do, **fields)) as told:
            async for answer in told:
                body = answer.body
        return body

    # --- The end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends every stream and every wait; nothing new is taken on."""
        self.closed.set()
        for execution in self._executions.values():
            execution.run.wake()
        for job in list(self._jobs.values()):
            if isinstance(job, Question):
                job.heard.put_nowait(Busy())

    async def stop(self) -> None:
        """Ends the worker and closes the store."""
        self.close()
        if self.worker:
            self.worker.kill()
        self._forget_cancelled()
        for execution in self._executions.values():
            if execution.expiry:
                execution.expiry.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.store is not None:
            await self.store.close()


def _run_event(run: Run) -> bytes:
    """The first event of a run that the worker has not begun: nothing was measured yet, so it has no columns."""
    spec = run.read
    told = {
        "id": run.id,
        "spec": spec.canonical(),
        "lanes": spec.lanes,
        "dimension": spec.problem.dimension,
        "examples": spec.problem.examples,
        "columns": [],
    }
    return b"id: 0\nevent: run\ndata: " + orjson.dumps(told) + b"\n\n"


def _some(frames: list[bytes], cursor: int, limit: int = 2**16) -> list[bytes]:
    """The frames from ``cursor`` on, about ``limit`` bytes of them: a slow viewer is sent no more at once."""
    size, end = 0, cursor
    while end < len(frames) and size < limit:
        size += len(frames[end])
        end += 1
    return frames[cursor:end]
