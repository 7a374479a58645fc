"""The routes: what design and README call the public contract."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import Response

from secondorder import catalog
from secondorder.server import data, guard, stream
from secondorder.server.broker import Broker
from secondorder.server.files import ASK_AGAIN, IMMUTABLE, Content, Folder, PackageFile
from secondorder.server.lessons import Lessons
from secondorder.server.metrics import Metrics
from secondorder.server.settings import Settings
from secondorder.server.store import Log, Run, Store, open_store
from secondorder.server.wire import WorkerProcess
from secondorder.spec import RunSpec, SpecError, parse, parse_probe

Answer = TypeVar("Answer")
VERSION = version("secondorder")
VIEWS = b'<meta name="views" content="">'  # where a page is told the files in views/
PAGES = {"index.html": "'self'", "embed.html": "*"}  # which may stand in a frame of whom
log = logging.getLogger("uvicorn.error")


def json(content: Any, status: int = 200, **headers: str) -> Response:
    """An answer of now, which nobody keeps."""
    told = {"cache-control": "no-store"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(orjson.dumps(content), status, told, "application/json")


def summary(run: Run) -> dict[str, Any]:
    """What a run is and how far it is; each lane's step, and once it has ended its status and reason."""
    lanes = [{"lane": i, **lane, "step": run.log.last_steps.get(i, 0)} for i, lane in enumerate(run.read.lanes)]
    if run.ended:
        ends = orjson.loads(run.log.frames[-1].partition(b"\ndata: ")[2])["lanes"]
        lanes = [lane | end for lane, end in zip(lanes, ends, strict=True)]
    return {
        "id": run.id,
        "state": run.state,
        "spec": run.read.canonical(),
        "lanes": lanes,
        "events": f"/api/runs/{run.id}/events",
        "count": len(run.log.positions),
    }


def whole_number(request: Request, name: str, default: int, high: int) -> int:
    """A query's number from 0 to ``high``, or `SpecError`."""
    text = request.query_params.get(name)
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > high:
        raise SpecError(f"not a {name} of this run", name, {"ge": 0, "le": high})
    return int(text)


