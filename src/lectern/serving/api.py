"""Define the HTTP API that serves the champions."""

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse

from lectern.errors import UserError
from lectern.serving import card_pictures, file_inputs, metrics, schemas
from lectern.serving.champions import Champion, Champions, NotServed
from lectern.serving.client_message import SEE_LOG, client_message, shorten
from lectern.serving.deadline import ModelBusy, PredictionTimeout
from lectern.serving.disconnect import cancel_on_disconnect
from lectern.serving.error_routes import add_error_routes
from lectern.serving.executor import Executor
from lectern.serving.model_info import ModelInfo, describe_champion
from lectern.serving.openapi import Document, ErrorResponse

JSON = "application/json"

log = logging.getLogger("lectern.serving")
router = APIRouter()


class Readiness(BaseModel):
    """The response of `/readyz`: the served versions, and the champions that could not be loaded."""

    ready: bool
    served: dict[str, int] = Field(description="maps the name of each served model to the number of the served version")
    problems: dict[str, str] = Field(description="maps the name of each model that could not be loaded to a message")


def create_app(champions: Champions, executor: Executor) -> FastAPI:
    """Create the FastAPI application, which checks the registry for new champions while it runs."""
    description = "This API predicts with the champions in the registry."
    app = FastAPIOffline(title="Lectern", description=description, lifespan=lifespan, version="1")
    app.state.champions, app.state.executor = champions, executor
    app.include_router(router)
    app.include_router(card_pictures.router)
    add_error_routes(app, router, card_pictures.router)
    app.add_exception_handler(UserError, respond_to_user_error)
    app.add_exception_handler(ModelBusy, respond_to_busy_model)
    app.add_exception_handler(ClientDisconnect, respond_to_disconnect)
    document = Document(app, champions, executor.settings.max_characters)
    # setattr, because mypy rejects the assignment `app.openapi = document` of FastAPI's documentation
    setattr(app, "openapi", document)  # noqa: B010
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Check the registry for new champions while the server runs."""
    polling = asyncio.create_task(poll_registry(app.state.champions, app.state.executor))
    yield
    polling.cancel()
    with suppress(asyncio.CancelledError):
        await polling


async def poll_registry(champions: Champions, executor: Executor) -> None:
    """Load changed champions from the registry at regular intervals.

    If the registry is unreachable, the champions that are already loaded are still served.
    """
    while True:
        try:
            await asyncio.to_thread(champions.refresh)
        except Exception as error:
            if "registry" not in champions.problems:
                log.warning("The registry cannot be read: %s", error)
            champions.problems["registry"] = f"cannot read it: {str(error)[:200]}"
        for champion in champions.all():
            metrics.CHAMPION_VERSION.labels(champion.name).set(champion.version.number)
        await executor.release_memory()
        await asyncio.sleep(executor.settings.alias_poll_seconds)


async def get_champions(request: Request) -> Champions:
    champions: Champions = request.app.state.champions
    return champions


async def get_executor(request: Request) -> Executor:
    executor: Executor = request.app.state.executor
    return executor


ServedChampions = Annotated[Champions, Depends(get_champions)]
ServerExecutor = Annotated[Executor, Depends(get_executor)]


async def find_champion(name: str, champions: ServedChampions) -> Champion:
    """Return the champion of the model `name`, which computes all outputs of one request."""
    champion = champions.get(name)
    if not champion.has_request_module:
        raise NotServed(f"{name} cannot be used through the API, because its task has no module serving/request.py.")
    return champion


ServedChampion = Annotated[Champion, Depends(find_champion)]


@router.get("/v1/models", summary="List the champions")
async def list_models(champions: ServedChampions) -> list[ModelInfo]:
    return [describe_champion(champion) for champion in champions.all()]


@router.get("/v1/models/{name}", summary="Describe a champion", responses={404: {"model": ErrorResponse}})
async def show_model(name: str, champions: ServedChampions) -> ModelInfo:
    return describe_champion(champions.get(name))


@router.post("/v1/models/{name}/predict", include_in_schema=False)
async def predict(champion: ServedChampion, executor: ServerExecutor, request: Request) -> Response:
    media_type = read_media_type(request)
    if media_type == JSON:
        inputs, params = await read_json(champion, executor, request)
        outputs = await cancel_on_disconnect(request, executor.predict(champion, inputs, params))
    else:
        outputs = await predict_file(champion, executor, media_type, request)
    schema = schemas.task_schemas(champion.task, executor.settings.max_characters).response
    response = schema(model=champion.name, version=champion.version.number, outputs=schemas.to_outputs(outputs))
    return Response(response.model_dump_json(exclude_none=True), media_type="application/json")


def read_media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(champion: Champion, executor: Executor, request: Request) -> tuple[Any, dict[str, Any]]:
    """Return the model inputs and the model params in the JSON body of a request."""
    body, max_characters = await request.body(), executor.settings.max_characters
    if schemas.is_large(body):
        executor.has_memory_to_release = True
        return await executor.run_short(schemas.parse_body, body, champion.task, max_characters)
    return schemas.parse_body(body, champion.task, max_characters)


async def predict_file(champion: Champion, executor: Executor, media_type: str, request: Request) -> Any:
    """Return the predictions for an uploaded image or video. Only one chunk of the upload at a time is processed."""
    suffix = file_inputs.find_suffix(media_type, champion.request_module)
    if suffix is None:
        accepted = ", ".join([JSON, *file_inputs.accepted_media_types(champion.request_module)])
        raise HTTPException(415, f"{champion.name} accepts {accepted}; the request has {describe(media_type)}.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"body{suffix}"
        with path.open("wb") as file:
            async for data in request.stream():
                file.write(data)
        settings = executor.settings
        chunks = file_inputs.read_chunks(path, champion, settings.max_megapixels, settings.max_frames)
        return await cancel_on_disconnect(request, executor.predict_chunks(champion, chunks))


def describe(media_type: str) -> str:
    return f"the content type {shorten(media_type)!r}" if media_type else "no content type"


@router.post("/v1/models/{name}/stream", include_in_schema=False)
async def stream(champion: ServedChampion, executor: ServerExecutor, request: Request) -> Response:
    if not hasattr(champion.request_module, "stream"):
        raise HTTPException(404, f"{champion.name} cannot stream outputs. Use POST /v1/models/{champion.name}/predict")
    if (media_type := read_media_type(request)) != JSON:
        raise HTTPException(415, f"A stream request accepts {JSON}; the request has {describe(media_type)}.")
    inputs, params = await read_json(champion, executor, request)
    if len(inputs) != 1:
        raise UserError(f"A stream request accepts one input; found {len(inputs)}. Send one request per input.")
    texts = executor.stream(champion, champion.model.iterate("stream", inputs, params))
    # Compute the first piece before the response starts, because the status cannot change afterwards.
    first = await anext(texts, "")
    return StreamingResponse(stream_events(champion, first, texts), media_type="text/event-stream")


async def stream_events(champion: Champion, first: str, texts: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield the generated text as server-sent events.

    Each event `text` contains a piece of the text. `first` is the first piece, and `texts` are the other pieces. The
    last event, `end`, contains the number of the version.
    """
    if first:
        yield format_event("text", {"text": first})
    async for text in texts:
        yield format_event("text", {"text": text})
    yield format_event("end", {"model": champion.name, "version": champion.version.number})


def format_event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


@router.get("/healthz", summary="Check that the server runs")
async def healthz() -> dict[str, str]:
    return {"status": "alive"}


@router.get(
    "/readyz", summary="Check that the server serves at least one champion", responses={503: {"model": Readiness}}
)
async def readyz(champions: ServedChampions, response: Response) -> Readiness:
    served = {champion.name: champion.version.number for champion in champions.all()}
    if not served:
        response.status_code = 503
    return Readiness(ready=bool(served), served=served, problems=dict.fromkeys(champions.problems, SEE_LOG))


@router.get("/metrics", summary="Return the metrics of the server for Prometheus", response_class=Response)
async def read_metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def respond_to_user_error(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": client_message(str(error))}, 404 if isinstance(error, NotServed) else 422)


async def respond_to_busy_model(request: Request, error: Exception) -> JSONResponse:
    headers = {} if isinstance(error, PredictionTimeout) else {"Retry-After": "1"}
    return JSONResponse({"detail": str(error)}, 503, headers)


async def respond_to_disconnect(request: Request, error: Exception) -> Response:
    """Return a response with status 499. Only the metrics use this status, because the client has disconnected."""
    return Response(status_code=499)
