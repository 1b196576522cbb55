"""The champions at hand to the OpenAPI document: each has paths of its own, with the very shape it takes."""

import copy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from lectern.serving import file_inputs, schemas
from lectern.serving.champions import Champion, can_be_asked

SCHEMA = "#/components/schemas/{model}"
EVENT = {  # of a stream: its name, and JSON as text
    "type": "object",
    "properties": {"event": {"enum": ["text", "end"]}, "data": {"type": "string"}},
    "required": ["event", "data"],
}
MISTAKES = {
    400: "a request that is no HTTP",
    401: "no key, or a wrong one",
    404: "no such model",
    408: "the body came too slowly",
    413: "the body is too large",
    415: "a content type that it does not take",
    422: "what is wrong with the input, and where",
    503: "too much is under way",
}


class Problem(BaseModel):
    """What was found, what was expected and what to do."""

    detail: str


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made anew each time: champions come and go."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    paths = document["paths"]
    templates = {verb: paths.pop(f"/v1/models/{{name}}/{verb}") for verb in ("predict", "stream")}
    champions = [champion for champion in app.state.champions.listed() if can_be_asked(champion.task)]
    components = document.setdefault("components", {}).setdefault("schemas", {})
    components |= definitions({champion.task for champion in champions}, app.state.settings.characters)
    for champion in champions:
        for verb, template in templates.items():
            if verb == "predict" or hasattr(champion.request_format, verb):
                operation = fill(template["post"], champion, verb, app.state.settings.characters)
                paths[f"/v1/models/{champion.name}/{verb}"] = {"post": operation}
    return document


def definitions(tasks: set[str], characters: int) -> dict[str, Any]:
    """The schemas of requests and answers, and of a problem."""
    made = [Problem]
    for task in sorted(tasks):
        shapes = schemas.shapes(task, characters)
        made += [shapes.request, shapes.answer]
    _, found = models_json_schema([(model, "validation") for model in made], ref_template=SCHEMA)
    return found["$defs"]


def fill(template: dict[str, Any], champion: Champion, verb: str, characters: int) -> dict[str, Any]:
    """A path's operation for one champion."""
    shapes = schemas.shapes(champion.task, characters)
    operation = copy.deepcopy(template)
    operation.pop("parameters", None)
    operation["operationId"] = f"{verb}_{champion.name}"
    operation["tags"] = [champion.name]
    bodies: dict[str, Any] = {"application/json": {"schema": reference(shapes.request)}}
    answers: dict[str, Any] = {"application/json": {"schema": reference(shapes.answer)}}
    if verb == "stream":
        answers = {"text/event-stream": {"schema": EVENT}}
    else:
        bodies |= {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in file_inputs.media_types(champion.request_format)
        }
    operation["requestBody"] = {"required": True, "content": bodies}
    problem = {"application/json": {"schema": reference(Problem)}}
    operation["responses"] = {"200": {"description": "its answer", "content": answers}} | {
        str(status): {"description": told, "content": problem} for status, told in MISTAKES.items()
    }
    return operation


def reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": SCHEMA.format(model=model.__name__)}
