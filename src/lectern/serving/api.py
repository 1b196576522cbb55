"""Requests over HTTP to what the champions answer."""

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse

from lectern.errors import UserError
from lectern.registry.versions import numeric_tag
from lectern.serving import file_inputs, schemas
from lectern.serving import metrics as measured
from lectern.serving.champions import Champion, Champions, NotServed, can_be_asked
from lectern.serving.deadline import Busy, TooLong
from lectern.serving.executor import Executor
from lectern.serving.openapi import Problem, describe
from lectern.serving.settings import Settings

LARGE = 100_000  # bytes of JSON that are read in a thread, so that nobody waits for it

log = logging.getLogger("lectern.serving")
router = APIRouter()


class Served(BaseModel):
    """A champion, as the registry knows it."""

    name: str
    task: str
    version: int
    alias: str = "champion"
    experiment: str
    metric: str = Field(description="what the score is")
    score: float
    baseline: float
    higher_is_better: bool
    card: str = Field(description="Markdown")
    run: str = Field(description="the MLflow run that it came from")


class Ready(BaseModel):
    """What is served, and what could not be loaded."""

    ready: bool
    served: dict[str, int] = Field(description="name to version")
    problems: dict[str, str]


def create_app(champions: Champions, settings: Settings) -> FastAPI:
    """The server over the champions; it follows them from its start to its end."""
    app = FastAPIOffline(title="Lectern", description="The champions of the registry.", lifespan=follow, version="1")
    app.state.champions, app.state.settings = champions, settings
    app.state.asking = Executor(settings)
    app.include_router(router)
    app.openapi = lambda: describe(app)
    for kind, respond in ANSWERED.items():
        app.add_exception_handler(kind, respond)
    return app


@asynccontextmanager
async def follow(app: FastAPI) -> AsyncIterator[None]:
    """Ask the store again and again, in a thread of its own."""
    task = asyncio.create_task(keep_following(app.state.champions, app.state.settings.follow_seconds))
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def keep_following(champions: Champions, seconds: float) -> None:
    while True:
        try:
            await asyncio.to_thread(champions.follow)
            champions.problems.pop("registry", None)
        except Exception as error:  # the store may be away for a while: what is loaded goes on answering
            if "registry" not in champions.problems:
                log.warning("the registry does not answer: %s", error)
            champions.problems["registry"] = f"it does not answer: {str(error)[:200]}"
        for champion in champions.listed():
            measured.VERSION.labels(champion.name).set(champion.number)
        await asyncio.sleep(seconds)


@router.get("/v1/models", summary="Every champion")
async def list_models(request: Request) -> list[Served]:
    return [tell(champion) for champion in request.app.state.champions.listed()]


@router.get("/v1/models/{name}", summary="One champion", responses={404: {"model": Problem}})
async def show_model(name: str, request: Request) -> Served:
    return tell(request.app.state.champions.get(name))


def tell(champion: Champion) -> Served:
    version = champion.version
    return Served(
        name=champion.name,
        task=champion.task,
        version=champion.number,
        experiment=version.tags["lectern.experiment"],
        metric=champion.metric,
        score=numeric_tag(version, "score"),
        baseline=numeric_tag(version, "baseline"),
        higher_is_better=version.tags["lectern.higher_is_better"] == "True",
        card=version.description or "",
        run=version.run_id or "",
    )


@router.post("/v1/models/{name}/predict", summary="What it answers")
async def predict(name: str, request: Request) -> Response:
    champion, asking = find(name, request), request.app.state.asking
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        outputs = await unless_gone(request, asking.ask(champion, *await read_json(champion, request)))
    else:
        outputs = await ask_file(champion, kind, request)
    return answer(champion, outputs)


def find(name: str, request: Request) -> Champion:
    """The champion that answers this request from its beginning to its end."""
    champion = request.app.state.champions.get(name)
    if not can_be_asked(champion.task):
        raise NotServed(f"{name} is served by no API: the room of its task offers none.")
    return champion