async def unless_gone(request: Request, work: Awaitable[Answer]) -> Answer:
    """The result of some work, which is given up when the client goes."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(stream.disconnected(request.receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(499, "the client has gone")
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


class Catalog:
    """The catalog with its lessons, encoded once until a lesson changes."""

    def __init__(self, lessons: Lessons):
        self.lessons = lessons
        self._entries: list[dict[str, Any]] | None = None
        self._content: Content

    def content(self) -> Content:
        entries = [lesson.entry for lesson in self.lessons.all()]
        if entries != self._entries:
            told = catalog.describe() | {"lessons": entries, "version": VERSION}
            body = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
            self._entries, self._content = entries, Content.of(body, "application/json")
        return self._content


def lesson_specs(lessons: Lessons) -> list[bytes]:
    """The specs of all lessons that have a valid one."""
    found = []
    for lesson in lessons.all():
        try:
            found.append(orjson.dumps(parse(lesson.spec).canonical()))
        except SpecError as wrong:
            log.error("the lesson %s has a spec that is refused: %s (%s)", lesson.name, wrong.message, wrong.at)
    return found


def create_app(
    settings: Settings | None = None, store: Store | None = None, worker: WorkerProcess | None = None
) -> FastAPI:
    """The application; ``app.state.broker`` is its broker. A ``worker`` already started is taken over."""
    settings = settings or Settings.from_environment()
    store = store or open_store(settings.store, settings.disk)
    metrics = Metrics()
    broker = Broker(settings, store, metrics)
    lessons = Lessons(settings.frontend / "lessons")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        broker.start(worker, lesson_specs(lessons) if settings.warm else ())
        yield
        await broker.stop()

    app = FastAPI(
        title="Second Order", version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.broker, app.state.settings = broker, settings
    app.add_middleware(guard.Guard, settings=settings, metrics=metrics)
    guard.install(app)

    @app.exception_handler(stream.BadResume)
    async def bad_resume(_: Request, raised: stream.BadResume) -> Response:
        return stream.refuse(raised)

    _add_runs(app, broker)
    _add_questions(app, broker)
    _add_service(app, broker, metrics)
    _add_pages(app, settings, lessons)
    return app


async def _found(broker: Broker, id: str) -> Run:
    run = await broker.find(id)
    if run is None:
        raise SpecError("unknown run", "id", status=404)
    return run


def _add_runs(app: FastAPI, broker: Broker) -> None:
    @app.post("/api/runs")
    async def post_run(request: Request) -> Response:
        after = stream.resume_point(request)
        spec = parse(await request.body())
        run, is_new = await broker.submit(spec)
        status = 201 if is_new else 200
        if "text/event-stream" in request.headers.get("accept", ""):
            return stream.EventStream(broker, run, after, status)
        events = f"/api/runs/{run.id}/events"
        told = {"id": run.id, "spec": spec.canonical(), "lanes": spec.lanes, "events": events}
        return json(told, status, location=f"/api/runs/{run.id}")

    @app.get("/api/runs/{id}")
    async def get_run(id: str, request: Request) -> Response:
        run = await _found(broker, id)
        if run.state != "finished":
            return json(summary(run))
        return Content.of(orjson.dumps(summary(run)), "application/json").answer(request, IMMUTABLE)

    @app.delete("/api/runs/{id}")
    async def delete_run(id: str) -> Response:
        run = await _found(broker, id)
        broker.cancel(id)
        return json(summary(run))

    @app.get("/api/runs/{id}/events")
    async def get_events(id: str, request: Request) -> Response:
        after = stream.resume_point(request)
        run = await _found(broker, id)
        if run.ended and after >= len(run.log.positions) - 1:
            return Response(None, 204)  # it has everything: a browser's EventSource then stops asking
        return stream.EventStream(broker, run, after, cacheable=after < 0)

    async def whole_trajectory(id: str, request: Request, encode: Callable[[Log], bytes], media: str) -> Response:
        run = await _found(broker, id)
        await unless_gone(request, broker.ended(run))
        content = await asyncio.to_thread(lambda: Content.of(encode(run.log), media, level=1))
        return content.answer(request, IMMUTABLE if run.state == "finished" else "no-store")

    @app.get("/api/runs/{id}/data.csv")
    async def get_csv(id: str, request: Request) -> Response:
        return await whole_trajectory(id, request, data.as_csv, "text/csv; charset=utf-8")

    @app.get("/api/runs/{id}/data.json")
    async def get_json(id: str, request: Request) -> Response:
        return await whole_trajectory(id, request, data.as_json, "application/json")


def _add_questions(app: FastAPI, broker: Broker) -> None:
    @app.get("/api/runs/{id}/parameters")
    async def get_parameters(id: str, request: Request) -> Response:
        run = await _found(broker, id)
        lane = whole_number(request, "lane", 0, len(run.read.lanes) - 1)
        last = run.log.last_steps.get(lane, 0)
        step = whole_number(request, "step", last, last)
        question = broker.ask("parameters", spec=orjson.Fragment(run.spec), lane=lane, step=step)
        body = await unless_gone(request, question)
        name = f'attachment; filename="{run.id}-{lane}-{step}.npz"'
        return Content.of(body, "application/octet-stream").answer(request, IMMUTABLE, content_disposition=name)

    @app.post("/api/probes")
    async def post_probe(request: Request) -> Response:
        body = await request.body()
        runs: dict[str, Run | None] = {}

        def find(id: str) -> RunSpec | None:
            runs[id] = runs.get(id) or broker.known(id)
            run = runs[id]
            return run.read if run else None

        try:
            asked = parse_probe(body, find)
        except SpecError as refused:
            if refused.status != 404 or not runs:
                raise
            id = next(iter(runs))
            runs[id] = await broker.find(id)  # it may be on disk
            asked = parse_probe(body, find)
        if asked.needs_finished_run and any(run and run.state != "finished" for run in runs.values()):
            # The worker would have to compute all of it first, and nobody else would be answered meanwhile.
            why = f"{asked.name} is drawn in the slice of a whole run: ask when it has finished"
            raise SpecError(why, "run", status=409)
        fields: dict[str, Any] = {"body": orjson.Fragment(body)}
        if asked.spec is not None:
            fields["spec"] = asked.spec.canonical()
        if "text/event-stream" in request.headers.get("accept", ""):
            answers = broker.answers("probe", **fields)
            # A refusal has its own status, so nothing is sent before the first answer.
            return stream.AnswerStream(broker, await unless_gone(request, anext(answers)), answers)
        answer = await unless_gone(request, broker.ask("probe", **fields))
        return Content.of(answer, "application/json", level=1).answer(request, "no-store")


def _add_service(app: FastAPI, broker: Broker, metrics: Metrics) -> None:
    @app.get("/healthz")
    async def get_health() -> Response:
        worker = "ready" if broker.ready else "starting"
        return json({"status": "ok", "version": VERSION, "worker": worker, "unfinished": broker.unfinished})

    @app.get("/metrics")
    async def get_metrics() -> Response:
        return Response(metrics.read(broker), media_type=CONTENT_TYPE_LATEST)


def _add_pages(app: FastAPI, settings: Settings, lessons: Lessons) -> None:
    files = Folder(settings.frontend)
    plotly = PackageFile("plotly", "package_data/plotly.min.js", "text/javascript", settings.cache)
    font = PackageFile("ziamath", "fonts/STIXTwoMath-Regular.ttf", "font/ttf", settings.cache)
    entries = Catalog(lessons)
    reads = partial(app.api_route, methods=["GET", "HEAD"])

    def page(request: Request, name: str, status: int = 200) -> Response:
        found = files.get(name)
        if found is None:
            raise HTTPException(404, "Not Found")
        address = f"/plotly.min.js?v={plotly.version}".encode()
        views = " ".join(sorted(view.stem for view in (settings.frontend / "views").glob("*.js")))
        body = found.body.replace(b"/plotly.min.js", address).replace(VIEWS, VIEWS[:-2] + views.encode() + VIEWS[-2:])
        html = Content.of(body, "text/html; charset=utf-8")
        answer = html.answer(request, content_security_policy=guard.PAGE_POLICY + PAGES[name])
        if status != 200:
            answer = Response(
                html.body, status, {"content-security-policy": guard.PAGE_POLICY + PAGES[name]}, html.media
            )
        return answer

    @reads("/")
    async def get_index(request: Request) -> Response:
        return page(request, "index.html")

    @reads("/embed")
    async def get_embed(request: Request) -> Response:
        return page(request, "embed.html")

    @reads("/lessons/{slug}")
    async def get_lesson_page(slug: str, request: Request) -> Response:
        if lessons.get(slug):
            return page(request, "index.html")
        if "text/html" in request.headers.get("accept", ""):
            return page(request, "index.html", 404)  # the page says so, and offers the lessons that there are
        raise unknown_lesson(slug)

    def unknown_lesson(slug: str) -> SpecError:
        return SpecError("unknown lesson", slug, [lesson.name for lesson in lessons.all()], 404)

    @reads("/api/lessons/{slug}")
    async def get_lesson(slug: str, request: Request) -> Response:
        lesson = lessons.get(slug)
        if lesson is None:
            raise unknown_lesson(slug)
        return Content.of(orjson.dumps(lesson.page), "application/json").answer(request)

    @reads("/api/catalog")
    async def get_catalog(request: Request) -> Response:
        return entries.content().answer(request)

    @reads("/static/{path:path}")
    async def get_static(path: str, request: Request) -> Response:
        found = files.get(path)
        if found is None:
            raise HTTPException(404, "Not Found")
        return found.answer(request)

    async def from_package(request: Request, file: PackageFile) -> Response:
        content = await file.get()
        if content is None:
            raise HTTPException(404, f"the package {file.package} is not installed")
        is_this_version = request.query_params.get("v") == file.version
        return content.answer(request, IMMUTABLE if is_this_version else ASK_AGAIN)

    @reads("/plotly.min.js")
    async def get_plotly(request: Request) -> Response:
        return await from_package(request, plotly)

    @reads("/fonts/STIXTwoMath-Regular.ttf")
    async def get_font(request: Request) -> Response:
        return await from_package(request, font)

    @app.get("/favicon.ico")
    async def get_icon() -> Response:
        return Response(None, 204, {"cache-control": "max-age=86400"})
