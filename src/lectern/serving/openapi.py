"""Create the OpenAPI document, with one path per champion and the schemas of the champion's task."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from lectern.serving import file_inputs, schemas
from lectern.serving.champions import Champion, Champions

BINARY = {"schema": {"type": "string", "format": "binary"}}
EVENT = {  # schema of a server-sent event, which has a name and data in JSON
    "type": "object",
    "properties": {"event": {"enum": ["text", "end"]}, "data": {"type": "string"}},
    "required": ["event", "data"],
}
ERRORS = {
    400: "The request is not valid HTTP.",
    401: "The API key is missing or wrong.",
    404: "The server has no model of this name.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The model does not accept this content type.",
    422: "An input is invalid. The error message says which input is invalid and why.",
    503: "The model has too many requests in progress, or the prediction took too long.",
}


class ErrorResponse(BaseModel):
    """The response for an error. `detail` says what was found, what was expected and what to do."""

    detail: str


class Document:
    """The OpenAPI document, with the paths of all champions that are currently loaded."""

    def __init__(self, app: FastAPI, champions: Champions, max_characters: int):
        self.app, self.champions, self.max_characters = app, champions, max_characters
        self.served: list[Champion] = []
        self.content: dict[str, Any] | None = None

    def __call__(self) -> dict[str, Any]:
        """Return the document. It is built only after a change of a champion, because that takes 0.2 seconds."""
        served = self.champions.all()
        if self.content is None or served != self.served:
            self.served, self.content = served, self.build(served)
        return self.content

    def build(self, served: Iterable[Champion]) -> dict[str, Any]:
        router = APIRouter()
        for champion in served:
            if champion.has_request_module:
                add_routes(router, champion, schemas.task_schemas(champion.task, self.max_characters))
        app, routes = self.app, [*self.app.routes, *router.routes]
        return get_openapi(title=app.title, version=app.version, description=app.description, routes=routes)


def add_routes(router: APIRouter, champion: Champion, task_schemas: schemas.TaskSchemas) -> None:
    """Add the paths of a champion to `router`, which is used only to create the OpenAPI document."""

    def endpoint(body: Any) -> None: ...

    endpoint.__annotations__["body"] = task_schemas.request
    media_types = file_inputs.accepted_media_types(champion.request_module)
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorResponse, "description": description} for status, description in ERRORS.items()
    }
    router.add_api_route(
        f"/v1/models/{champion.name}/predict",
        endpoint,
        methods=["POST"],
        summary="Predict",
        operation_id=f"predict_{champion.name}",
        tags=[champion.name],
        response_model=task_schemas.response,
        responses=errors,
        openapi_extra={"requestBody": {"content": dict.fromkeys(media_types, BINARY)}},
    )
    if hasattr(champion.request_module, "stream"):
        router.add_api_route(
            f"/v1/models/{champion.name}/stream",
            endpoint,
            methods=["POST"],
            summary="Generate a text as a stream",
            operation_id=f"stream_{champion.name}",
            tags=[champion.name],
            response_class=StreamingResponse,
            responses=errors | {200: {"content": {"text/event-stream": {"schema": EVENT}}}},
        )