async def read_json(champion: Champion, request: Request) -> tuple[Any, dict[str, Any]]:
    body, characters = await request.body(), request.app.state.settings.characters
    if len(body) > LARGE:
        return await request.app.state.asking.run(schemas.read_body, body, champion.task, characters)
    return schemas.read_body(body, champion.task, characters)


async def ask_file(champion: Champion, kind: str, request: Request) -> Any:
    """A picture or a video to the answers, an item after the other."""
    suffix, settings = file_inputs.suffix_of(kind, champion.request_format), request.app.state.settings
    if suffix is None:
        there = ", ".join(["application/json", *file_inputs.media_types(champion.request_format)])
        raise HTTPException(415, f"{champion.name} takes {there}; this is {kind or 'of no content-type'}.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"body{suffix}"
        with path.open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        parts = file_inputs.read_parts(path, champion, settings.megapixels, settings.frames)
        return await unless_gone(request, request.app.state.asking.ask_in_parts(champion, parts))


async def unless_gone(request: Request, work: Awaitable[Any]) -> Any:
    """The work's result; a client that goes away ends it. Raises ClientDisconnect then."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(leave(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def leave(request: Request) -> None:
    """The end of the client's connection; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def answer(champion: Champion, outputs: Any) -> Response:
    shape = schemas.shapes(champion.task, 0).answer
    told = shape(model=champion.name, version=champion.number, outputs=schemas.to_outputs(outputs))
    return Response(told.model_dump_json(exclude_none=True), media_type="application/json")


@router.post("/v1/models/{name}/stream", summary="What it writes, as it writes it")
async def stream(name: str, request: Request) -> Response:
    champion, asking = find(name, request), request.app.state.asking
    if not hasattr(champion.request_format, "stream"):
        raise HTTPException(404, f"{name} answers all at once: POST /v1/models/{name}/predict")
    inputs, params = await read_json(champion, request)
    if len(inputs) != 1:
        raise UserError(f"One input can be streamed at a time; there are {len(inputs)}.")
    pieces = champion.request_format.stream(champion.module, inputs, params)
    return StreamingResponse(tell_pieces(champion, asking, pieces), media_type="text/event-stream")


async def tell_pieces(champion: Champion, asking: Executor, pieces: Any) -> AsyncIterator[str]:
    """Server-sent events: pieces of text, then `end` with the version that wrote them all."""
    async for text in asking.stream(champion, pieces):
        yield event("text", {"text": text})
    yield event("end", {"model": champion.name, "version": champion.number})


def event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


@router.get("/healthz", summary="It is alive")
async def healthz() -> dict[str, str]:
    return {"status": "alive"}


@router.get("/readyz", summary="It can answer", responses={503: {"model": Ready}})
async def readyz(request: Request) -> Ready:
    champions = request.app.state.champions
    served = {champion.name: champion.number for champion in champions.listed()}
    told = Ready(ready=bool(served), served=served, problems=champions.problems)
    return told if told.ready else JSONResponse(told.model_dump(), 503)


@router.get("/metrics", summary="For Prometheus", response_class=Response)
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def refuse(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 404 if isinstance(error, NotServed) else 422)


async def refuse_for_now(request: Request, error: Exception) -> JSONResponse:
    again = {} if isinstance(error, TooLong) else {"Retry-After": "1"}
    return JSONResponse({"detail": str(error)}, 503, again)


async def refuse_form(request: Request, error: RequestValidationError) -> JSONResponse:
    told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return JSONResponse({"detail": told}, 422)


async def forget(request: Request, error: Exception) -> Response:
    """Nobody hears it: it is for the metrics."""
    return Response(status_code=499)


ANSWERED = {
    UserError: refuse,
    Busy: refuse_for_now,
    RequestValidationError: refuse_form,
    ClientDisconnect: forget,
}
